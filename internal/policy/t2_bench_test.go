package policy

import (
	"syscall"
	"testing"
	"time"

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
	opa := func() {
		for _, in := range inputs {
			if _, _, err := i.eval(b.Context(), i.all, in, neverCancelled); err != nil {
				b.Fatal(err)
			}
		}
	}
	plan := func() {
		for _, in := range inputs {
			if _, err := p.machine.Eval(b.Context(), in, neverCancelled); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("OPA-parsed", func(b *testing.B) {
		for b.Loop() {
			opa()
		}
		nsPerCustomer(b, len(inputs))
	})
	b.Run("Plan", func(b *testing.B) {
		for b.Loop() {
			plan()
		}
		nsPerCustomer(b, len(inputs))
	})
	// By turns and in processor time, which neighbours disturb least.
	b.Run("Times", func(b *testing.B) {
		var slow, fast time.Duration
		for b.Loop() {
			slow += processorTime(opa)
			fast += processorTime(plan)
		}
		b.ReportMetric(float64(slow)/float64(fast), "times")
	})
}

func processorTime(of func()) time.Duration {
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	of()
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	return time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
}
