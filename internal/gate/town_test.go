package gate

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/ledger"
	"github.com/codb-dev/codb/internal/permit"
)

// town is a World: customers whose answers are acknowledged at once, and seen by
// Records only after Current.
type town struct {
	mu       sync.Mutex
	now      time.Time
	answers  map[string]*v1alpha1.CustomerConsent // acknowledged
	seen     *audience.Table                      // by Records
	cap      int                                  // contacts in a day; 0: none
	until    time.Time
	key      string
	refusal  *decision.Reason
	problem  error
	audience v1alpha1.Audience
	asked    int
	pace     int
	revision string
	began    map[string]time.Time // by campaign
	suppress bool                 // after any event
	ahead    map[string][]Rival   // of campaigns

	meanwhile func() // happens while an answer of Current is on its way
}

func newTown(people ...string) *town {
	w := &town{
		now: noon, answers: map[string]*v1alpha1.CustomerConsent{}, seen: audience.NewTable(),
		key: "v1", revision: "r-1", audience: v1alpha1.Audience{Everyone: &v1alpha1.Everyone{}},
	}
	for _, id := range people {
		w.says(id, func(*v1alpha1.CustomerConsentSpec) {})
	}
	w.reveal()
	return w
}

// says lets a customer change their mind; that is acknowledged when it returns.
func (w *town) says(id string, change func(*v1alpha1.CustomerConsentSpec)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := &v1alpha1.CustomerConsent{ObjectMeta: metav1.ObjectMeta{Name: id}}
	if old := w.answers[id]; old != nil {
		c = old.DeepCopy()
	}
	change(&c.Spec)
	w.answers[id] = c
}

func no(s *v1alpha1.CustomerConsentSpec)  { s.OptOut = &v1alpha1.OptOut{} }
func yes(s *v1alpha1.CustomerConsentSpec) { s.OptOut = nil }

// paused customers are held until w.until.
func paused(s *v1alpha1.CustomerConsentSpec) { s.Pause = &v1alpha1.Pause{} }

// reveal brings Records up to what was acknowledged.
func (w *town) reveal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, c := range w.answers {
		w.seen.Put(id, c, time.Time{})
	}
}

func (w *town) Current(_ context.Context, of Holder) (*Case, error) {
	w.reveal()
	if w.meanwhile != nil {
		defer w.meanwhile()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.problem != nil {
		return nil, w.problem
	}
	c := w.place(of)
	if rivals, some := w.ahead[of.Campaign.Name]; some {
		c.Ahead = func(context.Context) ([]Rival, error) { return rivals, nil }
	}
	return c, nil
}

func (w *town) place(of Holder) *Case {
	return &Case{
		Terms: permit.Terms{
			Campaign:        of.Campaign,
			Facts:           decision.Campaign{Namespace: "acme-shop", Name: of.Campaign.Name, Brand: "acme", Purpose: "Marketing", PurposeClass: "Marketing", Channel: "Email"},
			ConsentRevision: w.revision,
		},
		Audience: &w.audience, Judge: w, Key: w.key, Refusal: w.refusal, PerMinute: w.pace, Began: w.began[of.Campaign.Name],
	}
}

func (w *town) Records() audience.Records { return w.seen }

func (w *town) Digest() string { return "" }

// Judge denies after an opt-out, holds while paused or under a cap.
func (w *town) Judge(_ context.Context, q decision.Question) ([]decision.Answer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked += len(q.Subjects)
	out := make([]decision.Answer, len(q.Subjects))
	for i, s := range q.Subjects {
		if s.Person.OptOut != nil {
			out[i].Reasons = append(out[i].Reasons, decision.Reason{Code: "OptedOut", Verdict: v1alpha1.VerdictDeny, Message: "opted out"})
		}
		if w.suppress && len(s.Contacts.Events) > 0 {
			out[i].Reasons = append(out[i].Reasons, decision.Reason{Code: "Suppressed", Verdict: v1alpha1.VerdictDeny, Message: "suppressed"})
		}
		if s.Person.Pause != nil && q.Now.Before(w.until) {
			out[i].Reasons = append(out[i].Reasons, decision.Reason{Code: "Paused", Verdict: v1alpha1.VerdictHold, Until: w.until})
			out[i].StaleAt = w.until
		}
		if w.cap > 0 && len(s.Contacts.Sent) >= w.cap {
			out[i].Reasons = append(out[i].Reasons, decision.Reason{Code: "FrequencyCapping", Verdict: v1alpha1.VerdictHold, Until: q.Now.Add(24 * time.Hour)})
			out[i].StaleAt = q.Now.Add(24 * time.Hour)
		}
	}
	return out, nil
}

func (w *town) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *town) wait(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *town) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// office is a desk in a town with a ledger on a disk.
type office struct {
	*testing.T
	town *town
	file *ledger.File
	desk *Desk
}

func newOffice(t *testing.T, people ...string) *office {
	t.Helper()
	o := &office{T: t, town: newTown(people...)}
	f, err := ledger.Open(filepath.Join(t.TempDir(), "contacts.db"), ledger.Options{Clock: o.town.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	o.file = f
	o.restart()
	return o
}

// restart is what a crash comes to: the ledger is all that is left.
func (o *office) restart() {
	o.desk = NewDesk(DeskOptions{Ledger: o.file, World: o.town, Clock: o.town.clock, Log: logr.Discard()})
}

func pod(n int, campaign string) Holder {
	return Holder{
		Pod: fmt.Sprint("pod-", n), Job: campaign,
		Campaign: contacts.Campaign{Namespace: "acme-shop", Name: campaign, UID: "u-" + campaign, Generation: 1, Job: "j-" + campaign},
	}
}

func (o *office) draw(h Holder, most int) *Drawn {
	o.Helper()
	d, err := o.desk.Draw(o.Context(), h, most, 0, nil)
	if err != nil {
		o.Fatal(err)
	}
	return d
}

func (o *office) redeem(h Holder, ids ...string) []permit.Answer {
	o.Helper()
	results, err := o.desk.Redeem(o.Context(), h, ids)
	if err != nil {
		o.Fatal(err)
	}
	var out []permit.Answer
	for i, r := range results {
		if r.Permit != ids[i] {
			o.Fatalf("answer %d is about %s, not %s", i, r.Permit, ids[i])
		}
		out = append(out, r.State)
	}
	return out
}

func (o *office) tend() {
	o.Helper()
	if _, err := o.desk.tend(o.Context(), 0); err != nil {
		o.Fatal(err)
	}
}

// events of one customer in the ledger, the oldest first.
func (o *office) events(principal string) []contacts.Event {
	o.Helper()
	page, err := o.file.After(o.Context(), 0, 1000)
	if err != nil {
		o.Fatal(err)
	}
	var out []contacts.Event
	for i := range page.Records {
		if page.Records[i].Principal == principal {
			out = append(out, page.Records[i].Event)
		}
	}
	return out
}

func ids(d *Drawn) []string {
	var out []string
	for i := range d.Permits {
		out = append(out, d.Permits[i].Permit)
	}
	return out
}

func people(d *Drawn) []string {
	var out []string
	for i := range d.Permits {
		out = append(out, d.Permits[i].Principal)
	}
	slices.Sort(out)
	return out
}

func (o *office) want(what string, want, got any) {
	o.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		o.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
