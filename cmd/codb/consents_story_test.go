package main

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/config"
	"github.com/codb-dev/codb/internal/consentstore"
	"github.com/codb-dev/codb/internal/gate"
	"github.com/codb-dev/codb/internal/permit"
	"github.com/codb-dev/codb/test/apiserver"
	"github.com/codb-dev/codb/test/postgres"
)

// tableWorld is an installation of its own, whose consents and ledger are in a
// PostgreSQL of its own behind a bad network: an apiserver and codb's process.
type tableWorld struct {
	*world
	server *postgres.Server
	proxy  *postgres.Proxy
	file   string // has the address that codb uses
	codb   *apiserver.Codb
	door   *consentstore.Database // beside the bad network
}

// newTableWorld has, before codb starts, whoever fill writes into the table. codb
// may take as long to read them as patience.
func newTableWorld(t *testing.T, patience time.Duration, fill func(d *consentstore.Database, url string)) *tableWorld {
	t.Helper()
	w := &tableWorld{file: filepath.Join(t.TempDir(), "url")}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	w.server, err = postgres.New()
	must(err)
	t.Cleanup(func() { _ = w.server.Close() })
	w.proxy = postgres.Behind(t, w.server.URL())
	must(os.WriteFile(w.file, []byte(w.proxy.URL()), 0o600))
	w.door = openTable(t, w.server.URL())
	fill(w.door, w.server.URL())

	own, err := apiserver.Start(apiserver.Options{Admission: true, Controllers: true, Values: config.Values{Elsewhere: true}})
	must(err)
	theirs := env
	env = own
	t.Cleanup(func() {
		env = theirs
		if err := own.Stop(); err != nil {
			t.Error(err)
		}
	})
	starting, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	w.codb, err = own.StartCodb(starting, "--consents-file="+w.file, "--ledger-file="+w.file)
	must(err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(w.codb.Log())
		}
		if err := w.codb.Kill(); err != nil {
			t.Error(err)
		}
	})
	w.world = newWorld(t)
	return w
}

// customer is the world's, in the table.
func (w *tableWorld) customer(n int) *v1alpha1.CustomerConsent { return w.put(w.says(n)) }

func (w *tableWorld) put(c *v1alpha1.CustomerConsent) *v1alpha1.CustomerConsent {
	w.Helper()
	out, err := w.door.Put(w.ctx, "test", []*v1alpha1.CustomerConsent{c})
	if err != nil {
		w.Fatal(err)
	}
	return out[0]
}

// withdraws has returned when it is committed.
func (w *tableWorld) withdraws(c *v1alpha1.CustomerConsent) {
	w.Helper()
	c = c.DeepCopy()
	optedOut(&c.Spec)
	w.put(c)
}

// redeems asks until there is an answer; a gate that can't prove anything
// hands out nothing, and says so.
func (w *tableWorld) redeems(p *pod, id string) (state permit.Answer) {
	w.Helper()
	w.until("the gate answers", func() (bool, string) {
		var answer struct{ Results []gate.Redeemed }
		status, problem, err := p.ask("redeem", map[string]any{"permits": []string{id}}, &answer)
		switch {
		case err != nil:
			return false, err.Error()
		case status != http.StatusOK:
			if status < http.StatusInternalServerError {
				w.Fatalf("redeem: %d %v", status, problem)
			}
			return false, problem.Detail
		}
		state = answer.Results[0].State
		return true, ""
	})
	return state
}

func (w *tableWorld) refuses(what string, state permit.Answer) {
	w.Helper()
	if state != permit.Refused && state != permit.Voided {
		w.Errorf("%s: the permit is %s", what, state)
	}
}

