package policy

import (
	"context"
	"errors"
	"slices"
	"strings"
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
	*Interpreter
	asked int
	lie   func(a *decision.Answer)
	fails error
}

func (r *reference) Judge(ctx context.Context, q decision.Question) ([]decision.Answer, error) {
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
	e.worth = 0
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

// A plan takes as long to make as OPA takes for some tens of customers: a
// thousand campaigns to one person each must not make a thousand plans.
func TestFewCustomersAreNotWorthAPlan(t *testing.T) {
	lib := load(t, policies.FS)
	e, opa, _ := fronted(t, lib, lib.Floor())
	e.worth = worthwhile
	for range 3 {
		mustJudge(t, e, people(10))
	}
	if opa.asked != 30 {
		t.Errorf("OPA was asked about %d of 30", opa.asked)
	}
	mustJudge(t, e, people(500))
	if opa.asked > 100 {
		t.Errorf("OPA was asked about %d, once there was a plan", opa.asked)
	}
}

func TestEachRunIsConfirmedAnew(t *testing.T) {
	lib := load(t, policies.FS)
	e, opa, _ := fronted(t, lib, lib.Floor())
	q := people(manyAsked)
	mustJudge(t, e, q)
	first := opa.asked
	mustJudge(t, e, q)
	sets := map[string]bool{}
	for _, a := range mustJudge(t, opa.Interpreter, q) {
		sets[strings.Join(codes(a), " ")] = true
	}
	if least := confirmed * len(sets); first < least || opa.asked-first < least {
		t.Errorf("OPA was asked about %d, then %d; there are %d sets of reasons", first, opa.asked-first, len(sets))
	}
}

func TestADifferenceQuarantinesThePlan(t *testing.T) {
	lib := load(t, policies.FS)
	e, opa, metrics := fronted(t, lib, lib.Floor())
	opa.lie = func(a *decision.Answer) {
		a.Reasons = []decision.Reason{{Code: "Other", Verdict: v1alpha1.VerdictDeny}}
	}
	q := people(20)
	for range 2 { // OPA's word counts, at once and from then on
		for _, a := range mustJudge(t, e, q) {
			if !slices.Equal(codes(a), []string{"Other"}) {
				t.Fatalf("the plan's answer counts: %+v", a)
			}
		}
	}
	if n := counted(t, metrics, "consent_policy_differences_total"); n != 1 || !e.Differs() {
		t.Errorf("%v differences are counted", n)
	}
	opa.lie = nil
	q.Campaign.Name = "summer"
	before := opa.asked
	mustJudge(t, e, q)
	if opa.asked-before >= 20 {
		t.Error("another campaign is in quarantine too")
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
	if made, _ := e.standing(q.Campaign, 0); made.rest != nil || !made.native {
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
