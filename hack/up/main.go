// Command up brings up the best cluster that the machine allows and prints, on
// standard output, lines that a shell can read:
//
//	KUBECONFIG=...      the administrator's
//	CODB_CLUSTER=...    current, kind or local
//	CODB_HOST=...       the address at which the apiserver reaches this machine
//
// With CODB_CLUSTER=current it takes the current context's cluster; where a
// Docker engine answers it makes one with kind; else hack/cluster builds one.
// CODB_KIND_NODE_IMAGE replaces the node image that kind pulls, for a machine
// that reaches no registry but its own.
// "up load NAME TAR" gives that cluster's nodes an image; it fails where there
// is no node, or none that is ours.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	verb, name := "up", "codb"
	if len(os.Args) > 1 {
		verb = os.Args[1]
	}
	if len(os.Args) > 2 {
		name = os.Args[2]
	}
	if err := run(verb, name, os.Args); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", verb, err)
		os.Exit(1)
	}
}

// way is one of the ways to a cluster.
type way struct {
	up   func(name string) error
	load func(name, image string) error
	down func(name string) error
}

var ways = map[string]way{
	"current": {current, notOurs, keep},
	"kind":    {kindUp, kindLoad, kindDown},
	"local":   {localUp, localLoad, localDown},
}

func run(verb, name string, args []string) error {
	kind, err := choose()
	if err != nil {
		return err
	}
	switch verb {
	case "load":
		if len(args) != 4 {
			return fmt.Errorf("takes the cluster's name and an image's tar")
		}
		return ways[kind].load(name, args[3])
	case "up":
		return ways[kind].up(name)
	case "down":
		return ways[kind].down(name)
	}
	return fmt.Errorf("%q is neither up, load nor down", verb)
}

// choose takes what the user said, then Docker, then what needs nothing.
func choose() (string, error) {
	if c := os.Getenv("CODB_CLUSTER"); c != "" {
		if _, known := ways[c]; !known {
			return "", fmt.Errorf("CODB_CLUSTER is %q; it may be current, kind or local", c)
		}
		return c, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if exec.CommandContext(ctx, "docker", "info", "--format", "{{.ServerVersion}}").Run() == nil {
		return "kind", nil
	}
	return "local", nil
}

func current(string) error {
	path := os.Getenv("KUBECONFIG")
	if path == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return err
		}
		path = filepath.Join(home, ".kube", "config")
	}
	host := os.Getenv("CODB_HOST")
	if host == "" {
		host = "127.0.0.1"
		fmt.Fprintln(os.Stderr, "set CODB_HOST to an address of this machine that the cluster's apiserver reaches, unless it runs here")
	}
	return say(path, "current", host)
}

func keep(string) error {
	fmt.Fprintln(os.Stderr, "the cluster is yours: nothing was taken down")
	return nil
}

func notOurs(string, string) error {
	return fmt.Errorf("the cluster is yours: push the image to a registry that it pulls from")
}

func localUp(name string) error {
	if err := local("up", "--name", name).Run(); err != nil {
		return fmt.Errorf("hack/cluster up: %w", err)
	}
	c := local("kubeconfig", "--name", name)
	c.Stdout = nil
	out, err := c.Output()
	if err != nil {
		return fmt.Errorf("hack/cluster kubeconfig: %w", err)
	}
	return say(strings.TrimSpace(string(out)), "local", "127.0.0.1")
}

func localLoad(name, image string) error {
	abs, err := filepath.Abs(image)
	if err != nil {
		return err
	}
	return local("load-image", "--name", name, abs).Run()
}

func localDown(name string) error { return local("down", "--name", name).Run() }

// local runs hack/cluster, which is a module of its own. What it says goes to
// standard error: standard output is for the shell.
func local(args ...string) *exec.Cmd {
	c := exec.Command("go", append([]string{"run", "."}, args...)...)
	c.Dir = filepath.Join("hack", "cluster")
	c.Stdout, c.Stderr = os.Stderr, os.Stderr
	return c
}

func say(kubeconfig, kind, host string) error {
	abs, err := filepath.Abs(kubeconfig)
	if err != nil {
		return err
	}
	_, err = fmt.Printf("KUBECONFIG='%s'\nCODB_CLUSTER=%s\nCODB_HOST=%s\n", abs, kind, host)
	return err
}
