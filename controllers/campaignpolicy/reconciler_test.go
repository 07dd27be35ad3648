package campaignpolicy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/controllers/campaignpolicy"
	"github.com/codb-dev/codb/internal/policy"
	"github.com/codb-dev/codb/policies"
)

var library = sync.OnceValue(func() *policy.Library {
	lib, err := policy.LoadLibrary(policies.FS)
	if err != nil {
		panic(err)
	}
	return lib
})

var errDown = errors.New("it is down")

// world is a policy named own in a cluster of its own, and a codb that looks
// at it. It is its own Checker, which tries policies in this process.
type world struct {
	*testing.T
	client.WithWatch
	*campaignpolicy.Reconciler
	said    *events.FakeRecorder
	engine  error
	refuses string // a text that the library does not take any more
	busy    bool   // workers are stopped for their time
	race    func() // what somebody else does before the status is written
	hidden  bool   // the cache does not have revisions yet
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s := runtime.NewScheme()
	if err := errors.Join(appsv1.AddToScheme(s), v1alpha1.AddToScheme(s)); err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, said: events.NewFakeRecorder(64)}
	w.WithWatch = fake.NewClientBuilder().WithScheme(s).WithStatusSubresource(&v1alpha1.CampaignPolicy{}).Build()
	w.restart()
	return w
}

// restart is a codb that has just begun, with an empty book.
func (w *world) restart() {
	cached := interceptor.NewClient(w.WithWatch, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if _, ok := o.(*appsv1.ControllerRevision); ok && w.hidden {
				return apierrors.NewNotFound(schema.GroupResource{Resource: "controllerrevisions"}, key.Name)
			}
			return c.Get(ctx, key, o, opts...)
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			if race := w.race; race != nil {
				w.race = nil
				race()
			}
			return c.SubResource(sub).Patch(ctx, o, p, opts...)
		},
	})
	w.Reconciler = &campaignpolicy.Reconciler{
		Client: cached, Live: w.WithWatch, Checker: w, Library: library(), Book: policy.NewBook(library(), nil),
		Namespace: v1alpha1.SystemNamespace, Events: w.said,
	}
}

func (w *world) Check(ctx context.Context, p policy.Policy) (policy.Report, error) {
	if w.engine != nil {
		return policy.Report{}, w.engine
	}
	if w.busy {
		return policy.Report{Problems: []policy.Problem{{Field: "spec.rego", Code: policy.ProblemExhaustive, Message: "it exceeded its time"}}}, nil
	}
	if w.refuses != "" && strings.Contains(p.Rego, w.refuses) {
		return policy.Report{Problems: []policy.Problem{{Field: "spec.rego", Message: "no longer taken"}}}, nil
	}
	return library().Try(ctx, p), nil
}

// says denies with the code; a case says that it does.
func says(code string) v1alpha1.CampaignPolicySpec {
	expect := v1alpha1.TestExpectation{Verdict: v1alpha1.VerdictDeny, Reasons: []string{code}}
	return v1alpha1.CampaignPolicySpec{
		Match: &v1alpha1.PolicyMatch{Brands: []string{"acme"}},
		Rego:  fmt.Sprintf("package codb.policy\n\ndeny contains {\"code\": %q, \"message\": \"never\"} if input.campaign.brand != \"\"\n", code),
		Tests: []v1alpha1.PolicyTest{{Name: "nobody", Customer: runtime.RawExtension{Raw: []byte(`{}`)}, Expect: expect}},
	}
}

// broken is like says, with a second case that fails.
func broken(code string) v1alpha1.CampaignPolicySpec {
	s := says(code)
	s.Tests = append(s.Tests, v1alpha1.PolicyTest{
		Name: "everybody", Customer: runtime.RawExtension{Raw: []byte(`{}`)}, Expect: v1alpha1.TestExpectation{Verdict: v1alpha1.VerdictAllow},
	})
	return s
}

func notRego() v1alpha1.CampaignPolicySpec {
	s := says("Never")
	s.Rego = "package codb.policy\n\ndeny contains if {"
	return s
}

