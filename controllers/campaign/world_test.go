package campaign_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/controllers/campaign"
	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/policy"
	"github.com/codb-dev/codb/internal/workload"
	"github.com/codb-dev/codb/test/apiserver"
)

// These tests have a real apiserver and Jobs, and play consents, policies and
// the ledger: what goes wrong with those can be said in a line.

var env *apiserver.Env

func TestMain(m *testing.M) {
	os.Exit(apiserver.Run(m, apiserver.Options{}, func(e *apiserver.Env) { env = e }))
}

var noon = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

// world is what outlives a crash of codb: the apiserver, consents, policies and
// the ledger.
type world struct {
	*testing.T
	ctx   context.Context
	ns    string
	clock *clocktesting.FakeClock
	*consents
	*policies
	*ledger
	admitted error
}

func newWorld(t *testing.T, people ...string) *world {
	t.Helper()
	w := &world{
		T: t, ctx: t.Context(), ns: env.Namespace(t, nil), clock: clocktesting.NewFakeClock(noon),
		consents: &consents{people: audience.NewTable(), synced: true},
		policies: &policies{knows: true, judge: judge},
		ledger:   &ledger{runs: map[types.UID]map[string]int{}},
	}
	w.create(&v1alpha1.Brand{
		ObjectMeta: metav1.ObjectMeta{Name: "acme-" + w.ns},
		Spec: v1alpha1.BrandSpec{
			DisplayName: "Acme", Namespaces: []string{w.ns},
			Purposes: []v1alpha1.BrandPurpose{{Name: "Marketing", Class: v1alpha1.ClassMarketing, Notice: "Offers.", NoticeVersion: "1"}},
		},
	})
	for _, p := range people {
		w.says(p, nil)
	}
	return w
}

func (w *world) create(o client.Object) {
	w.Helper()
	if err := env.Client.Create(w.ctx, o); err != nil {
		w.Fatalf("create %T %s: %v", o, o.GetName(), err)
	}
}

func (w *world) campaign(changes ...func(*v1alpha1.CampaignSpec)) *v1alpha1.Campaign {
	w.Helper()
	c := &v1alpha1.Campaign{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "spring"},
		Spec: v1alpha1.CampaignSpec{
			Brand: "acme-" + w.ns, Purpose: "Marketing", Channel: v1alpha1.ChannelEmail, Owner: "garden-team",
			Audience: v1alpha1.Audience{Everyone: &v1alpha1.Everyone{}},
			Workload: &v1alpha1.Workload{Job: &v1alpha1.JobTemplate{Image: "sender", Command: []string{"/sender"}}},
		},
	}
	for _, f := range changes {
		f(&c.Spec)
	}
	w.create(c)
	return c
}

// codb is one life of the operator. A nil client is the administrator's.
func (w *world) codb(c client.Client) *campaign.Reconciler {
	if c == nil {
		c = env.Client
	}
	return &campaign.Reconciler{
		Client: c, Live: c, Consents: w.consents, Policies: w.policies, Contacts: w.ledger,
		Keeper: &workload.Keeper{Client: c}, LiveKeeper: &workload.Keeper{Client: c},
		Admitted: func(context.Context) error { return w.admitted },
		Clock:    w.clock, Events: &events.FakeRecorder{},
	}
}

func (w *world) key() types.NamespacedName {
	return types.NamespacedName{Namespace: w.ns, Name: "spring"}
}

// look has codb look once.
func (w *world) look(r *campaign.Reconciler) (ctrl.Result, error) {
	return r.Reconcile(w.ctx, ctrl.Request{NamespacedName: w.key()})
}

// settle has codb look until it is content, which must be soon.
func (w *world) settle(r *campaign.Reconciler) *v1alpha1.Campaign {
	w.Helper()
	var last error
	calm := 0
	for range 12 {
		res, err := w.look(r)
		last = err
		if err == nil && (res.RequeueAfter == 0 || res.RequeueAfter >= time.Second) {
			calm++
		}
		if calm == 2 {
			return w.status()
		}
	}
	w.Fatalf("codb does not come to rest: %v", last)
	return nil
}

func (w *world) status() *v1alpha1.Campaign {
	w.Helper()
	c := &v1alpha1.Campaign{}
	if err := env.Client.Get(w.ctx, w.key(), c); client.IgnoreNotFound(err) != nil {
		w.Fatal(err)
	}
	return c
}

