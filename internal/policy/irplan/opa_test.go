package irplan

import (
	"math"
	"slices"
	"strconv"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// TestLikeOPA has what OPA's own cases leave open: {the rules, x's inputs}.
func TestLikeOPA(t *testing.T) {
	tests := map[string]struct {
		rules  string
		inputs []string
	}{
		"WithEndsWithItsExpression": {`
a if input.n == 1
x contains "not" if { not a with input.n as 2; input.n == 1 }
x contains "failed" if a with input.n as 3
x contains "after" if input.n == 1
x contains "beside" if { a with input as {"n": 1, "m": 2}; not input.m }`, []string{`{"n": 1}`, `{"n": 2}`, `{}`}},
		"WithBelowWhatIsThere": {`
x := y if y := input with input.a.b as 5`, []string{`{"a": {"b": 1, "c": 2}, "d": 3}`, `{"a": 1}`, `[1]`, `{}`}},
		"FunctionsAreNoDocuments": {`
h.f(y) := y
h.g := 4
x := data.p.h[input]`, []string{`"f"`, `"g"`, `"h"`, `1`}},
		"LiteralsInLoops": {`
x contains [1, {"a": a, "b": [2, null, {3, "c"}]}, [1, {"d": 1.5}]] if some a in input`, []string{`[1, 2]`, `[]`}},
		"DestructuredArrays": {`
x contains [a, b] if { some [a, [1, b, 3]] in input }`, []string{`[[1, [1, 2, 3]], [2, [2, 2, 3]], [1, [1, 2]], 5]`}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			module := "package p\n" + tc.rules
			m := planned(t, "data.p.x", module).New()
			opa, err := rego.New(rego.Query("x = data.p.x"), rego.Module("p.rego", module),
				rego.GenerateJSON(func(t *ast.Term, _ *rego.EvalContext) (any, error) { return t.String(), nil })).PrepareForEval(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, input := range tc.inputs {
				rs, err := opa.Eval(t.Context(), rego.EvalParsedInput(ast.MustParseTerm(input).Value))
				if err != nil {
					t.Fatal(err)
				}
				want := ""
				if len(rs) > 0 {
					want = rs[0].Bindings["x"].(string)
				}
				if got := value(t, m, input); got != want {
					t.Errorf("%s: got %s, want %s", input, got, want)
				}
			}
		})
	}
}

// OPA's interpreter finds neither.
func TestNestedCollectionsAreFoundAndNamed(t *testing.T) {
	p := planned(t, "data.p.x", `package p
o[k][v] := true if { some k, vs in input; some v in vs }
s[k] contains v if { some k, vs in input; some v in vs }
flat[k] := 1 if some k, _ in input
x contains "object" if o in {{"a": {"b": true, "c": true}, "d": {"e": true}}}
x contains "sets" if s in {{"a": {"b", "c"}, "d": {"e"}}}
x contains "flat" if flat in {{"a": 1, "d": 1}}`)
	if got := value(t, p.New(), `{"a": ["b", "c"], "d": ["e"]}`); got != `{"flat", "object", "sets"}` {
		t.Errorf("got %s", got)
	}
	slices.Sort(p.Nested)
	if !slices.Equal(p.Nested, []string{"p.o", "p.s"}) {
		t.Errorf("nested: %v", p.Nested)
	}
}

func TestArithmeticIsExact(t *testing.T) {
	edges := []int64{0, 1, -1, 2, 7, -7, 1 << 31, 1 << 32, 3037000500, math.MaxInt64, math.MaxInt64 - 1, math.MinInt64, math.MinInt64 + 1}
	cancel := topdown.NewCancel()
	for name, exact := range arithmetic {
		call := topdown.GetBuiltin(name)
		for _, x := range edges {
			for _, y := range edges {
				z, ok := exact(x, y)
				if !ok {
					continue
				}
				want := "undefined"
				operands := []*ast.Term{ast.IntNumberTerm(int(x)), ast.IntNumberTerm(int(y))}
				_ = call(topdown.BuiltinContext{Context: t.Context(), Cancel: cancel}, operands, func(t *ast.Term) error { want = t.String(); return nil })
				if got := strconv.FormatInt(z, 10); got != want {
					t.Errorf("%s(%d, %d) is %s, OPA says %s", name, x, y, got, want)
				}
			}
		}
	}
}

func TestChanceIsNotRemembered(t *testing.T) {
	m := planned(t, "data.p.id", `package p
id := uuid.rfc4122("a")`).New()
	seen := ast.NewSet()
	for range 2 {
		r, err := m.Eval(t.Context(), nil, topdown.NewCancel())
		if err != nil {
			t.Fatal(err)
		}
		seen = seen.Union(r.Bindings)
	}
	if seen.Len() != 2 {
		t.Errorf("got %s", seen)
	}
}
