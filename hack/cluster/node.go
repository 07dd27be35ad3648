package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/template"
	"time"
)

// The node of a cluster lives in namespaces of its own (mount, network, pid,
// host name), held by one process, "node". There it has the standard paths and
// ports of a node, so several clusters coexist, and when its first process is
// killed the kernel removes every process, mount and interface with it.
const nodeHolder = "node"

// nodeInitVerb makes this program the first process of a node.
const nodeInitVerb = "node-init"

//go:embed templates
var templates embed.FS

// nodeTools are the programs of the distribution that a node needs, with the
// Debian package of each.
var nodeTools = map[string]string{
	"containerd": "containerd",
	"ctr":        "containerd",
	"runc":       "runc",
	"nft":        "nftables",
	"ip":         "iproute2",
	"nsenter":    "util-linux",
}

// cniFolders are where distributions put the CNI plugins.
var cniFolders = []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"}

// prepareNode says why this machine can have no node, after installing what is
// missing where that is possible. An empty reason means that it can.
func prepareNode() (reason string) {
	switch {
	case runtime.GOOS != "linux":
		return "a node needs Linux, this is " + runtime.GOOS
	case os.Getuid() != 0:
		return "a node needs root"
	}
	if _, err := output("unshare", "--mount", "--net", "--pid", "--uts", "--fork", "true"); err != nil {
		return "root may not make namespaces here, as in a container without privileges (" + err.Error() + ")"
	}
	missing := missingPackages()
	if len(missing) == 0 {
		return ""
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return "install " + strings.Join(missing, ", ") + " (there is no apt-get to do it)"
	}
	start := time.Now()
	progress("install %s ", strings.Join(missing, " "))
	install := append([]string{"env", "DEBIAN_FRONTEND=noninteractive",
		"apt-get", "install", "-qq", "-y", "--no-install-recommends"}, missing...)
	_, err := output("apt-get", "update", "-qq")
	if err == nil {
		_, err = output(install...)
	}
	progress("%s\n", seconds(start))
	if err != nil {
		return err.Error()
	}
	if missing = missingPackages(); len(missing) > 0 {
		return "these packages lack what they should bring: " + strings.Join(missing, ", ")
	}
	return ""
}

func missingPackages() []string {
	var missing []string
	seen := map[string]bool{}
	for tool, pkg := range nodeTools {
		if _, err := exec.LookPath(tool); err != nil && !seen[pkg] {
			seen[pkg] = true
			missing = append(missing, pkg)
		}
	}
	if cniFolder() == "" {
		missing = append(missing, "containernetworking-plugins")
	}
	slices.Sort(missing)
	return missing
}

func cniFolder() string {
	for _, dir := range cniFolders {
		if _, err := os.Stat(filepath.Join(dir, "ptp")); err == nil {
			return dir
		}
	}
	return ""
}

// nodeComponents run in the namespaces of the node, in this order. They listen
// on the node's own addresses, which only this machine and the pods reach.
func (c *Cluster) nodeComponents() []component {
	ip := c.Network.NodeIP()
	return []component{
		{name: "containerd", inNode: true, ready: "http://" + ip + ":1338/v1/metrics", argv: []string{
			"containerd", "--config", c.path("containerd.toml")}},
		{name: "kubelet", inNode: true, ready: "http://" + ip + ":10248/healthz", argv: append([]string{
			c.assets + "/kubelet",
			"--config=" + c.path("kubelet.yaml"),
			"--kubeconfig=" + c.kubeconfig("kubelet"),
			"--hostname-override=" + c.nodeName(),
			"--node-ip=" + ip,
		}, c.gates()...)},
		{name: "kube-proxy", inNode: true, ready: "http://" + ip + ":10256/healthz", argv: append([]string{
			c.assets + "/kube-proxy",
			"--kubeconfig=" + c.kubeconfig("kube-proxy"),
			"--hostname-override=" + c.nodeName(),
			"--proxy-mode=nftables",
			"--cluster-cidr=" + c.Network.Pods(),
			"--healthz-bind-address=" + ip + ":10256",
			"--metrics-bind-address=127.0.0.1:10249",
			// The limits of connection tracking belong to the whole machine.
			"--conntrack-max-per-core=0", "--conntrack-min=0",
			"--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0",
		}, c.gates()...)},
		{name: "coredns", inNode: true, ready: "http://" + ip + ":8181/ready", argv: []string{
			c.assets + "/coredns", "-conf", c.path("Corefile")}},
	}
}