func (w *world) jobs() []batchv1.Job {
	w.Helper()
	var list batchv1.JobList
	if err := env.Client.List(w.ctx, &list, client.InNamespace(w.ns)); err != nil {
		w.Fatal(err)
	}
	return list.Items
}

func (w *world) decisions() []v1alpha1.CampaignDecision {
	w.Helper()
	var list v1alpha1.CampaignDecisionList
	if err := env.Client.List(w.ctx, &list, client.InNamespace(w.ns)); err != nil {
		w.Fatal(err)
	}
	return list.Items
}

// runs says whether the Job runs; it must exist.
func (w *world) runs(name string) bool {
	w.Helper()
	j := &batchv1.Job{}
	if err := env.Client.Get(w.ctx, types.NamespacedName{Namespace: w.ns, Name: name}, j); err != nil {
		w.Fatal(err)
	}
	return !*j.Spec.Suspend
}

func (w *world) change(f func(*v1alpha1.Campaign)) {
	w.Helper()
	c := w.status()
	before := c.DeepCopy()
	f(c)
	if err := env.Client.Patch(w.ctx, c, client.MergeFrom(before)); err != nil {
		w.Fatal(err)
	}
}

func (w *world) deleteJob(name string) {
	w.Helper()
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name}}
	err := env.Client.Delete(w.ctx, j, client.PropagationPolicy(metav1.DeletePropagationBackground))
	if client.IgnoreNotFound(err) != nil {
		w.Fatal(err)
	}
}

// consents are a table.
type consents struct {
	mu      sync.Mutex
	people  *audience.Table
	version uint64
	synced  bool
	silent  error
	onFence func() error
}

// says sets what a customer says; nil: nothing but yes.
func (c *consents) says(id string, f func(*v1alpha1.CustomerConsent)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version++
	o := &v1alpha1.CustomerConsent{ObjectMeta: metav1.ObjectMeta{Name: id, UID: types.UID(id), Generation: int64(c.version)}}
	if f != nil {
		f(o)
	}
	c.people.Put(id, o, time.Time{})
}

func (c *consents) erase(id string)            { c.people.Remove(id) }
func (c *consents) Synced() bool               { return c.synced }
func (c *consents) Healthy() error             { return c.silent }
func (c *consents) Customers() *audience.Table { return c.people }

func (c *consents) Revision() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf("cr-%d", c.version)
}

func (c *consents) Fence(context.Context) (string, error) {
	if c.onFence != nil {
		if err := c.onFence(); err != nil {
			return "", err
		}
	}
	return c.Revision(), nil
}

func (c *consents) Changed() <-chan struct{} { return nil }

func optedOut(o *v1alpha1.CustomerConsent) {
	o.Spec.OptOut = &v1alpha1.OptOut{Since: metav1.NewTime(noon)}
}
func capped(o *v1alpha1.CustomerConsent) {
	o.Spec.Caps = []v1alpha1.FrequencyCap{{Name: "mine", Max: 1}}
}

func paused(from, until time.Time) func(*v1alpha1.CustomerConsent) {
	return func(o *v1alpha1.CustomerConsent) {
		o.Spec.Pause = &v1alpha1.Pause{From: metav1.NewTime(from), Until: metav1.NewTime(until)}
	}
}

// policies are a function.
type policies struct {
	knows    bool
	none     bool
	judge    func(decision.Subject, time.Time) decision.Answer
	fails    error
	minimum  *v1alpha1.Thresholds
	asked    int
	revision string
}

func (p *policies) Knows([]v1alpha1.CampaignPolicy) bool { return p.knows }

func (p *policies) For(policy.Facts) ([]policy.InForce, []string) {
	if p.none {
		return nil, nil
	}
	return []policy.InForce{{Policy: policy.Policy{Name: "test"}, Thresholds: p.minimum}}, nil
}

func (p *policies) References([]policy.InForce) []v1alpha1.PolicyReference {
	return []v1alpha1.PolicyReference{{Name: "test", Digest: p.Digest()}}
}
func (p *policies) Changed() <-chan struct{} { return nil }
func (p *policies) Digest() string           { return "sha256:" + fmt.Sprintf("%064s", p.revision) }

func (p *policies) Judge(context.Context, []policy.InForce) (decision.Judge, error) {
	return judging{p}, nil
}

type judging struct{ *policies }

