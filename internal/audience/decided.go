package audience

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
)

// decided is what follows for the rows of a chunk.
type decided struct {
	serial  uint64
	live    expr.Bits // the snapshot's that was looked at
	in      expr.Bits // of the audience; those whom a run contacts are kept apart
	denied  expr.Bits
	held    expr.Bits
	others  expr.Bits // denied for more than the campaign's holdout
	who     []having
	staleAt int64 // the first of anybody's

	counts v1alpha1.Counts // that are in the sum
}

// look is one look at the chunks of a snapshot.
type look struct {
	e      *Evaluation
	a      *Asked
	was    *Snapshot
	chunks []int
	rows   []some      // of chunks: who is asked about
	sets   []expr.Bits // the same
	mu     sync.Mutex  // of the sum
}

// look finds whom to ask about: those who are new or changed, and of a chunk
// where an answer is stale, everybody.
func (e *Evaluation) look(a *Asked, was *Snapshot, anew bool) *look {
	l := &look{e: e, a: a, was: was}
	s := e.snapshot
	for len(e.chunks) < len(s.chunks) {
		e.chunks = append(e.chunks, decided{staleAt: decision.Never})
	}
	now := a.Now.UnixNano()
	stale := e.first != decision.Never && now >= e.first
	deltas, all := s.changed(was)
	if all || anew || stale {
		deltas = e.compared()
	}
	for i := range deltas {
		l.bury(&deltas[i])
	}
	if anew {
		e.forget()
		deltas = e.compared()
	}
	for i := range deltas {
		at := &deltas[i]
		d := &e.chunks[at.chunk]
		if d.staleAt != decision.Never && now >= d.staleAt {
			e.reset(d)
			again := s.deltaOf(at.chunk, 0, nil)
			at = &again
		}
		if d.serial != s.chunks[at.chunk].serial || !at.fresh.empty() {
			l.choose(at)
		}
		d.live = s.live[at.chunk]
	}
	return l
}

// compared is what has changed in all chunks since they were looked at.
func (e *Evaluation) compared() []delta {
	out := make([]delta, len(e.chunks))
	for i := range out {
		out[i] = e.snapshot.deltaOf(i, e.chunks[i].serial, e.chunks[i].live)
	}
	return out
}

// forget drops the answers.
func (e *Evaluation) forget() {
	for i := range e.chunks {
		e.chunks[i] = decided{staleAt: decision.Never}
	}
	e.sum, e.apart, e.first = decision.Tally{}, contacted{gone: e.apart.gone}, decision.Never
}

// bury takes out the rows of a chunk that are dead.
func (l *look) bury(at *delta) {
	d := &l.e.chunks[at.chunk]
	if d.in == nil {
		return
	}
	if l.a.Runs != "" {
		l.forget(at.chunk, &at.dead)
	}
	if d.serial == l.e.snapshot.chunks[at.chunk].serial {
		l.e.clear(d, &at.dead)
	} else {
		l.e.reset(d)
	}
}

// forget takes out whom a run contacts, and remembers who is gone meanwhile.
func (l *look) forget(i int, dead *some) {
	for row := range dead.All {
		name := l.was.Name(i, row)
		was, ok := l.e.apart.people[name]
		meant := ok && was.in || l.e.chunks[i].in.Has(row)
		l.e.apart.drop(name)
		if _, there := l.a.Table.Get(name); !there && meant && l.a.contacts(name) {
			l.e.apart.lose(name)
		}
	}
}

// clear takes rows out.
func (e *Evaluation) clear(d *decided, rows *some) {
	if rows.empty() {
		return
	}
	e.count(d, counts(rows.drop(d.in), rows.drop(d.denied), rows.drop(d.held), rows.drop(d.others)), -1)
	for i := range d.who {
		w := &d.who[i]
		if n := rows.drop(w.rows); n > 0 {
			e.release(w, n, rows)
		}
	}
}

func overlap(a, b expr.Bits) bool {
	for i := range min(len(a), len(b)) {
		if a[i]&b[i] != 0 {
			return true
		}
	}
	return false
}

// choose sets who of a chunk is asked about.
func (l *look) choose(at *delta) {
	i := at.chunk
	d, c, live, rows := &l.e.chunks[i], l.e.snapshot.chunks[i], l.e.snapshot.live[i], at.fresh
	d.serial = c.serial
	d.grow(len(live))
	if l.a.Runs != "" {
		for row := range rows.All {
			if name := l.e.snapshot.Name(i, row); l.a.hides(name) {
				rows.unset(row)
				l.e.apart.add(located{name, i, row})
			}
		}
	}
	l.e.wake(d, l.e.chosen.keep(c, l.e.snapshot.dicts, &rows, l.a.Now))
	if rows.empty() {
		return
	}
	rows.of(d.in).Join(rows.words)
	set := at.set
	if !rows.shared {
		set = rows.set(len(live))
	}
	l.chunks, l.rows, l.sets = append(l.chunks, i), append(l.rows, rows), append(l.sets, set)
}

