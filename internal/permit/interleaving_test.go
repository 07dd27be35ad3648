package permit_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/permit"
)

// The world of this test has two runs of different campaigns, two gates, two
// customers and one ledger. Everything that a gate does is torn apart into what
// it sees and what it writes, so that anything may come in between: the other
// gate, a withdrawal, time, a crash. What must never be is checked by the ledger
// itself, whoever writes.

const (
	most   = 1 // contacts in a window, over all runs
	window = 10 * time.Minute
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

var people = []string{"c-1", "c-2"}

func terms(run int) permit.Terms {
	return permit.Terms{
		Campaign: contacts.Campaign{Namespace: "acme-shop", Name: fmt.Sprint("spring-", run), UID: fmt.Sprint("u-", run), Generation: 1, Job: fmt.Sprint("j-", run)},
		Facts:    decision.Campaign{Brand: "acme", Purpose: "Marketing", PurposeClass: "Marketing", Channel: "Email"},
	}
}

type world struct {
	t         *rapid.T
	now       time.Time
	ledger    []contacts.Record
	withdrawn map[string]int // customer to the tick of the acknowledgement
	ticks     int
	gates     []*gate
	pending   []*action
	held      []string // permits that senders hold
	keys      int

	// What the ledger itself knows.
	live     map[string]contacts.Record // by run and customer
	redeemed map[string]bool            // by permit
	done     map[string]bool            // by run and customer
}

type gate struct {
	book *permit.Book
	past *contacts.Projection
	upTo uint64
}

// action is what a gate is about to write.
type action struct {
	gate    *gate
	record  contacts.Record
	seen    uint64
	began   int // tick
	crashed bool
}

func newGate() *gate {
	return &gate{book: permit.NewBook(), past: contacts.NewProjection(contacts.LookBack)}
}

// read brings a gate up to some place in the ledger.
func (w *world) read(g *gate, upTo int) {
	page := contacts.Page{Ledger: "l", After: g.upTo, Sequence: uint64(len(w.ledger)), Records: w.ledger[g.upTo:upTo]}
	if err := g.past.Apply(page); err != nil {
		w.t.Fatal(err)
	}
	g.book.Apply(page.Records)
	g.upTo = uint64(upTo)
}

// allowed is what policies say: a yes that stands, and room under the cap.
func (w *world) allowed(g *gate, run int, who string, consented bool) bool {
	t := terms(run)
	c, _ := g.past.View(w.now, t.Campaign.Run()).Contacts(who)
	n := 0
	for _, s := range c.Sent {
		if s.At > w.now.Add(-window).UnixNano() {
			n++
		}
	}
	return consented && n < most
}

func (w *world) key() string { w.keys++; return fmt.Sprint("k-", w.keys) }

// append is AppendIf for one record, and the judge of what must never be.
func (w *world) append(a *action) bool {
	for i := len(w.ledger) - 1; i >= int(a.seen); i-- {
		if w.ledger[i].Principal == a.record.Principal {
			return false // moved
		}
	}
	a.record.Sequence = uint64(len(w.ledger) + 1)
	if err := contacts.Validate([]contacts.Record{unnumbered(a.record)}, w.now); err != nil {
		w.t.Fatal(err)
	}
	w.judge(a)
	w.ledger = append(w.ledger, a.record)
	return true
}

func unnumbered(r contacts.Record) contacts.Record { r.Sequence = 0; return r }

func (w *world) judge(a *action) {
	r := &a.record
	place := fmt.Sprint(r.Campaign.Run(), r.Principal)
	switch r.Event {
	case contacts.Drawn:
		if _, twice := w.live[place]; twice {
			w.t.Fatalf("two permits at once for %s", place)
		}
		if w.done[place] {
			w.t.Fatalf("%s is contacted a second time by one run", place)
		}
		w.live[place] = *r
	case contacts.Redeemed:
		if w.redeemed[r.Permit] || w.live[place].Permit != r.Permit {
			w.t.Fatalf("permit %s is redeemed without being outstanding", r.Permit)
		}
		if at, gone := w.withdrawn[r.Principal]; gone && at < a.began {
			w.t.Fatalf("a redeem that began at %d succeeds after the withdrawal at %d", a.began, at)
		}
		if !r.At.Before(w.live[place].Until) {
			w.t.Fatalf("permit %s is redeemed at its end or later", r.Permit)
		}
		w.redeemed[r.Permit], w.done[place] = true, true
		delete(w.live, place)
	case contacts.Expired, contacts.Voided, contacts.Returned, contacts.Refused:
		if r.Permit != "" {
			delete(w.live, place)
		}
	}
	if n := w.taken(r); n > most {
		w.t.Fatalf("%d contacts of %s in a window, the cap is %d", n, r.Principal, most)
	}
}

// taken counts contacts and reservations of a customer, the new record included.
func (w *world) taken(r *contacts.Record) (n int) {
	for _, l := range w.live {
		if l.Principal == r.Principal {
			n++
		}
	}
	for _, old := range append(w.ledger, *r) {
		if old.Principal == r.Principal && old.Event == contacts.Redeemed && old.At.After(w.now.Add(-window)) {
			n++
		}
	}
	return n
}

func (w *world) contacted(who string) (n int) {
	for i := range w.ledger {
		if w.ledger[i].Principal == who && w.ledger[i].Event == contacts.Redeemed {
			n++
		}
	}
	return n
}

func (w *world) gate(t *rapid.T) *gate {
	g := rapid.SampledFrom(w.gates).Draw(t, "gate")
	w.read(g, rapid.IntRange(int(g.upTo), len(w.ledger)).Draw(t, "up to"))
	return g
}

func (w *world) begin(g *gate, r contacts.Record) {
	w.pending = append(w.pending, &action{gate: g, record: r, seen: g.upTo, began: w.ticks})
}

// draw sees consents that may be old: only redeeming proves that they are not.
func (w *world) draw(t *rapid.T) {
	g, run := w.gate(t), rapid.IntRange(1, 2).Draw(t, "run")
	who := rapid.SampledFrom(people).Draw(t, "customer")
	terms := terms(run)
	if g.book.Standing(terms.Campaign.Run(), who) != permit.Free || !w.allowed(g, run, who, true) {
		return
	}
	w.begin(g, terms.Draw("p"+w.key(), "pod-1", who, w.now))
}

func (w *world) redeem(t *rapid.T) {
	if len(w.held) == 0 {
		return
	}
	id, g := rapid.SampledFrom(w.held).Draw(t, "permit"), w.gate(t)
	for run := 1; run <= 2; run++ {
		terms := terms(run)
		p, answer := g.book.Redeem(id, terms.Campaign.Run(), "pod-1", w.now)
		if answer != "" {
			continue
		}
		_, gone := w.withdrawn[p.Principal] // the fence: as of now
		if w.allowed(g, run, p.Principal, !gone) {
			w.begin(g, p.Redeem(&terms, w.key(), w.now))
		} else {
			w.begin(g, p.Refuse(&terms, w.key(), w.now, []decision.Reason{{Code: "ConsentWithdrawn", Verdict: v1alpha1.VerdictDeny}}))
		}
	}
}

// sweep gives back what lapsed; void and return take a permit at any time.
func (w *world) sweep(t *rapid.T) {
	g := w.gate(t)
	for _, p := range g.book.Live() {
		if p.Lapsed(w.now) {
			w.begin(g, p.Expire(w.key(), w.now))
		}
	}
}

func (w *world) takeBack(t *rapid.T) {
	g := w.gate(t)
	for _, p := range g.book.Live() {
		if rapid.Bool().Draw(t, "void") {
			w.begin(g, p.Void(w.key(), w.now, "OptedOut"))
		} else {
			w.begin(g, p.Return(w.key(), w.now))
		}
	}
}

// release is a sender that stops.
func (w *world) release(t *rapid.T) {
	if len(w.held) == 0 {
		return
	}
	id, g := rapid.SampledFrom(w.held).Draw(t, "permit"), w.gate(t)
	for run := 1; run <= 2; run++ {
		terms := terms(run)
		if p, answer := g.book.Release(id, terms.Campaign.Run(), "pod-1"); answer == "" {
			w.begin(g, p.Return(w.key(), w.now))
		}
	}
}

// write lets one of the gates write what it decided, however long ago.
func (w *world) write(t *rapid.T) {
	if len(w.pending) == 0 {
		return
	}
	i := rapid.IntRange(0, len(w.pending)-1).Draw(t, "pending")
	a := w.pending[i]
	w.pending = append(w.pending[:i:i], w.pending[i+1:]...)
	a.record.At = w.now // no gate's clock stands still meanwhile
	if a.record.Event == contacts.Redeemed {
		live, ok := w.live[fmt.Sprint(a.record.Campaign.Run(), a.record.Principal)]
		if ok && !w.now.Before(live.Until) {
			return // a gate looks at its clock again before it writes
		}
	}
	if w.append(a) && a.record.Event == contacts.Drawn && !a.crashed {
		w.held = append(w.held, a.record.Permit)
	}
}

// crash makes a gate begin anew; what it had sent to the disk may still arrive,
// and the answer never does.
func (w *world) crash(t *rapid.T) {
	i := rapid.IntRange(0, len(w.gates)-1).Draw(t, "gate")
	for _, a := range w.pending {
		a.crashed = a.crashed || a.gate == w.gates[i]
	}
	w.gates[i] = newGate()
}

func TestNothingComesBetween(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{
			t: t, now: noon, withdrawn: map[string]int{}, gates: []*gate{newGate(), newGate()},
			live: map[string]contacts.Record{}, redeemed: map[string]bool{}, done: map[string]bool{},
		}
		tick := func(f func(*rapid.T)) func(*rapid.T) {
			return func(t *rapid.T) { w.t = t; w.ticks++; f(t) }
		}
		t.Repeat(map[string]func(*rapid.T){
			"draw": tick(w.draw), "redeem": tick(w.redeem), "write": tick(w.write), "write at once": tick(w.write),
			"sweep": tick(w.sweep), "take back": tick(w.takeBack), "release": tick(w.release), "crash": tick(w.crash),
			"withdraw": tick(func(t *rapid.T) {
				who := rapid.SampledFrom(people).Draw(t, "customer")
				if _, before := w.withdrawn[who]; !before {
					w.withdrawn[who] = w.ticks
				}
			}),
			"wait": tick(func(t *rapid.T) {
				w.now = w.now.Add(time.Duration(rapid.IntRange(1, 90).Draw(t, "seconds")) * time.Second)
			}),
		})
		w.nothingLeaks(t)
	})
}

