package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"
)

// stoppable are the components that stop, start and restart-component take.
const stoppable = "etcd, kube-apiserver, kube-controller-manager; with a node also kube-scheduler, kubelet, kube-proxy, containerd, coredns"

func runStatus(*options) error {
	all, err := clusters()
	if err != nil {
		return err
	}
	if len(all) == 0 {
		fmt.Println("no cluster; cluster up makes one")
		return nil
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tSTATE\tSERVER\tNODE\tNOT RUNNING")
	for _, c := range all {
		node, dead := "none", "-"
		if c.Node {
			node = c.nodeName()
		}
		if names := c.dead(); len(names) > 0 {
			dead = strings.Join(names, ",")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", c.Name, c.state(), c.server(), node, dead)
	}
	return w.Flush()
}

// state is up, degraded (some components are dead or do not answer), or down.
func (c *Cluster) state() string {
	switch {
	case len(c.dead()) == len(c.components()):
		return "down"
	case c.healthy():
		return "up"
	}
	return "degraded"
}

func runKubeconfig(o *options) error {
	c, err := load(o.name)
	if err != nil {
		return err
	}
	if !o.raw {
		fmt.Println(c.kubeconfig("admin"))
		return nil
	}
	data, err := os.ReadFile(c.kubeconfig("admin"))
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(data)
	return err
}

// runComponent kills or starts one component, so that tests can crash things.
func runComponent(verb string, o *options) error {
	c, err := load(o.name)
	if err != nil {
		return err
	}
	p, err := c.component(o.wants[0])
	if err != nil {
		return err
	}
	if verb != "start" {
		if err := c.kill(p.name); err != nil {
			return err
		}
	}
	if verb == "stop" {
		return nil
	}
	if p.inNode && c.pid(nodeHolder) == 0 {
		return errors.New("the node itself does not run; cluster up starts all of it")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return c.startAll(ctx, []component{p})
}

func (c *Cluster) component(name string) (component, error) {
	for _, p := range c.components() {
		if p.name == name && name != nodeHolder {
			return p, nil
		}
	}
	return component{}, fmt.Errorf("cluster %s has no component %q; there are: %s", c.Name, name, stoppable)
}
