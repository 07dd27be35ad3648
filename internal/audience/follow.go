package audience

import (
	"slices"

	"github.com/codb-dev/codb/internal/decision"
)

// Follow brings the past of the table's customers up to what the ledger says now,
// and returns the table as it is then or later.
func (t *Table) Follow(past Ledger) *Snapshot {
	t.following.Lock()
	defer t.following.Unlock()
	contacted, ledger, all := past.Since(t.ledger)
	if all {
		contacted = t.Principals()
	}
	slices.Sort(contacted)
	for _, name := range slices.Compact(contacted) {
		c, _ := past.Contacts(name)
		t.Past(name, c)
	}
	first := t.ledger == 0
	t.ledger = ledger
	for {
		if s := t.whole(first); s != nil {
			return s
		}
		joined, mark, all := t.Since(t.joined)
		if all {
			joined = t.Principals()
		}
		for _, name := range joined {
			if c, _ := past.Contacts(name); !blankPast(&c) { // else there was nothing to be told of
				t.Past(name, c)
			}
		}
		t.joined = mark
	}
}

func blankPast(c *decision.Contacts) bool { return len(c.Sent)+len(c.Events) == 0 }

// whole is a snapshot of customers of all of whom the past is known; nil: somebody
// has joined meanwhile. At first most of them have been given a past, which leaves
// dead rows everywhere: those go before anybody has answers for rows.
func (t *Table) whole(first bool) *Snapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.changes.Mark() != t.joined {
		return nil
	}
	for at := range t.slots {
		if !first {
			break
		}
		if s := &t.slots[at]; at != t.end && s.chunk != nil && 16*s.alive < 15*s.chunk.rows {
			t.leave(at)
		}
	}
	return t.snapshot()
}

// Since lists whose consent has changed after the mark; see feed.Log.
func (t *Table) Since(mark uint64) (changed []string, now uint64, all bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.changes.Since(mark)
}
