package policy

import (
	"context"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
	"github.com/codb-dev/codb/policies"
)

// BenchmarkSweep measures what one decision costs on one core, the floor and the
// whole library, confirmations by OPA not counted: of one campaign, of a hundred
// that share what they can, and of a hundred one after the other. cpu-ns is what
// the process took, whatever else the machine did meanwhile.
func BenchmarkSweep(b *testing.B) {
	q := people(expr.Chunk)
	source := newCrowd(q.Subjects, *rows)
	campaigns := campaignsOf(100)
	b.Run("OneCampaign", func(b *testing.B) {
		c := newConfident(b, source, q.Now, campaigns[:1])
		perDecision(b, *rows, func() { c.all(b) })
	})
	b.Run("HundredTogether", func(b *testing.B) {
		c := newConfident(b, source, q.Now, campaigns)
		perDecision(b, 100**rows, func() { c.all(b) })
	})
	b.Run("HundredApart", func(b *testing.B) {
		apart := make([]confident, len(campaigns))
		for i := range apart {
			apart[i] = newConfident(b, source, q.Now, campaigns[i:i+1])
		}
		perDecision(b, 100**rows, func() {
			for _, c := range apart {
				c.all(b)
			}
		})
	})
	b.Run("OneRowHundredCampaigns", func(b *testing.B) {
		c := newConfident(b, source, q.Now, campaigns)
		row := expr.NewBits(expr.Chunk)
		row.Set(1000)
		c.Rows = func(int, int) expr.Bits { return row }
		perDecision(b, 100, func() {
			if err := c.sweeping.chunk(b.Context(), c.program, 0); err != nil {
				b.Fatal(err)
			}
		})
	})
}

// BenchmarkSweepCores measures a whole sweep as it is called, confirmations by OPA
// in this process included; use -cpu.
func BenchmarkSweepCores(b *testing.B) {
	lib := load(b, policies.FS)
	i, err := NewInterpreter(lib, everyRule(lib))
	if err != nil {
		b.Fatal(err)
	}
	q := people(expr.Chunk)
	source := newCrowd(q.Subjects, *rows)
	for name, n := range map[string]int{"OneCampaign": 1, "HundredTogether": 100} {
		b.Run(name, func(b *testing.B) {
			e := newEngine(sandbox(b, lib, workerReal, Options{}), everyRule(lib), &locked{Interpreter: i}).(*engine)
			s := decision.Sweep{Now: q.Now, Campaigns: campaignsOf(n), Source: source, Answer: func(int, int, *decision.Bulk) error { return nil }}
			perDecision(b, n**rows, func() {
				if err := e.Sweep(b.Context(), s); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

// BenchmarkSpecialise measures what a new campaign costs until its first answer:
// the plan, and what OPA is asked for the values that a chunk of customers has.
func BenchmarkSpecialise(b *testing.B) {
	q := people(expr.Chunk)
	source := newCrowd(q.Subjects, expr.Chunk)
	campaigns := campaignsOf(100)
	for name, first := range map[string]int{"First": 0, "Next": 50} {
		b.Run(name, func(b *testing.B) {
			b.StopTimer()
			for range b.N {
				c := newConfident(b, source, q.Now, nil)
				p, chunk := c.program, source.Chunk(0, "")
				for n := range first {
					p.plan(&campaigns[n])
				}
				b.StartTimer()
				plan, _ := p.plan(&campaigns[first])
				p.read(chunk.Columns, chunk.Dicts)
				p.look(0, chunk.Columns.Rows, nil)
				p.lookAgain()
				p.bulk(plan, p.all, nil)
				b.StopTimer()
			}
		})
	}
}

// locked is OPA for several goroutines.
type locked struct {
	mu sync.Mutex
	*Interpreter
}

// perDecision reports what one of n decisions takes.
func perDecision(b *testing.B, n int, sweep func()) {
	b.Helper()
	b.ReportAllocs()
	before := cpu()
	for b.Loop() {
		sweep()
	}
	of := float64(b.N) * float64(n)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/of, "ns/decision")
	b.ReportMetric(float64(cpu()-before)/of, "cpu-ns/decision")
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Judge implements decision.Judge.
func (l *locked) Judge(ctx context.Context, q decision.Question) ([]decision.Answer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Interpreter.Judge(ctx, q)
}
