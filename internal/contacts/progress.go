package contacts

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// Progress is how far a run that draws permits has come.
type Progress struct {
	// Drawn are all permits; Outstanding those neither redeemed nor over.
	Drawn, Outstanding int64
	// Redeemed are the contacts.
	Redeemed int64
	// Sent, Failed and Bounced are what the senders reported of them; a message
	// may be sent and then bounce.
	Sent, Failed, Bounced int64
	// Unreported are the contacts of which no sender has said anything.
	Unreported int64

	refused map[string]int64
	who     map[string]members // of refused, by code
	minutes [paceOver]minute
}

// members are customers, a bit for each by their number among all who were ever
// refused: a run may refuse most of them.
type members []uint64

// add says whether the customer is new.
func (m *members) add(n uint32) bool {
	at, bit := int(n/64), uint64(1)<<(n%64)
	if at >= len(*m) {
		*m = append(*m, make(members, at+1-len(*m))...)
	}
	was := (*m)[at]
	(*m)[at] |= bit
	return was&bit == 0
}

type minute struct{ at, redeemed int64 }

const (
	// paceOver is over how many minutes the pace is measured.
	paceOver = 5
	// maxCodes is how many codes of refusals are told apart.
	maxCodes = 64
	// otherCode sums up the rest.
	otherCode = "Other"
)

// Refusal counts the customers who were refused for a code, however often: the
// reasons of a refusal may change while one of them stays.
type Refusal struct {
	Code      string
	Customers int64
}

// add takes a record of the run; refused numbers who was.
func (g *Progress) add(r *Record, refused func(principal string) uint32) {
	switch r.Event {
	case Drawn:
		g.Drawn++
		g.Outstanding++
	case Redeemed:
		g.Outstanding--
		g.Redeemed++
		g.Unreported++
		at := r.At.Unix() / 60
		m := &g.minutes[at%paceOver]
		if at > m.at {
			*m = minute{at: at}
		}
		if at == m.at {
			m.redeemed++
		}
	case Expired, Voided, Returned:
		g.Outstanding--
	case Refused:
		if r.Permit != "" {
			g.Outstanding--
		}
		g.refuse(refused(r.Principal), r.Reasons)
	case Sent:
		g.Sent++
	case Failed:
		g.Failed++
	case SoftBounce, HardBounce:
		g.Bounced++
	}
}

func (g *Progress) refuse(customer uint32, codes []string) {
	if g.refused == nil {
		g.refused, g.who = map[string]int64{}, map[string]members{}
	}
	for _, c := range codes {
		if _, known := g.refused[c]; !known && len(g.refused) >= maxCodes {
			c = otherCode
		}
		all := g.who[c]
		if all.add(customer) {
			g.refused[c]++
		}
		g.who[c] = all
	}
}

// Refused are the refusals by code, the most frequent first.
func (g *Progress) Refused() []Refusal {
	out := make([]Refusal, 0, len(g.refused))
	for c, n := range g.refused {
		out = append(out, Refusal{Code: c, Customers: n})
	}
	slices.SortFunc(out, func(a, b Refusal) int {
		return cmp.Or(cmp.Compare(b.Customers, a.Customers), cmp.Compare(a.Code, b.Code))
	})
	return out
}

// PerMinute is the pace of the last whole minutes.
func (g *Progress) PerMinute(now time.Time) int64 {
	var n int64
	at := now.Unix() / 60
	for _, m := range g.minutes {
		if m.at < at && m.at >= at-paceOver+1 {
			n += m.redeemed
		}
	}
	return n / (paceOver - 1)
}

func (p *Projection) progress(run uint32) *Progress {
	g := p.done[run]
	if g == nil {
		g = &Progress{}
		p.done[run] = g
	}
	return g
}

// report says whether it is the first that is heard of the run's contact, of which
// there is one for a customer: it is taken to be Sent then, a contact as before.
func (p *Projection) report(principal string, run uint32) bool {
	list := p.people[principal]
	i := slices.IndexFunc(list, func(e entry) bool {
		return e.run == run && p.shapes.list[e.shape].event == Redeemed
	})
	if i < 0 {
		return false
	}
	s := p.shapes.list[list[i].shape]
	s.event = Sent
	list[i].shape = p.shapes.index(s)
	return true
}

// number of a customer who was refused.
func (p *Projection) number(principal string) uint32 {
	n, known := p.refused[principal]
	if !known {
		n = uint32(len(p.refused))
		p.refused[strings.Clone(principal)] = n
	}
	return n
}

// Progress of the run; zero where nothing is known of it.
func (p *Projection) Progress(r Run) Progress {
	p.mu.RLock()
	defer p.mu.RUnlock()
	i, ok := p.runs.at[r]
	if !ok || p.done[i] == nil {
		return Progress{}
	}
	g := *p.done[i]
	g.refused, g.who = maps.Clone(g.refused), nil // which only whoever adds needs
	return g
}
