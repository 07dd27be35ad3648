package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

type upOptions struct {
	kubernetes string
	node       string
	wait       time.Duration
	args       list
	features   list
	audit      bool
	fsync      bool
}

func (o *upOptions) register(flags *flag.FlagSet) {
	flags.StringVar(&o.kubernetes, "kubernetes", "", kubernetesHelp)
	flags.StringVar(&o.node, "node", "auto", "yes, no, or auto: a node where this machine allows one; installs Debian packages when they are missing")
	flags.DurationVar(&o.wait, "wait", 2*time.Minute, "how long to wait for the cluster, builds not counted")
	flags.Var(&o.args, "apiserver-arg", "argument for kube-apiserver, such as --event-ttl=10m (repeatable)")
	flags.Var(&o.features, "feature", "feature gate NAME=true|false for every Kubernetes component (repeatable)")
	flags.BoolVar(&o.fsync, "fsync", false, "etcd writes to the disk before it acknowledges, as on a cluster that matters; slower")
	flags.BoolVar(&o.audit, "audit", false, "keep an audit log (metadata of every request) in log/audit.log")
}

func runUp(o *options) error {
	c, err := load(o.name)
	switch {
	case errors.Is(err, errNoCluster):
		c, err = create(o.name, &o.up)
	case err == nil:
		err = c.accepts(&o.up)
	}
	if err != nil {
		return err
	}
	if c.healthy() {
		progress("cluster %s is already up (Kubernetes %s)\n", c.Name, c.Kubernetes)
		c.describe()
		return nil
	}
	if c.Node { // the machine may have changed since the cluster was made
		if reason := prepareNode(); reason != "" {
			return fmt.Errorf("start the node of %s: %s", c.Name, reason)
		}
	}
	if err := c.build(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.up.wait)
	defer cancel()
	start := time.Now()
	if err := c.bringUp(ctx); err != nil {
		return fmt.Errorf("%w\nwhat runs was left for you to look at; remove it with: cluster down --name %s", err, c.Name)
	}
	progress("cluster %s is up after %s (Kubernetes %s)\n", c.Name, seconds(start), c.Kubernetes)
	c.describe()
	return nil
}

// create chooses everything about a new cluster and writes it down. Nothing
// runs yet.
func create(name string, o *upOptions) (*Cluster, error) {
	r, err := findRelease(o.kubernetes)
	if err != nil {
		return nil, err
	}
	noNode := "--node no was given"
	switch o.node {
	case "yes", "auto":
		noNode = prepareNode()
	case "no":
	default:
		return nil, fmt.Errorf("--node %s: use auto, yes or no", o.node)
	}
	if o.node == "yes" && noNode != "" {
		return nil, fmt.Errorf("--node yes: %s", noNode)
	}
	root, err := stateRoot()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, err
	}
	unlock, err := lock(root) // two clusters made at once must not choose the same network
	if err != nil {
		return nil, err
	}
	defer unlock()
	others, err := clusters()
	if err != nil {
		return nil, err
	}
	used, err := usedPrefixes()
	if err != nil {
		return nil, err
	}
	c := &Cluster{Name: name, Kubernetes: r.version, dir: filepath.Join(root, name), Node: noNode == "", NoNode: noNode,
		APIServerArgs: o.args, FeatureGates: o.features, Audit: o.audit, Fsync: o.fsync}
	if c.assets, err = assetsDir(r.version); err != nil {
		return nil, err
	}
	if c.Network, err = freeNetwork(others, used); err != nil {
		return nil, err
	}
	if c.Ports, err = choosePorts(); err != nil {
		return nil, err
	}
	for _, dir := range []string{"run", "log"} {
		if err := os.MkdirAll(c.path(dir), 0o700); err != nil {
			return nil, err
		}
	}
	if err := c.makePKI(); err != nil {
		return nil, err
	}
	return c, c.save()
}

// accepts refuses options that an existing cluster cannot take on any more.
func (c *Cluster) accepts(o *upOptions) error {
	var changed []string
	if r, err := findRelease(o.kubernetes); o.kubernetes != "" && (err != nil || r.version != c.Kubernetes) {
		changed = append(changed, "--kubernetes "+o.kubernetes)
	}
	if o.node == "yes" && !c.Node || o.node == "no" && c.Node {
		changed = append(changed, "--node "+o.node)
	}
	if len(o.args) > 0 && !slices.Equal(c.APIServerArgs, o.args) {
		changed = append(changed, "--apiserver-arg")
	}
	if len(o.features) > 0 && !slices.Equal(c.FeatureGates, o.features) {
		changed = append(changed, "--feature")
	}
	if o.fsync && !c.Fsync {
		changed = append(changed, "--fsync")
	}
	if o.audit && !c.Audit {
		changed = append(changed, "--audit")
	}
	if len(changed) == 0 {
		return nil
	}
	return fmt.Errorf("cluster %s exists and was made without this %s; remove it first (cluster down --name %s) or choose another --name",
		c.Name, strings.Join(changed, ", "), c.Name)
}

