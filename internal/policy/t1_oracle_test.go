package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/policies"
)

// evilValues are policies that compile in a moment and go on for ever, or grow
// without bound, once they are asked about a value: %s is an attribute that has few.
var evilValues = map[string]string{
	"LoopsForEver": `
deny contains {"code": "A", "message": ""} if { slow(%s); input.customer.bucket >= 0 }
slow(x) if { x; count({1 | some a in numbers.range(1, 100000); some b in numbers.range(1, 100000); a * b == -1}) > 0 }`,
	"LoopsWithoutCollections": `
digits := {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20}
deny contains {"code": "A", "message": ""} if { slow(%s); input.customer.bucket >= 0 }
slow(x) if { x; some a in digits; some b in digits; some c in digits; some d in digits; some e in digits; some f in digits; a + b + c + d + e + f == 0 }`,
	"HugeRange": `
deny contains {"code": "A", "message": ""} if { huge(%s); input.customer.bucket >= 0 }
huge(x) if { x; count(numbers.range(1, 500000000)) == 1 }`,
	"HugeText": `
deny contains {"code": "A", "message": ""} if { input.customer.bucket >= 0; count(sprintf("` + strings.Repeat("%%1000000[1]v", 3000) + `", [%s])) == 1 }`,
	"HugeNumber": `
deny contains {"code": "A", "message": ""} if { huge(%s); input.customer.bucket >= 0 }
huge(x) if { x; floor(product([1e300 | some i in numbers.range(1, 50000)])) == 1 }`,
	"DoublingArrays": `
deny contains {"code": "A", "message": ""} if { huge(%s); input.customer.bucket >= 0 }
huge(x) if {
	a0 := [x, x, x, x, x, x, x, x]
	` + doubling(60) + `
	count(a60) == 1
}`,
}

func doubling(times int) string {
	var b strings.Builder
	for n := range times {
		fmt.Fprintf(&b, "a%d := array.concat(a%d, a%d)\n", n+1, n, n)
	}
	return b.String()
}

// What a policy's own Rego can grow to in a value, or not end with, a worker is
// asked for, whose limits are as for any other evaluation; nobody is allowed over
// it, and after three times it is not asked any more.
func TestValuesHaveTheSandboxesLimits(t *testing.T) {
	lib := load(t, policies.FS)
	for name, text := range evilValues {
		t.Run(name, func(t *testing.T) {
			p := own(fmt.Sprintf(text, "input.customer.language") + `
deny contains {"code": "B", "message": ""} if not input.customer.language`)
			s := sandbox(t, lib, workerReal, Options{EvalTimeout: 300 * time.Millisecond, MemoryBytes: 256 << 20, BatchSize: 4})
			opa, err := s.Load(t.Context(), []Policy{p})
			if err != nil {
				t.Fatal(err)
			}
			e := newEngine(s, []Policy{p}, opa).(*engine)
			q := question(12)
			for i := range q.Subjects {
				q.Subjects[i].Person.Language = fmt.Sprintf("l%d", i%6)
			}
			begun := time.Now()
			for _, a := range mustJudge(t, e, q) {
				if diff := cmp.Diff([]string{"EvaluationFailed"}, codes(a)); diff != "" {
					t.Fatalf("codes (-want +got):\n%s", diff)
				}
			}
			if took := time.Since(begun); took > time.Minute {
				t.Errorf("took %s", took)
			}
			if n := e.asked.elsewhere.strikes.Load(); n != maxStrikes {
				made := e.standing(q.Campaign, noDoubts)
				t.Errorf("%d strikes; rest %+v", n, made.rest)
			}
		})
	}
}

