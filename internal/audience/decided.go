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
	rows   map[int]expr.Bits // by chunk: who is asked about
	mu     sync.Mutex        // of the sum
}

// look finds whom to ask about: those who are new or changed, and of a chunk
// where an answer is stale, everybody.
func (e *Evaluation) look(a *Asked, was *Snapshot, anew bool) *look {
	l := &look{e: e, a: a, was: was, rows: map[int]expr.Bits{}}
	s := e.snapshot
	for len(e.chunks) < len(s.chunks) {
		e.chunks = append(e.chunks, decided{staleAt: decision.Never})
	}
	for i := range e.chunks {
		l.bury(i)
	}
	if anew {
		e.forget()
	}
	for i := range e.chunks {
		d := &e.chunks[i]
		all := d.staleAt != decision.Never && a.Now.UnixNano() >= d.staleAt
		if d.serial != s.chunks[i].serial || !unchanged(d.live, s.live[i]) || all {
			l.choose(i, all)
		}
	}
	return l
}

// forget drops the answers.
func (e *Evaluation) forget() {
	for i := range e.chunks {
		e.chunks[i] = decided{staleAt: decision.Never}
	}
	e.sum, e.apart = decision.Tally{}, contacted{gone: e.apart.gone}
}

func unchanged(a, b expr.Bits) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// bury takes out the rows of a chunk that are dead.
func (l *look) bury(i int) {
	d, c, live := &l.e.chunks[i], l.e.snapshot.chunks[i], l.e.snapshot.live[i]
	same := d.serial == c.serial
	if same && unchanged(d.live, live) || d.in == nil {
		return
	}
	dead := slices.Clone(d.live)
	if same {
		dead.Drop(live[:len(dead)])
	}
	if l.a.Runs != "" {
		l.forget(i, dead)
	}
	if !same {
		l.e.reset(d)
		return
	}
	if overlap(dead, d.in) {
		l.e.clear(d, dead)
		l.e.count(d)
	}
}

// forget takes out whom a run contacts, and remembers who is gone meanwhile.
func (l *look) forget(i int, dead expr.Bits) {
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
func (e *Evaluation) clear(d *decided, rows expr.Bits) {
	for _, b := range []expr.Bits{d.in, d.denied, d.held, d.others} {
		b.Drop(rows[:min(len(rows), len(b))])
	}
	for i := range d.who {
		if w := &d.who[i]; overlap(rows, w.rows) {
			e.release(w, rows)
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
func (l *look) choose(i int, all bool) {
	d, c, live := &l.e.chunks[i], l.e.snapshot.chunks[i], l.e.snapshot.live[i]
	rows := slices.Clone(live)
	if all {
		l.e.reset(d)
	} else {
		rows.Drop(d.live)
	}
	d.serial, d.live = c.serial, live
	d.grow(len(live))
	if l.a.Runs != "" {
		for row := range rows.All {
			if name := l.e.snapshot.Name(i, row); l.a.hides(name) {
				rows[row>>6] &^= 1 << (row & 63)
				l.e.apart.add(located{name, i, row})
			}
		}
	}
	staleAt := l.e.chosen.keep(c, l.e.snapshot.dicts, rows, l.a.Now)
	d.staleAt = sooner(d.staleAt, staleAt)
	d.in.Join(rows)
	if !empty(rows) {
		l.chunks = append(l.chunks, i)
		l.rows[i] = rows
	}
}

func empty(b expr.Bits) bool { return !overlap(b, b) }

// grow makes room for as many words.
func (d *decided) grow(words int) {
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
		Rows: func(_, chunk int) expr.Bits { return l.rows[chunk] },
		Answer: func(_, chunk int, b *decision.Bulk) error {
			l.answer(chunk, b)
			return nil
		},
	})
}

// answer takes in what was answered for the rows of a chunk.
func (l *look) answer(chunk int, b *decision.Bulk) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := &l.e.chunks[chunk]
	denied, held := b.Verdicts()
	join(d.denied, denied)
	join(d.held, held)
	for i := range b.Reasons {
		r := &b.Reasons[i]
		w := d.having(&r.Reason)
		join(w.rows, r.Who)
		w.until(r)
		if r.Mode != v1alpha1.ModeAudit && r.Verdict != v1alpha1.VerdictHold && r.Code != v1alpha1.CodeHeldOut {
			join(d.others, r.Who)
		}
	}
	for row := range l.rows[chunk].All {
		d.staleAt = sooner(d.staleAt, b.StaleAt[row])
	}
	l.e.count(d)
}

// join is for sets of the same rows, one of which has room for more.
func join(b, other expr.Bits) { b.Join(other[:min(len(b), len(other))]) }

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

// count brings the sum up to what a chunk says now.
func (e *Evaluation) count(d *decided) {
	e.sum.Many(d.counts, -1)
	denied, others := int64(d.denied.Count()), int64(d.others.Count())
	d.counts = v1alpha1.Counts{Targeted: int64(d.in.Count()), Held: int64(d.held.Count()), Denied: others, HeldOut: denied - others}
	d.counts.Allowed = d.counts.Targeted - d.counts.Held - denied
	e.sum.Many(d.counts, 1)
	for i := range d.who {
		w := &d.who[i]
		n := int64(w.rows.Count())
		if n != w.n {
			e.sum.Reason(&w.reason, n-w.n, w.end)
			w.n = n
		}
	}
}

// reset takes a chunk out of the sum. Until when reasons hold for others is then
// to be found out anew.
func (e *Evaluation) reset(d *decided) {
	e.sum.Many(d.counts, -1)
	for i := range d.who {
		w := &d.who[i]
		e.sum.Reason(&w.reason, -w.n, decision.Ending{})
		e.recount = e.recount || w.reason.Verdict == v1alpha1.VerdictHold
	}
	*d = decided{staleAt: decision.Never}
}
