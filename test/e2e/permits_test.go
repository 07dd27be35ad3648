package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMailThroughPermits sends mail to the mailboxes of a real mail server:
// somebody who withdraws with kubectl while the campaign runs gets none.
func TestMailThroughPermits(t *testing.T) {
	c := newCluster(t, "codb-e2e-permits")
	if !c.mutates(t) {
		t.Skip("codb-run is put into people's own Jobs from Kubernetes 1.36 on")
	}
	c.image(t, root, "dev")
	c.mailImage(t)
	c.install(t, root, "dev")
	c.acme(t)

	var people, documents []string
	for i := range 6 {
		people = append(people, fmt.Sprintf("c-garden-%d", i))
		documents = append(documents, customer(people[i], "garden"))
	}
	documents = append(documents, customer("c-never", "garden")+optedOut, customer("c-alone", "alone"))
	c.mailServer(t, append(people, "c-never"))
	c.apply(t, documents...)
	c.apply(t, campaign("garden-letter", "garden", "  recipients: Permits\n"))
	c.apply(t, mailJob)

	t.Log("the first message is under way, and takes the server its time")
	c.until(t, "the letter to go out", "PartlyAllowed/Running", c.campaign("garden-letter"))
	c.until(t, "messages that have come in", "1", func() string { return fmt.Sprint(len(c.delivered())) })
	leaver := people[slices.IndexFunc(people, func(id string) bool { return !slices.Contains(c.delivered(), id) })]
	c.kubectl(t, "-n", "codb-customers", "patch", "cc", leaver, "--type=merge", "-p", `{"spec":{"optOut":{"since":"2026-03-02T09:00:00Z"}}}`)
	withdrawn := time.Now()

	c.until(t, "the letter's Job to end", "Complete", c.field("job", "garden-letter", ".status.conditions[?(@.type=='Complete')].type"))
	t.Logf("the Job ended %s after the withdrawal", time.Since(withdrawn).Round(time.Second))
	want := slices.DeleteFunc(slices.Clone(people), func(id string) bool { return id == leaver })
	if got := c.delivered(); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		t.Errorf("mail came for %v, want one for each of %v", got, want)
	}
	c.until(t, "what the campaign says was sent", "5", c.field("camp", "garden-letter", ".status.permits.sent"))

	t.Log("what codb-run says names nobody")
	said := c.kubectl(t, "-n", marketers, "logs", "--all-containers", "-l", "consent.codb.dev/campaign=garden-letter", "--tail=-1")
	if !strings.Contains(said, "5 sent") || !strings.Contains(said, "nobody is left") || strings.Contains(said, "c-garden") || strings.Contains(said, "mail.example") {
		t.Errorf("the pod's log:\n%s", said)
	}

	t.Log("a Job that codb makes draws permits too; this sender has no resolver, and so no addresses")
	c.apply(t, campaign("alone", "alone", `  recipients: Permits
  workload: {job: {image: "localhost/codb-mail:dev", command: [/mail, send, --server=smtp.mail.svc:2525, --from=news@acme.example]}}`))
	c.until(t, "its Job to end", "Complete", c.field("job", "alone", ".status.conditions[?(@.type=='Complete')].type"))
	c.until(t, "what the campaign says failed", "1", c.field("camp", "alone", ".status.permits.failed"))

	c.codb(t, "uninstall", "--delete-consents")
	c.nothingIsLeft(t)
}

// mailJob is all that a marketer writes: the sender, and where addresses are.
const mailJob = `
apiVersion: batch/v1
kind: Job
metadata:
  name: garden-letter
  namespace: acme-marketing
  labels: {consent.codb.dev/campaign: garden-letter, consent.codb.dev/recipients: Permits}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: sender
        image: localhost/codb-mail:dev
        command: [/mail, send, --server=smtp.mail.svc:2525, --from=news@acme.example]
        env:
        - {name: CODB_RUN_RESOLVER, value: /mail resolve /boxes/mailboxes.csv}
        volumeMounts: [{name: boxes, mountPath: /boxes}]
      volumes:
      - {name: boxes, configMap: {name: mailboxes}}
`
