package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/cli"
	"github.com/codb-dev/codb/test/apiserver"
	"github.com/codb-dev/codb/test/door"
)

var env *apiserver.Env

func TestMain(m *testing.M) {
	os.Exit(apiserver.Run(m, apiserver.Options{Admission: true, Aggregation: true}, func(e *apiserver.Env) { env = e }))
}

// store is where consents are while a story is told.
type store struct {
	name   string // of a customer there
	client client.Client
}

// TestVerbs tells every story twice: consents are custom resources at first,
// and then in PostgreSQL, and nobody who types needs to know.
func TestVerbs(t *testing.T) {
	stories := map[string]func(*testing.T, store){
		"AnswersAreSetShownAndWithdrawn":        answersAreSetShownAndWithdrawn,
		"ACustomerOptsOutWithoutTheRightToRead": aCustomerOptsOutWithoutTheRightToRead,
		"TheAnswerIsNo":                         theAnswerIsNo,
		"WhoWritesAtTheSameTimeLosesNothing":    whoWritesAtTheSameTimeLosesNothing,
		"ListPages":                             listPages,
	}
	tell := func(t *testing.T, s store) {
		for name, story := range stories {
			t.Run(name, func(t *testing.T) { story(t, s) })
		}
	}
	t.Run("CustomResources", func(t *testing.T) { tell(t, store{"customerconsent.consent.codb.dev/", env.Client}) })
	t.Run("PostgreSQL", func(t *testing.T) {
		_, end, err := door.Open(env)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(end)
		c, err := door.Client(env.Config)
		if err != nil {
			t.Fatal(err)
		}
		tell(t, store{"customerconsent.store.consent.codb.dev/", c})
		t.Run("IsNotPassedOverWhenItIsAway", func(t *testing.T) { isNotPassedOver(t, end) })
	})
}

// isNotPassedOver: what is written to custom resources then would count for
// nothing.
func isNotPassedOver(t *testing.T, end func()) {
	end()
	service := as(t, "service", "system:masters")
	for {
		_, errs, code := service.run(t, "withdraw c-1 --all")
		if code == 0 {
			t.Fatal("a withdrawal was acknowledged while nobody keeps consents")
		}
		if strings.Contains(errs, "ask where consents are kept") {
			return // the apiserver has noticed, too
		}
		if t.Context().Err() != nil {
			t.Fatal(errs)
		}
	}
}

// noon is when everything in these tests is typed.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// terminal is where somebody types.
type terminal struct{ kubeconfig string }

func as(t *testing.T, user string, groups ...string) terminal {
	t.Helper()
	raw, err := env.Kubeconfig(user, groups...)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return terminal{path}
}

func (w terminal) run(t *testing.T, line string) (out, errs string, code int) {
	t.Helper()
	var o, e bytes.Buffer
	code = cli.Run(t.Context(), cli.Options{Out: &o, Err: &e, Clock: func() time.Time { return noon }},
		append(strings.Fields("--kubeconfig="+w.kubeconfig+" consent"), strings.Fields(line)...))
	return o.String(), e.String(), code
}

// must run and return what it printed, without the revision, which only the
// server knows.
func (w terminal) must(t *testing.T, line string) string {
	t.Helper()
	out, errs, code := w.run(t, line)
	if code != 0 {
		t.Fatalf("%s: exit code %d: %s", line, code, errs)
	}
	return out
}

const mail = " --brand acme --purpose Marketing --channel Email"

