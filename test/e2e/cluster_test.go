package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// root is the repository, and marketers the namespace that acme acts in.
const (
	root      = "../.."
	marketers = "acme-marketing"
)

// cluster is a real one with a node, and who runs kubectl against it.
type cluster struct {
	name, tool, kubeconfig, kubectlPath string
	identity                            []string
}

// newCluster brings one up, of the Kubernetes that KUBERNETES names.
func newCluster(t *testing.T, name string) *cluster {
	t.Helper()
	if os.Getenv("CODB_E2E") == "" {
		t.Skip("set CODB_E2E=1 to bring up a real cluster for this")
	}
	c := &cluster{name: name, tool: filepath.Join(t.TempDir(), "cluster")}
	output(t, exec.Command("go", "-C", filepath.Join(root, "hack", "cluster"), "build", "-o", c.tool, "."))
	release := "--kubernetes=" + os.Getenv("KUBERNETES")
	t.Cleanup(func() {
		if t.Failed() && os.Getenv("CODB_E2E_KEEP") != "" {
			t.Logf("cluster %s is kept: KUBECONFIG=%s", name, c.kubeconfig)
			return
		}
		c.control(t, "down", "--name", name)
	})
	c.control(t, "up", "--name", name, "--node", "yes", release)
	c.kubeconfig = c.control(t, "kubeconfig", "--name", name)
	c.kubectlPath = filepath.Join(c.control(t, "assets", release), "kubectl")
	t.Log(c.kubectl(t, "version"))
	return c
}

// control runs a verb of hack/cluster, which finds its source by the folder.
func (c *cluster) control(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(c.tool, args...)
	cmd.Dir = filepath.Join(root, "hack", "cluster")
	return output(t, cmd)
}

// as is the same cluster as somebody else sees it.
func (c *cluster) as(user string, group string) *cluster {
	other := *c
	other.identity = []string{"--as=" + user, "--as-group=" + group}
	return &other
}

func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, out, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

func (c *cluster) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.kubectlPath, append(c.identity[:len(c.identity):len(c.identity)], args...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
	return cmd
}

// run is kubectl where a refusal is an answer, too.
func (c *cluster) run(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	out, err := c.command(ctx, args...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (c *cluster) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	return output(t, c.command(t.Context(), args...))
}

// pipe is run with a document as its input.
func (c *cluster) pipe(document string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := c.command(ctx, append(args, "-f", "-")...)
	cmd.Stdin = strings.NewReader(document)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// apply applies the documents. On the server's side: else kubectl takes a later
// server-side apply, such as a customer's own, for the whole of what it applied
// before, and drops the rest.
func (c *cluster) apply(t *testing.T, documents ...string) {
	t.Helper()
	if out, err := c.pipe(strings.Join(documents, "\n---\n"), "apply", "--server-side"); err != nil {
		t.Fatalf("apply: %v: %s", err, out)
	}
}

// refused wants that kubectl fails, and says why.
func (c *cluster) refused(t *testing.T, why string, args ...string) {
	t.Helper()
	if out, err := c.run(args...); err == nil || !strings.Contains(out, why) {
		t.Errorf("kubectl %s: %v: %s\nwant a refusal that says %q", strings.Join(args, " "), err, out, why)
	}
}

// field is a part of an object of the marketers' namespace; of none, or while
// the apiserver is away, what kubectl says instead.
func (c *cluster) field(kind, name, path string) func() string {
	return func() string {
		out, _ := c.run("-n", marketers, "get", kind, name, "-o", "jsonpath={"+path+"}")
		return out
	}
}

// campaign is its verdict and what its workload does: Allowed/Running.
func (c *cluster) campaign(name string) func() string {
	return c.field("camp", name, ".status.verdict}/{.status.workload")
}

func (c *cluster) suspended(job string) func() string { return c.field("job", job, ".spec.suspend") }

// pods is how many the campaign has.
func (c *cluster) pods(campaign string) func() string {
	return func() string {
		out, err := c.run("-n", marketers, "get", "pods", "-l", "consent.codb.dev/campaign="+campaign, "-o", "jsonpath={.items[*].metadata.name}")
		if err != nil {
			return out
		}
		return fmt.Sprint(len(strings.Fields(out)))
	}
}

func (c *cluster) held(t *testing.T, job string) {
	t.Helper()
	if got := c.suspended(job)(); got != "true" {
		t.Errorf("Job %s is not held: suspend is %q", job, got)
	}
}

// leader is the pod of the operator that decides, once there is one, and it is
// not the pod of that name.
func (c *cluster) leader(t *testing.T, not string) (pod string) {
	t.Helper()
	c.wait(t, 90*time.Second, "a leader", func() (bool, string) {
		holder, err := c.run("-n", "codb-system", "get", "lease", "codb-operator", "-o", "jsonpath={.spec.holderIdentity}")
		pod, _, _ = strings.Cut(holder, "_")
		return err == nil && pod != "" && pod != not, holder
	})
	return pod
}

// until asks every now and then: kubectl gives nothing to wait on for all of
// what is waited for.
func (c *cluster) until(t *testing.T, what, want string, ask func() string) {
	t.Helper()
	c.wait(t, 90*time.Second, what+" to be "+want, func() (bool, string) { got := ask(); return got == want, got })
}

func (c *cluster) wait(t *testing.T, most time.Duration, what string, ask func() (ok bool, seen string)) {
	t.Helper()
	deadline := time.Now().Add(most)
	for {
		ok, seen := ask()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			admin := *c
			admin.identity = nil
			logs, _ := admin.run("-n", "codb-system", "logs", "--tail=30", "--prefix", "-l", "app.kubernetes.io/part-of=codb")
			all, _ := admin.run("get", "camp,cronjobs,jobs,pods", "-A")
			t.Fatalf("gave up waiting for %s: %s\n%s\n%s", what, seen, all, logs)
		}
		time.Sleep(300 * time.Millisecond)
	}
}
