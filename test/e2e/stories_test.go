package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestStories tells, on one cluster, what its four users live through: the
// platform team, marketers, auditors, and customers with those who serve them.
func TestStories(t *testing.T) {
	c := newCluster(t, "codb-e2e-stories")
	c.image(t, root, "dev")
	c.install(t, root, "dev")
	c.acme(t)
	c.kubectl(t, "-n", marketers, "create", "rolebinding", "marketers", "--clusterrole=codb-marketer", "--group=acme-marketers")
	c.kubectl(t, "-n", "codb-customers", "create", "rolebinding", "customer-service", "--clusterrole=codb-customer-service", "--group=acme-service")
	c.kubectl(t, "create", "clusterrolebinding", "auditors", "--clusterrole=codb-auditor", "--group=acme-auditors")

	for _, story := range []struct {
		name string
		tell func(*testing.T)
	}{
		{"ACampaignThatEverybodyAllowsRunsInAPod", c.allowedCampaignRuns},
		{"ACampaignThatIsRefusedNeverHasAPod", c.refusedCampaignNeverRuns},
		{"NobodyRunsPodsPastCodb", c.nobodyRunsPodsPastCodb},
		{"ATeamsOwnJobIsBornSuspendedOrRefused", c.ownJob},
		{"ACustomersWithdrawalStopsTheirCampaignsPods", c.customerWithdraws},
		{"CustomerServiceWritesDownAWithdrawal", c.serviceWritesWithdrawal},
		{"AnAuditorReadsWhatWasDecidedAndWhy", c.auditorReads},
		{"AWeeklyLetterIsDecidedAtEachTick", c.everyTickIsDecided},
		{"NothingIsForgottenWhileEverythingRestarts", c.everythingRestarts},
	} {
		t.Run(story.name, story.tell)
	}
}

func (c *cluster) marketer() *cluster { return c.as("marketer", "acme-marketers") }
func (c *cluster) service() *cluster  { return c.as("service", "acme-service") }
func (c *cluster) auditor() *cluster  { return c.as("auditor", "acme-auditors") }
func (c *cluster) person(id string) *cluster {
	return c.as("codb:customer:"+id, "codb:customers")
}

func (c *cluster) allowedCampaignRuns(t *testing.T) {
	c.service().apply(t, customer("c-garden-1", "garden"), customer("c-garden-2", "garden"))
	m := c.marketer()
	m.apply(t, campaign("letter", "garden", sends("/busy, echo, the spring letter")))
	m.until(t, "letter", "Allowed/Complete", m.campaign("letter"))
	if said := m.kubectl(t, "-n", marketers, "logs", "job/letter"); said != "the spring letter" {
		t.Errorf("the pod said %q", said)
	}
	if n := m.pods("letter")(); n != "1" {
		t.Errorf("it took %s pods, want 1", n)
	}
}

func (c *cluster) refusedCampaignNeverRuns(t *testing.T) {
	c.service().apply(t, customer("c-refuses", "refused")+optedOut)
	m := c.marketer()
	m.apply(t, campaign("refused", "refused", sends(forHalfAnHour)))
	m.until(t, "refused", "Blocked/Suspended", m.campaign("refused"))
	m.refused(t, "cannot patch", "-n", marketers, "patch", "job", "refused", "-p", `{"spec":{"suspend":false}}`)
	// The platform team has the right, and meets admission.
	c.refused(t, "only codb releases campaign Jobs; see: kubectl get camp refused",
		"-n", marketers, "patch", "job", "refused", "-p", `{"spec":{"suspend":false}}`)
	// The Job controller has seen it, and the spec never was another.
	m.until(t, "the Job's condition", "True", m.field("job", "refused", `.status.conditions[?(@.type=="Suspended")].status`))
	if generation := m.field("job", "refused", ".metadata.generation")(); generation != "1" {
		t.Errorf("the Job is in generation %s: it was touched", generation)
	}
	events := m.kubectl(t, "-n", marketers, "get", "events", "--field-selector=involvedObject.kind=Job,involvedObject.name=refused", "-o", "jsonpath={.items[*].reason}")
	if n := m.pods("refused")(); n != "0" || strings.Contains(events, "SuccessfulCreate") {
		t.Errorf("it had pods: %s now, events %s", n, events)
	}
}

