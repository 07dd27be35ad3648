package policy

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/policies"
)

// reference is OPA in this process, which counts whom it is asked about and may
// be made to lie.
type reference struct {
	mu sync.Mutex
	*Interpreter
	asked int
	lie   func(a *decision.Answer)
	fails error
}

func (r *reference) Judge(ctx context.Context, q decision.Question) ([]decision.Answer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked += len(q.Subjects)
	if r.fails != nil {
		return nil, r.fails
	}
	answers, err := r.Interpreter.Judge(ctx, q)
	if r.lie != nil {
		for i := range answers {
			r.lie(&answers[i])
		}
	}
	return answers, err
}

// fronted is an engine in front of OPA.
func fronted(t *testing.T, lib *Library, ps ...Policy) (*engine, *reference, *prometheus.Registry) {
	t.Helper()
	i, err := NewInterpreter(lib, ps)
	if err != nil {
		t.Fatal(err)
	}
	metrics := prometheus.NewPedanticRegistry()
	r := &reference{Interpreter: i}
	e, ok := newEngine(sandbox(t, lib, workerReal, Options{Metrics: metrics}), ps, r).(*engine)
	if !ok {
		t.Fatal("no engine")
	}
	return e, r, metrics
}

// counted is what a counter stands at, all of its labels together.
func counted(t *testing.T, g prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

func mustJudge(t *testing.T, j decision.Judge, q decision.Question) []decision.Answer {
	t.Helper()
	answers, err := j.Judge(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return answers
}

func TestEngineAsksOPAAboutFew(t *testing.T) {
	lib := load(t, policies.FS)
	e, opa, metrics := fronted(t, lib, everyRule(lib)...)
	q := people(500)
	got := mustJudge(t, e, q)
	first := opa.asked
	if first == 0 || first > 100 {
		t.Errorf("OPA was asked about %d of 500", first)
	}
	if diff := cmp.Diff(mustJudge(t, opa.Interpreter, q), got); diff != "" {
		t.Errorf("answers (-OPA +engine):\n%s", diff)
	}
	mustJudge(t, e, q)
	if again := opa.asked - first; again > 5 {
		t.Errorf("OPA was asked about %d of the same 500", again)
	}
	if n := counted(t, metrics, "consent_policy_answers_total"); n != 1000 {
		t.Errorf("%v answers are counted", n)
	}
}

// What OPA has confirmed of a rule it is not asked again, whichever campaign the
// rule is part of, unless it reads what tells the campaigns apart.
func TestWhatIsConfirmedStaysSo(t *testing.T) {
	lib := load(t, policies.FS)
	e, opa, _ := fronted(t, lib, lib.Floor())
	q := people(manyAsked - 1) // nobody is chosen evenly of less than a run
	mustJudge(t, e, q)
	first := opa.asked
	parts := map[string]bool{}
	for _, a := range mustJudge(t, opa.Interpreter, q) {
		for _, r := range a.Reasons {
			parts[r.Rule+r.Code+r.Message] = true
		}
	}
	if least := confirmed; first < least || first > confirmed*(2*len(parts)+len(e.asked.uses)) {
		t.Errorf("OPA was asked about %d; there are %d reasons", first, len(parts))
	}
	q.Campaign.Name = "summer"
	mustJudge(t, e, q)
	if n := opa.asked - first; 2*n > first { // of what only few people have, there is more to confirm
		t.Errorf("OPA was asked about %d for a campaign of another name", n)
	}
	before := opa.asked
	q.Campaign.Purpose = "Research"
	mustJudge(t, e, q)
	if n := opa.asked - before; n < confirmed {
		t.Errorf("OPA was asked about %d for a campaign with another purpose", n)
	}
}

// Whatever is confirmed, of each run some are chosen evenly.
func TestOfEachRunSomeAreConfirmed(t *testing.T) {
	lib := load(t, policies.FS)
	e, opa, _ := fronted(t, lib, lib.Floor())
	source := newCrowd(people(100).Subjects, 64*manyAsked)
	s := decision.Sweep{Now: june, Campaigns: campaignsOf(1), Source: source, Answer: func(int, int, *decision.Bulk) error { return nil }}
	if err := e.Sweep(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	before := opa.asked
	if err := e.Sweep(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if n := opa.asked - before; n < evenly/2 || n > 2*evenly {
		t.Errorf("OPA was asked about %d of a run", n)
	}
}

// A rule that OPA answers otherwise is left to it at once, for whichever campaign;
// the others are not.
func TestADifferenceLeavesTheRuleToOPA(t *testing.T) {
	lib := load(t, policies.FS)
	e, opa, metrics := fronted(t, lib, lib.Floor(), own(`deny contains {"code": "Even", "message": "even"} if input.customer.bucket % 2 == 0`))
	var told []string
	e.sandbox.differed = func(policy, rule string) { told = append(told, policy+"/"+rule) }
	opa.lie = func(a *decision.Answer) {
		a.Reasons = slices.DeleteFunc(a.Reasons, func(r decision.Reason) bool { return r.Rule == OwnRule })
	}
	q := people(50)
	_ = mustJudge(t, e, q)
	if n := counted(t, metrics, "consent_policy_differences_total"); n == 0 || !slices.Contains(told, "own/"+OwnRule) {
		t.Fatalf("%v differences are counted, and told of %v", n, told)
	}
	opa.lie = nil
	fresh, _, _ := fronted(t, lib, lib.Floor(), own(`deny contains {"code": "Even", "message": "even"} if input.customer.bucket % 2 == 0`))
	fresh.sandbox.certain.doubt(fresh.asked.uses[len(fresh.asked.uses)-1].alike)
	q.Campaign.Name = "summer"
	if diff := cmp.Diff(mustJudge(t, opa.Interpreter, q), mustJudge(t, fresh, q)); diff != "" {
		t.Errorf("answers (-OPA +engine):\n%s", diff)
	}
	rest, ok := fresh.standing(q.Campaign, fresh.sandbox.certain.now()).rest.(*judge)
	if !ok || rest.planned || len(rest.policies) != 1 || rest.policies[0].Rego == "" {
		t.Errorf("what OPA disagreed with is judged by %+v", rest)
	}
}

// A worker that a busy machine had killed says nothing of the engine, and confirms
// nothing.
func TestAStoppedWorkerIsNoDifference(t *testing.T) {
	lib := load(t, policies.FS)
	e, opa, metrics := fronted(t, lib, lib.Floor())
	opa.lie = func(a *decision.Answer) {
		a.Reasons = append(a.Reasons, decision.Reason{Code: v1alpha1.CodeEvaluationFailed, Verdict: v1alpha1.VerdictDeny, Message: exceeds, Policy: FloorName, Rule: "opt-in"})
	}
	q := people(50)
	sweep := decision.Sweep{Now: q.Now, Campaigns: campaignsOf(1), Source: newCrowd(q.Subjects, 50), Answer: func(int, int, *decision.Bulk) error { return nil }}
	if _, err := e.Judge(t.Context(), q); !errors.Is(err, errStopped) {
		t.Errorf("about some: %v", err)
	}
	if err := e.Sweep(t.Context(), sweep); !errors.Is(err, errStopped) {
		t.Errorf("about everybody: %v", err)
	}
	opa.lie = nil
	if diff := cmp.Diff(mustJudge(t, opa.Interpreter, q), mustJudge(t, e, q)); diff != "" || counted(t, metrics, "consent_policy_differences_total") > 0 {
		t.Errorf("later (-OPA +engine):\n%s", diff)
	}
}

func TestOwnRegoIsAnsweredNatively(t *testing.T) {
	lib := load(t, policies.FS)
	ps := append(everyRule(lib), own(`deny contains {"code": "Even", "message": "even"} if input.customer.bucket % 2 == 0
hold contains {"code": "Late", "message": "late", "until": input.now + 60000000000} if input.customer.bucket % 3 == 0`))
	e, opa, metrics := fronted(t, lib, ps...)
	q := people(500)
	got := mustJudge(t, e, q)
	if opa.asked > 200 {
		t.Errorf("OPA was asked about %d of 500", opa.asked)
	}
	if made := e.standing(q.Campaign, noDoubts); made.rest != nil || !made.native {
		t.Errorf("workers are asked about %+v", made.rest)
	}
	if diff := cmp.Diff(mustJudge(t, opa.Interpreter, q), got); diff != "" || counted(t, metrics, "consent_policy_differences_total") > 0 {
		t.Errorf("answers (-OPA +engine):\n%s", diff)
	}
}

func TestOPAsFailureIsAnError(t *testing.T) {
	lib := load(t, policies.FS)
	e, opa, _ := fronted(t, lib, lib.Floor())
	opa.fails = errors.New("down")
	if got, err := e.Judge(t.Context(), people(20)); !errors.Is(err, opa.fails) || got != nil {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestEngines(t *testing.T) {
	lib := load(t, policies.FS)
	p := everyRule(lib)[1]
	p.Rego = own(`deny contains {"code": "A", "message": ""} if input.customer.bucket == 0`).Rego
	got := Engines(p, lib.Try(t.Context(), p))
	for _, e := range got {
		if e.Engine != v1alpha1.EngineNative || e.Why != "" {
			t.Errorf("%+v", e)
		}
	}
	p.Rego = own("deny contains {\"code\": \"A\", \"message\": \"\"} if {\n\tsome g in input.customer.relationship.grants\n\tg.captureDate / 2 > input.now\n}").Rego
	last := Engines(p, lib.Try(t.Context(), p))[len(lib.Rules())]
	for _, word := range []string{"spec.rego:7", "division", "multiply the other side"} {
		if last.Engine != v1alpha1.EnginePlan || !strings.Contains(last.Why, word) {
			t.Errorf("%+v lacks %q", last, word)
		}
	}
	if len(got) != len(lib.Rules())+1 {
		t.Errorf("engines of %d rules", len(got))
	}
}
