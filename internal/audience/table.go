package audience

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consent"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
	"github.com/codb-dev/codb/internal/feed"
)

// Table keeps what policies see of all customers in columns, with what audiences
// choose them by. Rows are only appended: who changes gets another row, and the
// old one is dead. So a Snapshot costs next to nothing, and its readers need no
// lock. The zero value is not usable: NewTable.
type Table struct {
	mu     sync.Mutex
	dicts  []*expr.Dict
	slots  []slot
	free   []int // slots without a chunk
	tail   *tail
	end    int // the slot of the tail
	serial uint64
	places index
	alive  int
	news   []news // oldest first
	told   uint64 // how many there ever were
	moves  []int  // chunks, see Snapshot
	moved  uint64 // how many there ever were
	latest atomic.Pointer[Snapshot]

	changes feed.Log // whose consent has changed

	needed int // values of dictionaries after they were last renewed

	following      sync.Mutex
	joined, ledger uint64 // marks of changes, and of the ledger, up to which the past is in
}

// slot is where a chunk is.
type slot struct {
	chunk  *chunk // of the tail: what is being appended to
	live   expr.Bits
	alive  int
	shared bool // live is a snapshot's, too
}

// news is that a customer who was known has changed.
type news struct{ seen time.Time }

const (
	// remembered is how many news are.
	remembered = 1 << 14
	// lag is how many changes a reader may be behind before it has to look at
	// everybody again.
	lag = 1 << 16
)

// NewTable makes one without customers.
func NewTable() *Table {
	t := &Table{dicts: make([]*expr.Dict, ids+1), changes: feed.Log{Keep: lag}}
	for i := range t.dicts {
		t.dicts[i] = expr.NewDict()
	}
	t.grow()
	return t
}

// trait is what else audiences choose by. It is a value of a dictionary.
type trait struct {
	labels  map[string]string
	leaving bool // is being erased
}

// Put takes in a customer's consent, and says whether it is news to anybody. What
// is known of the past stays. seen is when the consent arrived. Nothing of the
// object is kept.
func (t *Table) Put(name string, c *v1alpha1.CustomerConsent, seen time.Time) bool {
	e := &entry{persons: map[string]consent.Person{"": consent.For(&c.Spec, "")}}
	for i := range c.Spec.Relationships {
		b := c.Spec.Relationships[i].Brand
		e.persons[b] = consent.For(&c.Spec, b)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.begin()
	w := who{name, consent.MarkOf(name), c.UID}
	old, known := t.find(w.mark, name)
	if known {
		of, row := t.at(old)
		e.past = of.past(t.dicts, row)
	}
	t.tail.enter(e)
	t.tail.base.IDs[traits].Append(t.traits(c))
	t.tail.base.Ints[generation].Append(c.Generation)
	if !t.settle(w, old, known, seen) {
		return false
	}
	t.changes.Add(strings.Clone(name))
	return true
}

// Past takes in what the ledger says of a customer; of somebody without a consent
// it is not asked for.
func (t *Table) Past(name string, past decision.Contacts) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.begin()
	old, known := t.find(consent.MarkOf(name), name)
	if !known {
		return
	}
	c, row := t.at(old)
	t.again(c, row, &past)
	t.settle(c.who(row), old, true, time.Time{})
}

// Remove takes a customer out, and says whether there was one.
func (t *Table) Remove(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	mark := consent.MarkOf(name)
	place, ok := t.find(mark, name)
	if ok {
		t.places.remove(mark, place, t.mark)
		t.kill(place)
		t.changes.Add(strings.Clone(name))
	}
	return ok
}

// A place is a slot and a row in its chunk.
func place(slot, row int) int         { return slot*expr.Chunk + row }
func apart(place int) (slot, row int) { return place / expr.Chunk, place % expr.Chunk }

func (t *Table) at(place int) (*chunk, int) {
	slot, row := apart(place)
	return t.slots[slot].chunk, row
}

func (t *Table) mark(place int) consent.Mark {
	c, row := t.at(place)
	return c.marks[row]
}

func (t *Table) find(m consent.Mark, name string) (place int, ok bool) {
	return t.places.find(m, func(p int) bool {
		c, row := t.at(p)
		return c.has(row, m, name)
	})
}

// again writes a row that is there already once more, with another past or, nil,
// with the same.
func (t *Table) again(c *chunk, row int, past *decision.Contacts) {
	filed.copy(t.tail.base, c.base, row)
	if e := c.kept[row]; e != nil {
		other := *e
		if past != nil {
			other.past = *past
		}
		t.tail.enter(&other)
		return
	}
	if !t.tail.take(c, row) {
		t.tail.enter(t.entry(c, row, past))
		return
	}
	if past == nil {
		history.copy(t.tail.base, c.base, row)
		return
	}
	odd := len(t.tail.columns.odd)
	if t.tail.columns.past(past); len(t.tail.columns.odd) > odd {
		t.tail.keep(t.entry(c, row, past))
	}
}