func answersAreSetShownAndWithdrawn(t *testing.T, s store) {
	service := as(t, "service", "system:masters")
	set := service.must(t, "set c-1 --new --status ConsentGiven --captured 2026-02-01T09:00:00Z --confirmed 2026-02-01T09:05:00Z"+
		" --source Phone --notice 7 --topics Garden,Savings --until 2027-02-01T00:00:00Z --artifact scan:1"+mail)
	want := s.name + `c-1 set
BRAND   PURPOSE     CHANNEL   TOPICS           STATUS         CAPTURED               NOW     UNTIL
acme    Marketing   Email     Garden,Savings   ConsentGiven   2026-02-01T09:00:00Z   Given   2027-02-01T00:00:00Z
`
	if diff := cmp.Diff(want, set); diff != "" {
		t.Errorf("set (-want +got):\n%s", diff)
	}
	service.must(t, "set c-1 --status ConsentGiven --brand acme --purpose Marketing --channel Post")
	service.must(t, "set c-1 --status ConsentRefused --brand globex --purpose Marketing --channel Phone")

	gone := service.must(t, "withdraw c-1"+mail)
	for _, part := range []string{
		s.name + "c-1 withdrawn\nacknowledged as revision ",
		"acme    Marketing   Email     Given   Withdrawn\n",
		"Permits for these are void",
		"Still given: Marketing of acme by Post.\n",
	} {
		if !strings.Contains(gone, part) {
			t.Errorf("withdraw lacks %q:\n%s", part, gone)
		}
	}
	if again := service.must(t, "withdraw c-1"+mail); again != s.name+"c-1 unchanged: it was withdrawn before\n" {
		t.Errorf("withdraw again: %s", again)
	}
	c := s.stored(t, "c-1")
	g := c.Spec.Relationships[0].Grants[0]
	if g.Status != v1alpha1.ConsentWithdrawn || !g.CaptureDate.Time.Equal(noon) || g.DoubleConsentCaptureDate != nil ||
		g.EffectiveTo != nil || g.Topics != nil || g.Artifact != "" || g.CaptureSource != "" || g.PrivacyNotice == nil {
		t.Errorf("the withdrawn answer keeps too much, or too little: %+v", g)
	}
	shown := service.must(t, "get c-1")
	want = `Customer:  c-1
Given:     Given
Revision:  ` + c.ResourceVersion + `

BRAND    PURPOSE     CHANNEL   TOPICS   STATUS             CAPTURED               NOW         UNTIL
acme     Marketing   Email     <all>    ConsentWithdrawn   2026-03-01T12:00:00Z   Withdrawn   <none>
acme     Marketing   Post      <all>    ConsentGiven       2026-03-01T12:00:00Z   Given       <none>
globex   Marketing   Phone     <all>    ConsentRefused     2026-03-01T12:00:00Z   Refused     <none>
`
	if diff := cmp.Diff(want, shown); diff != "" {
		t.Errorf("get (-want +got):\n%s", diff)
	}
}

func (s store) stored(t *testing.T, name string) *v1alpha1.CustomerConsent {
	t.Helper()
	c := &v1alpha1.CustomerConsent{}
	c.Name, c.Namespace = name, v1alpha1.CustomersNamespace
	if err := s.client.Get(t.Context(), client.ObjectKeyFromObject(c), c); err != nil {
		t.Fatal(err)
	}
	return c
}

func aCustomerOptsOutWithoutTheRightToRead(t *testing.T, s store) {
	service := as(t, "service", "system:masters")
	service.must(t, "set c-2 --new --status ConsentGiven"+mail)
	me := as(t, "codb:customer:c-2", "codb:customers")
	out := me.must(t, "withdraw c-2 --all --source PreferenceCentre")
	if !strings.Contains(out, "acme    Marketing   Email     Given   Withdrawn\n") {
		t.Errorf("withdraw --all:\n%s", out)
	}
	if got := s.stored(t, "c-2").Spec.OptOut; got == nil || !got.Since.Time.Equal(noon) || got.Source != "PreferenceCentre" {
		t.Errorf("opt-out = %+v", got)
	}
	if _, errs, code := as(t, "codb:customer:c-9", "codb:customers").run(t, "withdraw c-2 --all"); code != cli.ExitNo || !strings.Contains(errs, "a customer writes only the consent of their own id") {
		t.Errorf("somebody else's: exit code %d: %s", code, errs)
	}
}