// is writes the next generation of the policy.
func (w *world) is(spec v1alpha1.CampaignPolicySpec) {
	w.Helper()
	p := &v1alpha1.CampaignPolicy{ObjectMeta: metav1.ObjectMeta{Name: "own"}}
	err := w.Get(w.Context(), client.ObjectKeyFromObject(p), p)
	p.Generation++
	p.Spec = spec
	if err == nil {
		err = w.Update(w.Context(), p)
	} else {
		err = w.Create(w.Context(), p)
	}
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) look() (ctrl.Result, error) {
	return w.Reconcile(w.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Name: "own"}})
}

// looks has codb look once without trouble.
func (w *world) looks() *v1alpha1.CampaignPolicy {
	w.Helper()
	if res, err := w.look(); err != nil || res.RequeueAfter != 0 {
		w.Fatalf("look: %+v %v", res, err)
	}
	return w.policy()
}

func (w *world) policy() *v1alpha1.CampaignPolicy {
	w.Helper()
	p := &v1alpha1.CampaignPolicy{}
	if err := w.Get(w.Context(), client.ObjectKey{Name: "own"}, p); err != nil {
		w.Fatal(err)
	}
	return p
}

// inForce says which generation acme's campaigns are judged by: 0, none; -1,
// they are blocked.
func (w *world) inForce() int64 {
	set, blocked := w.Book.For(policy.Facts{Brand: "acme"})
	switch {
	case len(blocked) > 0:
		return -1
	case len(set) == 0:
		return 0
	}
	return set[0].Policy.Generation
}

func (w *world) announced() (out []string) {
	for {
		select {
		case e := <-w.said.Events:
			out = append(out, e)
		default:
			return out
		}
	}
}

func ready(p *v1alpha1.CampaignPolicy) metav1.Condition {
	if c := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionReady); c != nil {
		return *c
	}
	return metav1.Condition{}
}

func TestARevisionIsKeptWordForWord(t *testing.T) {
	w := newWorld(t)
	w.is(says("Never"))
	p := w.looks()
	in := p.Status.InForce
	if in == nil || in.Generation != 1 || p.Status.Tests != "1/1" || ready(p).Status != metav1.ConditionTrue || p.Status.ObservedGeneration != 1 {
		t.Fatalf("status: %+v", p.Status)
	}
	rev := &appsv1.ControllerRevision{}
	if err := w.Get(t.Context(), client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: in.ControllerRevision}, rev); err != nil {
		t.Fatal(err)
	}
	var kept v1alpha1.CampaignPolicySpec
	if err := json.Unmarshal(rev.Data.Raw, &kept); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p.Spec, kept); diff != "" {
		t.Errorf("what was kept (-want +got):\n%s", diff)
	}
	if want := "own-1-" + strings.TrimPrefix(in.Digest, "sha256:")[:8]; rev.Name != want || rev.Revision != 1 || rev.Labels[v1alpha1.LabelPolicy] != "own" {
		t.Errorf("it is called %s of %v, revision %d; want %s of own, 1", rev.Name, rev.Labels, rev.Revision, want)
	}
	if set, _ := w.Book.For(policy.Facts{Brand: "acme"}); set[0].Digest != in.Digest || set[0].Digest != library().Digest(policy.FromObject(p)) {
		t.Errorf("the book judges by %s, the status says %s", set[0].Digest, in.Digest)
	}
	w.looks()
	if said := w.announced(); len(said) != 1 || !strings.HasPrefix(said[0], "Normal Ready in force: 0 rules and own Rego, 1 of 1 cases pass") {
		t.Errorf("announced %q, want it once", said)
	}
}

