package audience

import (
	"slices"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/codb-dev/codb/internal/consent"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
)

// Snapshot is a Table as it was at one moment. It never changes and is read
// without locks. It implements decision.Source.
type Snapshot struct {
	dicts  []*expr.Dict
	chunks []*chunk // an empty one where there is none
	live   []expr.Bits
	alive  int
	news   []news // the latest of them
	told   uint64
	moves  []int // the latest chunks in which others are alive than in the snapshot before
	count  uint64
	number uint64
	viewed atomic.Pointer[viewed] // the latest
	step   atomic.Pointer[step]   // the latest
}

// viewed is a chunk with regard to a brand, which one campaign after the other asks for.
type viewed struct {
	i     int
	brand string
	chunk decision.Chunk
}

var (
	_       decision.Source = (*Snapshot)(nil)
	taken   atomic.Uint64
	nothing = newTail(0, nil).fix(true)
)

// Snapshot is the table as it is now.
func (t *Table) Snapshot() *Snapshot {
	if s := t.latest.Load(); s != nil {
		return s
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.snapshot()
}

func (t *Table) snapshot() *Snapshot {
	if s := t.latest.Load(); s != nil {
		return s
	}
	s := &Snapshot{
		dicts: t.dicts, chunks: make([]*chunk, len(t.slots)), live: make([]expr.Bits, len(t.slots)),
		alive: t.alive, news: slices.Clip(t.news), told: t.told, number: taken.Add(1),
	}
	for i := range t.slots {
		of := &t.slots[i]
		if !of.shared {
			t.move(i)
		}
		of.shared = true
		switch {
		case of.chunk == nil:
			s.chunks[i] = nothing
			continue
		case i == t.end:
			s.chunks[i] = t.tail.fix(false)
		default:
			s.chunks[i] = of.chunk
		}
		s.live[i] = of.live[:(s.chunks[i].rows+63)/64]
	}
	s.moves, s.count = slices.Clip(t.moves), t.moved
	t.latest.Store(s)
	return s
}

// move remembers a chunk for those who follow the table from snapshot to snapshot.
func (t *Table) move(chunk int) {
	t.moved++
	t.moves = append(t.moves, chunk)
	if len(t.moves) > 2*remembered {
		t.moves = slices.Clone(t.moves[len(t.moves)-remembered:])
	}
}

// Len is how many customers there are.
func (s *Snapshot) Len() int { return s.alive }

// Number is another one for each snapshot of any table, and never 0.
func (s *Snapshot) Number() uint64 { return s.number }

// Chunks implements decision.Source.
func (s *Snapshot) Chunks() int { return len(s.chunks) }

// Chunk implements decision.Source.
func (s *Snapshot) Chunk(i int, brand string) decision.Chunk {
	if v := s.viewed.Load(); v != nil && v.i == i && v.brand == brand {
		return v.chunk
	}
	c := s.chunks[i]
	v := &viewed{i, brand, decision.Chunk{Columns: c.view(brand), Dicts: s.dicts[:ids], Live: s.live[i], Odd: c.strange(brand)}}
	s.viewed.Store(v)
	return v.chunk
}

// Buckets implements decision.Source.
func (s *Snapshot) Buckets(i, lo, hi int, c *decision.Campaign, into []int64) {
	in, marks := consent.MarkOf(inPlace(c)), s.chunks[i].marks
	for row := lo; row < hi; row++ {
		into[row] = int64(in.Bucket(marks[row]))
	}
}

// inPlace names a campaign for consent.Bucket.
func inPlace(c *decision.Campaign) string { return c.Namespace + "/" + c.Name }

// Subject implements decision.Source.
func (s *Snapshot) Subject(chunk, row int, of *decision.Campaign) decision.Subject {
	c := s.chunks[chunk]
	out := decision.Subject{Person: c.person(s.dicts, row, of.Brand), Contacts: c.past(s.dicts, row)}
	out.Person.Bucket = consent.MarkOf(inPlace(of)).Bucket(c.marks[row])
	return out
}

// Name of who is in a row.
func (s *Snapshot) Name(chunk, row int) string { return s.chunks[chunk].name(row) }

// version of the consent in a row.
func (s *Snapshot) version(chunk, row int) (uid types.UID, gen int64) {
	c := s.chunks[chunk]
	return c.uid(row), c.base.Ints[generation].At(row)
}

// since is when the first consent arrived that changed after so many others had.
func (s *Snapshot) since(told uint64) time.Time {
	late := s.told - told
	if late == 0 || len(s.news) == 0 {
		return time.Time{}
	}
	return s.news[len(s.news)-int(min(late, uint64(len(s.news))))].seen
}
