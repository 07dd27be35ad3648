// Command cluster brings up a real local Kubernetes without Docker: every
// binary is built from Go modules, and a node, where the machine allows one,
// runs on the containerd and runc of the distribution. See README.md.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

const usage = `cluster brings up a real local Kubernetes without Docker.

  cluster up                      start it; does nothing when it is up already
  cluster down [--all]            stop it and remove everything it left
  cluster status                  say which clusters there are and whether they run
  cluster kubeconfig [--raw]      print the path of the kubeconfig, or its content
  cluster load-image TAR          give its node an image (docker save or OCI layout, as tar)
  cluster load-test-image         build the image ` + busyImage + ` and load it; up does this too
  cluster test-image TAR          write that image to a file, for a cluster that is not ours
  cluster stop COMPONENT          kill one component (SIGKILL): ` + stoppable + `
  cluster start COMPONENT         start it again
  cluster restart-component COMPONENT
  cluster assets [--all]          build etcd, kube-apiserver, kubectl and kube-controller-manager for
                                  KUBEBUILDER_ASSETS (or everything), print their directory

Every verb but assets, status and test-image takes --name (default codb). "cluster VERB -h" lists the flags of a verb.
`

const kubernetesHelp = "version, 1.34 or 1.37 (default: the newest)"

func main() {
	if len(os.Args) < 2 || strings.HasPrefix(os.Args[1], "-") || os.Args[1] == "help" {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintf(os.Stderr, "cluster %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

// options are the flags of all verbs; each verb registers the ones it reads.
type options struct {
	name       string
	kubernetes string
	all        bool
	only       string
	raw        bool
	up         upOptions
	wants      []string // positional arguments
}

func run(verb string, args []string) error {
	if verb == nodeInitVerb {
		return nodeInit(args) // up runs this as the first process of a node
	}
	flags := flag.NewFlagSet("cluster "+verb, flag.ContinueOnError)
	var o options
	named := verb != "assets" && verb != "status" && verb != "test-image"
	if named {
		flags.StringVar(&o.name, "name", "codb", "name of the cluster")
	}
	positional := 0
	var do func(*options) error
	switch verb {
	case "up":
		do = runUp
		o.up.register(flags)
	case "down":
		do = runDown
		flags.BoolVar(&o.all, "all", false, "remove every cluster of this user")
	case "status":
		do = runStatus
	case "kubeconfig":
		do = runKubeconfig
		flags.BoolVar(&o.raw, "raw", false, "print the content, not the path")
	case "load-image":
		do, positional = runLoadImage, 1
	case "load-test-image":
		do = runLoadTestImage
	case "test-image":
		do, positional = runTestImage, 1
	case "stop", "start", "restart-component":
		do, positional = func(o *options) error { return runComponent(verb, o) }, 1
	case "assets":
		do = runAssets
		flags.StringVar(&o.kubernetes, "kubernetes", "", kubernetesHelp)
		flags.BoolVar(&o.all, "all", false, "build the binaries of a whole cluster with a node")
		flags.StringVar(&o.only, "only", "", "build this binary alone, such as kubectl")
	default:
		return fmt.Errorf("no such verb; %q lists them", "cluster help")
	}
	var err error
	if o.wants, err = parse(flags, args); err != nil {
		return err
	}
	if len(o.wants) != positional {
		return fmt.Errorf("takes %d argument(s), got %q", positional, o.wants)
	}
	if named {
		if err := checkName(o.name); err != nil {
			return err
		}
	}
	return do(&o)
}

// parse is flags.Parse for flags before and after the positional arguments,
// which it returns.
func parse(flags *flag.FlagSet, args []string) ([]string, error) {
	var positional []string
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			return positional, nil
		}
		positional = append(positional, flags.Arg(0))
		args = flags.Args()[1:]
	}
}

// list is a flag that may be repeated.
type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// progress goes to stderr: stdout carries only what a script reads.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format, args...)
}

func seconds(since time.Time) string {
	return time.Since(since).Round(time.Second).String()
}
