package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// endToEnd is this program, with real clusters in a state folder of the test.
type endToEnd struct {
	*testing.T
	binary, state string
}

// TestEndToEnd brings real clusters up, uses them, and looks for what they
// leave behind. It needs root on Linux, and minutes when nothing was built yet.
func TestEndToEnd(t *testing.T) {
	if os.Getenv("CODB_CLUSTER_E2E") != "1" {
		t.Skip("set CODB_CLUSTER_E2E=1 to bring up real clusters")
	}
	if reason := prepareNode(); reason != "" {
		t.Skip(reason)
	}
	dir := t.TempDir()
	e := &endToEnd{t, filepath.Join(dir, "cluster"), filepath.Join(dir, "state")}
	t.Setenv("CODB_STATE", e.state)
	e.must("go", "build", "-o", e.binary, ".")
	other := "--kubernetes=" + os.Getenv("KUBERNETES")
	e.cluster("assets", "--all") // so that the times below are those of clusters
	e.cluster("assets", "--all", other)

	before := traces(t)
	t.Cleanup(func() { e.cluster("down", "--all") })

	e.cluster("up", "--name=one", "--node=yes", "--audit", "--apiserver-arg=--event-ttl=10m")
	e.cluster("up", "--name=two", "--node=yes", other)
	e.cluster("up", "--name=bare", "--node=no")
	if out := e.cluster("up", "--name=one"); !strings.Contains(out, "already up") {
		t.Errorf("a second up says:\n%s", out)
	}
	e.Log(e.cluster("status"))
	if traces(t) == before {
		t.Error("traces sees nothing of three clusters, so it would not see what they leave behind")
	}
	for _, name := range []string{"one", "two"} {
		t.Run("WorkloadsOf"+name, func(t *testing.T) { (&endToEnd{t, e.binary, e.state}).workloads(name) })
	}
	t.Run("PodsStayPendingWithoutANode", func(t *testing.T) { (&endToEnd{t, e.binary, e.state}).pending("bare") })
	t.Run("CrashesAreSurvived", func(t *testing.T) { (&endToEnd{t, e.binary, e.state}).crashes("one") })
	t.Run("AnAuditLogIsKept", func(t *testing.T) {
		if info, err := os.Stat(filepath.Join(e.state, "one", "log", "audit.log")); err != nil || info.Size() == 0 {
			t.Errorf("%v, %v", info, err)
		}
	})

	e.cluster("down", "--name=one")
	e.kubectl("two", "get", "--raw=/readyz") // the others do not notice
	e.kubectl("two", "exec", "web", "--", "/busy", "http", "GET", "http://web.default.svc.cluster.local")
	e.cluster("down", "--all")
	if after := traces(t); after != before {
		t.Errorf("traces before:\n%s\ntraces after:\n%s", before, after)
	}
	if _, err := os.Stat(e.state); !os.IsNotExist(err) {
		t.Errorf("the state folder is still there (%v)", err)
	}
	for pid := range processes() {
		line, _ := os.ReadFile(filepath.Join("/proc", pid, "cmdline"))
		if bytes.Contains(line, []byte(e.state)) {
			t.Errorf("process %s still runs: %q", pid, line)
		}
	}
}

const workloads = `
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  containers:
  - name: web
    image: localhost/codb-busy:dev
    args: [serve, ":8080"]
    readinessProbe: {httpGet: {port: 8080, path: /}, periodSeconds: 1}
    securityContext: {runAsNonRoot: true, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: hello}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: hello, image: "localhost/codb-busy:dev", args: [echo, hello, world]}]
`

const caller = `
apiVersion: batch/v1
kind: Job
metadata: {name: caller}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - {name: dns, image: "localhost/codb-busy:dev", args: [dns, web]}
      - {name: http, image: "localhost/codb-busy:dev", args: [http, GET, "http://web.default.svc.cluster.local"]}
`

// workloads runs a Job, and looks up and calls a Service from a pod and from
// the host.
func (e *endToEnd) workloads(name string) {
	e.apply(name, workloads)
	e.kubectl(name, "wait", "--for=condition=Complete", "--timeout=60s", "job/hello")
	if got := e.kubectl(name, "logs", "job/hello"); got != "hello world\n" {
		e.Errorf("the Job printed %q", got)
	}
	e.kubectl(name, "wait", "--for=condition=Ready", "--timeout=60s", "pod/web")
	ip := e.kubectl(name, "get", "service", "web", "-o=jsonpath={.spec.clusterIP}")
	if got := e.get("http://" + ip); got != "web\n" {
		e.Errorf("the host gets %q from the Service", got)
	}
	e.apply(name, caller)
	e.kubectl(name, "wait", "--for=condition=Complete", "--timeout=60s", "job/caller")
	if got := e.kubectl(name, "logs", "job/caller", "-c=dns"); got != ip+"\n" {
		e.Errorf("a pod resolves the Service to %q, it is %s", got, ip)
	}
	if got := e.kubectl(name, "logs", "job/caller", "-c=http"); got != "web\n" {
		e.Errorf("a pod gets %q from the Service", got)
	}
	if got := e.kubectl(name, "exec", "web", "--", "/busy", "dns", "kubernetes.default"); !strings.HasSuffix(got, ".128.1\n") {
		e.Errorf("a pod resolves kubernetes.default to %q", got)
	}
}

