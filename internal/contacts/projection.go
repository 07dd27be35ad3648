package contacts

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/feed"
)

// LookBack is how far the longest cap of the API looks back, with room to
// spare.
const LookBack = 3 * 366 * 24 * time.Hour

// ErrReplaced says that a page is of another ledger, or of an older state of
// the same one. The projection must be Reset and filled from the beginning.
var ErrReplaced = errors.New("the ledger was replaced")

// Projection is what the ledger says of every customer, in memory. One writer
// applies pages, many readers ask. The zero value is not usable: NewProjection.
type Projection struct {
	lookBack time.Duration

	mu      sync.RWMutex
	epoch   uint64 // counts resets, so that versions never come back
	ledger  string
	applied uint64
	horizon int64 // contacts before it were forgotten
	newest  int64 // instant of any record
	people  map[string][]entry
	entries int
	shapes  table[shape]
	runs    table[Run]

	restorations
	done    map[uint32]*Progress // by run
	refused map[string]uint32    // a number for whomever a run refused
	changes feed.Log
	moved   chan struct{} // closed and replaced when ledger or applied changes
}

// entry is one contact or event, 24 bytes. The people's entries are sorted by
// time, newest last. A permit has one: drawn, then redeemed, or none any more.
type entry struct {
	at         int64
	sequence   uint64
	shape, run uint32
}

// shape is what few records differ in.
type shape struct {
	event                                 Event
	brand, purpose, class, channel, topic string
}

// contact says whether caps count it: a permit that is drawn takes its place.
func (s *shape) contact() bool {
	switch s.event {
	case Sent, Released, Drawn, Redeemed:
		return true
	}
	return false
}

// Position is how far a projection has come.
type Position struct {
	Ledger   string
	Sequence uint64
}

// NewProjection makes an empty projection that answers with the contacts of
// the last lookBack. Events other than contacts are kept without an end: a
// suppression must not be forgotten.
func NewProjection(lookBack time.Duration) *Projection {
	p := &Projection{lookBack: lookBack, changes: feed.Log{Keep: remembered}, moved: make(chan struct{})}
	p.clear()
	return p
}

func (p *Projection) clear() {
	p.ledger, p.applied, p.entries, p.newest = "", 0, 0, 0
	p.people = map[string][]entry{}
	p.shapes, p.runs, p.done = newTable[shape](), newTable[Run](), map[uint32]*Progress{}
	p.refused = map[string]uint32{}
	p.restorations = restorations{open: map[string]restoration{}}
}

// Reset forgets everything; the next page must be the first one.
func (p *Projection) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	p.epoch++
	p.changes.Forget()
	p.wake()
}

// Apply takes the next page. It takes all of it or, with an error, nothing.
func (p *Projection) Apply(page Page) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.check(&page); err != nil {
		return err
	}
	if p.ledger != page.Ledger {
		p.ledger = page.Ledger
		p.wake()
	}
	if len(page.Records) == 0 {
		return nil
	}
	for i := range page.Records {
		p.add(&page.Records[i])
	}
	p.applied = page.Records[len(page.Records)-1].Sequence
	p.wake()
	return nil
}

func (p *Projection) wake() {
	close(p.moved)
	p.moved = make(chan struct{})
}

func (p *Projection) check(page *Page) error {
	if page.Ledger == "" {
		return errors.New("apply contacts: the page names no ledger")
	}
	if (p.ledger != "" && page.Ledger != p.ledger) || page.Sequence < p.applied {
		return fmt.Errorf("apply contacts after sequence %d: %w", p.applied, ErrReplaced)
	}
	if page.After != p.applied {
		return fmt.Errorf("apply contacts after sequence %d: the page follows %d", p.applied, page.After)
	}
	last := p.applied
	for i := range page.Records {
		r := &page.Records[i]
		if r.Sequence <= last || r.Sequence > page.Sequence {
			return fmt.Errorf("apply contacts after sequence %d: sequence %d is out of order", last, r.Sequence)
		}
		if !slices.Contains(events, r.Event) {
			return fmt.Errorf("apply contacts: sequence %d has event %q, which this version of codb does not know: update it", r.Sequence, clip(string(r.Event)))
		}
		last = r.Sequence
	}
	return nil
}

func (p *Projection) add(r *Record) {
	p.newest = max(p.newest, r.At.UnixNano())
	if p.happened(r) {
		return
	}
	p.decidedOn(r.ConsentRevision)
	run := p.runs.index(r.Campaign.Run())
	if r.Campaign.Job != "" {
		g := p.progress(run)
		if g.add(r, p.number); r.State == StateReported && p.report(r.Principal, run) {
			g.Unreported--
		}
	}
	switch r.Event {
	case Held, Failed, SoftBounce, Converted, Replied:
		return // they change no answer
	case Expired, Voided, Returned, Refused:
		if r.Permit == "" {
			return
		}
		p.changes.Add(strings.Clone(r.Principal))
		p.settle(r.Principal, run)
		return
	case Redeemed:
		p.settle(r.Principal, run)
	case Sent:
		if r.Permit != "" {
			return // Redeemed was the contact
		}
	}
	p.changes.Add(strings.Clone(r.Principal))
	p.insert(r, run)
}

// settle takes away what a drawn permit of the run had reserved. There is never
// more than one for a customer.
func (p *Projection) settle(principal string, run uint32) {
	list := p.people[principal]
	i := slices.IndexFunc(list, func(e entry) bool {
		return e.run == run && p.shapes.list[e.shape].event == Drawn
	})
	if i >= 0 {
		p.people[principal] = slices.Delete(list, i, i+1)
		p.entries--
	}
}

