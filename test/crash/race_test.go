package crash

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	controller "github.com/codb-dev/codb/controllers/campaign"
	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/consentstore"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/policy"
	"github.com/codb-dev/codb/internal/workload"
	"github.com/codb-dev/codb/test/fleet"
)

// A withdrawal and a release set out at about the same moment. The release is
// wrong if the withdrawal had been acknowledged when codb began to prove that
// its consents are current, and the Job was let go all the same; and if the
// evidence on the Job claims consents at least as new as the withdrawal. A
// release that began first may happen; it is stopped then.
func TestAWithdrawalRacesARelease(t *testing.T) {
	fresh(t)
	const runners = 8
	trials, ns := scale(200, 10_000), acme(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	slow := rest.CopyConfig(env.Config)
	slow.Wrap(func(rt http.RoundTripper) http.RoundTripper { return lagging{rt} })
	c, err := client.NewWithWatch(slow, client.Options{Scheme: env.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	store := consentstore.New(c, env.As(t, v1alpha1.OperatorUsername, "system:masters"), v1alpha1.CustomersNamespace)
	go func() { _ = store.Start(ctx) }()
	if _, err := store.Fence(ctx); err != nil || !store.Synced() {
		t.Fatalf("synced %t: %v", store.Synced(), err)
	}

	var next, released, refused, wrong atomic.Int64
	var all sync.WaitGroup
	for n := range runners {
		r := newRunner(t, ctx, ns, fmt.Sprint("r-", n), store)
		all.Go(func() {
			for next.Add(1) <= int64(trials) {
				let, bad := r.trial()
				if let {
					released.Add(1)
				} else {
					refused.Add(1)
				}
				if bad {
					wrong.Add(1)
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d trials: %d let go first and then stopped, %d refused, %d wrong", trials, released.Load(), refused.Load(), wrong.Load())
	if wrong.Load() > 0 {
		t.Errorf("%d wrong releases", wrong.Load())
	}
	if released.Load() == 0 || refused.Load() == 0 {
		t.Error("the withdrawal always came first, or never: nothing raced")
	}
}

// runner has one customer and one campaign, which has a Job for each trial.
type runner struct {
	*testing.T
	ctx      context.Context
	customer *v1alpha1.CustomerConsent
	key      types.NamespacedName
	codb     *controller.Reconciler
	fenced   *fenced
	trials   int
	took     time.Duration // a look
}

func newRunner(t *testing.T, ctx context.Context, ns, name string, store *consentstore.Store) *runner {
	t.Helper()
	r := &runner{
		T: t, ctx: ctx, customer: fleet.Customer("c-"+name, name), key: types.NamespacedName{Namespace: ns, Name: name},
		fenced: &fenced{Store: store},
	}
	camp := fleet.Campaign(ns, name, name, nil)
	create(t, r.customer)
	create(t, camp)
	t.Cleanup(func() { remove(t, camp); remove(t, r.customer) })
	operator := env.As(t, v1alpha1.OperatorUsername, "system:masters")
	keeper := &workload.Keeper{Client: operator}
	r.codb = &controller.Reconciler{
		Client: operator, Live: operator, Consents: r.fenced, Policies: optOuts{}, Contacts: nobody{}, Keeper: keeper, LiveKeeper: keeper,
		Admitted: func(context.Context) error { return nil }, Clock: clock.RealClock{}, Events: &events.FakeRecorder{},
	}
	return r
}

// trial says whether the Job was let go, and whether that was wrong.
func (r *runner) trial() (let, wrong bool) {
	r.trials++
	name := fmt.Sprintf("%s-%d", r.key.Name, r.trials)
	r.must(env.Client.Create(r.ctx, job(r.key, name)))
	var acknowledged time.Time
	withdrawn := make(chan error, 1)
	withdraw := func() {
		err := r.says(&v1alpha1.OptOut{Since: metav1.Now()})
		acknowledged = time.Now()
		withdrawn <- err
	}
	if r.trials%2 == 0 { // at the worst moment
		r.fenced.just = withdraw
	} else { // anywhere on the way of a release
		go func() { fleet.Pause(r.ctx, 3*r.took/2+time.Millisecond); withdraw() }()
	}
	started := time.Now()
	r.look()
	took := time.Since(started)
	r.must(<-withdrawn)
	version := r.customer.ResourceVersion
	began := r.fenced.began

	j := &batchv1.Job{}
	key := types.NamespacedName{Namespace: r.key.Namespace, Name: name}
	for first := true; ; first = false {
		r.must(env.Client.Get(r.ctx, key, j))
		if first {
			revision := j.Annotations[v1alpha1.AnnotationConsentRevision]
			if let = revision != ""; let {
				r.took = took // the next withdrawal comes somewhere on the way of a release
			} else if took > r.took {
				r.took += (took - r.took) / 4
			}
			wrong = let && (acknowledged.Before(began) || before(version, revision))
			if wrong {
				r.Logf("trial %s: withdrawn at %s, acknowledged %s before the fence; released on %s", name, version, began.Sub(acknowledged), revision)
			}
		}
		if *j.Spec.Suspend {
			break // it was refused, or it is stopped
		}
		fleet.Pause(r.ctx, time.Millisecond)
		r.look()
	}
	r.must(env.Client.Delete(r.ctx, j, client.PropagationPolicy(metav1.DeletePropagationBackground)))
	r.must(r.says(nil))
	_, err := r.fenced.Store.Fence(r.ctx)
	r.must(err)
	return let, wrong
}

// look has codb look until it has nothing more to do at once.
func (r *runner) look() {
	for {
		res, err := r.codb.Reconcile(r.ctx, ctrl.Request{NamespacedName: r.key})
		r.must(err)
		if res.RequeueAfter == 0 || res.RequeueAfter >= time.Second {
			return
		}
	}
}

func (r *runner) says(no *v1alpha1.OptOut) error {
	from := client.MergeFrom(r.customer.DeepCopy())
	r.customer.Spec.OptOut = no
	return env.Client.Patch(r.ctx, r.customer, from)
}

func (r *runner) must(err error) {
	if err != nil {
		panic(err) // not in the test's own goroutine
	}
}

// lagging delivers what is watched late, as a busy network or apiserver does.
type lagging struct{ http.RoundTripper }

func (l lagging) RoundTrip(req *http.Request) (*http.Response, error) {
	answer, err := l.RoundTripper.RoundTrip(req)
	if err == nil && req.URL.Query().Has("watch") {
		answer.Body = late{answer.Body}
	}
	return answer, err
}

type late struct{ io.ReadCloser }

func (l late) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	fleet.Pause(context.Background(), 60*time.Millisecond)
	return n, err
}

// before says whether a withdrawal's version is one that the revision of a
// release claims to contain.
func before(version, revision string) bool {
	n, err := resourceversion.CompareResourceVersion(version, revision[strings.LastIndexByte(revision, '-')+1:])
	return err != nil || n <= 0
}

// fenced is the store, and knows when the latest fence was asked for.
type fenced struct {
	*consentstore.Store
	began time.Time
	just  func() // happens, and is acknowledged, just before the next fence
}

func (f *fenced) Fence(ctx context.Context) (string, error) {
	if f.just != nil {
		f.just()
		f.just = nil
	}
	f.began = time.Now()
	return f.Store.Fence(ctx)
}

func job(campaign types.NamespacedName, name string) *batchv1.Job {
	labels, off := map[string]string{v1alpha1.LabelCampaign: campaign.Name}, true
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: campaign.Namespace, Name: name, Labels: labels},
		Spec: batchv1.JobSpec{Suspend: &off, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec: corev1.PodSpec{
				RestartPolicy: corev1.RestartPolicyNever,
				Containers:    []corev1.Container{{Name: "sender", Image: "sender", Command: []string{"/send"}}},
			},
		}},
	}
}

// optOuts is a policy that denies who opted out.
type optOuts struct{}

func (optOuts) Knows([]v1alpha1.CampaignPolicy) bool { return true }
func (optOuts) For(policy.Facts) ([]policy.InForce, []string) {
	return []policy.InForce{{Policy: policy.Policy{Name: "test"}}}, nil
}
func (optOuts) References([]policy.InForce) []v1alpha1.PolicyReference { return nil }
func (optOuts) Changed() <-chan struct{}                               { return nil }
func (o optOuts) Judge(context.Context, []policy.InForce) (decision.Judge, error) {
	return judging{}, nil
}

type judging struct{}

func (judging) Digest() string { return "sha256:" + fmt.Sprintf("%064d", 1) }
func (judging) Judge(_ context.Context, q decision.Question) ([]decision.Answer, error) {
	out := make([]decision.Answer, len(q.Subjects))
	for i, s := range q.Subjects {
		if s.Person.OptOut != nil {
			out[i].Reasons = []decision.Reason{{Code: "OptedOut", Verdict: v1alpha1.VerdictDeny}}
		}
	}
	return out, nil
}

// nobody was ever contacted.
type nobody struct{}

func (nobody) View(types.UID, []types.UID) audience.Ledger { return nobody{} }
func (nobody) Position() contacts.Position                 { return contacts.Position{} }
func (nobody) Current(context.Context) error               { return nil }
func (nobody) Progress(_, _ types.UID) contacts.Progress   { return contacts.Progress{} }
func (nobody) Healthy() error                              { return nil }
func (nobody) Consents() string                            { return "" }
func (nobody) Record(context.Context, controller.Released) error {
	return nil
}
func (nobody) Changed() <-chan struct{}                        { return nil }
func (nobody) Contacts(string) (c decision.Contacts, v uint64) { return c, 0 }
func (nobody) Since(uint64) ([]string, uint64, bool)           { return nil, 1, false }
func (nobody) Version(string) uint64                           { return 0 }
func (nobody) Present(string) bool                             { return false }