// render writes the configuration files. They follow this program, not the
// cluster, so each up writes them anew.
func (c *Cluster) render() error {
	parsed, err := template.ParseFS(templates, "templates/*")
	if err != nil {
		return err
	}
	for _, t := range parsed.Templates() {
		path := c.path(t.Name())
		if t.Name() == "ptp.conflist" {
			path = c.path("cni", t.Name())
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		var text strings.Builder
		if err := t.Execute(&text, c); err != nil {
			return fmt.Errorf("render %s: %w", t.Name(), err)
		}
		if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// For the templates.
func (c *Cluster) Dir() string        { return c.dir }
func (c *Cluster) CNIFolder() string  { return cniFolder() }
func (c *Cluster) PauseImage() string { return pauseImage }
func (c *Cluster) Snapshotter() string {
	if onOverlay(c.dir) {
		return "native" // slower, but an overlay cannot lie on an overlay
	}
	return "overlayfs"
}

// startNode makes the namespaces and their link to the host, unless they
// are there. Everything later runs on top of them.
func (c *Cluster) startNode(ctx context.Context) error {
	if c.pid(nodeHolder) != 0 {
		return nil
	}
	for _, standard := range nodeMounts {
		if err := os.MkdirAll(c.path("node", standard), 0o755); err != nil {
			return err
		}
	}
	if err := os.Remove(c.path("node", "ready")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// As after a boot: the kubelet spends seconds on each cgroup of a dead container.
	if err := eventually(10*time.Second, func() error { return removeCgroups(c.Network.ID()) }); err != nil {
		return err
	}
	if err := makeCgroups(c.Network.ID()); err != nil {
		return err
	}
	if err := c.spawnNode(); err != nil {
		return err
	}
	for {
		if _, err := os.Stat(c.path("node", "ready")); err == nil {
			return c.link()
		}
		if c.pid(nodeHolder) == 0 || ctx.Err() != nil {
			return fmt.Errorf("make the namespaces of the node:\n%s", c.tail(nodeHolder))
		}
		pause(ctx, 20*time.Millisecond)
	}
}

// enterNode is the beginning of a command line that runs in the node.
func (c *Cluster) enterNode() []string {
	return []string{"nsenter", fmt.Sprintf("--target=%d", c.pid(nodeHolder)),
		"--mount", "--net", "--pid", "--uts", "--"}
}

// link joins the node and the host by a pair of interfaces, and lets the host
// reach pods and Services. A table of nftables keeps other machines out, and
// the pods in, also where this machine forwards packets.
func (c *Cluster) link() error {
	n := c.Network
	id := n.ID()
	unlink(n)
	in := c.enterNode()
	rules := fmt.Sprintf(`table inet %[1]s {
		chain input { type filter hook input priority -10; ip daddr %[2]s iifname != { "lo", "%[1]s" } drop; }
		chain forward { type filter hook forward priority -10; iifname "%[1]s" drop; oifname "%[1]s" drop; }
	}`, id, n.Range())
	for _, argv := range [][]string{
		{"ip", "link", "add", id, "type", "veth", "peer", "name", "eth0", "netns", fmt.Sprint(c.pid(nodeHolder))},
		{"ip", "address", "add", n.Host() + "/30", "dev", id},
		{"ip", "link", "set", id, "up"},
		append(in, "ip", "address", "add", n.NodeIP()+"/30", "dev", "eth0"),
		append(in, "ip", "link", "set", "eth0", "up"),
		// So that also pods in the node's own network find Services.
		append(in, "ip", "route", "add", n.Services(), "dev", "eth0"),
		{"ip", "route", "add", n.Pods(), "via", n.NodeIP()},
		{"ip", "route", "add", n.Services(), "via", n.NodeIP()},
		{"nft", rules},
	} {
		if _, err := output(argv...); err != nil {
			return fmt.Errorf("join the node to the host: %w", err)
		}
	}
	return nil
}

// unlink removes the link; the routes go with the interface. That nothing is
// there is no error.
func unlink(n Network) {
	_, _ = output("ip", "link", "delete", n.ID())
	_, _ = output("nft", "delete", "table", "inet", n.ID())
}
