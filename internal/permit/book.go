package permit

import (
	"hash/fnv"
	"strings"
	"time"

	"github.com/codb-dev/codb/internal/contacts"
)

// Book is what the ledger says of all permits. It is not safe for concurrent
// use. The zero value is not usable: NewBook.
type Book struct {
	permits map[string]*Permit
	runs    map[contacts.Run]*run
	live    map[*Permit]struct{} // drawn and not over
	about   map[purpose]*purpose // each once: few differ
	pods    map[string]string
}

type run struct {
	people map[string]person
	live   int // how many permits are drawn and not over
	last   time.Time
	recent []time.Time // of redemptions, those of the last minutes at least
}

// person is one customer in one run.
type person struct {
	permit *Permit // drawn and not over
	done   bool    // contacted by the run
	noted  uint64  // what was last noted of a refusal or hold
}

// Standing is where one customer stands in one run.
type Standing int

const (
	// Free: nobody holds a permit, and the run has not contacted the customer.
	Free Standing = iota
	// Outstanding: a pod holds a permit.
	Outstanding
	// Done: the run has contacted the customer, and never does again.
	Done
)

// NewBook makes the book of an empty ledger.
func NewBook() *Book {
	return &Book{
		permits: map[string]*Permit{}, runs: map[contacts.Run]*run{}, live: map[*Permit]struct{}{},
		about: map[purpose]*purpose{}, pods: map[string]string{},
	}
}

// Apply takes records in the ledger's order.
func (b *Book) Apply(records []contacts.Record) {
	for i := range records {
		if records[i].Campaign.Job != "" {
			b.apply(&records[i])
		}
	}
}

// apply never makes a customer free who may have been contacted, whatever the
// records say.
func (b *Book) apply(r *contacts.Record) {
	in := b.run(r.Campaign.Run())
	in.last = r.At
	who := in.people[r.Principal]
	p := b.permits[r.Permit]
	switch r.Event {
	case contacts.Drawn:
		p = b.draw(r)
		who.permit = p
	case contacts.Redeemed:
		who.done = true
		if p == nil { // drawn before what is remembered
			p = b.draw(r)
		}
		b.end(p, &who, r)
		p.Until = r.Until
		in.redeemed(r.At)
	case contacts.Expired, contacts.Voided, contacts.Returned:
		b.end(p, &who, r)
	case contacts.Refused, contacts.Held:
		b.end(p, &who, r)
		who.noted = note(r.Event, r.Reasons)
	default:
		report(p, r.Event)
		return
	}
	in.people[strings.Clone(r.Principal)] = who // which is a part of a record, all of which it would keep
}

func (b *Book) run(id contacts.Run) *run {
	in := b.runs[id]
	if in == nil {
		in = &run{people: map[string]person{}}
		b.runs[id] = in
	}
	return in
}

// remembered is how long redemptions are counted one by one.
const remembered = 2 * time.Minute

func (r *run) redeemed(at time.Time) {
	old := 0
	for old < len(r.recent) && r.recent[old].Before(at.Add(-remembered)) {
		old++
	}
	r.recent = append(r.recent[old:], at)
}

// Since counts the run's redemptions after an instant of the last minutes.
func (b *Book) Since(id contacts.Run, after time.Time) (n int) {
	if in := b.runs[id]; in != nil {
		for _, at := range in.recent {
			if at.After(after) {
				n++
			}
		}
	}
	return n
}

func (b *Book) draw(r *contacts.Record) *Permit {
	of := purpose{
		campaign: r.Campaign, brand: r.Brand, purpose: r.Purpose, topic: r.Topic, class: r.Class, channel: r.Channel,
	}
	if b.about[of] == nil {
		b.about[of] = &of
	}
	pod, known := b.pods[r.Pod]
	if !known {
		pod = strings.Clone(r.Pod)
		b.pods[pod] = pod
	}
	p := &Permit{ID: strings.Clone(r.Permit), Principal: strings.Clone(r.Principal), Pod: pod, State: r.State, Until: r.Until, about: b.about[of]}
	b.permits[p.ID] = p
	if p.State == contacts.StateDrawn {
		b.live[p] = struct{}{}
		b.run(p.Run()).live++
	}
	return p
}

// end moves a permit on from Drawn.
func (b *Book) end(p *Permit, who *person, r *contacts.Record) {
	if p == nil {
		return
	}
	if p.State == contacts.StateDrawn || r.Event == contacts.Redeemed {
		p.State = r.State
	}
	if _, lives := b.live[p]; lives {
		delete(b.live, p)
		b.run(p.Run()).live--
	}
	if who.permit == p {
		who.permit = nil
	}
}

func report(p *Permit, e contacts.Event) {
	if p == nil || (p.State != contacts.StateRedeemed && p.State != contacts.StateReported) {
		return
	}
	p.State = contacts.StateReported
	for i := range outcomes {
		if outcomes[i].event == e {
			p.outcomes |= 1 << i
		}
	}
}