func (c *cluster) nobodyRunsPodsPastCodb(t *testing.T) {
	c.refused(t, "only Jobs make pods here", "-n", marketers, "run", "sender", "--image=localhost/codb-busy:dev")
	c.refused(t, "only campaign Jobs and CronJobs run here", "-n", marketers, "create", "deployment", "sender", "--image=localhost/codb-busy:dev")
	c.refused(t, "a Job without a campaign may not run here", "-n", marketers, "create", "job", "sender", "--image=localhost/codb-busy:dev")
	if left := c.kubectl(t, "-n", marketers, "get", "pods,deployments,jobs", "-o", "name"); strings.Contains(left, "sender") {
		t.Errorf("something was made all the same: %s", left)
	}
}

// ownJob is a team's that has its own sender. Where Kubernetes has no
// MutatingAdmissionPolicy the refusal says what to write.
func (c *cluster) ownJob(t *testing.T) {
	c.apply(t, customer("c-own", "own"), campaign("own", "own", ""))
	job := func(suspend string) string {
		return fmt.Sprintf(`
apiVersion: batch/v1
kind: Job
metadata: {name: own-sender, namespace: acme-marketing, labels: {consent.codb.dev/campaign: own}}
spec:
  suspend: %s
  template:
    metadata: {labels: {consent.codb.dev/campaign: own}}
    spec:
      restartPolicy: Never
      containers: [{name: sender, image: "localhost/codb-busy:dev", command: [/busy, echo, our own letter]}]
`, suspend)
	}
	out, err := c.pipe(job("false"), "create")
	switch mutates := c.mutates(t); {
	case mutates && err != nil:
		t.Fatalf("it is not suspended, but refused: %s", out)
	case !mutates && (err == nil || !strings.Contains(out, "a campaign Job is born suspended and codb releases it; set spec.suspend: true")):
		t.Fatalf("%v: %s; want a refusal that says how", err, out)
	case !mutates:
		c.apply(t, job("true"))
	}
	c.until(t, "own", "Allowed/Complete", c.campaign("own"))
	if said := c.kubectl(t, "-n", marketers, "logs", "job/own-sender"); said != "our own letter" {
		t.Errorf("the pod said %q", said)
	}
}

// running brings up a campaign whose pod runs, to two customers.
func (c *cluster) running(t *testing.T, name string) {
	t.Helper()
	c.apply(t, customer("c-"+name+"-1", name), customer("c-"+name+"-2", name))
	m := c.marketer()
	m.apply(t, campaign(name, name, sends(forHalfAnHour)))
	m.until(t, name, "Allowed/Running", m.campaign(name))
	m.until(t, "the pod of "+name, "Running", func() string {
		out, _ := m.run("-n", marketers, "get", "pods", "-l", "consent.codb.dev/campaign="+name, "-o", "jsonpath={.items[*].status.phase}")
		return out
	})
}

// stops wants that the campaign's pods go, since the withdrawal, and why.
func (c *cluster) stops(t *testing.T, name string, since time.Time) {
	t.Helper()
	c.until(t, "suspend of "+name, "true", c.suspended(name))
	took := time.Since(since)
	c.until(t, "pods of "+name, "0", c.pods(name))
	t.Logf("suspended %s after the withdrawal, its pod gone after %s", took.Round(10*time.Millisecond), time.Since(since).Round(10*time.Millisecond))
	m := c.marketer()
	m.until(t, name, "PartlyAllowed/Suspended", m.campaign(name))
	if why := m.field("camp", name, ".status.why")(); !strings.Contains(why, "OptedOut 1") {
		t.Errorf("the marketer is told %q", why)
	}
}

