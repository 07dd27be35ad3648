package policy

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/codb-dev/codb/policies"
)

// wild is a document that no typed customer can be, in one or a few places: what
// is there is null, of another type, empty, huge, gone, or has more in it.
func (c *chance) wild(v ast.Value) ast.Value {
	for range 1 + c.IntN(3) {
		v = c.wilder(v)
	}
	return v
}

func (c *chance) wilder(v ast.Value) ast.Value {
	switch v := v.(type) {
	case ast.Object:
		keys := v.Keys()
		if len(keys) == 0 || c.IntN(12) == 0 {
			break
		}
		at := pick(c, keys...)
		pairs := make([][2]*ast.Term, 0, len(keys)+1)
		for _, k := range keys {
			is := v.Get(k)
			switch {
			case !k.Equal(at):
			case c.IntN(8) == 0:
				continue
			case c.IntN(12) == 0:
				pairs = append(pairs, [2]*ast.Term{ast.StringTerm("more"), is})
			default:
				is = ast.NewTerm(c.wilder(is.Value))
			}
			pairs = append(pairs, [2]*ast.Term{k, is})
		}
		return ast.NewObject(pairs...)
	case *ast.Array:
		if v.Len() == 0 || c.IntN(12) == 0 {
			break
		}
		terms, at := slices.Collect(func(yield func(*ast.Term) bool) { v.Until(func(t *ast.Term) bool { return !yield(t) }) }), c.IntN(v.Len())
		switch c.IntN(8) {
		case 0:
			terms = slices.Delete(terms, at, at+1)
		case 1:
			terms = slices.Insert(terms, at, terms[at])
		default:
			terms[at] = ast.NewTerm(c.wilder(terms[at].Value))
		}
		return ast.NewArray(terms...)
	}
	return c.anything()
}

// anything is any value that a JSON document can have.
func (c *chance) anything() ast.Value {
	return ast.MustParseTerm(pick(c, `null`, `true`, `false`, `""`, `"ConsentGiven"`, `"acme"`, `"Email"`, `"`+strings.Repeat("ä", 3000)+`"`, `"\u0000"`,
		`0`, `-0`, `-1`, `1.5`, `1e300`, `-1e-300`, `1e18`, strconv.Itoa(math.MaxInt64), `9223372036854775808`, `-9223372036854775809`, strings.Repeat("9", 400),
		`[]`, `{}`, `[null]`, `[[]]`, `{"": null}`, `{"since": null}`, `{"at": "x"}`, `{"status": ["ConsentGiven"]}`, `[`+strings.Repeat("1,", 500)+`1]`)).Value
}

// Plans of OPA's and OPA agree on what no customer can be as well. Columns hold
// nothing of the kind: they are made of Go's types.
func TestPlansAnswerWildDocumentsLikeOPA(t *testing.T) {
	lib := load(t, policies.FS)
	all, answered, differ := 0, 0, 0
	compare := func(c *chance, ps ...Policy) {
		i, err := NewInterpreter(lib, ps)
		if err != nil {
			t.Fatal(err)
		}
		plans, err := newPlanned(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		q := c.question(40)
		asked := newAsked(&q)
		var before string
		for n := range q.Subjects {
			input := c.wild(asked.input(&q.Subjects[n]))
			all++
			want, failed, err := i.eval(t.Context(), i.all, input, neverCancelled)
			if err != nil || len(failed) > 0 {
				if got, ok := plans.sets(t, input); ok {
					t.Fatalf("OPA fails (%v %v), the plan says %v\n%s\n%s", err, failed, got, clip(input.String(), 4000), ps[0].Rego)
				}
				continue
			}
			if got, ok := plans.sets(t, input); ok {
				answered++
				if got.Compare(want) != 0 {
					t.Fatalf("OPA says %v\nthe plan %v\n%s\n%s", want, got, clip(input.String(), 4000), ps[0].Rego)
				}
			}
			if text := want.String(); text != before {
				differ, before = differ+1, text
			}
		}
	}
	for seed := range uint64(*planWorlds) {
		c := newChance(5000 + seed)
		compare(c, c.policies(lib)...)
		for more := range uint64(10) {
			c := newChance(6000 + 10*seed + more)
			compare(c, newGrammar(6000+10*seed+more, noon).policy())
		}
		for _, name := range sortedKeys(general) {
			compare(newChance(7000+seed), own(general[name]))
		}
	}
	t.Logf("%d documents, %d answered by plans", all, answered)
	if answered < all/2 || differ < all/4 {
		t.Errorf("plans answered %d of %d, and %d times it was not what it was before", answered, all, differ)
	}
}

// sets are what plans say the uses' sets are.
func (p *planned) sets(t *testing.T, input ast.Value) (*ast.Array, bool) {
	t.Helper()
	r, err := p.machine.Eval(t.Context(), input, neverCancelled)
	if err != nil || len(r.Failed) > 0 || r.Bindings.Len() != 1 {
		return nil, false
	}
	bindings, _ := r.Bindings.Slice()[0].Value.(ast.Object)
	said, ok := bindings.Get(resultTerm).Value.(*ast.Array)
	return said, ok && p.rest == nil
}
