package policy

import (
	"flag"
	"slices"
	"sync"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
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

// BenchmarkEngines measures what one decision costs, the floor and the whole
// library asked about columns of a million customers (-rows), next to OPA and to
// reading the columns once.
func BenchmarkEngines(b *testing.B) {
	lib := load(b, policies.FS)
	i, err := NewInterpreter(lib, everyRule(lib))
	if err != nil {
		b.Fatal(err)
	}
	few := people(64)
	b.Run("OPA-map", func(b *testing.B) { benchmarkMaps(b, i, &few) })
	b.Run("OPA-parsed", func(b *testing.B) {
		for b.Loop() {
			if _, err := i.Judge(b.Context(), few); err != nil {
				b.Fatal(err)
			}
		}
		nsPerCustomer(b, len(few.Subjects))
	})
	q := people(4096)
	p, _ := newPlan(i, new(sync.Mutex), &q.Campaign)
	p.at(newAsked(&q))
	for n := range *rows {
		p.columns.Add(&q.Subjects[n%len(q.Subjects)])
	}
	b.Logf("%d bytes of columns a customer", p.columns.Bytes()/int64(*rows))
	b.Run("Rows", func(b *testing.B) {
		n := min(*rows, 1<<16)
		for b.Loop() {
			for row := range n {
				p.answer(row)
			}
		}
		nsPerCustomer(b, n)
	})
	b.Run("Vector", func(b *testing.B) {
		for b.Loop() {
			for lo := 0; lo < *rows; lo += expr.Chunk {
				p.look(lo, min(lo+expr.Chunk, *rows), nil)
			}
		}
		nsPerCustomer(b, *rows)
	})
	b.Run("ReadOnce", func(b *testing.B) {
		for b.Loop() {
			readOnce = total64(&p.columns.Columns.Columns)
		}
		nsPerCustomer(b, *rows)
	})
}

var (
	rows     = flag.Int("rows", 1<<16, "customers of BenchmarkEngines")
	readOnce int64
)

// total64 reads every number of the columns.
func total64(c *expr.Columns) (sum int64) {
	for _, col := range slices.Concat(c.IDs, c.Arrays) {
		sum += addUp(col.U8) + addUp(col.U16) + addUp(col.U32)
	}
	for _, col := range c.Ints {
		sum += addUp(col.U8) + addUp(col.U16) + addUp(col.U32) + addUp(col.I64)
	}
	return sum
}

func addUp[T uint8 | uint16 | uint32 | int64](vs []T) (sum int64) {
	for _, v := range vs {
		sum += int64(v)
	}
	return sum
}

// benchmarkMaps asks OPA as most programs do: a prepared query with input made
// of maps.
func benchmarkMaps(b *testing.B, i *Interpreter, q *decision.Question) {
	a := newAsked(q)
	inputs := make([]any, len(q.Subjects))
	for n := range inputs {
		v, err := ast.JSON(a.input(&q.Subjects[n]))
		if err != nil {
			b.Fatal(err)
		}
		inputs[n] = v
	}
	for b.Loop() {
		for _, in := range inputs {
			if _, err := i.all.prepared.Eval(b.Context(), rego.EvalInput(in)); err != nil {
				b.Fatal(err)
			}
		}
	}
	nsPerCustomer(b, len(inputs))
}
