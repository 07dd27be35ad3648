package importer

import (
	"fmt"
	"strconv"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consent"
	"github.com/codb-dev/codb/internal/decision"
)

// Contact is one thing of a customer's past for the contact ledger: either
// something sent or something that happened.
type Contact struct {
	// Principal is the customer's opaque id.
	Principal string
	// Key is the same at every import of the row for the brand, so that no
	// contact counts twice.
	Key string
	// Sent is set for a contact.
	Sent *decision.Contact
	// Event is set for an event.
	Event *decision.Event
}

// past is when the row's contacts happened. The rows say how many there were
// and how many days lie between the campaigns; the days themselves and the
// hours are drawn.
type past struct {
	calls   []time.Time // of this campaign, newest first
	earlier []time.Time // of earlier campaigns, newest first
}

// pace is how a segment's calls of this campaign lie before AsOf.
type pace struct {
	lastFrom, lastSpan int // days from the last call to AsOf: lastFrom to lastFrom+lastSpan-1
	gapSpan            int // days between two calls: 1 to gapSpan
}

var (
	// ordinary calls ended in the four weeks before AsOf.
	ordinary = pace{lastFrom: 1, lastSpan: 28, gapSpan: 3}
	// rested calls ended at least five weeks before AsOf: no cap of a month counts them.
	rested = pace{lastFrom: 35, lastSpan: 28, gapSpan: 3}
	// daily calls went on until yesterday.
	daily = pace{lastFrom: 1, lastSpan: 1, gapSpan: 1}
)

func (m Mapper) past(r Row, p pace) past {
	var out past
	day := p.lastFrom + m.draw(r.Number, "last call", p.lastSpan)
	for i := range r.Calls {
		if i > 0 {
			day += 1 + m.draw(r.Number, "gap "+strconv.Itoa(i), p.gapSpan)
		}
		out.calls = append(out.calls, m.before(day, 9*60+m.draw(r.Number, "minute "+strconv.Itoa(i), 9*60)))
	}
	if r.DaysSince != NeverBefore {
		day += r.DaysSince
	} else {
		day += 30 + m.draw(r.Number, "days since", 335)
	}
	for i := range r.Previous {
		if i > 0 {
			day += 1 + m.draw(r.Number, "earlier gap "+strconv.Itoa(i), 7)
		}
		// Before nine: where both campaigns met on one day, the earlier one came first.
		out.earlier = append(out.earlier, m.before(day, 8*60+m.draw(r.Number, "earlier minute "+strconv.Itoa(i), 50)))
	}
	return out
}

// before is the minute of the day that lies days before the day of AsOf, UTC.
func (m Mapper) before(days, minute int) time.Time {
	y, mon, d := m.AsOf.UTC().Date()
	return time.Date(y, mon, d-days, 0, minute, 0, 0, time.UTC)
}

// purchase is when the earlier campaign won the customer: at the end of its
// last call. Zero: it didn't.
func (p past) purchase(r Row) time.Time {
	if r.Outcome != "success" || len(p.earlier) == 0 {
		return time.Time{}
	}
	return p.earlier[0].Add(10 * time.Minute)
}

func (m Mapper) contacts(r Row, p past) []Contact {
	out := make([]Contact, 0, len(p.calls)+len(p.earlier)+1)
	for i, at := range p.calls {
		out = append(out, m.call(r, "call", len(p.calls)-i, at))
	}
	for i, at := range p.earlier {
		out = append(out, m.call(r, "earlier", len(p.earlier)-i, at))
	}
	if at := p.purchase(r); !at.IsZero() {
		c := m.record(r, "purchase", 1)
		c.Event = &decision.Event{
			Type: string(v1alpha1.EventPurchase), At: consent.Nano(at),
			Brand: m.Brand, Channel: string(v1alpha1.ChannelPhone),
		}
		out = append(out, c)
	}
	return out
}

func (m Mapper) call(r Row, what string, n int, at time.Time) Contact {
	c := m.record(r, what, n)
	c.Sent = &decision.Contact{
		At: consent.Nano(at), Brand: m.Brand, Purpose: string(purpose),
		Class: string(v1alpha1.ClassMarketing), Channel: string(v1alpha1.ChannelPhone),
	}
	return c
}

func (m Mapper) record(r Row, what string, n int) Contact {
	id := m.principal(r.Number)
	return Contact{Principal: id, Key: fmt.Sprintf("%s/%s/%s/%s-%d", source, m.Brand, id, what, n)}
}
