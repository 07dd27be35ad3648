package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mutates says whether the cluster has MutatingAdmissionPolicies, which
// Kubernetes has from 1.36 on.
func (c *cluster) mutates(t *testing.T) bool {
	t.Helper()
	return strings.Contains(c.kubectl(t, "api-resources", "--api-group=admissionregistration.k8s.io", "-o", "name"), "mutatingadmissionpolicies.")
}

// image builds the source and gives it to the node.
func (c *cluster) image(t *testing.T, source, tag string) {
	t.Helper()
	from, err := filepath.Abs(source)
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	t.Logf("%s is %s", tag, output(t, exec.Command("go", "-C", filepath.Join(root, "hack", "image"), "run", ".", "--root", from, "--out", out, "--tag", "localhost/codb:"+tag)))
	c.control(t, "load-image", "--name", c.name, filepath.Join(out, "codb.tar"))
}

// install applies the source's manifests with the image of that tag, as for a
// trial: the cluster has no storage. Then it waits for all that this begins.
func (c *cluster) install(t *testing.T, source, tag string) {
	t.Helper()
	c.installOn(t, source, tag, "trial/ledger")
}

// installOn is install with other components of config.
func (c *cluster) installOn(t *testing.T, source, tag string, components ...string) {
	t.Helper()
	base := "default"
	if !c.mutates(t) {
		base = "before-1.36"
	}
	overlay := t.TempDir()
	from, err := filepath.Abs(source)
	if err == nil {
		from, err = filepath.Rel(overlay, filepath.Join(from, "config")) // kustomize takes no other path
	}
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("resources: [%s/%s]\nimages: [{name: localhost/codb, newTag: %s}]\ncomponents:\n", from, base, tag)
	for _, component := range components {
		text += "- " + filepath.Join(from, component) + "\n"
	}
	if err := os.WriteFile(filepath.Join(overlay, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c.kubectl(t, "apply", "-k", overlay)
	c.kubectl(t, "-n", "codb-system", "rollout", "status", "--timeout=180s", "sts/codb-gate")
	c.kubectl(t, "-n", "codb-system", "rollout", "status", "--timeout=180s", "deploy/codb-operator")
	c.kubectl(t, "wait", "--for=create", "--timeout=60s", "campol/baseline")
	c.kubectl(t, "wait", "--for=condition=Ready", "--timeout=60s", "campol/baseline")
}

// codb runs the command line of this source.
func (c *cluster) codb(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command("go", append([]string{"run", "./cmd/codb"}, args...)...)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
	t.Log(output(t, cmd))
}

// acme makes the brand and the namespace that acts for it.
func (c *cluster) acme(t *testing.T) {
	t.Helper()
	samples := filepath.Join(root, "config", "samples")
	c.kubectl(t, "apply", "-f", filepath.Join(samples, "acme-marketing.yaml"), "-f", filepath.Join(samples, "brand-acme.yaml"))
	c.kubectl(t, "wait", "--for=condition=Ready", "--timeout=60s", "brand/acme")
}

// customer has said yes to acme's e-mail, and confirmed it. The story is a
// label, by which campaigns pick their customers.
func customer(id, story string) string {
	return fmt.Sprintf(`
apiVersion: consent.codb.dev/v1alpha1
kind: CustomerConsent
metadata: {name: %s, namespace: codb-customers, labels: {story: %s}}
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
`, id, story)
}

// optedOut follows a customer who did so meanwhile.
const optedOut = "  optOut: {since: 2026-03-02T09:00:00Z}\n"

// campaign is to the customers of that story, by e-mail. What follows is
// appended to its spec.
func campaign(name, story, more string) string {
	return fmt.Sprintf(`
apiVersion: consent.codb.dev/v1alpha1
kind: Campaign
metadata: {name: %s, namespace: acme-marketing}
spec:
  brand: acme
  purpose: Marketing
  channel: Email
  topic: Garden
  depth: Profiling
  owner: garden-team
  audience: {selector: {labels: [{key: story, values: [%s]}]}}
%s`, name, story, more)
}

// sends is the workload of a campaign that runs the command in a Job.
func sends(command string) string {
	return fmt.Sprintf(`  workload: {job: {image: "localhost/codb-busy:dev", command: [%s]}}`, command)
}

const forHalfAnHour = "/busy, sleep, 30m"
