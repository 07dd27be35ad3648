package importer

import (
	"fmt"
	"strconv"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/contacts"
)

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

func (m Mapper) records(r Row, p past) []contacts.Record {
	out := make([]contacts.Record, 0, len(p.calls)+len(p.earlier)+1)
	for i, at := range p.calls {
		out = append(out, m.record(r, contacts.Sent, "call", len(p.calls)-i, at))
	}
	for i, at := range p.earlier {
		out = append(out, m.record(r, contacts.Sent, "earlier", len(p.earlier)-i, at))
	}
	if at := p.purchase(r); !at.IsZero() {
		out = append(out, m.record(r, contacts.Purchase, "purchase", 1, at))
	}
	return out
}

// record has a key that is the same at every import of the row for the brand:
// no call counts twice, and the ledger refuses a second past that contradicts
// the first.
func (m Mapper) record(r Row, event contacts.Event, what string, n int, at time.Time) contacts.Record {
	id := m.principal(r.Number)
	return contacts.Record{
		Key:       fmt.Sprintf("%s/%s/%s/%s-%d", source, m.Brand, id, what, n),
		At:        at,
		Principal: id,
		Brand:     m.Brand,
		Purpose:   string(purpose),
		Class:     v1alpha1.ClassMarketing,
		Channel:   v1alpha1.ChannelPhone,
		Event:     event,
	}
}
