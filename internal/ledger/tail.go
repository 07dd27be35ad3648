package ledger

import (
	"slices"
	"sync"

	"github.com/codb-dev/codb/internal/contacts"
)

// tailed is how many of the latest records stay in memory at least.
const tailed = 4 * contacts.MaxBatch

// tail is the latest records that this process has written, as reading would
// bring them: who follows a ledger is mostly right behind whoever writes.
type tail struct {
	mu     sync.Mutex
	chunks [][]Record // in order, without gaps; none is changed any more
	n      int
}

// asRead makes of a record what comes back from a disk.
func asRead(r *Record) {
	r.At = r.At.UTC().Round(0)
	if !r.Until.IsZero() {
		r.Until = r.Until.UTC().Round(0)
	}
	if len(r.Reasons) == 0 {
		r.Reasons = nil
	}
}

// took takes note of what was committed, and numbers it.
func (t *tail) took(batch []*request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range batch {
		var fresh []int
		_ = r.each(func(i int, sequence uint64) error {
			r.records[i].Sequence = sequence
			fresh = append(fresh, i)
			return nil
		})
		chunk := r.records
		if len(fresh) < len(chunk) {
			chunk = make([]Record, len(fresh))
			for i, at := range fresh {
				chunk[i] = r.records[at]
			}
		}
		t.add(chunk)
	}
	for t.n > tailed && t.n-len(t.chunks[0]) > tailed {
		t.n -= len(t.chunks[0])
		t.chunks[0], t.chunks = nil, t.chunks[1:]
	}
}

func (t *tail) add(chunk []Record) {
	if len(chunk) == 0 {
		return
	}
	if n := len(t.chunks); n > 0 && last(t.chunks[n-1])+1 != chunk[0].Sequence {
		t.chunks, t.n = nil, 0 // others have written meanwhile
	}
	t.chunks, t.n = append(t.chunks, chunk), t.n+len(chunk)
}

func last(chunk []Record) uint64 { return chunk[len(chunk)-1].Sequence }

// from is the first it has of those that end with the sequence; 0: it has not
// come so far, or has gone on without.
func (t *tail) from(sequence uint64) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.chunks); n == 0 || last(t.chunks[n-1]) < sequence || t.chunks[0][0].Sequence > sequence {
		return 0
	}
	return t.chunks[0][0].Sequence
}

// after lends up to limit records that follow a sequence, none after upTo; false
// where it does not have them all.
func (t *tail) after(sequence, upTo uint64, limit int) ([]Record, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(t.chunks)
	if n == 0 || sequence+1 < t.chunks[0][0].Sequence || last(t.chunks[n-1]) < upTo {
		return nil, false
	}
	limit = int(min(uint64(max(limit, 0)), upTo-min(sequence, upTo)))
	at, _ := slices.BinarySearchFunc(t.chunks, sequence, func(chunk []Record, s uint64) int {
		if last(chunk) <= s {
			return -1
		}
		return 1
	})
	out := make([]Record, 0, limit)
	for ; len(out) < limit; at++ {
		chunk := t.chunks[at]
		if first := chunk[0].Sequence; first <= sequence {
			chunk = chunk[sequence+1-first:]
		}
		out = append(out, chunk[:min(len(chunk), limit-len(out))]...)
	}
	return out, true
}
