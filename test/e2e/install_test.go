// Package e2e holds the stories that need pods that really run. They bring up
// clusters of their own, so they run only when asked: CODB_E2E=1, as root.
// KUBERNETES=1.34 has them told on another release than the newest.
package e2e

import (
	"os/exec"
	"strings"
	"testing"
)

// TestInstallation lives through an installation: the manifests of the commit
// before, an upgrade while a campaign runs and another is held, a leader that
// dies, and both ways to take it out again.
func TestInstallation(t *testing.T) {
	c := newCluster(t, "codb-e2e-install")
	old := checkout(t, "HEAD^")
	c.image(t, old, "previous")
	c.image(t, root, "dev")

	c.install(t, old, "previous")
	c.acme(t)
	c.apply(t, customer("c-yes", "welcome"), customer("c-also", "hello"), customer("c-no", "cold")+optedOut,
		campaign("welcome", "welcome", sends(forHalfAnHour)), campaign("hello", "hello", sends(forHalfAnHour)),
		campaign("cold-calls", "cold", sends(forHalfAnHour)))
	c.until(t, "welcome", "Allowed/Running", c.campaign("welcome"))
	c.until(t, "hello", "Allowed/Running", c.campaign("hello"))
	c.until(t, "suspend of cold-calls", "true", c.suspended("cold-calls"))
	c.until(t, "pods of welcome", "1", c.pods("welcome"))
	running := c.kubectl(t, "-n", marketers, "get", "job", "welcome", "-o", "jsonpath={.metadata.uid}")

	t.Log("upgrade")
	c.install(t, root, "dev")
	if now := c.kubectl(t, "-n", marketers, "get", "job", "welcome", "-o", "jsonpath={.metadata.uid}"); now != running {
		t.Errorf("the upgrade replaced the running Job %s by %s", running, now)
	}
	c.until(t, "welcome", "Allowed/Running", c.campaign("welcome"))
	c.held(t, "cold-calls")

	t.Log("the leader dies")
	leader := c.leader(t, "")
	c.kubectl(t, "-n", "codb-system", "delete", "pod", leader, "--grace-period=0", "--force")
	c.leader(t, leader)
	c.kubectl(t, "-n", "codb-customers", "patch", "cc", "c-yes", "--type=merge", "-p", `{"spec":{"optOut":{"since":"2026-01-01T00:00:00Z"}}}`)
	c.until(t, "suspend of welcome, by the other replica,", "true", c.suspended("welcome"))
	c.until(t, "pods of welcome", "0", c.pods("welcome"))
	c.until(t, "hello", "Allowed/Running", c.campaign("hello"))

	t.Log("uninstall")
	c.codb(t, "uninstall")
	for _, job := range []string{"welcome", "cold-calls", "hello"} { // hello ran until now
		c.held(t, job)
	}
	c.until(t, "pods of hello", "0", c.pods("hello"))
	c.refused(t, "only codb releases campaign Jobs", "-n", marketers, "patch", "job", "cold-calls", "-p", `{"spec":{"suspend":false}}`)
	if n := c.kubectl(t, "-n", "codb-system", "get", "pods", "-o", "name"); n != "" {
		t.Errorf("left running: %s", n)
	}
	t.Log("install again: everything is where it was")
	c.codb(t, "install") // which leaves out what the cluster has not
	c.install(t, root, "dev")
	c.held(t, "welcome")

	t.Log("uninstall with everything")
	c.codb(t, "uninstall", "--delete-consents")
	c.nothingIsLeft(t)
}

// nothingIsLeft looks for anything of codb's, and for what it held.
func (c *cluster) nothingIsLeft(t *testing.T) {
	t.Helper()
	kinds := []string{"crd", "ns", "validatingadmissionpolicy", "validatingadmissionpolicybinding", "validatingwebhookconfiguration", "clusterrole", "clusterrolebinding", "priorityclass", "apiservice"}
	if c.mutates(t) {
		kinds = append(kinds, "mutatingadmissionpolicy", "mutatingadmissionpolicybinding")
	}
	for _, name := range strings.Fields(c.kubectl(t, "get", strings.Join(kinds, ","), "-o", "name")) {
		if strings.Contains(name, "codb") {
			t.Errorf("left behind: %s", name)
		}
	}
	if left := c.kubectl(t, "-n", marketers, "get", "jobs,pods", "-o", "name"); left != "" {
		t.Errorf("left in the marketers' namespace: %s", left)
	}
	if left := c.kubectl(t, "-n", "kube-system", "get", "rolebindings", "-o", "name"); strings.Contains(left, "codb") {
		t.Errorf("left in kube-system: %s", left)
	}
	if left := c.kubectl(t, "get", "configmaps", "-A", "-l", "app.kubernetes.io/part-of=codb", "-o", "name"); left != "" {
		t.Errorf("left of what pods need to find the gate: %s", left)
	}
}

// checkout writes the source of a revision.
func checkout(t *testing.T, revision string) string {
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
	return dir
}
