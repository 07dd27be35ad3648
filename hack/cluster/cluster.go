package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
)

// Cluster is what was chosen when a cluster was made. It is kept as
// cluster.json in the cluster's folder, and a restart changes none of it.
type Cluster struct {
	Name       string
	Kubernetes string // version
	Network    Network
	Ports      Ports
	Node       bool   // whether pods run
	NoNode     string `json:",omitempty"` // why not

	APIServerArgs []string `json:",omitempty"`
	FeatureGates  []string `json:",omitempty"`
	Audit         bool     `json:",omitempty"`
	Fsync         bool     `json:",omitempty"`

	dir    string // folder with everything of this cluster
	assets string // folder of the binaries
}

// Ports are those on the loopback interface, free when they were chosen.
type Ports struct {
	APIServer, EtcdClient, EtcdPeer, EtcdHealth, ControllerManager, Scheduler int
}

var namePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)

func checkName(name string) error {
	if !namePattern.MatchString(name) {
		return fmt.Errorf("name %q: use at most 40 lower-case letters, digits and hyphens", name)
	}
	return nil
}

// stateRoot is the folder with one folder for each cluster of this user.
func stateRoot() (string, error) {
	if dir := os.Getenv("CODB_STATE"); dir != "" {
		return filepath.Abs(dir)
	}
	state := os.Getenv("XDG_STATE_HOME")
	if state == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find the state folder: %w; set CODB_STATE", err)
		}
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "codb", "clusters"), nil
}

func (c *Cluster) path(elem ...string) string {
	return filepath.Join(append([]string{c.dir}, elem...)...)
}

// server is the URL of the apiserver, the same for the host and for the pods.
func (c *Cluster) server() string {
	return fmt.Sprintf("https://%s:%d", c.address(), c.Ports.APIServer)
}

// address is where the apiserver listens: an address of this machine that no
// other machine reaches.
func (c *Cluster) address() string {
	if c.Node {
		return c.Network.Host()
	}
	return "127.0.0.1"
}

func (c *Cluster) nodeName() string { return c.Name + "-node" }

// errNoCluster says that there is no such cluster, not even a broken one.
var errNoCluster = errors.New("there is no such cluster")

// load reads a cluster that was made before.
func load(name string) (*Cluster, error) {
	root, err := stateRoot()
	if err != nil {
		return nil, err
	}
	return loadFrom(filepath.Join(root, name))
}

func loadFrom(dir string) (*Cluster, error) {
	data, err := os.ReadFile(filepath.Join(dir, "cluster.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s; cluster up --name %s makes it", errNoCluster, dir, filepath.Base(dir))
	}
	if err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir, Kubernetes: releases[0].version}
	if err := json.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("read %s: %w; kill its processes and remove the folder", dir, err)
	}
	c.assets, err = assetsDir(c.Kubernetes)
	return c, err
}

// save makes the cluster exist: a folder without cluster.json is rubbish of an
// interrupted up, in which nothing was started.
func (c *Cluster) save() error {
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(c.path("cluster.json"), append(data, '\n'), 0o600)
}

// clusters are all clusters of this user, by name.
func clusters() ([]*Cluster, error) {
	root, err := stateRoot()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []*Cluster
	for _, e := range entries {
		c, err := loadFrom(filepath.Join(root, e.Name()))
		if errors.Is(err, errNoCluster) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// lock makes others wait for a folder until unlock is called. It leaves no file.
func lock(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		progress("wait for another cluster command to be done with %s\n", dir)
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return func() { f.Close() }, nil
}