func (e *endToEnd) pending(name string) {
	e.apply(name, workloads)
	e.eventually("the Job has a pending pod", func() bool {
		return e.kubectl(name, "get", "pods", "--selector=job-name=hello", "-o=jsonpath={.items[*].status.phase}") == "Pending"
	})
}

// crashes kills the parts of a cluster that its users depend on.
func (e *endToEnd) crashes(name string) {
	for _, victim := range []string{"kube-apiserver", "etcd", "containerd"} {
		e.cluster("restart-component", victim, "--name="+name)
	}
	e.kubectl(name, "get", "pod", "web")
	e.cluster("stop", "kubelet", "--name="+name)
	if out := e.cluster("status"); !strings.Contains(out, "degraded") || !strings.Contains(out, "kubelet") {
		e.Errorf("status says nothing of the dead kubelet:\n%s", out)
	}
	c, err := load(name)
	if err != nil {
		e.Fatal(err)
	}
	if err := c.kill(nodeHolder); err != nil { // as when the machine lost power
		e.Fatal(err)
	}
	e.cluster("up", "--name="+name)
	e.eventually("the pod runs again and is served", func() bool {
		restarts := e.kubectl(name, "get", "pod", "web", "-o=jsonpath={.status.containerStatuses[0].restartCount} {.status.containerStatuses[0].ready}")
		return strings.HasSuffix(restarts, " true") && !strings.HasPrefix(restarts, "0")
	})
}

// cluster runs a verb and returns all of its output.
func (e *endToEnd) cluster(args ...string) string {
	e.Helper()
	start := time.Now()
	out := e.must(e.binary, args...)
	e.Logf("cluster %s: %s", strings.Join(args, " "), time.Since(start).Round(10*time.Millisecond))
	return out
}

func (e *endToEnd) kubectl(cluster string, args ...string) string {
	e.Helper()
	c, err := load(cluster)
	if err != nil {
		e.Fatal(err)
	}
	out, err := c.kubectl(args...)
	if err != nil {
		e.Fatal(err)
	}
	return out
}

func (e *endToEnd) apply(cluster, manifest string) {
	e.Helper()
	file := filepath.Join(e.TempDir(), "manifest.yaml")
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		e.Fatal(err)
	}
	e.kubectl(cluster, "apply", "--filename="+file)
}

func (e *endToEnd) must(program string, args ...string) string {
	e.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		e.Fatalf("%s %s: %v\n%s", filepath.Base(program), strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (e *endToEnd) get(url string) string {
	e.Helper()
	ctx, cancel := context.WithTimeout(e.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		e.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		e.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		e.Fatal(err)
	}
	return string(body)
}

func (e *endToEnd) eventually(what string, is func() bool) {
	e.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(250 * time.Millisecond) {
		if time.Now().After(deadline) {
			e.Fatalf("after a minute still not: %s", what)
		}
	}
}

// traces is what clusters could leave on the machine: interfaces, routes,
// mounts, nftables, cgroups, network namespaces, standard folders, tunables.
func traces(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, argv := range [][]string{
		{"ip", "-brief", "link"},
		{"ip", "route"},
		{"ip", "netns", "list"},
		{"nft", "--stateless", "list", "ruleset"}, // without counters, which move while others use the network
		{"sh", "-c", "cut -d' ' -f2-3 /proc/self/mounts"},
		{"sh", "-c", "find /sys/fs/cgroup -type d -name '*codb*' -o -type d -name 'kubepods*'"},
		{"sh", "-c", "ls -d /var/lib/cni /var/lib/kubelet /var/log/pods /var/log/containers /run/containerd /run/netns /opt/containerd /etc/cni/net.d 2>/dev/null; true"},
		{"sysctl", "vm.overcommit_memory", "kernel.panic", "kernel.panic_on_oops", "kernel.keys.root_maxkeys", "net.ipv4.ip_forward"},
		{"sh", "-c", "ls /tmp | grep -iE 'containerd|kube|codb' ; true"},
	} {
		out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", argv, err, out)
		}
		fmt.Fprintf(&all, "$ %s\n%s", strings.Join(argv, " "), out)
	}
	return all.String()
}

func processes() map[string]bool {
	all := map[string]bool{}
	lines, _ := filepath.Glob("/proc/[0-9]*")
	for _, l := range lines {
		all[filepath.Base(l)] = true
	}
	return all
}
