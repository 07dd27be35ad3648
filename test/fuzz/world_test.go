package fuzz

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/controllers/campaign"
	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/policy"
	"github.com/codb-dev/codb/policies"
)

var errDown = errors.New("it is down")

// faults are what does not work at the moment.
type faults struct {
	admission, fence, gate, engine, consents bool
	every                                    int // that manyth write fails; 0: none does
}

// faults are none, or one and perhaps some writes.
func (m *maker) faults() (f faults) {
	if m.Intn(2) == 0 {
		*pick(m, []*bool{&f.admission, &f.fence, &f.gate, &f.engine, &f.consents}) = true
	}
	if m.Intn(3) == 0 {
		f.every = 1 + m.Intn(5)
	}
	return f
}

func when(broken bool) error {
	if broken {
		return errDown
	}
	return nil
}

// world is a cluster with what codb has besides: rules and a ledger. Everything
// that codb says ends up in said.
type world struct {
	*testing.T
	client.WithWatch
	faults
	clock    *clocktesting.FakeClock
	ledger   *ledger
	book     *policy.Book
	said     strings.Builder
	tries    int
	writes   []string
	made     int // by codb
	releases int
}

// whole is compiled once: the library, and the floor that always applies.
var whole = sync.OnceValues(func() (*policy.Library, *policy.Interpreter) {
	lib, err := policy.LoadLibrary(policies.FS)
	if err != nil {
		panic(err)
	}
	floor, err := policy.NewInterpreter(lib, []policy.Policy{lib.Floor()})
	if err != nil {
		panic(err)
	}
	return lib, floor
})

// known is no more than is needed: the client in memory looks through all of it
// at each write.
var known = sync.OnceValue(func() *runtime.Scheme {
	s := runtime.NewScheme()
	s.AddKnownTypes(corev1.SchemeGroupVersion, &corev1.Namespace{}, &corev1.NamespaceList{}, &corev1.Pod{}, &corev1.PodList{})
	s.AddKnownTypes(batchv1.SchemeGroupVersion, &batchv1.Job{}, &batchv1.JobList{}, &batchv1.CronJob{}, &batchv1.CronJobList{})
	s.AddKnownTypes(appsv1.SchemeGroupVersion, &appsv1.ControllerRevision{}, &appsv1.ControllerRevisionList{})
	metav1.AddToGroupVersion(s, corev1.SchemeGroupVersion)
	if err := v1alpha1.AddToScheme(s); err != nil {
		panic(err)
	}
	return s
})

func newWorld(t *testing.T, objects []client.Object) *world {
	t.Helper()
	lib, _ := whole()
	w := &world{T: t, clock: clocktesting.NewFakeClock(noon), book: policy.NewBook(lib, nil), ledger: &ledger{past: contacts.NewProjection(contacts.LookBack)}}
	w.ledger.w = w
	seen := map[string]bool{}
	b := fake.NewClientBuilder().WithScheme(known()).
		WithStatusSubresource(&v1alpha1.Brand{}, &v1alpha1.Campaign{}, &v1alpha1.CampaignPolicy{}, &v1alpha1.CustomerConsent{}, &v1alpha1.ConsentReview{}, &batchv1.Job{}, &batchv1.CronJob{})
	for _, o := range objects {
		if key := fmt.Sprintf("%T %s/%s", o, o.GetNamespace(), o.GetName()); !seen[key] {
			seen[key] = true
			b.WithObjects(o)
		}
	}
	w.WithWatch = w.watched(b.Build())
	return w
}

// ctx carries a logger that keeps everything.
func (w *world) ctx() context.Context {
	return logr.NewContext(w.Context(), funcr.New(func(_, line string) { fmt.Fprintln(&w.said, line) }, funcr.Options{Verbosity: 9}))
}

// Eventf keeps what events say; on whom is said by the object itself.
func (w *world) Eventf(on, related runtime.Object, kind, reason, action, note string, args ...any) {
	fmt.Fprintln(&w.said, kind, reason, action, fmt.Sprintf(note, args...))
	for _, o := range []runtime.Object{on, related} {
		if named, ok := o.(client.Object); ok {
			fmt.Fprintln(&w.said, named.GetName())
		}
	}
}

// live lists and gets without selectors of fields, which the client can't.
type live struct{ client.Reader }

func (l live) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	return l.Reader.List(ctx, list, slices.DeleteFunc(slices.Clone(opts), func(o client.ListOption) bool {
		_, ok := o.(client.MatchingFieldsSelector)
		return ok
	})...)
}

// consents are those of the cluster, always up to date.
type consents struct{ *world }

func (c consents) all() map[string]*v1alpha1.CustomerConsent {
	var list v1alpha1.CustomerConsentList
	if err := c.List(c.Context(), &list, client.InNamespace(v1alpha1.CustomersNamespace)); err != nil {
		c.Fatal(err)
	}
	out := map[string]*v1alpha1.CustomerConsent{}
	for i := range list.Items {
		out[list.Items[i].Name] = &list.Items[i]
	}
	return out
}