func (c *cluster) customerWithdraws(t *testing.T) {
	c.running(t, "withdrawn")
	const no = `
apiVersion: consent.codb.dev/v1alpha1
kind: CustomerConsent
metadata: {name: c-withdrawn-1, namespace: codb-customers}
spec: {optOut: {since: 2026-03-02T09:00:00Z, source: PreferenceCentre}}
`
	write := func(who *cluster) (string, error) {
		return who.pipe(no, "apply", "--server-side", "--field-manager=preference-centre")
	}
	if out, err := write(c.person("c-withdrawn-2")); err == nil || !strings.Contains(out, "a customer writes only the consent of their own id") {
		t.Errorf("another customer withdrew it: %v: %s", err, out)
	}
	if got := c.suspended("withdrawn")(); got != "false" {
		t.Errorf("it stopped for that: suspend is %q", got)
	}
	since := time.Now()
	if out, err := write(c.person("c-withdrawn-1")); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c.stops(t, "withdrawn", since)
}

func (c *cluster) serviceWritesWithdrawal(t *testing.T) {
	c.running(t, "called")
	s := c.service()
	s.refused(t, "cannot create", "-n", marketers, "create", "-f", "../../config/samples/campaign-own-job.yaml")
	s.refused(t, "cannot delete", "-n", "codb-customers", "delete", "cc", "c-called-1")
	since := time.Now()
	s.kubectl(t, "-n", "codb-customers", "patch", "cc", "c-called-1", "--type=merge", "-p", `{"spec":{"optOut":{"since":"2026-03-02T09:00:00Z","source":"CustomerService"}}}`)
	c.stops(t, "called", since)
}

func (c *cluster) auditorReads(t *testing.T) {
	c.apply(t, customer("c-audit-yes", "audit-yes"), customer("c-audit-no", "audit-no")+optedOut)
	c.marketer().apply(t, campaign("audit-yes", "audit-yes", sends("/busy, echo, hello")), campaign("audit-no", "audit-no", sends("/busy, echo, hello")))
	a := c.auditor()
	a.until(t, "audit-yes", "Allowed/Complete", a.campaign("audit-yes"))
	a.until(t, "audit-no", "Blocked/Suspended", a.campaign("audit-no"))

	decision := a.field("job", "audit-yes", `.metadata.annotations.consent\.codb\.dev/decision`)()
	got := a.field("cdec", decision, ".spec.campaign.name}/{.spec.verdict}/{.spec.counts.allowed}/{.spec.policies[*].name")()
	if want := "audit-yes/Allowed/1/floor baseline"; got != want {
		t.Errorf("the Job's decision %s is %q, want %q", decision, got, want)
	}
	a.refused(t, "cannot patch", "-n", marketers, "patch", "cdec", decision, "--type=merge", "-p", `{"spec":{"verdict":"Blocked"}}`)
	c.refused(t, "only codb writes and retires decisions", "-n", marketers, "delete", "cdec", decision)

	for customer, want := range map[string]string{"c-audit-yes": "Allow", "c-audit-no": "Deny OptedOut"} {
		name, of := "why-"+customer, strings.TrimPrefix(customer, "c-")
		question := fmt.Sprintf(`
apiVersion: consent.codb.dev/v1alpha1
kind: ConsentReview
metadata: {name: %s, namespace: codb-customers}
spec: {campaign: {namespace: acme-marketing, name: %s}, customer: %s}
`, name, of, customer)
		if out, err := a.pipe(question, "create"); err != nil {
			t.Fatalf("ask: %v: %s", err, out)
		}
		a.kubectl(t, "-n", "codb-customers", "wait", "--for=condition=Ready", "--timeout=60s", "crev/"+name)
		answer := strings.Fields(a.kubectl(t, "-n", "codb-customers", "get", "crev", name, "-o", "jsonpath={.status.verdict} {.status.reasons[*].code}"))
		if got := strings.Join(slices.Compact(answer), " "); got != want {
			t.Errorf("why %s: %q, want %q", customer, got, want)
		}
	}
	a.refused(t, "cannot list", "-n", "codb-customers", "get", "cc")
}
