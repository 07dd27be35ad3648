package policy

import (
	"slices"
	"sync"

	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
)

// together has sweeps wait that come while another is under way, and then asks about
// all of them at once that are about the same customers at the same instant: what
// campaigns share is looked at once. Nobody has to know beforehand who else comes.
type together struct {
	mu      sync.Mutex
	busy    bool
	waiting []*waiter
}

type waiter struct {
	of   *decision.Sweep
	err  error
	turn chan bool // of who waits; true: to ask; false: it was asked for
}

func (t *together) sweep(of *decision.Sweep, ask func(*decision.Sweep) error) error {
	w := &waiter{of: of}
	t.mu.Lock()
	t.waiting = append(t.waiting, w)
	if t.busy {
		w.turn = make(chan bool, 1)
		t.mu.Unlock()
		if !<-w.turn {
			return w.err
		}
		t.mu.Lock()
	}
	t.busy = true
	group := t.leave(w)
	t.mu.Unlock()
	err := ask(joined(group))
	for _, other := range group {
		if other != w {
			other.err = err
			other.turn <- false
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.busy = len(t.waiting) > 0; t.busy {
		t.waiting[0].turn <- true
	}
	return err
}

// leave takes out all who ask about the same as somebody.
func (t *together) leave(w *waiter) (group []*waiter) {
	fits := func(other *waiter) bool { return other.of.Source == w.of.Source && other.of.Now.Equal(w.of.Now) }
	for _, other := range t.waiting {
		if fits(other) {
			group = append(group, other)
		}
	}
	t.waiting = slices.DeleteFunc(t.waiting, fits)
	return group
}

// joined is one sweep instead of several.
func joined(group []*waiter) *decision.Sweep {
	first := group[0].of
	if len(group) == 1 {
		return first
	}
	type whose struct {
		of *decision.Sweep
		n  int
	}
	var each []whose
	all := &decision.Sweep{Now: first.Now, Source: first.Source}
	everywhere := false
	for _, w := range group {
		for n := range w.of.Campaigns {
			each = append(each, whose{w.of, n})
		}
		all.Campaigns = append(all.Campaigns, w.of.Campaigns...)
		all.Chunks = append(all.Chunks, w.of.Chunks...)
		everywhere = everywhere || w.of.Chunks == nil
	}
	slices.Sort(all.Chunks)
	if all.Chunks = slices.Compact(all.Chunks); everywhere {
		all.Chunks = nil
	}
	all.Rows = func(campaign, chunk int) expr.Bits {
		w := each[campaign]
		if _, asked := slices.BinarySearch(w.of.Chunks, chunk); !asked && w.of.Chunks != nil {
			return expr.Bits{}
		}
		if w.of.Rows == nil {
			return nil
		}
		return w.of.Rows(w.n, chunk)
	}
	all.Answer = func(campaign, chunk int, b *decision.Bulk) error {
		return each[campaign].of.Answer(each[campaign].n, chunk, b)
	}
	return all
}