func empty(b expr.Bits) bool { return !overlap(b, b) }

// grow makes room for as many words, in all sets alike.
func (d *decided) grow(words int) {
	if len(d.in) >= words {
		return
	}
	grow := func(b *expr.Bits) {
		if more := words - len(*b); more > 0 {
			*b = append(*b, make(expr.Bits, more)...)
		}
	}
	grow(&d.in)
	grow(&d.denied)
	grow(&d.held)
	grow(&d.others)
	for i := range d.who {
		grow(&d.who[i].rows)
		if d.who[i].last != nil {
			grow(&d.who[i].last)
		}
	}
}

// ask puts the question.
func (l *look) ask(ctx context.Context) error {
	if len(l.chunks) == 0 {
		return nil
	}
	return decision.SweeperOf(l.a.Judge).Sweep(ctx, decision.Sweep{
		Now: l.a.Now, Campaigns: []decision.Campaign{l.a.Campaign}, Source: l.e.snapshot, Chunks: l.chunks,
		Rows: func(_, chunk int) expr.Bits { return l.sets[l.of(chunk)] },
		Answer: func(_, chunk int, b *decision.Bulk) error {
			l.answer(chunk, b)
			return nil
		},
	})
}

// of is which of the chunks that are asked about it is.
func (l *look) of(chunk int) int {
	at, _ := slices.BinarySearch(l.chunks, chunk)
	return at
}

// answer takes in what was answered for the rows of a chunk.
func (l *look) answer(chunk int, b *decision.Bulk) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d, rows := &l.e.chunks[chunk], &l.rows[l.of(chunk)]
	var denied, held, others int64
	for i := range b.Reasons {
		r := &b.Reasons[i]
		w := d.having(&r.Reason)
		n := rows.join(w.rows, r.Who)
		w.until(rows, r)
		w.n += n
		w.counted(&l.e.sum).Add(n, w.end)
		switch {
		case r.Mode == v1alpha1.ModeAudit:
		case r.Verdict == v1alpha1.VerdictHold:
			held += rows.join(d.held, r.Who)
		default:
			denied += rows.join(d.denied, r.Who)
			if r.Code != v1alpha1.CodeHeldOut {
				others += rows.join(d.others, r.Who)
			}
		}
	}
	held -= rows.without(d.held, d.denied)
	l.e.count(d, counts(int64(rows.words.Count()), denied, held, others), 1)
	for row := range rows.All {
		l.e.wake(d, b.StaleAt[row])
	}
}

// having is who has a reason, as people count them.
func (d *decided) having(r *decision.Reason) *having {
	for i := range d.who {
		if decision.SameReason(&d.who[i].reason, r) {
			return &d.who[i]
		}
	}
	w := having{reason: *r, rows: make(expr.Bits, len(d.in))}
	w.reason.Until, w.reason.Message = time.Time{}, ""
	if r.Verdict == v1alpha1.VerdictHold {
		w.last = make(expr.Bits, len(d.in))
	}
	d.who = append(d.who, w)
	return &d.who[len(d.who)-1]
}

// counted is what a sum knows of the reason.
func (w *having) counted(in *decision.Tally) *decision.ReasonSum {
	if w.sum == nil {
		w.sum = in.Of(&w.reason)
	}
	return w.sum
}

// counts are the numbers of people of whom some are denied, others of these for
// more than the campaign's holdout, and some are held.
func counts(all, denied, held, others int64) v1alpha1.Counts {
	return v1alpha1.Counts{Targeted: all, Allowed: all - denied - held, Held: held, Denied: others, HeldOut: denied - others}
}

// count adds people of a chunk to the sum, or takes them out.
func (e *Evaluation) count(d *decided, people v1alpha1.Counts, sign int64) {
	d.counts = decision.Plus(d.counts, people, sign)
	e.sum.Many(people, sign)
}

// wake says that something of a chunk can change at an instant.
func (e *Evaluation) wake(d *decided, at int64) {
	d.staleAt, e.first = sooner(d.staleAt, at), sooner(e.first, at)
}

// reset takes a chunk out of the sum. Until when reasons hold for others is then
// to be found out anew, and when the first answer is stale.
func (e *Evaluation) reset(d *decided) {
	e.sum.Many(d.counts, -1)
	for i := range d.who {
		w := &d.who[i]
		w.counted(&e.sum).Add(-w.n, decision.Ending{})
		e.recount = e.recount || w.reason.Verdict == v1alpha1.VerdictHold
	}
	e.later = e.later || d.staleAt != decision.Never
	*d = decided{staleAt: decision.Never}
}
