package policy

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
	"github.com/codb-dev/codb/policies"
)

// Campaigns that are looked at while another is go together, and each hears of
// itself what it would hear alone.
func TestSweepsThatWaitGoTogether(t *testing.T) {
	lib := load(t, policies.FS)
	e, _, _ := fronted(t, lib, lib.Floor())
	q := people(300)
	source, campaigns := newCrowd(q.Subjects, 3*expr.Chunk), campaignsOf(5)
	few := expr.NewBits(expr.Chunk)
	few.Set(70)
	sweep := func(n int, answer func(n, chunk int, b *decision.Bulk) error) decision.Sweep {
		s := decision.Sweep{Now: q.Now, Campaigns: campaigns[n : n+1], Source: source, Answer: answer}
		if n == 3 { // one asks about few
			s.Chunks, s.Rows = []int{1}, func(int, int) expr.Bits { return few }
		}
		return s
	}
	asked := func(into *[3]decision.Bulk) func(int, int, *decision.Bulk) error {
		var mu sync.Mutex
		return func(n, chunk int, b *decision.Bulk) error {
			mu.Lock()
			defer mu.Unlock()
			if n != 0 {
				t.Errorf("campaign %d of one", n)
			}
			into[chunk].Customers = b.Customers
			for i := range b.Reasons {
				into[chunk].Reasons = append(into[chunk].Reasons, decision.BulkReason{Reason: b.Reasons[i].Reason, Who: append(expr.Bits{}, b.Reasons[i].Who...)})
			}
			return nil
		}
	}
	began, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	hold := func(int, int, *decision.Bulk) error {
		once.Do(func() { close(began) })
		<-goOn
		return nil
	}
	var group sync.WaitGroup
	run := func(s decision.Sweep) {
		group.Go(func() {
			if err := e.Sweep(t.Context(), s); err != nil {
				t.Error(err)
			}
		})
	}
	run(sweep(0, hold))
	<-began
	var got [5][3]decision.Bulk
	for n := 1; n < 5; n++ {
		run(sweep(n, asked(&got[n])))
	}
	waiting := func() int {
		e.changes.mu.Lock()
		defer e.changes.mu.Unlock()
		return len(e.changes.waiting)
	}
	for waiting() < 4 {
		runtime.Gosched()
	}
	e.changes.mu.Lock()
	all := joined(e.changes.waiting)
	e.changes.mu.Unlock()
	if len(all.Campaigns) != 4 || all.Chunks != nil {
		t.Errorf("%d campaigns go together, of chunks %v", len(all.Campaigns), all.Chunks)
	}
	close(goOn)
	group.Wait()
	for n := 1; n < 5; n++ {
		var want [3]decision.Bulk
		if err := e.Sweep(t.Context(), sweep(n, asked(&want))); err != nil {
			t.Fatal(err)
		}
		for chunk := range want {
			if summary(&got[n][chunk]) != summary(&want[chunk]) {
				t.Errorf("campaign %d, chunk %d: %s; alone %s", n, chunk, summary(&got[n][chunk]), summary(&want[chunk]))
			}
		}
	}
}

// summary is who has what.
func summary(b *decision.Bulk) string {
	lines := []string{}
	for i := range b.Reasons {
		lines = append(lines, fmt.Sprint(b.Reasons[i].Reason, b.Reasons[i].Who))
	}
	slices.Sort(lines)
	return fmt.Sprint(b.Customers, lines)
}