func (p *Projection) insert(r *Record, run uint32) {
	e := entry{at: r.At.UnixNano(), sequence: r.Sequence, run: run}
	s := shape{
		event: r.Event, brand: r.Brand, purpose: r.Purpose,
		class: string(r.Class), channel: string(r.Channel), topic: r.Topic,
	}
	if s.contact() && e.at < p.horizon {
		return
	}
	e.shape = p.shapes.index(s)
	list, known := p.people[r.Principal]
	id := r.Principal
	if !known {
		id = strings.Clone(id) // it may be a part of something large
	}
	// Most records are newer than all before them. Equal times keep the ledger's order.
	i := len(list)
	for i > 0 && list[i-1].at > e.at {
		i--
	}
	p.people[id] = slices.Insert(grown(list), i, e)
	p.entries++
}

// grown makes room for one entry more: a few at a time, for most people have
// few.
func grown(list []entry) []entry {
	if len(list) < cap(list) {
		return list
	}
	out := make([]entry, len(list), len(list)+1+len(list)/4)
	copy(out, list)
	return out
}

// Position is how far the projection has come.
func (p *Projection) Position() Position {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return Position{Ledger: p.ledger, Sequence: p.applied}
}

// Moved returns the position and a channel that is closed when it changes.
func (p *Projection) Moved() (Position, <-chan struct{}) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return Position{Ledger: p.ledger, Sequence: p.applied}, p.moved
}

// Size is how many customers and how many records the projection holds.
func (p *Projection) Size() (customers, records int) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return len(p.people), p.entries
}

// Since lists the principals of whom something was learned after the mark; see
// feed.Log.
func (p *Projection) Since(mark uint64) (changed []string, now uint64, all bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.changes.Since(mark)
}

// remembered is how many records a reader may lag behind before it has to look
// at everybody again.
const remembered = 1 << 16

// View looks at the projection at an instant, without the contacts of the runs
// that go on: a campaign's own contacts must not use up its own caps. It is
// cheap, and sees what the projection learns later.
type View struct {
	p      *Projection
	since  int64
	except []Run
}

// View returns the view for a campaign whose present runs are except.
func (p *Projection) View(now time.Time, except ...Run) View {
	return View{p: p, since: now.Add(-p.lookBack).UnixNano(), except: except}
}

// Since is that of the projection.
func (v View) Since(mark uint64) (changed []string, now uint64, all bool) { return v.p.Since(mark) }

// Contacts is what policies may know of the principal's past, newest first,
// and a version that changes whenever it does.
func (v View) Contacts(principal string) (decision.Contacts, uint64) {
	v.p.mu.RLock()
	defer v.p.mu.RUnlock()
	var c decision.Contacts
	out, list := v.excluded(), v.p.people[principal]
	version := newVersion(v.p.epoch)
	for i := len(list) - 1; i >= 0; i-- {
		e := list[i]
		s := v.p.shapes.list[e.shape]
		if v.hides(e, s, out) {
			continue
		}
		version.add(e.sequence)
		if s.contact() {
			c.Sent = append(c.Sent, decision.Contact{
				At: e.at, Brand: s.brand, Purpose: s.purpose, Class: s.class, Channel: s.channel, Topic: s.topic,
			})
		} else {
			c.Events = append(c.Events, decision.Event{Type: string(s.event), At: e.at, Brand: s.brand, Channel: s.channel})
		}
	}
	return c, uint64(version)
}

// Version is that of Contacts, without building them.
func (v View) Version(principal string) uint64 {
	v.p.mu.RLock()
	defer v.p.mu.RUnlock()
	out, list := v.excluded(), v.p.people[principal]
	version := newVersion(v.p.epoch)
	for i := len(list) - 1; i >= 0; i-- {
		if e := list[i]; !v.hides(e, v.p.shapes.list[e.shape], out) {
			version.add(e.sequence)
		}
	}
	return uint64(version)
}

// Present says whether one of the runs that go on has contacted the principal.
func (v View) Present(principal string) bool {
	v.p.mu.RLock()
	defer v.p.mu.RUnlock()
	out := v.excluded()
	return slices.ContainsFunc(v.p.people[principal], func(e entry) bool {
		return v.p.shapes.list[e.shape].contact() && slices.Contains(out, e.run)
	})
}

// excluded finds the runs' numbers in the projection; a run of which nothing
// is known has none.
func (v View) excluded() []uint32 {
	var out []uint32
	for _, r := range v.except {
		if i, ok := v.p.runs.at[r]; ok && r != (Run{}) {
			out = append(out, i)
		}
	}
	return out
}

func (v View) hides(e entry, s shape, except []uint32) bool {
	return s.contact() && (e.at < v.since || slices.Contains(except, e.run))
}

// version is a digest of the records that an answer was made of (FNV-1a, a word
// at a time); records themselves never change.
type version uint64

func newVersion(epoch uint64) version {
	v := version(14695981039346656037)
	v.add(epoch)
	return v
}

func (v *version) add(word uint64) {
	*v = (*v ^ version(word)) * 1099511628211
	*v ^= *v >> 29 // spreads the high bits, which a multiplication never carries down
}

// table numbers the few values that many records share.
type table[T comparable] struct {
	at   map[T]uint32
	list []T
}

func newTable[T comparable]() table[T] { return table[T]{at: map[T]uint32{}} }

func (t *table[T]) index(v T) uint32 {
	i, ok := t.at[v]
	if !ok {
		i = uint32(len(t.list))
		t.at[v] = i
		t.list = append(t.list, v)
	}
	return i
}