// nothingLeaks lets time pass: in the end nobody holds a place but who was
// contacted, and every gate says the same, the one that begins now included.
func (w *world) nothingLeaks(t *rapid.T) {
	w.now = w.now.Add(permit.Life)
	g := w.gates[0]
	for range 2 { // one customer may have two, of which one moves the other
		w.read(g, len(w.ledger))
		for _, p := range g.book.Live() {
			if !p.Lapsed(w.now) {
				t.Fatalf("permit %s outlives its time", p.ID)
			}
			w.append(&action{record: p.Expire(w.key(), w.now), seen: g.upTo})
		}
	}
	for _, g := range []*gate{w.gates[1], newGate()} {
		w.read(g, len(w.ledger))
		if n := len(g.book.Live()); n != 0 {
			t.Fatalf("%d permits are outstanding for ever", n)
		}
		for run := 1; run <= 2; run++ {
			for _, who := range people {
				id := terms(run).Campaign.Run()
				if c, _ := g.past.View(w.now).Contacts(who); len(c.Sent) != w.contacted(who) {
					t.Fatalf("caps count %d contacts of %s, there were %d", len(c.Sent), who, w.contacted(who))
				}
				if (g.book.Standing(id, who) == permit.Done) != w.done[fmt.Sprint(id, who)] {
					t.Fatalf("%s of %v is not as the ledger says", who, id)
				}
			}
		}
	}
}
