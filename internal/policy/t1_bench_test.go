package policy

import (
	"sync"
	"testing"

	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/policies"
)

// BenchmarkNative measures the floor and the whole library, compiled: making a
// plan, filling columns, asking row by row.
func BenchmarkNative(b *testing.B) {
	lib := load(b, policies.FS)
	i, err := NewInterpreter(lib, everyRule(lib))
	if err != nil {
		b.Fatal(err)
	}
	q := people(1024)
	b.Run("Plan", func(b *testing.B) {
		for b.Loop() {
			newPlan(i, new(sync.Mutex), &q.Campaign)
		}
	})
	p, _ := newPlan(i, new(sync.Mutex), &q.Campaign)
	p.answers(&q, make([]decision.Answer, len(q.Subjects)))
	b.Run("Columns", func(b *testing.B) {
		for b.Loop() {
			p.columns.Reset()
			for n := range q.Subjects {
				p.columns.Add(&q.Subjects[n])
			}
		}
		nsPerCustomer(b, len(q.Subjects))
	})
	b.Run("Rows", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for row := range q.Subjects {
				if _, ok := p.answer(row); !ok {
					b.Fatal("hard")
				}
			}
		}
		nsPerCustomer(b, len(q.Subjects))
	})
	b.Run("Judge", func(b *testing.B) {
		out := make([]decision.Answer, len(q.Subjects))
		for b.Loop() {
			p.answers(&q, out)
		}
		nsPerCustomer(b, len(q.Subjects))
	})
}

func nsPerCustomer(b *testing.B, n int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/customer")
}