func (j judging) Judge(_ context.Context, q decision.Question) ([]decision.Answer, error) {
	if j.fails != nil {
		return nil, j.fails
	}
	j.asked += len(q.Subjects)
	out := make([]decision.Answer, len(q.Subjects))
	for i, s := range q.Subjects {
		out[i] = j.judge(s, q.Now)
	}
	return out, nil
}

// judge knows opt-outs, pauses, and that who has a cap wants one contact.
func judge(s decision.Subject, now time.Time) decision.Answer {
	deny := func(code string, v v1alpha1.Verdict) decision.Answer {
		return decision.Answer{Reasons: []decision.Reason{{Code: code, Verdict: v, Policy: "test"}}}
	}
	switch p := s.Person.Pause; {
	case s.Person.OptOut != nil:
		return deny("OptedOut", v1alpha1.VerdictDeny)
	case len(s.Person.Caps) > 0 && len(s.Contacts.Sent) > 0:
		return deny("FrequencyCapping", v1alpha1.VerdictHold)
	case p == nil || now.UnixNano() >= p.Until:
		return decision.Answer{}
	case now.UnixNano() < p.From:
		return decision.Answer{StaleAt: time.Unix(0, p.From)}
	default:
		a := deny("Paused", v1alpha1.VerdictHold)
		a.StaleAt = time.Unix(0, p.Until)
		return a
	}
}

// ledger counts how often a person was written down for a run.
type ledger struct {
	mu       sync.Mutex
	runs     map[types.UID]map[string]int
	sequence uint64
	down     error
	consents string // that contacts were decided on
	soFar    contacts.Progress
	onRecord func() error
}

func (l *ledger) View(_ types.UID, jobs []types.UID) audience.Ledger { return view{l, jobs} }
func (l *ledger) Position() contacts.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return contacts.Position{Ledger: "l", Sequence: l.sequence}
}
func (l *ledger) Current(context.Context) error { return l.down }
func (l *ledger) Healthy() error                { return l.down }
func (l *ledger) Consents() string              { return l.consents }
func (l *ledger) Progress(_, _ types.UID) contacts.Progress {
	return l.soFar
}
func (l *ledger) Changed() <-chan struct{} { return nil }

func (l *ledger) Record(_ context.Context, r campaign.Released) error {
	if l.onRecord != nil {
		if err := l.onRecord(); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.runs[r.Run] == nil {
		l.runs[r.Run] = map[string]int{}
	}
	for _, p := range r.Principals {
		if l.runs[r.Run][p] == 0 { // as the interface promises
			l.runs[r.Run][p]++
			l.sequence++
		}
	}
	return nil
}

type view struct {
	l      *ledger
	except []types.UID
}

func (v view) Contacts(p string) (c decision.Contacts, version uint64) {
	v.l.mu.Lock()
	defer v.l.mu.Unlock()
	for run, people := range v.l.runs {
		if people[p] > 0 && !slices.Contains(v.except, run) {
			c.Sent = append(c.Sent, decision.Contact{At: noon.UnixNano()})
		}
	}
	return c, uint64(len(c.Sent))
}

func (v view) Since(uint64) ([]string, uint64, bool) { return nil, 1, true }

func (v view) Version(p string) uint64 { _, n := v.Contacts(p); return n }

func (v view) Present(p string) bool {
	v.l.mu.Lock()
	defer v.l.mu.Unlock()
	return slices.ContainsFunc(v.except, func(run types.UID) bool { return v.l.runs[run][p] > 0 })
}

// noEvidence lists what is wrong with the Jobs that run.
func (w *world) noEvidence() (wrong []error) {
	w.Helper()
	allowed := map[string]v1alpha1.CampaignDecisionSpec{}
	for _, d := range w.decisions() {
		allowed[d.Name] = d.Spec
	}
	for _, j := range w.jobs() {
		name := j.Annotations[v1alpha1.AnnotationDecision]
		if *j.Spec.Suspend && name == "" {
			continue
		}
		d, ok := allowed[name]
		if !ok || d.Verdict != v1alpha1.CampaignAllowed || d.Counts == nil || d.Counts.Allowed != d.Counts.Targeted || d.Counts.Targeted == 0 {
			wrong = append(wrong, fmt.Errorf("Job %s was released on decision %q: %+v", j.Name, name, d))
		}
		if len(w.ledger.runs[j.UID]) == 0 {
			wrong = append(wrong, fmt.Errorf("Job %s was released, and nobody was written down", j.Name))
		}
	}
	return wrong
}

var errDown = errors.New("it is down")
