package policy

import (
	"slices"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
)

// outcome of a plan for some of the rows that are looked at.
type bulk struct {
	decision.Bulk
	rows    expr.Bits // of the chunk: who is asked about
	whole   bool      // they are all who are looked at
	left    []int     // of them, those that OPA must answer for
	entries []entry   // of Reasons
	lo, hi  int

	known map[decision.Reason]int // where they are
	sets  []expr.Bits             // space for those that are no unit's
	used  int
}

// entry is a reason, and until when it holds.
type entry struct {
	told  *told // nil: no unit says it
	own   bool  // the sets are no unit's
	until latest
	last  expr.Bits // those whom until is of
}

// bulk is what a plan says of rows that are looked at: those in rows, or all.
func (p *program) bulk(of *plan, rows expr.Bits, odd []int) *bulk {
	b := &p.out
	b.begin(p)
	first, end := p.lo>>6, (p.hi+63)>>6
	for _, u := range of.units {
		p.ask(u)
		b.Left[first:end].Join(u.says.hard[first:end])
	}
	for _, row := range odd {
		b.Left.Set(row)
	}
	b.Left.Join(p.much)
	clear(b.rows)
	copy(b.rows, rows)
	b.Customers = b.rows.Count()
	for i, w := range b.rows {
		b.Left[i] &= w
	}
	for row := range b.Left.All {
		b.left = append(b.left, row)
	}
	b.stale(of)
	b.whole = slices.Equal(b.rows, p.only)
	for _, u := range of.units {
		for _, t := range u.says.reasons {
			b.reason(t, b.whole && len(b.left) == 0)
		}
	}
	return b
}

func (b *bulk) begin(p *program) {
	if b.rows == nil {
		b.rows, b.Left, b.StaleAt = expr.NewBits(expr.Chunk), expr.NewBits(expr.Chunk), make([]int64, expr.Chunk)
		b.known = map[decision.Reason]int{}
	}
	b.lo, b.hi = p.lo, p.hi
	b.left, b.entries, b.Reasons, b.used = b.left[:0], b.entries[:0], b.Reasons[:0], 0
	clear(b.known)
	clear(b.Left)
}

// stale finds out when what units say can change.
func (b *bulk) stale(of *plan) {
	always := decision.Never
	for _, u := range of.units {
		always = sooner(always, u.says.always)
	}
	at := b.StaleAt[b.lo:b.hi]
	for i := range at {
		at[i] = always
	}
	for _, u := range of.units {
		for row := range u.says.wakes[b.lo>>6 : (b.hi+63)>>6].All {
			row += b.lo
			b.StaleAt[row] = sooner(b.StaleAt[row], u.says.stale[row])
		}
	}
}

// sooner is the earlier of two instants, of which Never is the last.
func sooner(a, b int64) int64 {
	if far(b) < far(a) {
		return b
	}
	return a
}

// reason adds one of a unit's for those who are asked about; shared: that is all
// who have it.
func (b *bulk) reason(t *told, shared bool) {
	who, until, last := t.who, latest{ns: decision.Never}, t.lasts
	hold := t.as[0].Verdict == v1alpha1.VerdictHold
	if !shared {
		who = b.set()
		some := uint64(0)
		for i, w := range t.who {
			who[i] = w & b.rows[i] &^ b.Left[i]
			some |= who[i]
		}
		if some == 0 {
			b.used--
			return
		}
		if hold {
			last = b.set()
			until = t.latest(who, last)
		}
	} else if hold {
		if t.last.chunk != t.chunk {
			t.last = t.latest(who, last)
			t.last.chunk = t.chunk
		}
		until = t.last
	}
	for i := range t.as {
		b.Reasons = append(b.Reasons, decision.BulkReason{Reason: t.as[i], Who: who})
		b.entries = append(b.entries, entry{told: t, own: !shared && len(t.as) == 1, until: until, last: last})
	}
}

// set lends an empty set for a chunk.
func (b *bulk) set() expr.Bits {
	if b.used == len(b.sets) {
		b.sets = append(b.sets, expr.NewBits(expr.Chunk))
	}
	b.used++
	return b.sets[b.used-1]
}

// latest is until when a hold holds for some people, and for whom the longest.
func (t *told) latest(who, last expr.Bits) (l latest) {
	l.ns = decision.Never
	for i, w := range t.open {
		last[i] = w & who[i]
		l.open = l.open || last[i] != 0
	}
	for row := range t.ends.All {
		if who.Has(row) {
			l.ns = max(l.ns, t.until[row])
		}
	}
	if l.open {
		return l
	}
	for row := range t.ends.All {
		if t.until[row] == l.ns && who.Has(row) {
			last.Set(row)
		}
	}
	return l
}

