// Package e2e holds the stories that need pods that really run. They bring up
// clusters of their own, so they run only when asked: CODB_E2E=1, as root.
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

const (
	root      = "../.."
	previous  = "localhost/codb:previous"
	marketers = "acme-marketing"
)

// TestInstallation lives through an installation: the manifests of the commit
// before, an upgrade while a campaign runs and another is held, a leader that
// dies, and both ways to take it out again.
func TestInstallation(t *testing.T) {
	c := newCluster(t, "codb-e2e-install")
	old := c.checkout(t, "HEAD^")
	c.image(t, old, previous)
	c.image(t, root, "localhost/codb:dev")

	c.kubectl(t, "apply", "-k", filepath.Join(old, "previous"))
	c.ready(t)
	c.declare(t)
	c.until(t, "welcome to run", "Allowed/Running", c.campaign("welcome"))
	c.until(t, "hello to run", "Allowed/Running", c.campaign("hello"))
	c.until(t, "cold-calls to be held", "Suspended", c.suspended("cold-calls"))
	c.until(t, "a pod of welcome", "1", c.pods("welcome"))
	running := c.kubectl(t, "-n", marketers, "get", "job", "welcome", "-o", "jsonpath={.metadata.uid}")

	t.Log("upgrade")
	c.kubectl(t, "apply", "-k", filepath.Join(root, "config", "trial"))
	c.ready(t)
	if now := c.kubectl(t, "-n", marketers, "get", "job", "welcome", "-o", "jsonpath={.metadata.uid}"); now != running {
		t.Errorf("the upgrade replaced the running Job %s by %s", running, now)
	}
	c.until(t, "welcome to run on", "Allowed/Running", c.campaign("welcome"))
	c.held(t, "cold-calls")

	t.Log("the leader dies")
	leader, _, _ := strings.Cut(c.leader(), "_")
	c.kubectl(t, "-n", "codb-system", "delete", "pod", leader, "--grace-period=0", "--force")
	c.until(t, "the other replica to lead", "another", func() string {
		if now, _, _ := strings.Cut(c.leader(), "_"); now != leader && now != "" {
			return "another"
		}
		return leader
	})
	c.kubectl(t, "-n", "codb-customers", "patch", "cc", "c-yes", "--type=merge", "-p", `{"spec":{"optOut":{"since":"2026-01-01T00:00:00Z"}}}`)
	c.until(t, "the other replica to stop welcome", "Suspended", c.suspended("welcome"))
	c.until(t, "its pods to be gone", "0", c.pods("welcome"))
	c.until(t, "hello to run on", "Allowed/Running", c.campaign("hello"))

	t.Log("uninstall")
	c.codb(t, "uninstall")
	for _, job := range []string{"welcome", "cold-calls", "hello"} { // hello ran until now
		c.held(t, job)
	}
	c.until(t, "the pods of hello to be gone", "0", c.pods("hello"))
	if out, err := c.run("-n", marketers, "patch", "job", "cold-calls", "-p", `{"spec":{"suspend":false}}`); err == nil {
		t.Errorf("without codb a held Job was released: %s", out)
	}
	if n := c.kubectl(t, "-n", "codb-system", "get", "pods", "-o", "name"); n != "" {
		t.Errorf("left running: %s", n)
	}
	t.Log("install again: everything is where it was")
	c.kubectl(t, "apply", "-k", filepath.Join(root, "config", "trial"))
	c.ready(t)
	c.held(t, "welcome")

	t.Log("uninstall with everything")
	c.codb(t, "uninstall", "--delete-consents")
	for _, kind := range []string{"crd", "ns", "validatingadmissionpolicy", "mutatingadmissionpolicy", "validatingwebhookconfiguration", "clusterrole", "clusterrolebinding", "priorityclass"} {
		for _, name := range strings.Fields(c.kubectl(t, "get", kind, "-o", "name")) {
			if strings.Contains(name, "codb") && !strings.HasSuffix(name, "/codb-e2e-install") {
				t.Errorf("left behind: %s", name)
			}
		}
	}
	if jobs := c.kubectl(t, "-n", marketers, "get", "jobs,pods", "-o", "name"); jobs != "" {
		t.Errorf("left in the marketers' namespace: %s", jobs)
	}
}

