package ledger

import (
	"sync"

	"github.com/codb-dev/codb/internal/contacts"
)

// tailed is how many of the latest records stay in memory at least.
const tailed = 4 * contacts.MaxBatch

// tail is the latest records that this process has written, as reading would
// bring them: who follows a ledger is mostly right behind whoever writes.
type tail struct {
	mu      sync.Mutex
	records []Record // in order, without gaps; what was lent stays as it is
}

// took takes note of what was committed.
func (t *tail) took(batch []*request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range batch {
		_ = r.each(func(i int, sequence uint64) error { t.add(&r.records[i], sequence); return nil })
	}
	if n := len(t.records); n > 2*tailed {
		t.records = append(make([]Record, 0, 3*tailed), t.records[n-tailed:]...)
	}
}

func (t *tail) add(r *Record, sequence uint64) {
	if n := len(t.records); n > 0 && t.records[n-1].Sequence+1 != sequence {
		t.records = nil // others have written meanwhile
	}
	t.records = append(t.records, asRead(r, sequence))
}

// asRead is a record as it comes back from a disk.
func asRead(r *Record, sequence uint64) Record {
	out := *r
	out.Sequence, out.At = sequence, r.At.UTC().Round(0)
	if !r.Until.IsZero() {
		out.Until = r.Until.UTC().Round(0)
	}
	if len(r.Reasons) == 0 {
		out.Reasons = nil
	}
	return out
}

// upTo lends the records it has that end with the sequence; none where it has
// not come so far.
func (t *tail) upTo(sequence uint64) []Record {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(t.records)
	if n == 0 || sequence > t.records[n-1].Sequence || sequence < t.records[0].Sequence {
		return nil
	}
	end := int(sequence-t.records[0].Sequence) + 1
	return t.records[:end:end]
}

// following are those of the records that follow a sequence, at most limit; false
// where the first of them is not among these.
func following(records []Record, sequence uint64, limit int) ([]Record, bool) {
	if len(records) == 0 || sequence+1 < records[0].Sequence {
		return nil, false
	}
	from := min(int(sequence+1-records[0].Sequence), len(records))
	to := min(from+max(limit, 0), len(records))
	return records[from:to:to], true
}