// A policy's second revision is no good, in one way or another.
func TestWhatStaysInForce(t *testing.T) {
	for name, tc := range map[string]struct {
		second  v1alpha1.CampaignPolicySpec
		happens func(*world) // before the last look
		want    int64
		reason  string
		says    string
	}{
		"AGoodOneTakesItsPlace":          {second: says("Other"), want: 2, reason: v1alpha1.ReasonReady, says: "in force"},
		"CasesThatFailAreNamed":          {second: broken("Other"), want: 1, reason: v1alpha1.ReasonTestsFailed, says: "1 of 2 cases fail: everybody: want Allow, got Deny"},
		"NotRego":                        {second: notRego(), want: 1, reason: v1alpha1.ReasonNotCompiled, says: "spec.rego: line 3"},
		"AfterARestart":                  {second: broken("Other"), happens: (*world).restart, want: 1, reason: v1alpha1.ReasonTestsFailed, says: "generation 1 stays in force"},
		"ARevisionThatTheCacheHasNotYet": {second: broken("Other"), happens: func(w *world) { w.hidden = true; w.restart() }, want: 1, reason: v1alpha1.ReasonTestsFailed, says: "generation 1 stays in force"},
		"ARevisionThatIsGone": {second: broken("Other"), happens: func(w *world) {
			if err := w.DeleteAllOf(w.Context(), &appsv1.ControllerRevision{}, client.InNamespace(v1alpha1.SystemNamespace)); err != nil {
				w.Fatal(err)
			}
			w.restart()
		}, want: -1, reason: v1alpha1.ReasonTestsFailed, says: "nothing is in force, and campaigns that it matches are blocked"},
		"AGoodOneThatANewerLibraryRefuses": {second: broken("Other"), happens: func(w *world) { w.refuses = "Never"; w.restart() }, want: -1, reason: v1alpha1.ReasonTestsFailed, says: "nothing is in force"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.is(says("Never"))
			w.looks()
			w.is(tc.second)
			w.looks()
			if tc.happens != nil {
				tc.happens(w)
			}
			p := w.looks()
			if got := w.inForce(); got != tc.want {
				t.Errorf("generation %d is in force, want %d", got, tc.want)
			}
			if c := ready(p); c.Reason != tc.reason || !strings.Contains(c.Message, tc.says) {
				t.Errorf("Ready is %s: %s; want %s: %s", c.Reason, c.Message, tc.reason, tc.says)
			}
			if in := p.Status.InForce; (in == nil) != (tc.want < 0) || in != nil && in.Generation != tc.want {
				t.Errorf("the status says that %+v is in force", in)
			}
		})
	}
}

func TestTheFirstRevisionIsNoGood(t *testing.T) {
	w := newWorld(t)
	w.is(broken("Other"))
	p := w.looks()
	if w.inForce() != -1 || p.Status.InForce != nil {
		t.Errorf("in force: %d, %+v", w.inForce(), p.Status.InForce)
	}
	if diff := cmp.Diff([]string{"everybody: want Allow, got Deny Other"}, p.Status.Failures); diff != "" || p.Status.Tests != "1/2" {
		t.Errorf("%s cases, failures (-want +got):\n%s", p.Status.Tests, diff)
	}
	if said := w.announced(); len(said) != 1 || !strings.HasPrefix(said[0], "Warning TestsFailed") {
		t.Errorf("announced %q", said)
	}
}

func TestAFailingEngineChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.is(says("Never"))
	w.looks()
	w.engine = errDown
	w.is(says("Other"))
	if _, err := w.look(); !errors.Is(err, errDown) {
		t.Errorf("the error is %v", err)
	}
	if c := ready(w.policy()); c.Status != metav1.ConditionUnknown || c.Reason != v1alpha1.ReasonEngineFailed || w.inForce() != 1 {
		t.Errorf("Ready is %+v, generation %d in force", c, w.inForce())
	}
	if w.Book.Knows([]v1alpha1.CampaignPolicy{*w.policy()}) {
		t.Error("a generation that nobody looked at counts as known: campaigns would be released under the one before")
	}
	w.engine = nil
	if w.looks(); w.inForce() != 2 {
		t.Errorf("generation %d is in force, want 2", w.inForce())
	}
}

// Nothing wakes codb when a machine is no longer busy.
func TestWhatWasStoppedIsTriedAgain(t *testing.T) {
	for name, follow := range map[string]bool{"Operator": false, "Gate": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.is(says("Never"))
			w.Follow, w.busy = follow, true
			if res, err := w.look(); err != nil || res.RequeueAfter != time.Minute {
				t.Errorf("look: %+v %v, want another in a minute", res, err)
			}
			if n := w.inForce(); n > 0 {
				t.Errorf("generation %d is in force", n)
			}
			w.busy = false
			if w.looks(); w.inForce() != 1 {
				t.Errorf("generation %d is in force, want 1", w.inForce())
			}
		})
	}
}

