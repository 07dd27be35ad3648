// Command up brings up the best cluster that the machine allows and prints, on
// standard output, lines that a shell can read:
//
//	KUBECONFIG=...      the administrator's
//	CODB_CLUSTER=...    current, kind or local
//	CODB_HOST=...       the address at which the apiserver reaches this machine
//
// With CODB_CLUSTER=current it takes the current context's cluster; where a
// Docker engine answers it makes one with kind; else hack/cluster builds one.
// "up load NAME TAR" gives that cluster's nodes an image; it fails where there
// is no node, or none that is ours.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/kind/pkg/cluster"
	"sigs.k8s.io/kind/pkg/cluster/nodeutils"
	"sigs.k8s.io/kind/pkg/cmd"
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

func run(verb, name string, args []string) error {
	kind := choose()
	switch verb {
	case "load":
		if len(args) != 4 {
			return fmt.Errorf("takes the cluster's name and an image's tar")
		}
		return map[string]func(string, string) error{"current": notOurs, "kind": kindLoad, "local": localLoad}[kind](name, args[3])
	case "up":
		return map[string]func(string) error{"current": current, "kind": kindUp, "local": localUp}[kind](name)
	case "down":
		return map[string]func(string) error{"current": keep, "kind": kindDown, "local": localDown}[kind](name)
	}
	return fmt.Errorf("%q is neither up, load nor down", verb)
}

// choose takes what the user said, then Docker, then what needs nothing.
func choose() string {
	if c := os.Getenv("CODB_CLUSTER"); c == "current" || c == "kind" || c == "local" {
		return c
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if exec.CommandContext(ctx, "docker", "info", "--format", "{{.ServerVersion}}").Run() == nil {
		return "kind"
	}
	return "local"
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

func kindUp(name string) error {
	provider := cluster.NewProvider(cluster.ProviderWithDocker(), cluster.ProviderWithLogger(cmd.NewLogger()))
	names, err := provider.List()
	if err != nil {
		return fmt.Errorf("list kind clusters: %w", err)
	}
	if !slices.Contains(names, name) {
		if err := provider.Create(name, cluster.CreateWithWaitForReady(3*time.Minute)); err != nil {
			return fmt.Errorf("create kind cluster %s: %w", name, err)
		}
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "codb", "kind-"+name+".kubeconfig")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := provider.ExportKubeConfig(name, path, false); err != nil {
		return fmt.Errorf("write kubeconfig of kind cluster %s: %w", name, err)
	}
	host, err := gateway()
	if err != nil {
		return err
	}
	return say(path, "kind", host)
}

func kindLoad(name, image string) error {
	provider := cluster.NewProvider(cluster.ProviderWithDocker())
	all, err := provider.ListInternalNodes(name)
	if err != nil {
		return fmt.Errorf("list the nodes of kind cluster %s: %w", name, err)
	}
	for _, node := range all {
		f, err := os.Open(image)
		if err != nil {
			return err
		}
		err = nodeutils.LoadImageArchive(node, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("load %s: %w", image, err)
		}
	}
	return nil
}

func notOurs(string, string) error {
	return fmt.Errorf("the cluster is yours: push the image to a registry that it pulls from")
}

// gateway is this machine's address on kind's Docker network.
func gateway() (string, error) {
	out, err := exec.Command("docker", "network", "inspect", "kind", "-f", "{{range .IPAM.Config}}{{.Gateway}} {{end}}").Output()
	if err != nil {
		return "", fmt.Errorf("find this machine's address on kind's network: %w", err)
	}
	for _, f := range strings.Fields(string(out)) {
		if ip := net.ParseIP(f); ip != nil && ip.To4() != nil {
			return f, nil
		}
	}
	return "", fmt.Errorf("kind's network has no IPv4 gateway: %q", out)
}

func kindDown(name string) error {
	return cluster.NewProvider(cluster.ProviderWithDocker()).Delete(name, "")
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
	_, err = fmt.Printf("KUBECONFIG=%s\nCODB_CLUSTER=%s\nCODB_HOST=%s\n", abs, kind, host)
	return err
}