// entry is a row that columns hold exactly, as an entry.
func (t *Table) entry(c *chunk, row int, past *decision.Contacts) *entry {
	e := &entry{persons: map[string]consent.Person{}}
	for i := range c.brands {
		r := reading{columns: c.view(c.brands[i].brand), dicts: t.dicts}
		if i == 0 {
			e.past = r.contacts(row)
		}
		if p := r.person(row); i == 0 || p.Relationship != nil {
			e.persons[c.brands[i].brand] = p
		}
	}
	if past != nil {
		e.past = *past
	}
	return e
}

// settle ends the row that was written for somebody, who may have had another;
// false: that one said the same.
func (t *Table) settle(w who, old int, known bool, seen time.Time) bool {
	t.tail.done()
	row := t.tail.rows - 1
	if known {
		if c, at := t.at(old); c.uid(at) == w.uid && c.same(at, &t.tail.chunk, row) {
			t.tail.undo()
			return false
		}
	}
	t.tail.identify(w)
	s := &t.slots[t.end]
	s.own()
	s.live.Set(row)
	s.alive++
	t.alive++
	t.latest.Store(nil)
	if !known {
		t.places.set(w.mark, place(t.end, row), t.mark)
		return true
	}
	t.places.move(w.mark, old, place(t.end, row))
	t.kill(old)
	if !seen.IsZero() {
		t.tell(seen)
	}
	return true
}

func (t *Table) tell(seen time.Time) {
	t.told++
	t.news = append(t.news, news{seen})
	if len(t.news) > 2*remembered {
		t.news = slices.Clone(t.news[len(t.news)-remembered:])
	}
}

// kill says that a row is nobody's any more. A chunk most of whose rows are dead
// is left by the others.
func (t *Table) kill(old int) {
	at, row := apart(old)
	s := &t.slots[at]
	s.own()
	s.live[row>>6] &^= 1 << (row & 63)
	s.alive--
	t.alive--
	t.latest.Store(nil)
	if at != t.end && 2*s.alive < s.chunk.rows {
		t.leave(at)
	}
}

// leave moves those who are alive out of a slot.
func (t *Table) leave(at int) {
	c, live := t.slots[at].chunk, t.slots[at].live
	for row := range live.All {
		t.room()
		t.again(c, row, nil)
		t.tail.done()
		t.tail.identify(c.who(row))
		s, to := &t.slots[t.end], t.tail.rows-1
		s.own()
		s.live.Set(to)
		s.alive++
		t.places.move(c.marks[row], place(at, row), place(t.end, to))
	}
	t.slots[at] = slot{}
	t.free = append(t.free, at)
}

// own makes live nobody else's.
func (s *slot) own() {
	if s.shared {
		s.live, s.shared = slices.Clone(s.live), false
	}
}

// begin makes room for one more row, with dictionaries that hold not too much.
func (t *Table) begin() {
	if t.tail.rows == expr.Chunk {
		t.renew()
	}
	t.room()
}

// room makes some for one more row.
func (t *Table) room() {
	if t.tail.rows < expr.Chunk {
		return
	}
	full := t.end
	s := &t.slots[full]
	s.chunk = t.tail.fix(true)
	t.grow()
	if 2*t.slots[full].alive < t.slots[full].chunk.rows {
		t.leave(full)
	}
}

// grow begins another chunk.
func (t *Table) grow() {
	t.serial++
	t.tail = newTail(t.serial, t.dicts)
	s := slot{chunk: &t.tail.chunk, live: expr.NewBits(expr.Chunk)}
	if n := len(t.free); n > 0 {
		t.end, t.free = t.free[n-1], t.free[:n-1]
		t.slots[t.end] = s
		return
	}
	t.end = len(t.slots)
	t.slots = append(t.slots, s)
}

// traits is the id of what else audiences choose the customer by.
func (t *Table) traits(c *v1alpha1.CustomerConsent) uint32 {
	leaving := !c.DeletionTimestamp.IsZero()
	if len(c.Labels) == 0 && !leaving {
		return expr.Absent
	}
	v := &trait{labels: make(map[string]string, len(c.Labels)), leaving: leaving}
	for l, is := range c.Labels {
		v.labels[strings.Clone(l)] = strings.Clone(is)
	}
	return t.trait(v)
}

// key tells traits apart.
func (v *trait) key() []byte {
	key := []byte{0}
	if v.leaving {
		key[0] = 1
	}
	for _, l := range slices.Sorted(maps.Keys(v.labels)) {
		key = text(text(key, l), v.labels[l])
	}
	return key
}

// Bytes is what the columns and the index take; dictionaries are not counted.
func (t *Table) Bytes() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := int64(4 * len(t.places.places))
	for i := range t.slots {
		if c := t.slots[i].chunk; c != nil {
			n += c.bytes() + int64(8*len(t.slots[i].live))
		}
	}
	return n
}

// Len is how many customers there are.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.alive
}