func (c consents) Synced() bool                          { return !c.faults.consents }
func (c consents) Healthy() error                        { return when(c.faults.consents) }
func (c consents) Revision() string                      { return "cr-1" }
func (c consents) Changed() <-chan struct{}              { return nil }
func (c consents) Fence(context.Context) (string, error) { return "cr-1", when(c.fence) }

func (c consents) Customers() *audience.Table {
	t := audience.NewTable()
	for id, o := range c.all() {
		t.Put(id, o, time.Time{})
	}
	return t
}

// rules are the book's, judged by the floor in this process.
type rules struct {
	*policy.Book
	w *world
}

func (r rules) Judge(context.Context, []policy.InForce) (decision.Judge, error) {
	return floor{r.w}, nil
}

type floor struct{ w *world }

func (f floor) Digest() string { _, i := whole(); return i.Digest() }

func (f floor) Judge(ctx context.Context, q decision.Question) ([]decision.Answer, error) {
	if f.w.engine {
		return nil, errDown
	}
	_, i := whole()
	return i.Judge(ctx, q)
}

// checker compiles nothing: whether a revision is good is as it reads.
type checker struct{ *world }

func (c checker) Check(_ context.Context, p policy.Policy) (policy.Report, error) {
	lib, _ := whole()
	spec := v1alpha1.CampaignPolicySpec{Mode: p.Mode, Rules: p.Rules, Rego: p.Rego, Tests: p.Tests}
	return policy.Report{Problems: lib.Lint(p.Name, &spec), Passed: len(p.Rules), Total: max(1, len(p.Rules))}, when(c.engine)
}

// ledger is a gate with nothing but its projection.
type ledger struct {
	w    *world
	past *contacts.Projection
}

func (l *ledger) View(campaign types.UID, jobs []types.UID) audience.Ledger {
	runs := make([]contacts.Run, len(jobs))
	for i, job := range jobs {
		runs[i] = contacts.Run{UID: string(campaign), Job: string(job)}
	}
	return l.past.View(l.w.clock.Now(), runs...)
}

func (l *ledger) Position() contacts.Position   { return l.past.Position() }
func (l *ledger) Current(context.Context) error { return when(l.w.gate) }
func (l *ledger) Healthy() error                { return when(l.w.gate) }
func (l *ledger) Consents() string              { return l.past.Consents() }
func (l *ledger) Changed() <-chan struct{}      { return nil }

func (l *ledger) Progress(campaign, job types.UID) contacts.Progress {
	return l.past.Progress(contacts.Run{UID: string(campaign), Job: string(job)})
}

func (l *ledger) Record(_ context.Context, r campaign.Released) error {
	if l.w.gate {
		return errDown
	}
	at := l.Position().Sequence
	page := contacts.Page{Ledger: "one", After: at, Sequence: at}
	for _, id := range r.Principals {
		if l.View(r.UID, []types.UID{r.Run}).Present(id) {
			continue
		}
		page.Sequence++
		page.Records = append(page.Records, contacts.Record{
			Sequence: page.Sequence, At: r.At, Principal: id, Event: contacts.Released, Brand: r.Campaign.Brand, Purpose: r.Campaign.Purpose,
			Class: v1alpha1.PurposeClass(r.Campaign.PurposeClass), Channel: v1alpha1.Channel(r.Campaign.Channel),
			Campaign: contacts.Campaign{UID: string(r.UID), Job: string(r.Run)},
		})
	}
	return l.past.Apply(page)
}

// later moves the clock and changes what a consent, brand, campaign or policy says.
func (w *world) later(m *maker) {
	w.clock.Step(pick(m, []time.Duration{time.Second, time.Minute, time.Hour, 48 * time.Hour}))
	i := m.Intn(2)
	fresh := pick(m, []client.Object{m.consent(i), m.consent(2), m.brand(brands[i]), m.campaign(i), m.policy("baseline-0")})
	now := fresh.DeepCopyObject().(client.Object)
	if err := w.Get(w.Context(), client.ObjectKeyFromObject(fresh), now); err != nil {
		return
	}
	if m.Intn(3) == 0 {
		_ = w.Delete(w.Context(), now)
		return
	}
	fresh.SetUID(now.GetUID())
	fresh.SetGeneration(now.GetGeneration() + 1)
	fresh.SetResourceVersion(now.GetResourceVersion())
	fresh.SetDeletionTimestamp(now.GetDeletionTimestamp())
	fresh.SetFinalizers(now.GetFinalizers())
	if err := w.Update(w.Context(), fresh); err != nil {
		w.Fatal(err)
	}
}

// end lets a Job that runs come to its end, as its controller would.
func (w *world) end(m *maker) {
	var jobs batchv1.JobList
	if err := w.List(w.Context(), &jobs); err != nil {
		w.Fatal(err)
	}
	for i := range jobs.Items {
		if j := &jobs.Items[i]; m.Intn(3) == 0 {
			j.Status.Conditions = append(j.Status.Conditions, batchv1.JobCondition{Type: batchv1.JobComplete, Status: corev1.ConditionTrue})
			if err := w.Status().Update(w.Context(), j); err != nil {
				w.Fatal(err)
			}
		}
	}
}
