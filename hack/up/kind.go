package main

import (
	"errors"
	"fmt"
	"io/fs"
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

func kindProvider() *cluster.Provider {
	return cluster.NewProvider(cluster.ProviderWithDocker(), cluster.ProviderWithLogger(cmd.NewLogger()))
}

// kindConfig is a kubeconfig of its own: kind would else write into the
// user's, and make this cluster its current context.
func kindConfig(name string) (string, error) {
	state := os.Getenv("XDG_STATE_HOME")
	if state == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find the state folder: %w; set XDG_STATE_HOME", err)
		}
		state = filepath.Join(home, ".local", "state")
	}
	dir := filepath.Join(state, "codb", "kind")
	return filepath.Join(dir, name+".kubeconfig"), os.MkdirAll(dir, 0o700)
}

func kindUp(name string) error {
	path, err := kindConfig(name)
	if err != nil {
		return err
	}
	provider := kindProvider()
	names, err := provider.List()
	if err != nil {
		return fmt.Errorf("list kind clusters: %w", err)
	}
	if !slices.Contains(names, name) {
		err = provider.Create(name,
			cluster.CreateWithNodeImage(os.Getenv("CODB_KIND_NODE_IMAGE")),
			cluster.CreateWithKubeconfigPath(path),
			cluster.CreateWithWaitForReady(3*time.Minute))
		if err != nil {
			return fmt.Errorf("create kind cluster %s: %w", name, err)
		}
	}
	if err := provider.ExportKubeConfig(name, path, false); err != nil {
		return fmt.Errorf("write kubeconfig of kind cluster %s: %w", name, err)
	}
	if err := kindLoadTestImage(name); err != nil {
		return err
	}
	host, err := gateway(provider, name)
	if err != nil {
		return err
	}
	return say(path, "kind", host)
}

// kindLoadTestImage gives the nodes the image that the demo's campaigns run.
func kindLoadTestImage(name string) error {
	dir, err := os.MkdirTemp("", "codb-up")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	image := filepath.Join(dir, "busy.tar")
	if err := local("test-image", image).Run(); err != nil {
		return fmt.Errorf("build the test image: %w", err)
	}
	return kindLoad(name, image)
}

func kindLoad(name, image string) error {
	all, err := kindProvider().ListInternalNodes(name)
	if err != nil {
		return fmt.Errorf("list the nodes of kind cluster %s: %w", name, err)
	}
	if len(all) == 0 {
		return fmt.Errorf("load %s: there is no kind cluster %s", image, name)
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

// gateway is this machine's address on the network of kind's nodes.
func gateway(provider *cluster.Provider, name string) (string, error) {
	nodes, err := provider.ListInternalNodes(name)
	if err != nil {
		return "", fmt.Errorf("list the nodes of kind cluster %s: %w", name, err)
	}
	if len(nodes) == 0 {
		return "", fmt.Errorf("kind cluster %s has no nodes", name)
	}
	out, err := exec.Command("docker", "inspect", nodes[0].String(), "-f", "{{range .NetworkSettings.Networks}}{{.Gateway}} {{end}}").Output()
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
	path, err := kindConfig(name)
	if err != nil {
		return err
	}
	if err := kindProvider().Delete(name, path); err != nil {
		return fmt.Errorf("delete kind cluster %s: %w", name, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