func theAnswerIsNo(t *testing.T, s store) {
	service := as(t, "service", "system:masters")
	service.must(t, "set c-3 --new --status ConsentWithdrawn --captured 2026-02-01T09:00:00Z"+mail)
	before := s.stored(t, "c-3").ResourceVersion
	tests := map[string]struct {
		line string
		want string
		code int
	}{
		"NobodyOfThatId":        {"get c-404", "not found", cli.ExitNo},
		"SetForNobody":          {"set c-404 --status ConsentGiven" + mail, "add --new", cli.ExitNo},
		"NewTwice":              {"set c-3 --new --status ConsentGiven" + mail, "already exists", cli.ExitNo},
		"NothingToWithdraw":     {"withdraw c-3 --brand acme --purpose Marketing --channel SMS", "nothing to withdraw", cli.ExitNo},
		"MisspeltBrand":         {"withdraw c-3 --brand amce --purpose Marketing", "nothing to withdraw", cli.ExitNo},
		"AnOldYesAfterANo":      {"set c-3 --status ConsentGiven --captured 2026-01-01T09:00:00Z" + mail, "only a new answer", cli.ExitNo},
		"StatusOfNoList":        {"set c-3 --status Yes" + mail, "write one of ConsentGiven", cli.ExitUsage},
		"NoBrand":               {"withdraw c-3", "brand", cli.ExitUsage},
		"AllAndABrand":          {"withdraw c-3 --all --brand acme", "all", cli.ExitUsage},
		"BrandWithoutPurpose":   {"withdraw c-3 --brand acme", "purpose", cli.ExitUsage},
		"NoCustomer":            {"get", "name one customer", cli.ExitUsage},
		"DayForAnInstant":       {"set c-3 --status ConsentGiven --captured 2026-01-01" + mail, "write an instant like", cli.ExitUsage},
		"DryRunOfTheClient":     {"withdraw c-3 --all --dry-run=client", "only the server knows", cli.ExitUsage},
		"NoCluster":             {"get c-3 --server=https://127.0.0.1:1", "refused", cli.ExitCluster},
		"DryRunWritesNothing":   {"withdraw c-3 --all --dry-run=server", "", 0},
		"DryRunOfSet":           {"set c-3 --status ConsentGiven --dry-run=server" + mail, "", 0},
		"WithdrawnIsWithdrawn":  {"withdraw c-3 --brand acme --purpose Marketing", "", 0},
		"ServerWithoutTheGroup": {"list -o wide", "write name", cli.ExitUsage},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, errs, code := service.run(t, tc.line)
			if code != tc.code || !strings.Contains(errs, tc.want) {
				t.Errorf("exit code %d, want %d: %q, want %q", code, tc.code, errs, tc.want)
			}
		})
	}
	if after := s.stored(t, "c-3").ResourceVersion; after != before {
		t.Errorf("revision %s became %s: something was written", before, after)
	}
}

func whoWritesAtTheSameTimeLosesNothing(t *testing.T, s store) {
	service := as(t, "service", "system:masters")
	service.must(t, "set c-4 --new --status ConsentGiven"+mail)
	var wg sync.WaitGroup
	for _, channel := range []string{"SMS", "Phone", "Post"} {
		wg.Go(func() {
			if _, errs, code := service.run(t, "set c-4 --status ConsentGiven --brand acme --purpose Marketing --channel "+channel); code != 0 {
				t.Errorf("set %s: %s", channel, errs)
			}
		})
	}
	wg.Wait()
	if got := len(s.stored(t, "c-4").Spec.Relationships[0].Grants); got != 4 {
		t.Errorf("%d answers are there, want 4", got)
	}
}

func listPages(t *testing.T, s store) {
	service := as(t, "service", "system:masters")
	for _, id := range []string{"l-1", "l-2", "l-3"} {
		service.must(t, "set "+id+" --new --status ConsentGiven"+mail)
		c := s.stored(t, id)
		c.Labels = map[string]string{"team": "list"}
		if err := s.client.Update(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := service.must(t, "list -l team=list -o name --chunk-size 1"),
		s.name+"l-1\n"+s.name+"l-2\n"+s.name+"l-3\n"; got != want {
		t.Errorf("list in pages of one:\n%s", got)
	}
	out, errs, _ := service.run(t, "list -l team=list --limit 2")
	if !strings.HasPrefix(out, "NAME ") || !strings.Contains(out, "\nl-2 ") || strings.Contains(out, "l-3") {
		t.Errorf("list --limit 2:\n%s", out)
	}
	_, next, _ := strings.Cut(errs, "There are more: add ")
	if rest := service.must(t, "list -l team=list -o name "+strings.TrimSpace(next)); rest != s.name+"l-3\n" {
		t.Errorf("list %s:\n%s", next, rest)
	}
}
