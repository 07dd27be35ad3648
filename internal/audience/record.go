package audience

import (
	"iter"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consent"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
)

// Records are all customers, as who asks about one at a time sees them. A Table is
// one.
type Records interface {
	Feed
	Get(principal string) (Record, bool)
	Principals() []string
}

// Record is one customer as a table had them: it never changes.
type Record struct {
	dicts []*expr.Dict
	chunk *chunk
	row   int
}

// Get is one customer.
func (t *Table) Get(principal string) (Record, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	place, ok := t.find(consent.MarkOf(principal), principal)
	if !ok {
		return Record{}, false
	}
	slot, row := apart(place)
	if slot == t.end { // which goes on to change
		return Record{t.dicts, t.snapshot().chunks[slot], row}, true
	}
	return Record{t.dicts, t.slots[slot].chunk, row}, true
}

// Principals lists everybody, in no order.
func (t *Table) Principals() []string {
	s := t.Snapshot()
	out := make([]string, 0, s.Len())
	for name := range s.All() {
		out = append(out, name)
	}
	return out
}

// All are the customers by name.
func (s *Snapshot) All() iter.Seq2[string, Record] {
	return func(yield func(string, Record) bool) {
		for i, c := range s.chunks {
			for row := range s.live[i].All {
				if !yield(c.name(row), Record{s.dicts, c, row}) {
					return
				}
			}
		}
	}
}

// Person is what policies may know when a brand asks, without a Bucket.
func (r Record) Person(brand string) consent.Person { return r.chunk.person(r.dicts, r.row, brand) }

// Subject is what policies see of the customer when a campaign asks, with another
// past than the table's.
func (r Record) Subject(c *decision.Campaign, past decision.Contacts) decision.Subject {
	p := r.Person(c.Brand)
	p.Bucket = consent.MarkOf(inPlace(c)).Bucket(r.chunk.marks[r.row])
	return decision.Subject{Person: p, Contacts: past}
}

// Targeted says whether the customer is in the audience at an instant, and when
// that can change by itself; zero: never.
func (r Record) Targeted(a *v1alpha1.Audience, at time.Time) (in bool, staleAt time.Time) {
	in, stale := newChosen(a).one(r.chunk, r.dicts, r.row, at)
	return in, decision.Instant(stale)
}

// Language is the one in which the customer was asked; empty: unknown.
func (r Record) Language() string {
	is := reading{columns: r.chunk.base, dicts: r.dicts}
	return is.text(language, r.row)
}
