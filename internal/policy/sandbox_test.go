package policy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/decision"
)

// bomb is a policy of 18 nested comprehensions, which OPA compiles for minutes.
var bomb = "package codb.policy\ndeny contains x if x := " + strings.Repeat("[y|y:=", 18) + "1" + strings.Repeat("]", 18)

// Rego that would run for minutes, if it got as far as running.
var exhaustive = map[string]string{
	"CompilesForMinutes":    bomb,
	"BuiltinWithoutBreak":   `package codb.policy` + "\n" + `deny contains {"code": "A"} if bits.lsh(1, 200000000) > input.customer.bucket`,
	"DeepBracketsToParse":   "package codb.policy\nx if " + strings.Repeat("{", 60000),
	"DeepTemplateToCompile": "package codb.policy\nimport rego.v2\nx := " + strings.Repeat("$`{", 18) + "1" + strings.Repeat("}`", 18),
	"DeepKeysToCompile":     "package codb.policy\nx := " + strings.Repeat("{", 60) + "1" + strings.Repeat(":1}", 60),
}

func TestExhaustiveRegoIsRefusedAtOnceWithoutRunning(t *testing.T) {
	s := sandbox(t, small(t), workerBroke, Options{}) // it needs no worker
	for name, text := range exhaustive {
		t.Run(name, func(t *testing.T) {
			begun := time.Now()
			report, err := s.Check(t.Context(), Policy{Name: "evil", Rego: text})
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begun); took > 900*time.Millisecond {
				t.Errorf("refused after %s", took)
			}
			if len(report.Problems) == 0 {
				t.Fatal("not refused")
			}
			p := report.Problems[0]
			if p.File != "spec.rego" || p.Line == 0 || p.Column == 0 || p.Remedy == "" {
				t.Errorf("no file, line, column or remedy: %#v", p)
			}
		})
	}
}

func TestWorkerIsKilledWhereLintIsBypassed(t *testing.T) {
	huge := "deny contains {\"code\": \"A\", \"message\": \"\"} if "
	tests := map[string]struct {
		policy Policy
		want   error
	}{
		"CompilesForMinutes":  {Policy{Name: "evil", Rego: bomb}, errTime},
		"BuiltinWithoutBreak": {own(huge + "bits.lsh(1, 200000000) > 1"), errTime},
		"LoopsForEver":        {own(huge + "count({1 | some a in numbers.range(1, 100000); some b in numbers.range(1, 100000); a * b == -1}) > 0"), errTime},
		"HugeRange":           {own(huge + "count(numbers.range(1, 500000000)) == 1"), errMemory},
		"HugeProduct": {own(huge + `count([[a, b, c, input.customer.bucket] |
			some a in numbers.range(1, 2000)
			some b in numbers.range(1, 2000)
			some c in numbers.range(1, 2000)]) == 1`), errMemory},
		"HugeText":   {own(huge + `count(concat("", [x | some i in numbers.range(1, 100000000); x := sprintf("%d long text that is kept", [i])])) == 1`), errMemory},
		"HugeNumber": {own(huge + "floor(product([1e300 | some i in numbers.range(1, 50000)])) > input.customer.bucket"), errTime},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := Options{CheckTimeout: 700 * time.Millisecond, MemoryBytes: 2 << 30}
			if errors.Is(tc.want, errMemory) {
				o = Options{CheckTimeout: time.Minute, MemoryBytes: 128 << 20}
			}
			s := sandbox(t, small(t), workerWide, o)
			// A case, so that the policy is not only compiled but run.
			tc.policy.Tests = []v1alpha1.PolicyTest{{Name: "anybody", Customer: *raw(`{}`)}}
			if _, err := s.check(t.Context(), Policy{Name: "fine", Rules: []v1alpha1.RuleUse{{Name: "pause"}}}); err != nil {
				t.Fatal(err) // also brings the worker up
			}
			report, err := s.check(t.Context(), tc.policy)
			if err != nil {
				t.Fatal(err)
			}
			p, ok := problem(report.Problems, ProblemExhaustive)
			if !ok || !strings.Contains(p.Message, tc.want.Error()) || p.File != "spec.rego" || p.Remedy == "" {
				t.Errorf("want a problem about %q, got %v", tc.want, report)
			}
			if report, err = s.check(t.Context(), own(`deny contains {"code": "A"} if input.customer.bucket < 0`)); err != nil || len(report.Problems) > 0 {
				t.Errorf("the next policy suffers: %v, %v", report, err)
			}
		})
	}
}