// build builds the binaries that the cluster lacks.
func (c *Cluster) build() error {
	r, err := findRelease(c.Kubernetes)
	if err != nil {
		return err
	}
	wanted := r.controlPlane()
	if c.Node {
		wanted = r.all()
	}
	_, err = ensureAssets(r, wanted)
	return err
}

// bringUp starts what does not run, in the order in which each needs the ones
// before it.
func (c *Cluster) bringUp(ctx context.Context) error {
	if err := c.render(); err != nil {
		return err
	}
	if c.Node {
		if err := c.startNode(ctx); err != nil {
			return err
		}
	}
	if err := c.startAll(ctx, c.controlPlane()); err != nil {
		return err
	}
	if c.Node {
		if _, err := c.kubectl("apply", "--server-side", "-f", c.path("dns.yaml")); err != nil {
			return err
		}
		if err := c.startNodeComponents(ctx); err != nil {
			return err
		}
	}
	// The first thing that the controllers do for users: without it, a Job
	// that is created at once gets no pods.
	return c.waitFor(ctx, "get", "serviceaccount", "default", "--namespace=default")
}

func (c *Cluster) startNodeComponents(ctx context.Context) error {
	all := c.nodeComponents()
	if err := c.startAll(ctx, all[:1]); err != nil { // containerd
		return err
	}
	if err := c.loadTestImage(); err != nil { // before the first pod needs its pause container
		return err
	}
	if err := c.startAll(ctx, all[1:]); err != nil {
		return err
	}
	return c.waitFor(ctx, "wait", "--for=condition=Ready", "--timeout=1s", "node/"+c.nodeName())
}

// startAll starts components one after the other: a server waits for its
// etcd, the rest would only fill their logs.
func (c *Cluster) startAll(ctx context.Context, all []component) error {
	for _, p := range all {
		if err := c.start(p); err != nil {
			return err
		}
		if err := c.waitReady(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// waitFor repeats a kubectl command until it succeeds.
func (c *Cluster) waitFor(ctx context.Context, args ...string) error {
	for {
		_, err := c.kubectl(args...)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("wait for the cluster: %w; the logs are in %s", err, c.path("log"))
		}
		pause(ctx, 250*time.Millisecond)
	}
}

// kubectl acts as the admin. Its cache is in the cluster's folder: in the home
// folder it would stay behind.
func (c *Cluster) kubectl(args ...string) (string, error) {
	return output(append([]string{c.assets + "/kubectl",
		"--kubeconfig=" + c.kubeconfig("admin"), "--cache-dir=" + c.path("kubectl")}, args...)...)
}

// components are all processes of the cluster, in the order of their start.
func (c *Cluster) components() []component {
	all := c.controlPlane()
	if c.Node {
		all = append(append([]component{{name: nodeHolder}}, all...), c.nodeComponents()...)
	}
	return all
}

// dead are the components that should run and do not.
func (c *Cluster) dead() []string {
	var names []string
	for _, p := range c.components() {
		if c.pid(p.name) == 0 {
			names = append(names, p.name)
		}
	}
	return names
}

// healthy says whether all components run and answer.
func (c *Cluster) healthy() bool {
	if len(c.dead()) > 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	for _, p := range c.components() {
		if p.name != nodeHolder && probe(ctx, p.ready) != nil {
			return false
		}
	}
	return true
}

// describe says how to use the cluster, and what it cannot do. Only what a
// shell can evaluate goes to stdout.
func (c *Cluster) describe() {
	if c.Node {
		progress("node %s: pods run, Services resolve, and this machine reaches both\n", c.nodeName())
	} else {
		progress("no node: %s. Workloads are held and released all the same, but their pods stay Pending.\n", c.NoNode)
	}
	progress("kubectl: %s\n", c.assets+"/kubectl")
	fmt.Printf("export KUBECONFIG=%s\n", c.kubeconfig("admin"))
}
