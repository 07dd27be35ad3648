package e2e

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/codb-dev/codb/test/postgres"
)

// TestEverythingInPostgreSQL is an installation that keeps consents and the
// contact ledger in a database beside the cluster. A campaign sends mail through
// its two gates, of which one goes away in the middle; who withdraws meanwhile
// gets none.
func TestEverythingInPostgreSQL(t *testing.T) {
	c := newCluster(t, "codb-e2e-postgres")
	c.image(t, root, "dev")
	c.mailImage(t)
	server := c.database(t)
	c.installOn(t, root, "dev", "postgres/ledger", "postgres/consents")
	c.doorOpens(t)
	c.acme(t)
	c.kubectl(t, "-n", "codb-customers", "create", "rolebinding", "customer-service", "--clusterrole=codb-customer-service", "--group=acme-service")
	c.kubectl(t, "create", "clusterrolebinding", "auditors", "--clusterrole=codb-auditor", "--group=acme-auditors")
	c.refused(t, "keeps consents in PostgreSQL", "apply", "-f", filepath.Join(root, "config/samples/customerconsent-c-7f3a.yaml"))

	t.Log("customers' answers, by kubectl and by its plugin")
	people := c.peopleInDatabase(t)
	c.mailServer(t, people)

	t.Log("the first message is under way, and takes the server its time")
	c.apply(t, letterToEverybody)
	c.until(t, "the letter", "PartlyAllowed/Running", c.campaign("letter"))
	c.until(t, "messages that have come in", "1", func() string { return fmt.Sprint(len(c.delivered())) })
	leaver := people[slices.IndexFunc(people, func(id string) bool { return !slices.Contains(c.delivered(), id) })]
	t.Log(c.consent(t, "withdraw", leaver, "--all", "--source=CustomerService"))
	gone, stays := "codb-gate-0", "codb-gate-1"
	if c.permits(t, gone, "Drawn") == 0 {
		gone, stays = stays, gone
	}
	if drawn := c.permits(t, gone, "Drawn"); drawn == 0 {
		t.Error("no gate has given a permit")
	}
	c.kubectl(t, "cordon", "--selector=kubernetes.io/os=linux")
	c.kubectl(t, "-n", "codb-system", "delete", "pod", gone)

	want := slices.DeleteFunc(slices.Clone(people), func(id string) bool { return id == leaver })
	c.until(t, "the letter", "PartlyAllowed/Complete", c.campaign("letter"))
	if got := slices.Sorted(slices.Values(c.delivered())); !slices.Equal(got, want) {
		t.Errorf("mail came for %v, want one for each of %v", got, want)
	}
	if n := c.permits(t, stays, "Redeemed"); n == 0 {
		t.Error("the other gate redeemed nothing")
	}
	c.until(t, "what was sent", fmt.Sprint(len(want)), c.field("camp", "letter", ".status.permits.sent"))
	c.until(t, "why two were refused", "OptedOut 2", c.field("camp", "letter", ".status.permits.refused[*].code} {.status.permits.refused[*].customers"))
	c.asksWhy(t, leaver)

	t.Log("the database is away: nobody reads or writes, and then all goes on")
	c.kubectl(t, "uncordon", "--selector=kubernetes.io/os=linux")
	c.kubectl(t, "-n", "codb-system", "rollout", "status", "--timeout=90s", "sts/codb-gate")
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	c.refused(t, "rror from server", "-n", "codb-customers", "get", "cc", leaver)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	c.doorOpens(t)
	c.until(t, "the one who left", "OptedOut", func() string {
		out, _ := c.run("-n", "codb-customers", "get", "cc", leaver, "-o", "jsonpath={.status.summary}")
		return out
	})

	c.codb(t, "uninstall", "--delete-consents")
	c.nothingIsLeft(t)
}