// Standing is where the customer stands in the run.
func (b *Book) Standing(id contacts.Run, principal string) Standing {
	in := b.runs[id]
	if in == nil {
		return Free
	}
	who := in.people[principal]
	switch {
	case who.done:
		return Done
	case who.permit != nil:
		return Outstanding
	}
	return Free
}

// Noted says whether the latest refusal or hold that the run noted of the
// customer is the one in the record.
func (b *Book) Noted(r *contacts.Record) bool {
	in := b.runs[r.Campaign.Run()]
	return in != nil && in.people[r.Principal].noted == note(r.Event, r.Reasons)
}

func note(e contacts.Event, codes []string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(e)) // a hash takes everything
	for _, c := range codes {
		_, _ = h.Write([]byte(" " + c))
	}
	return h.Sum64()
}

// Find is a permit that is drawn and not over.
func (b *Book) Find(id string) (p Permit, live bool) {
	if found := b.permits[id]; found != nil && found.State == contacts.StateDrawn {
		return *found, true
	}
	return Permit{}, false
}

// Live are the permits of all runs that are drawn and not over, lapsed ones
// included.
func (b *Book) Live() []Permit {
	out := make([]Permit, 0, len(b.live))
	for p := range b.live {
		out = append(out, *p)
	}
	return out
}

// Latest is the campaign's run of which something was heard last, and when.
func (b *Book) Latest(uid string) (latest contacts.Run, heard time.Time) {
	for id, in := range b.runs {
		if id.UID == uid && in.last.After(heard) {
			latest, heard = id, in.last
		}
	}
	return latest, heard
}

// Outstanding is how many permits of the run are drawn and not over.
func (b *Book) Outstanding(id contacts.Run) int {
	if in := b.runs[id]; in != nil {
		return in.live
	}
	return 0
}

// Answer says what becomes of a request to redeem a permit.
type Answer string

const (
	// Redeemed: hand the message over, now.
	Redeemed Answer = "Redeemed"
	// Refused: the customer may not be contacted now; the permit is void.
	Refused Answer = "Refused"
	// Expired: it was not redeemed in its time.
	Expired Answer = "Expired"
	// Voided: it was taken back before.
	Voided Answer = "Voided"
	// Unknown: the caller has no such permit.
	Unknown Answer = "Unknown"
	// AlreadyRedeemed: a permit is good for one message.
	AlreadyRedeemed Answer = "AlreadyRedeemed"
	// Released: the sender gave it back.
	Released Answer = "Released"
)

// Redeem finds the permit of a pod of a run. The answer is empty where the
// policies must be asked now; else it is final.
func (b *Book) Redeem(id string, of contacts.Run, pod string, now time.Time) (Permit, Answer) {
	p := b.permits[id]
	if p == nil || p.Run() != of || p.Pod != pod {
		return Permit{}, Unknown
	}
	switch p.State {
	case contacts.StateDrawn:
		if p.Lapsed(now) {
			return *p, Expired
		}
		return *p, ""
	case contacts.StateRedeemed, contacts.StateReported:
		return *p, AlreadyRedeemed
	case contacts.StateExpired:
		return *p, Expired
	}
	return *p, Voided
}

// Release finds the permit that a pod of a run gives back. The answer is empty
// where that is to be recorded now; else it is final.
func (b *Book) Release(id string, of contacts.Run, pod string) (Permit, Answer) {
	p, answer := b.Redeem(id, of, pod, time.Time{}) // one that lapsed is given back as well
	if p.State == contacts.StateReleased {
		answer = Released
	}
	return p, answer
}

// Reporting says what becomes of a report.
type Reporting struct {
	// Permit that the report is about, if it is to be recorded now.
	Permit *Permit
	// Known says that the same was reported before.
	Known bool
	// Why it can't be recorded; empty: it can.
	Why string
}

// Report looks at an outcome that a pod of the run reports. Another pod than the
// one that drew may: it may have taken over.
func (b *Book) Report(id string, of contacts.Run, word string) Reporting {
	p, i := b.permits[id], outcome(word)
	switch {
	case p == nil || p.Run() != of:
		return Reporting{Why: "there is no such permit of this run"}
	case i < 0:
		return Reporting{Why: "there is no such outcome"}
	case p.State != contacts.StateRedeemed && p.State != contacts.StateReported:
		return Reporting{Why: "the permit is " + string(p.State) + ": only what was redeemed has an outcome"}
	case p.outcomes&(1<<i) != 0:
		return Reporting{Known: true}
	case i < 2 && p.outcomes&0b11 != 0:
		return Reporting{Why: "Sent or Failed was reported before: a message is one or the other"}
	}
	found := *p
	return Reporting{Permit: &found}
}

// Forget drops the runs of which nothing was heard since before, and that hold
// nothing. A Job that is older than that must not draw any more.
func (b *Book) Forget(before time.Time) {
	for id, in := range b.runs {
		if in.last.Before(before) && b.Outstanding(id) == 0 {
			delete(b.runs, id)
		}
	}
	for id, p := range b.permits {
		if b.runs[p.Run()] == nil {
			delete(b.permits, id)
		}
	}
}