// TestConsentsInPostgreSQL is an installation whose customers are in a table:
// a campaign sends, customers withdraw, PostgreSQL is killed and comes back, and
// the network is bad all the while.
func TestConsentsInPostgreSQL(t *testing.T) {
	w := newTableWorld(t, 2*time.Minute, func(*consentstore.Database, string) {})
	const everybody = 12
	var people []*v1alpha1.CustomerConsent
	for i := range everybody {
		people = append(people, w.customer(i))
	}
	c := w.campaign("spring", draws)
	w.becomes(c, v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
	p := w.podOf("spring")
	drawn, d := p.draw(everybody, "20s")
	if len(drawn) != everybody {
		t.Fatalf("drawn: %+v", d)
	}
	next := 0
	withdrawn := func() *v1alpha1.CustomerConsent { next++; w.withdraws(people[next-1]); return people[next-1] }
	willing := func() *v1alpha1.CustomerConsent { next++; return people[next-1] }
	w.refuses("acknowledged just before", w.redeems(p, drawn[withdrawn().Name]))
	if s := w.redeems(p, drawn[willing().Name]); s != permit.Redeemed {
		t.Errorf("somebody who is willing: %s", s)
	}

	// What would not be heard is refused where it would be said.
	stray := w.says(100)
	if err := env.Client.Create(w.ctx, stray); !apierrors.IsForbidden(err) {
		t.Errorf("a consent as a custom resource beside the table: %v", err)
	}
	w.asks(people[0].Name, c, v1alpha1.VerdictDeny)
	w.asks(people[1].Name, c, v1alpha1.VerdictAllow)

	w.proxy.Latency.Store(int64(2 * time.Millisecond))
	w.proxy.Resets.Store(20)
	for range 3 {
		w.refuses("over a bad network", w.redeems(p, drawn[withdrawn().Name]))
		if s := w.redeems(p, drawn[willing().Name]); s != permit.Redeemed {
			t.Errorf("somebody who is willing, over a bad network: %s", s)
		}
	}
	w.proxy.Latency.Store(0)
	w.proxy.Resets.Store(0)

	leaver, stayer := withdrawn(), willing()
	if err := w.server.Kill(); err != nil {
		t.Fatal(err)
	}
	var answer struct{ Results []gate.Redeemed }
	if status, problem, err := p.ask("redeem", map[string]any{"permits": []string{drawn[stayer.Name]}}, &answer); err != nil || status != http.StatusServiceUnavailable {
		t.Errorf("redeemed without consents: %d %v %v, %v", status, problem, answer, err)
	}
	w.becomes(c, v1alpha1.CampaignHeld, v1alpha1.WorkloadRunning)
	w.condition(c, v1alpha1.ConditionPermitted, v1alpha1.ReasonConsentsUnreachable)
	if err := w.server.Start(); err != nil {
		t.Fatal(err)
	}
	w.refuses("acknowledged before the crash", w.redeems(p, drawn[leaver.Name]))
	w.until("the campaign goes on", func() (bool, string) {
		w.get(types.NamespacedName{Namespace: w.ns, Name: "spring"}, c)
		return c.Status.Verdict == v1alpha1.CampaignPartlyAllowed, c.Status.Why
	})

	// One that is gated whole is stopped by a withdrawal in the table.
	legacy := w.campaign("legacy", func(s *v1alpha1.CampaignSpec) { s.Audience.Selector.LifeStages = []v1alpha1.LifeStage{"Retired"} })
	w.becomes(legacy, v1alpha1.CampaignBlocked, v1alpha1.WorkloadSuspended)
	retired := w.says(200)
	retired.Spec.LifeStage = "Retired"
	retired = w.put(retired)
	w.becomes(legacy, v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
	w.withdraws(retired)
	w.becomes(legacy, v1alpha1.CampaignBlocked, v1alpha1.WorkloadSuspended)
}

// asks is an auditor's question about one person.
func (w *tableWorld) asks(customer string, c *v1alpha1.Campaign, want v1alpha1.Verdict) {
	w.Helper()
	q := &v1alpha1.ConsentReview{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.CustomersNamespace, Name: "why-" + customer},
		Spec:       v1alpha1.ConsentReviewSpec{Customer: customer, Campaign: v1alpha1.NamespacedReference{Namespace: c.Namespace, Name: c.Name}},
	}
	w.create(q)
	w.until("the question is answered", func() (bool, string) {
		w.get(types.NamespacedName{Namespace: q.Namespace, Name: q.Name}, q)
		return q.Status.Verdict != "", ""
	})
	if q.Status.Verdict != want {
		w.Errorf("%s is answered %s: %+v", customer, q.Status.Verdict, q.Status)
	}
}

// TestWithdrawalsFromATableAreLinearizable is the same claim as with custom
// resources, with ledger and consents in one database.
func TestWithdrawalsFromATableAreLinearizable(t *testing.T) {
	w := newTableWorld(t, 2*time.Minute, func(*consentstore.Database, string) {})
	races(w.world, w.customer, func(c *v1alpha1.CustomerConsent) error {
		c.Spec.OptOut = &v1alpha1.OptOut{Since: metav1.NewTime(time.Now().Add(-time.Minute).Truncate(time.Second))}
		_, err := w.door.Put(w.ctx, "test", []*v1alpha1.CustomerConsent{c})
		return err
	})
}