// database is a server beside the cluster, encrypted and with a password. As in
// docs/operations.md, codb's own role owns a database of its own there, and
// Secrets say where.
func (c *cluster) database(t *testing.T) *postgres.Server {
	t.Helper()
	server, err := postgres.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	apiserver, err := url.Parse(c.kubectl(t, "config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}"))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := server.Listen(apiserver.Hostname()) // the host, as pods reach it
	if err != nil {
		t.Fatal(err)
	}
	admin, err := pgx.Connect(t.Context(), server.URL())
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{"CREATE ROLE shop LOGIN PASSWORD 'open sesame'", "CREATE DATABASE shop OWNER shop"} {
		if _, err := admin.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	if err := admin.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.kubectl(t, "create", "namespace", "codb-system")
	for secret, folder := range map[string]string{"codb-ledger": "ledger", "codb-consents": "consents"} {
		files := t.TempDir()
		at := fmt.Sprintf("postgres://shop:open%%20sesame@%s:5432/shop?sslmode=verify-full&sslrootcert=/etc/codb/%s/ca.crt", apiserver.Hostname(), folder)
		for name, content := range map[string]string{"url": at, "ca.crt": string(ca)} {
			if err := os.WriteFile(filepath.Join(files, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c.kubectl(t, "-n", "codb-system", "create", "secret", "generic", secret, "--from-file="+files)
	}
	return server
}

// doorOpens waits until the apiserver reaches who serves consents.
func (c *cluster) doorOpens(t *testing.T) {
	t.Helper()
	c.kubectl(t, "-n", "codb-system", "rollout", "status", "--timeout=180s", "deploy/codb-consents")
	c.kubectl(t, "wait", "--for=condition=Available", "--timeout=60s", "apiservice/v1alpha1.store.consent.codb.dev")
}

// peopleInDatabase are six who said yes to acme's e-mail, in the order of their
// ids, and one who did not.
func (c *cluster) peopleInDatabase(t *testing.T) (willing []string) {
	t.Helper()
	s := c.service()
	inDatabase := strings.NewReplacer("consent.codb.dev/v1alpha1", "store.consent.codb.dev/v1alpha1")
	for i := range 6 {
		willing = append(willing, fmt.Sprintf("c-everybody-%d", i))
		if i > 0 {
			s.apply(t, inDatabase.Replace(customer(willing[i], "everybody")))
		}
	}
	s.apply(t, inDatabase.Replace(customer("c-never", "everybody")+optedOut))
	t.Log(c.consent(t, "set", willing[0], "--new", "--brand=acme", "--purpose=Marketing", "--channel=Email", "--status=ConsentGiven",
		"--captured=2026-03-01T09:00:00Z", "--confirmed=2026-03-01T09:04:00Z", "--source=Phone"))
	s.kubectl(t, "-n", "codb-customers", "patch", "cc", willing[0], "--type=merge", "-p", `{"spec":{"birthYear":1984}}`)
	out, err := s.run("-n", "codb-customers", "get", "cc")
	if err != nil || strings.Contains(out, "Warning") {
		t.Errorf("get cc: %v", err)
	}
	t.Log(out)
	return willing
}

// consent runs kubectl codb consent as customer service does.
func (c *cluster) consent(t *testing.T, args ...string) string {
	t.Helper()
	s := c.service()
	cmd := exec.Command("go", append([]string{"run", "./cmd/kubectl-codb", "consent"}, append(args, s.identity...)...)...)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
	return output(t, cmd)
}

// permits is what a gate says that happened to so many.
func (c *cluster) permits(t *testing.T, gate, event string) int {
	t.Helper()
	said := c.kubectl(t, "get", "--raw", "/api/v1/namespaces/codb-system/pods/"+gate+":8080/proxy/metrics")
	line := regexp.MustCompile(`(?m)^consent_permit_events_total\{event="` + event + `"\} (\d+)$`).FindStringSubmatch(said)
	if line == nil {
		return 0
	}
	n, err := strconv.Atoi(line[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// asksWhy is an auditor, who can't read consents and is told all the same.
func (c *cluster) asksWhy(t *testing.T, id string) {
	t.Helper()
	a := c.auditor()
	a.refused(t, "cannot list", "-n", "codb-customers", "get", "cc")
	question := fmt.Sprintf(`
apiVersion: consent.codb.dev/v1alpha1
kind: ConsentReview
metadata: {name: why, namespace: codb-customers}
spec: {campaign: {namespace: acme-marketing, name: letter}, customer: %s}
`, id)
	if out, err := a.pipe(question, "create"); err != nil {
		t.Fatalf("ask: %v: %s", err, out)
	}
	a.kubectl(t, "-n", "codb-customers", "wait", "--for=condition=Ready", "--timeout=60s", "crev/why")
	if why := a.kubectl(t, "-n", "codb-customers", "get", "crev", "why", "-o", "jsonpath={.status.verdict} {.status.reasons[0].code}"); why != "Deny OptedOut" {
		t.Errorf("why = %q", why)
	}
}

const letterToEverybody = `
apiVersion: consent.codb.dev/v1alpha1
kind: Campaign
metadata: {name: letter, namespace: acme-marketing}
spec:
  brand: acme
  purpose: Marketing
  channel: Email
  topic: Garden
  owner: garden-team
  recipients: Permits
  audience: {everyone: {}}
  workload:
    job:
      image: localhost/codb-mail:dev
      command: [/mail, send, --server=smtp.mail.svc:2525, --from=news@acme.example]
      env: [{name: CODB_RUN_RESOLVER, value: /mail resolve --domain mail.example}]
`