// Nothing wakes codb of a status: it must look again by itself.
func TestSomebodyElseIsFaster(t *testing.T) {
	w := newWorld(t)
	w.is(says("Never"))
	w.race = func() {
		p := w.policy()
		p.Labels = map[string]string{"team": "legal"}
		if err := w.Update(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	res, err := w.look()
	if err != nil || res.RequeueAfter <= 0 || res.RequeueAfter > time.Second {
		t.Errorf("it looks again after %s, error %v", res.RequeueAfter, err)
	}
	if said := w.announced(); len(said) > 0 {
		t.Errorf("announced what no status says: %q", said)
	}
	if p := w.looks(); ready(p).Status != metav1.ConditionTrue || len(w.announced()) != 1 {
		t.Errorf("the next look left %+v", p.Status)
	}
}

func TestAPolicyThatIsGoneIsForgotten(t *testing.T) {
	w := newWorld(t)
	w.is(says("Never"))
	p := w.looks()
	if err := w.Delete(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if _, err := w.look(); err != nil || w.inForce() != 0 {
		t.Errorf("generation %d is in force, error %v", w.inForce(), err)
	}
}

func TestFailuresAreBounded(t *testing.T) {
	w := newWorld(t)
	s := says("Never")
	for i := range 40 {
		c := broken("x").Tests[1]
		c.Name = fmt.Sprintf("case %d", i)
		for j := range 8 {
			c.Expect.Reasons = append(c.Expect.Reasons, fmt.Sprint(j, strings.Repeat("Ü", 100)))
		}
		s.Tests = append(s.Tests, c)
	}
	w.is(s)
	p := w.looks()
	if len(p.Status.Failures) != 16 || p.Status.Tests != "1/41" {
		t.Errorf("%d failures, tests %s", len(p.Status.Failures), p.Status.Tests)
	}
	for _, f := range p.Status.Failures {
		if len(f) > 512 || !strings.HasSuffix(f, "...") || strings.ContainsRune(f, '�') {
			t.Errorf("a failure of %d bytes: %q", len(f), f)
		}
	}
}

func TestTheStatusSaysByWhatRulesAreEvaluated(t *testing.T) {
	w := newWorld(t)
	spec := says("Never")
	spec.Rules = []v1alpha1.RuleUse{{Name: "pause"}}
	spec.Rego += `hold contains {"code": "Half", "message": "h"} if input.customer.bucket / 2 > 5000` + "\n"
	w.is(spec)
	engines := w.looks().Status.Engines
	if len(engines) != 2 || engines[0] != (v1alpha1.RuleEngine{Rule: "pause", Engine: v1alpha1.EngineNative}) ||
		engines[1].Rule != "rego" || engines[1].Engine != v1alpha1.EnginePlan || !strings.Contains(engines[1].Why, "spec.rego:4") {
		t.Errorf("engines %+v", engines)
	}
}

// A rule that OPA answers otherwise than the native engine is named, in the status
// and once to people.
func TestARuleThatOPAAnswersOtherwiseIsNamed(t *testing.T) {
	w := newWorld(t)
	w.is(says("Never"))
	if e := w.looks().Status.Engines; len(e) != 1 || e[0].Engine != v1alpha1.EngineNative {
		t.Fatalf("engines: %+v", e)
	}
	w.announced()
	changed := w.Book.Changed()
	w.Book.Differ("own", policy.OwnRule)
	select {
	case <-changed:
	default:
		t.Error("nobody hears of it")
	}
	p := w.looks()
	if e := p.Status.Engines[0]; e.Engine != v1alpha1.EngineOPA || e.Why != policy.WhyDoubted {
		t.Errorf("engines: %+v", e)
	}
	w.looks()
	if said := w.announced(); len(said) != 1 || !strings.HasPrefix(said[0], "Warning EnginesDiffer rule rego: OPA answered otherwise") {
		t.Errorf("announced %q, want it once", said)
	}
	w.is(says("Other"))
	if e := w.looks().Status.Engines; e[0].Engine != v1alpha1.EngineNative {
		t.Errorf("another revision is not tried natively: %+v", e)
	}
}
