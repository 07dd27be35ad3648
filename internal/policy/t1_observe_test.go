package policy

import (
	"cmp"
	"slices"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
)

// spoken is one thing that a rule's sets hold: a reason and its end, or an instant
// to wake at.
type spoken struct{ set, reason, ns int64 }

var setNumbers = map[string]int64{"deny": 0, "hold": 1, "wake": 2}

// watcher notes all that a plan of one rule says of a row.
type watcher struct {
	plan    *plan
	said    []spoken
	clauses map[int]bool // that said something
	clause  int
}

// Visit implements expr.Visitor.
func (w *watcher) Visit() bool {
	if n, ns, ok := w.plan.arrive(w.plan.clause); ok {
		w.clauses[w.clause] = true
		w.said = append(w.said, spoken{setNumbers[w.plan.clause.set], n, ns})
	}
	return true
}

// observe is what a plan of one rule says of a row, not ok where it is hard.
func (w *watcher) observe(row int) (said []spoken, ok bool) {
	w.said, w.clauses = w.said[:0], map[int]bool{}
	m := &w.plan.machine
	m.Row(row)
	for _, u := range w.plan.units {
		if u.hard.True(m) {
			return nil, false
		}
		for n, c := range u.clauses {
			w.plan.clause, w.clause = c, n
			m.Each(c.steps, w)
		}
	}
	return canonicalSpoken(w.said), !m.Hard
}

func canonicalSpoken(said []spoken) []spoken {
	slices.SortFunc(said, func(a, b spoken) int {
		return cmp.Or(cmp.Compare(a.set, b.set), cmp.Compare(a.reason, b.reason), cmp.Compare(a.ns, b.ns))
	})
	return slices.Compact(said)
}

// fromOPA is what OPA says of a customer, in a plan's numbers; nil where it
// is no answer.
func fromOPA(t *testing.T, i *Interpreter, p *plan, s *decision.Subject) []spoken {
	t.Helper()
	sets, errs, err := i.eval(t.Context(), i.all, p.clock.asked.input(s), topdown.NewCancel())
	if err != nil {
		t.Fatal(err)
	}
	if len(errs) > 0 {
		return nil
	}
	out := []spoken{}
	for n, slot := range i.all.slots {
		for _, e := range sets.Elem(n).Value.(ast.Set).Slice() {
			r := spoken{set: setNumbers[slot.set], ns: expr.Missing}
			if slot.set == "wake" {
				r.ns, _ = instant(e.Value)
				out = append(out, r)
				continue
			}
			o := e.Value.(ast.Object)
			if end := o.Get(untilKey); end != nil {
				r.ns, _ = instant(end.Value)
			}
			reason, err := (&gathered{}).reason(without(o), verdictOf(slot.set))
			if err != nil {
				return nil
			}
			r.reason = p.reason(reason)
			out = append(out, r)
		}
	}
	return canonicalSpoken(out)
}
