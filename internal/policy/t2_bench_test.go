package policy

import (
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/codb-dev/codb/policies"
)

var neverCancelled = topdown.NewCancel()

// BenchmarkPlans measures the floor and the whole library by plans, next to OPA
// with input that is parsed already and all of its tricks; and what of both is
// making the input.
func BenchmarkPlans(b *testing.B) {
	lib := load(b, policies.FS)
	i, err := NewInterpreter(lib, everyRule(lib))
	if err != nil {
		b.Fatal(err)
	}
	p, err := newPlanned(b.Context(), i)
	if err != nil {
		b.Fatal(err)
	}
	q := people(64)
	a := newAsked(&q)
	inputs := make([]ast.Value, len(q.Subjects))
	for n := range inputs {
		inputs[n] = a.input(&q.Subjects[n])
	}
	b.Run("Input", func(b *testing.B) {
		for b.Loop() {
			for n := range q.Subjects {
				a.input(&q.Subjects[n])
			}
		}
		nsPerCustomer(b, len(q.Subjects))
	})
	b.Run("OPA-parsed", func(b *testing.B) {
		for b.Loop() {
			for _, in := range inputs {
				if _, _, err := i.eval(b.Context(), i.all, in, neverCancelled); err != nil {
					b.Fatal(err)
				}
			}
		}
		nsPerCustomer(b, len(inputs))
	})
	b.Run("Plan", func(b *testing.B) {
		for b.Loop() {
			for _, in := range inputs {
				if _, err := p.machine.Eval(b.Context(), in, neverCancelled); err != nil {
					b.Fatal(err)
				}
			}
		}
		nsPerCustomer(b, len(inputs))
	})
}
