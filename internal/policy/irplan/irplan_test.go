package irplan

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// planned is a program for the value of a query over one module.
func planned(t *testing.T, query, module string) *Program {
	t.Helper()
	c := ast.NewCompiler()
	if c.Compile(map[string]*ast.Module{"p.rego": ast.MustParseModule(module)}); c.Failed() {
		t.Fatal(c.Errors)
	}
	p, err := Compile(t.Context(), c, ast.MustParseBody("x = "+query), ast.NewObject())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// value is what a query is worth; empty: it is undefined.
func value(t *testing.T, m *Machine, input string) string {
	t.Helper()
	r, err := m.Eval(t.Context(), ast.MustParseTerm(input).Value, topdown.NewCancel())
	if err != nil {
		t.Fatal(err)
	}
	if r.Bindings.Len() == 0 {
		return ""
	}
	return r.Bindings.Slice()[0].Get(ast.StringTerm("x")).String()
}

func TestEndlessWorkEndsWhenCancelled(t *testing.T) {
	calls := "package p\nf0(x) := x\nendless := f40(1)\n"
	for i := range 40 {
		calls += fmt.Sprintf("f%d(x) := f%d(x) + f%d(x + 1)\n", i+1, i, i)
	}
	for name, module := range map[string]string{
		"Loops": `package p
r := numbers.range(1, 20000)
endless := count([1 | some a in r; some b in r; some c in r; a == b; c == 0])`,
		"Calls": calls,
	} {
		t.Run(name, func(t *testing.T) {
			m, cancel := planned(t, "data.p.endless", module).New(), topdown.NewCancel()
			defer time.AfterFunc(50*time.Millisecond, cancel.Cancel).Stop()
			if _, err := m.Eval(t.Context(), ast.NewObject(), cancel); !topdown.IsCancel(err) {
				t.Errorf("got %v, want that it was cancelled", err)
			}
		})
	}
}

// What a machine remembers must not reach from one input to the next, nor out of
// "with".
func TestAMachineRemembersOnlyWhatStaysTrue(t *testing.T) {
	m := planned(t, "[data.p.twice, data.p.fixed, data.p.other, data.p.seen, data.p.base, data.p.changed, data.p.base]", `package p
twice := [input.n, input.n]
fixed := {"a": [1, 2], "b": {3}}
other := x if x := twice with input.n as 7
seen := twice
default base := 0
base := data.b
changed := x if x := base with data.b as 2`).New()
	for _, n := range []string{"1", "2"} {
		want := "[[" + n + ", " + n + `], {"a": [1, 2], "b": {3}}, [7, 7], [` + n + ", " + n + "], 0, 2, 0]"
		if got := value(t, m, `{"n": `+n+`}`); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestErrorsAreTold(t *testing.T) {
	m := planned(t, "data.p.q", `package p
q := x if { some a in [1]; x := 1 / (a - 1) }`).New()
	for range 2 { // also when the rule was asked before
		r, err := m.Eval(t.Context(), ast.MustParseTerm(`{"n": 1}`).Value, topdown.NewCancel())
		if err != nil || len(r.Failed) != 1 || r.Bindings.Len() != 0 {
			t.Errorf("got %+v, %v", r, err)
		}
	}
	m = planned(t, "data.p.q", "package p\nq := x if some x in input").New()
	_, err := m.Eval(t.Context(), ast.MustParseTerm("[1, 2]").Value, topdown.NewCancel())
	if e := (*topdown.Error)(nil); !errors.As(err, &e) || e.Code != topdown.ConflictErr {
		t.Errorf("got %v, want a conflict", err)
	}
}

// A plan that was not made here has nobody to evaluate it.
func TestOnlyCompileMakesPlans(t *testing.T) {
	register()
	if _, err := rego.New(rego.Query("1 == 1"), rego.Target(target)).PrepareForEval(t.Context()); err == nil {
		t.Error("prepared")
	}
}