// slow loops for one customer only.
const slow = `deny contains {"code": "Slow", "message": ""} if {
	input.customer.bucket == %s
	count({1 | some a in numbers.range(1, 100000); some b in numbers.range(1, 100000); a * b == -1}) > 0
}
deny contains {"code": "Odd", "message": ""} if input.customer.bucket %% 2 == 1`

func TestOneCustomerAtFaultDeniesAloneAndTheOthersAreAnswered(t *testing.T) {
	lib := small(t)
	s := sandbox(t, lib, workerSmall, Options{EvalTimeout: 400 * time.Millisecond, BatchSize: 8})
	evil := own(fmt.Sprintf(slow, "5"))
	other := own(`hold contains {"code": "Three", "message": ""} if input.customer.bucket == 5`)
	other.Name = "other"
	j, err := s.Load(t.Context(), []Policy{lib.Floor(), evil, other})
	if err != nil {
		t.Fatal(err)
	}
	q := question(20)
	got, err := j.Judge(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range got {
		var want []string
		switch {
		case i == 5:
			want = []string{"EvaluationFailed", "Three"}
			if r := a.Reasons[0]; r.Policy != "own" || r.Rule != OwnRule || r.Verdict != v1alpha1.VerdictDeny || r.Mode != v1alpha1.ModeEnforce {
				t.Errorf("the wrong one is blamed: %+v", r)
			}
			if !a.StaleAt.Equal(noon.Add(again)) {
				t.Errorf("a failure is looked at again at %s", a.StaleAt)
			}
		case i%2 == 1:
			want = []string{"Odd"}
		}
		if diff := cmp.Diff(want, codes(a)); diff != "" {
			t.Errorf("customer %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestHopelessPolicyIsStruckOutAfterThreeKills(t *testing.T) {
	lib := small(t)
	s := sandbox(t, lib, workerSmall, Options{EvalTimeout: 300 * time.Millisecond})
	evil := own(fmt.Sprintf(slow, "input.customer.bucket"))
	other := own(`hold contains {"code": "Held", "message": ""}`)
	other.Name = "other"
	j, err := s.Load(t.Context(), []Policy{evil, other})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got, err := j.Judge(t.Context(), question(200))
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range got {
			if diff := cmp.Diff([]string{"EvaluationFailed", "Held"}, codes(a)); diff != "" {
				t.Fatalf("customer %d (-want +got):\n%s", i, diff)
			}
		}
	}
	if out := j.(*judge).struckOut(); len(out) != 1 || out[0] != 0 {
		t.Errorf("struck out: %v", out)
	}
	// The first try may take its budget, then three kills; never one a customer.
	if n := testutil.ToFloat64(s.kills.total.WithLabelValues("time")); n < 3 || n > 4 {
		t.Errorf("%v workers were killed, want 3 or 4", n)
	}
}

func TestMemoryOfOneCustomerIsAnAnswerToo(t *testing.T) {
	lib := small(t)
	s := sandbox(t, lib, workerSmall, Options{EvalTimeout: 20 * time.Second, MemoryBytes: 128 << 20})
	j, err := s.Load(t.Context(), []Policy{own(`deny contains {"code": "A", "message": ""} if {
		input.customer.bucket == 1
		count(numbers.range(1, 500000000)) == 1
	}`)})
	if err != nil {
		t.Fatal(err)
	}
	got, err := j.Judge(t.Context(), question(3))
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{nil, {"EvaluationFailed"}, nil}
	if diff := cmp.Diff(want, [][]string{codes(got[0]), codes(got[1]), codes(got[2])}); diff != "" {
		t.Errorf("codes (-want +got):\n%s", diff)
	}
}

func TestSandboxAnswersAsTheInterpreterDoes(t *testing.T) {
	lib := small(t)
	s := sandbox(t, lib, workerSmall, Options{Workers: 2, BatchSize: 7})
	ps := []Policy{lib.Floor(), own(`
deny contains {"code": "Low", "message": sprintf("bucket %d", [input.customer.bucket])} if input.customer.bucket < 20
hold contains {"code": "Later", "message": "wait", "until": input.now + 60000000000} if input.customer.bucket % 3 == 0
wake contains input.now + (input.customer.bucket * 1000000000)`)}
	j, err := s.Load(t.Context(), ps)
	if err != nil {
		t.Fatal(err)
	}
	q := question(100)
	got, err := j.Judge(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ask(t, lib, q, ps...), got); diff != "" {
		t.Errorf("answers (-interpreter +sandbox):\n%s", diff)
	}
	if want := lib.DigestAll(ps); j.Digest() != want {
		t.Errorf("digest %s, want %s", j.Digest(), want)
	}
}

func TestErrorsAreNotVerdicts(t *testing.T) {
	lib := small(t)
	t.Run("NoRuleAtAll", func(t *testing.T) {
		if _, err := sandbox(t, lib, workerSmall, Options{}).Load(t.Context(), nil); err == nil {
			t.Error("no policies allow everybody")
		}
	})
	t.Run("WorkerDoesNotStart", func(t *testing.T) {
		_, err := sandbox(t, lib, workerBroke, Options{}).Load(t.Context(), []Policy{lib.Floor()})
		if err == nil || !strings.Contains(err.Error(), "no such thing") {
			t.Errorf("want what the worker said, got %v", err)
		}
	})
	t.Run("WorkerHasAnotherLibrary", func(t *testing.T) {
		_, err := sandbox(t, lib, workerReal, Options{}).Load(t.Context(), []Policy{lib.Floor()})
		if err == nil || !strings.Contains(err.Error(), "libraries differ") {
			t.Errorf("want a refusal, got %v", err)
		}
	})
	t.Run("PolicyDoesNotCompile", func(t *testing.T) {
		_, err := sandbox(t, lib, workerSmall, Options{}).Load(t.Context(), []Policy{own("deny contains x if y == 1")})
		if err == nil || !strings.Contains(err.Error(), "var x is unsafe") {
			t.Errorf("want the compiler's word, got %v", err)
		}
	})
	t.Run("CallerGoesAway", func(t *testing.T) {
		s := sandbox(t, lib, workerSmall, Options{EvalTimeout: time.Minute})
		j, err := s.Load(t.Context(), []Policy{own(fmt.Sprintf(slow, "0"))})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := j.Judge(ctx, question(1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("want the context's error, got %v", err)
		}
		if got, err := j.Judge(t.Context(), questionFrom(1, 1)); err != nil || len(got) != 1 {
			t.Errorf("the next question suffers: %v, %v", got, err)
		}
	})
	t.Run("Closed", func(t *testing.T) {
		s := sandbox(t, lib, workerSmall, Options{EvalTimeout: time.Minute})
		j, err := s.Load(t.Context(), []Policy{own(fmt.Sprintf(slow, "0"))})
		if err != nil {
			t.Fatal(err)
		}
		asked := make(chan error)
		go func() {
			_, err := j.Judge(context.Background(), question(1))
			asked <- err
		}()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-asked; !errors.Is(err, errClosed) {
			t.Errorf("want errClosed, got %v", err)
		}
		if _, err := s.Check(t.Context(), lib.Floor()); !errors.Is(err, errClosed) {
			t.Errorf("want errClosed, got %v", err)
		}
	})
}

// questionFrom asks about customers whose buckets count from one.
func questionFrom(first, customers int) decision.Question {
	q := question(customers)
	for i := range q.Subjects {
		q.Subjects[i].Person.Bucket += first
	}
	return q
}

// A worker that somebody else killed while it was idle is not the policy's fault.
func TestKilledWorkerIsReplaced(t *testing.T) {
	lib := small(t)
	s := sandbox(t, lib, workerSmall, Options{})
	j, err := s.Load(t.Context(), []Policy{lib.Floor()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Check(t.Context(), lib.Floor()); err != nil {
		t.Fatal(err)
	}
	for _, from := range []pool{s.judging, s.checking} {
		p := <-from
		p.kill()
		from <- p
	}
	if got, err := j.Judge(t.Context(), question(3)); err != nil || len(got) != 3 || len(got[0].Reasons) > 0 {
		t.Errorf("answers %v, %v", got, err)
	}
	if report, err := s.Check(t.Context(), lib.Floor()); err != nil || len(report.Problems) > 0 {
		t.Errorf("report %v, %v", report, err)
	}
}
