package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

func runDown(o *options) error {
	if !o.all {
		return down(o.name)
	}
	root, err := stateRoot()
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var failed []error
	for _, e := range entries {
		if err := down(e.Name()); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", e.Name(), err))
		}
	}
	if len(entries) == 0 {
		progress("no cluster, nothing to do\n")
	}
	return errors.Join(failed...)
}

// down removes a cluster, also one that is broken or half made.
func down(name string) error {
	c, err := load(name)
	if errors.Is(err, errNoCluster) {
		return removeRubbish(name)
	}
	if err != nil {
		return err
	}
	if c.Node && os.Getuid() != 0 {
		return fmt.Errorf("cluster %s has a node; run this as root, as its up was", name)
	}
	if err := c.stopEverything(); err != nil {
		return err
	}
	if err := os.RemoveAll(c.dir); err != nil {
		return fmt.Errorf("remove the folder of the cluster: %w", err)
	}
	removeRoot(filepath.Dir(c.dir))
	progress("cluster %s is gone\n", name)
	return nil
}

// stopEverything ends the node first, so that it does not try to repair what
// is taken away from it.
func (c *Cluster) stopEverything() error {
	if c.Node {
		// With the first process of its namespaces everything in them ends:
		// pods, containerd and its shims, mounts, interfaces, tables of nftables.
		if err := c.kill(nodeHolder); err != nil {
			return err
		}
		unlink(c.Network)
	}
	all := c.components()
	slices.Reverse(all)
	for _, p := range all {
		if err := c.kill(p.name); err != nil {
			return err
		}
	}
	for _, pid := range c.orphans() {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("kill process %d of the cluster: %w", pid, err)
		}
	}
	if !c.Node {
		return nil
	}
	return eventually(10*time.Second, func() error { return removeCgroups(c.Network.ID()) })
}

// removeRubbish removes the folder of an up that was interrupted before
// anything ran.
func removeRubbish(name string) error {
	root, err := stateRoot()
	if err != nil {
		return err
	}
	dir := filepath.Join(root, name)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		progress("cluster %s does not exist, nothing to do\n", name)
		return nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove what an interrupted up left: %w", err)
	}
	removeRoot(root)
	progress("cluster %s was never started; its folder is gone\n", name)
	return nil
}

// removeRoot removes the state folder after its last cluster. It fails, as it
// should, while there is another.
func removeRoot(root string) {
	if os.Remove(root) == nil && filepath.Base(filepath.Dir(root)) == "codb" {
		_ = os.Remove(filepath.Dir(root))
	}
}

// eventually repeats do until it succeeds: the kernel takes a moment to let go
// of what a killed process had.
func eventually(limit time.Duration, do func() error) error {
	for deadline := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		err := do()
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}