// cluster is a real one with a node.
type cluster struct {
	name, kubeconfig, kubectlPath string
}

func newCluster(t *testing.T, name string) *cluster {
	t.Helper()
	if os.Getenv("CODB_E2E") == "" {
		t.Skip("set CODB_E2E=1 to bring up a real cluster for this")
	}
	c := &cluster{name: name}
	tool := func(args ...string) string {
		cmd := exec.Command("go", append([]string{"-C", filepath.Join(root, "hack", "cluster"), "run", "."}, args...)...)
		return output(t, cmd)
	}
	tool("up", "--name", name, "--node", "yes")
	t.Cleanup(func() {
		if t.Failed() && os.Getenv("CODB_E2E_KEEP") != "" {
			t.Logf("cluster %s is kept: KUBECONFIG=%s", name, c.kubeconfig)
			return
		}
		tool("down", "--name", name)
	})
	c.kubeconfig = tool("kubeconfig", "--name", name)
	c.kubectlPath = filepath.Join(tool("assets"), "kubectl")
	return c
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

// checkout writes the source of a revision that can be installed, and beside
// it, as "previous", its manifests with its image.
func (c *cluster) checkout(t *testing.T, revision string) string {
	t.Helper()
	dir := t.TempDir()
	archive := exec.Command("git", "archive", revision)
	archive.Dir = root
	tar := exec.Command("tar", "-x", "-C", dir)
	var err error
	if tar.Stdin, err = archive.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := archive.Start(); err != nil {
		t.Fatal(err)
	}
	output(t, tar)
	if err := archive.Wait(); err != nil {
		t.Fatalf("git archive %s: %v", revision, err)
	}
	overlay := "resources: [../config/trial]\nimages: [{name: localhost/codb, newTag: previous}]\n"
	if err := os.MkdirAll(filepath.Join(dir, "previous"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "previous", "kustomization.yaml"), []byte(overlay), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// image builds the source and gives it to the node.
func (c *cluster) image(t *testing.T, source, tag string) {
	t.Helper()
	from, err := filepath.Abs(source)
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	t.Logf("%s is %s", tag, output(t, exec.Command("go", "-C", filepath.Join(root, "hack", "image"), "run", ".", "--root", from, "--out", out, "--tag", tag)))
	output(t, exec.Command("go", "-C", filepath.Join(root, "hack", "cluster"), "run", ".", "load-image", "--name", c.name, filepath.Join(out, "codb.tar")))
}

func (c *cluster) run(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.kubectlPath, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (c *cluster) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(c.kubectlPath, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
	return output(t, cmd)
}

func (c *cluster) codb(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command("go", append([]string{"run", "./cmd/codb"}, args...)...)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
	t.Log(output(t, cmd))
}

// ready waits for everything that one kubectl apply has begun.
func (c *cluster) ready(t *testing.T) {
	t.Helper()
	c.kubectl(t, "-n", "codb-system", "rollout", "status", "--timeout=180s", "sts/codb-gate")
	c.kubectl(t, "-n", "codb-system", "rollout", "status", "--timeout=180s", "deploy/codb-operator")
	c.kubectl(t, "wait", "--for=create", "--timeout=60s", "campol/baseline")
	c.kubectl(t, "wait", "--for=condition=Ready", "--timeout=60s", "campol/baseline")
}

// declare writes what the people of the story want.
func (c *cluster) declare(t *testing.T) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "story.yaml")
	if err := os.WriteFile(file, []byte(story), 0o600); err != nil {
		t.Fatal(err)
	}
	samples := filepath.Join(root, "config", "samples")
	c.kubectl(t, "apply", "-f", filepath.Join(samples, "acme-marketing.yaml"), "-f", filepath.Join(samples, "brand-acme.yaml"))
	c.kubectl(t, "wait", "--for=condition=Ready", "--timeout=60s", "brand/acme")
	c.kubectl(t, "apply", "-f", file)
}

func (c *cluster) leader() string {
	out, _ := c.run("-n", "codb-system", "get", "lease", "codb-operator", "-o", "jsonpath={.spec.holderIdentity}")
	return out
}

func (c *cluster) campaign(name string) func() string {
	return func() string {
		out, _ := c.run("-n", marketers, "get", "camp", name, "-o", "jsonpath={.status.verdict}/{.status.workload}")
		return out
	}
}

func (c *cluster) suspended(job string) func() string {
	return func() string {
		if out, _ := c.run("-n", marketers, "get", "job", job, "-o", "jsonpath={.spec.suspend}"); out == "true" {
			return "Suspended"
		} else {
			return out
		}
	}
}

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
	if got := c.suspended(job)(); got != "Suspended" {
		t.Errorf("Job %s is not held: %s", job, got)
	}
}

// until asks every now and then: kubectl gives nothing to wait on for all of
// what is waited for.
func (c *cluster) until(t *testing.T, what, want string, ask func() string) {
	t.Helper()
	deadline := time.Now().Add(90 * time.Second)
	for got := ask(); got != want; got = ask() {
		if time.Now().After(deadline) {
			logs, _ := c.run("-n", "codb-system", "logs", "--tail=30", "--prefix", "-l", "app.kubernetes.io/part-of=codb")
			all, _ := c.run("get", "camp,jobs,pods", "-A")
			t.Fatalf("gave up waiting for %s: got %q, want %q\n%s\n%s", what, got, want, all, logs)
		}
		time.Sleep(300 * time.Millisecond)
	}
}

const story = `
apiVersion: consent.codb.dev/v1alpha1
kind: CustomerConsent
metadata: {name: c-yes, namespace: codb-customers, labels: {story: "yes"}}
spec:
  timeZone: Europe/Berlin
  timeZoneSource: Declared
  jurisdiction: DE
  birthYear: 1984
  relationships:
  - brand: acme
    depth: Profiling
    grants:
    - purpose: Marketing
      channel: Email
      status: ConsentGiven
      captureDate: 2026-03-01T09:00:00Z
      doubleConsentCaptureDate: 2026-03-01T09:04:00Z
---
apiVersion: consent.codb.dev/v1alpha1
kind: CustomerConsent
metadata: {name: c-also, namespace: codb-customers, labels: {story: "also"}}
spec:
  timeZone: Europe/Berlin
  timeZoneSource: Declared
  jurisdiction: DE
  birthYear: 1984
  relationships:
  - brand: acme
    depth: Profiling
    grants:
    - purpose: Marketing
      channel: Email
      status: ConsentGiven
      captureDate: 2026-03-01T09:00:00Z
      doubleConsentCaptureDate: 2026-03-01T09:04:00Z
---
apiVersion: consent.codb.dev/v1alpha1
kind: CustomerConsent
metadata: {name: c-silent, namespace: codb-customers}
spec: {timeZone: Europe/Berlin, timeZoneSource: Declared, jurisdiction: DE, birthYear: 1984}
---
apiVersion: consent.codb.dev/v1alpha1
kind: Campaign
metadata: {name: welcome, namespace: acme-marketing}
spec:
  brand: acme
  purpose: Marketing
  channel: Email
  topic: Garden
  depth: Profiling
  owner: garden-team
  audience: {selector: {labels: [{key: story, values: ["yes"]}]}}
  workload: {job: {image: "localhost/codb-busy:dev", command: [/busy, sleep, 30m]}}
---
apiVersion: consent.codb.dev/v1alpha1
kind: Campaign
metadata: {name: hello, namespace: acme-marketing}
spec:
  brand: acme
  purpose: Marketing
  channel: Email
  topic: Garden
  depth: Profiling
  owner: garden-team
  audience: {selector: {labels: [{key: story, values: ["also"]}]}}
  workload: {job: {image: "localhost/codb-busy:dev", command: [/busy, sleep, 30m]}}
---
apiVersion: consent.codb.dev/v1alpha1
kind: Campaign
metadata: {name: cold-calls, namespace: acme-marketing}
spec:
  brand: acme
  purpose: Marketing
  channel: Phone
  topic: Garden
  owner: call-centre
  audience: {everyone: {}}
  workload: {job: {image: "localhost/codb-busy:dev", command: [/busy, sleep, 30m]}}
`