// What is tame is evaluated here, and what is not is the same from a worker.
func TestValuesAreTheSameFromAWorker(t *testing.T) {
	lib := load(t, policies.FS)
	p := own(`
deny contains {"code": "A", "message": sprintf("%s and %v", [input.customer.language, kinds(input.customer.jurisdiction)])} if {
	input.customer.bucket > 3
	input.customer.language
	input.customer.jurisdiction
}
deny contains {"code": "C", "message": "c"} if not input.customer.language
deny contains {"code": "D", "message": "d"} if not input.customer.jurisdiction
kinds(x) := {[y, {"of": x, "n": 1.5}] | some y in ["a", null, "\u00e9\n\""]}
hold contains {"code": "B", "message": "b"} if { quick(input.customer.language); input.customer.bucket < 5 }
quick(x) if lower(x) in {"de", "en"}`)
	s := sandbox(t, lib, workerReal, Options{})
	opa, err := s.Load(t.Context(), []Policy{p})
	if err != nil {
		t.Fatal(err)
	}
	e := newEngine(s, []Policy{p}, opa).(*engine)
	q := question(40)
	for i := range q.Subjects {
		q.Subjects[i].Person.Language = []string{"de", "EN", "fr", ""}[i%4]
		q.Subjects[i].Person.Jurisdiction = []string{"DE", "\x00", "", "x"}[i%4]
	}
	if diff := cmp.Diff(ask(t, lib, q, p), mustJudge(t, e, q)); diff != "" {
		t.Errorf("answers (-OPA +engine):\n%s", diff)
	}
	if e.Doubted() > 0 {
		t.Error("the plan was wrong")
	}
	for name, want := range map[string]string{
		"sprintf":                `"x 1"`,
		"to_number":              "",
		"data.codb.p0.own.kinds": `{[null, {"n": 1.5, "of": "x"}], ["a", {"n": 1.5, "of": "x"}], ["é\n\"", {"n": 1.5, "of": "x"}]}`,
	} {
		args := map[string][]ast.Value{
			"sprintf":                {ast.String("%s %d"), ast.MustParseTerm(`["x", 1]`).Value},
			"to_number":              {ast.String("x")},
			"data.codb.p0.own.kinds": {ast.String("x")},
		}
		ref, _ := ast.ParseRef(name)
		if ref == nil {
			ref = ast.Ref{ast.VarTerm(name)}
		}
		if v, err := e.asked.elsewhere.value(ref, args[name], ast.NewObject()); (err == nil) != (want != "") || want != "" && v.String() != want {
			t.Errorf("%s is %v, %v", name, v, err)
		}
	}
	tame := map[string]bool{"quick": true, "kinds": false}
	c := newProgram(e.asked, &e.mu).native
	for name, want := range tame {
		if got := c.tame(bundleRef("p0", "own", name)); got != want {
			t.Errorf("%s is tame: %t", name, got)
		}
	}
}

// Own Rego that unrolls without end is not compiled, within a moment.
func TestCompilingHasLimits(t *testing.T) {
	lib := load(t, policies.FS)
	var loops strings.Builder
	for n := range 8 {
		fmt.Fprintf(&loops, "some a%d in {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20}\n", n)
	}
	q := question(0)
	for name, text := range map[string]string{
		"Loops":    `deny contains {"code": "A", "message": ""} if {` + "\n" + loops.String() + `a0 + a1 + a2 + a3 + a4 + a5 + a6 + a7 == input.customer.bucket }`,
		"Doubling": "r0 if input.customer.bucket > 1\n" + halves(60) + `deny contains {"code": "A", "message": ""} if r60`,
	} {
		begun := time.Now()
		_, refused, _ := compiled(t, lib, q, own(text))
		if len(refused) != 1 || !strings.Contains(refused[0].Why, "combinations") && !strings.Contains(refused[0].Why, "too long") {
			t.Errorf("%s: %+v", name, refused)
		}
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("%s took %s", name, took)
		}
	}
}

// halves are rules each of which asks twice for the one before.
func halves(times int) string {
	var b strings.Builder
	for n := range times {
		fmt.Fprintf(&b, "r%d if { r%d; input.customer.bucket > %d }\nr%d if { r%d; input.customer.bucket < %d }\n", n+1, n, n, n+1, n, n)
	}
	return b.String()
}

// A customer with so much that loops within loops would not end is left to
// workers, which can be killed.
func TestLoopsOverHugeListsAreLeftToWorkers(t *testing.T) {
	lib := load(t, policies.FS)
	p := own(`deny contains {"code": "A", "message": ""} if {
	some a in input.contacts.sent
	some b in input.contacts.sent
	some c in input.contacts.sent
	(a.at + b.at) + c.at == input.customer.bucket
}`)
	q := question(2)
	for n := range 3_000 {
		q.Subjects[1].Contacts.Sent = append(q.Subjects[1].Contacts.Sent, decision.Contact{At: int64(n + 1), Brand: "acme", Class: "Marketing", Channel: "Email"})
	}
	plan, refused, _ := compiledOnly(t, lib, q, p)
	if len(refused) > 0 {
		t.Fatal(refused)
	}
	if _, ok := plan.answer(0); !ok {
		t.Error("nobody is answered natively")
	}
	if _, ok := plan.answer(1); ok {
		t.Error("a huge list is gone through three times")
	}
	if bulk := inColumns(plan, nil); bulk.Left.Has(0) || !bulk.Left.Has(1) {
		t.Error("in bulk it is otherwise")
	}
}

func TestLongValuesAreNotForOneBuiltin(t *testing.T) {
	for text, want := range map[string]bool{
		`"x"`: true, `[1, 2, {"a": -9223372036854775808}]`: true, `1e9`: false, `{"a": [1e300]}`: false, `123456789012345678901`: false,
	} {
		if got := short([]ast.Value{ast.MustParseTerm(text).Value}); got != want {
			t.Errorf("%s is short: %t", text, got)
		}
	}
	if short([]ast.Value{ast.String(strings.Repeat("x", maxRego+1))}) {
		t.Error("long text is short")
	}
}