// add is what somebody else says of a row, beside or instead of what units do.
func (b *bulk) add(row int, a *decision.Answer) {
	if !a.StaleAt.IsZero() {
		b.StaleAt[row] = sooner(b.StaleAt[row], a.StaleAt.UnixNano())
	}
	if len(b.known) == 0 {
		for i := range b.Reasons {
			b.known[b.Reasons[i].Reason] = i
		}
	}
	for _, r := range a.Reasons {
		until := r.Until
		r = common(r)
		i, ok := b.known[r]
		if !ok {
			i = len(b.Reasons)
			b.known[r] = i
			who, last := b.set(), b.set()
			clear(who)
			clear(last)
			b.Reasons = append(b.Reasons, decision.BulkReason{Reason: r, Who: who})
			b.entries = append(b.entries, entry{own: true, until: latest{ns: decision.Never}, last: last})
		}
		e := &b.entries[i]
		if !e.own {
			who, last := b.set(), b.set()
			copy(who, b.Reasons[i].Who)
			copy(last, e.last)
			b.Reasons[i].Who, e.last, e.own = who, last, true
		}
		b.Reasons[i].Who.Set(row)
		if r.Verdict == v1alpha1.VerdictHold {
			e.ends(row, until)
		}
	}
}

// ends says until when somebody is held.
func (e *entry) ends(row int, until time.Time) {
	l := &e.until
	switch open := until.IsZero(); {
	case open && !l.open, !open && !l.open && until.UnixNano() > l.ns:
		clear(e.last)
		if l.open = open; !open {
			l.ns = until.UnixNano()
		}
	case open != l.open, !open && until.UnixNano() < l.ns:
		return
	}
	e.last.Set(row)
}

// common is a reason as many people have it: without its end, and where it is a
// policy's own, without words that may be for one of them.
func common(r decision.Reason) decision.Reason {
	r.Until = time.Time{}
	if r.Rule == OwnRule {
		r.Message = ""
	}
	return r
}

// done is the sum, when nobody is left.
func (b *bulk) done() *decision.Bulk {
	clear(b.Left)
	for i := range b.Reasons {
		b.Reasons[i].Last = b.entries[i].last
		if l := &b.entries[i].until; l.open || l.ns == decision.Never {
			b.Reasons[i].Until = time.Time{}
		} else {
			b.Reasons[i].Until = time.Unix(0, l.ns).UTC()
		}
	}
	return &b.Bulk
}

// reasonsOf somebody, each once, as inBulk has them.
func (b *bulk) reasonsOf(row int) (out []decision.Reason) {
	for i := range b.Reasons {
		if !b.Reasons[i].Who.Has(row) {
			continue
		}
		r := b.Reasons[i].Reason
		r.Until = time.Time{}
		if t := b.entries[i].told; t != nil && t.ends != nil && t.ends.Has(row) && !t.open.Has(row) {
			r.Until = time.Unix(0, t.until[row]).UTC()
		}
		out = append(out, r)
	}
	slices.SortFunc(out, compareReasons)
	return out
}

// agrees says whether an answer of somebody else for a row is the same.
func (b *bulk) agrees(row int, a *decision.Answer) bool {
	return sameReasons(b.reasonsOf(row), b.asBulk(a)) && a.StaleAt.Equal(stale(b.StaleAt[row]))
}

// asBulk is inBulk without the ends of reasons that no unit says: whose they are
// is not kept.
func (b *bulk) asBulk(a *decision.Answer) []decision.Reason {
	out := inBulk(a)
	for i := range out {
		r := common(out[i])
		at := slices.IndexFunc(b.Reasons, func(had decision.BulkReason) bool { return had.Reason == r })
		if at >= 0 && b.entries[at].told == nil {
			out[i].Until = time.Time{}
		}
	}
	return out
}

// stale is when an answer of Bulk's is stale.
func stale(ns int64) time.Time {
	if ns == decision.Never {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

// inBulk are the reasons of an answer as many people have them, each once, sorted.
func inBulk(a *decision.Answer) (out []decision.Reason) {
	for _, r := range a.Reasons {
		until := r.Until
		r = common(r)
		at := slices.IndexFunc(out, func(had decision.Reason) bool { return common(had) == r })
		if at < 0 {
			r.Until = until
			out = append(out, r)
			continue
		}
		if had := &out[at]; until.IsZero() || !had.Until.IsZero() && until.After(had.Until) {
			had.Until = until
		}
	}
	slices.SortFunc(out, compareReasons)
	return out
}
