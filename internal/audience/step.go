package audience

import (
	"slices"

	"github.com/codb-dev/codb/internal/expr"
)

// step is what has changed between two snapshots. Campaigns that hear of a change one
// after the other have it found out once.
type step struct {
	from   uint64 // the number of the earlier one
	deltas []delta
}

// delta is what has changed in a chunk.
type delta struct {
	chunk int
	dead  some
	fresh some      // who is there now, and was not, or was somebody else
	set   expr.Bits // the same
}

// deltaOf compares a chunk with what somebody knows of it.
func (s *Snapshot) deltaOf(i int, serial uint64, known expr.Bits) delta {
	live := s.live[i]
	switch same := s.chunks[i].serial == serial; {
	case same && unchanged(known, live):
		return delta{chunk: i}
	case same:
		return delta{chunk: i, dead: among(known, live), fresh: among(live, known)}
	}
	return delta{chunk: i, dead: among(known, nil), fresh: among(live, nil)}
}

func unchanged(a, b expr.Bits) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// changed lists what has changed since an earlier snapshot; all: too much has.
func (s *Snapshot) changed(since *Snapshot) (deltas []delta, all bool) {
	if since == nil || s.count-since.count > uint64(len(s.moves)) {
		return nil, true
	}
	if had := s.step.Load(); had != nil && had.from == since.number {
		return had.deltas, false
	}
	chunks := slices.Clone(s.moves[len(s.moves)-int(s.count-since.count):])
	slices.Sort(chunks)
	for _, i := range slices.Compact(chunks) {
		var known expr.Bits
		var serial uint64
		if i < len(since.chunks) {
			known, serial = since.live[i], since.chunks[i].serial
		}
		d := s.deltaOf(i, serial, known)
		d.set = d.fresh.set(len(s.live[i]))
		d.dead.shared, d.fresh.shared = true, true
		deltas = append(deltas, d)
	}
	s.step.Store(&step{since.number, deltas})
	return deltas, false
}
