package audience

import (
	"context"
	"errors"
	"slices"

	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
)

// having is who of a chunk has a reason, and until when they are held. Not
// everybody's end is kept: only the last one and whose it is, so that it stays
// known for as long as one of them is there. When the last of these goes, end is
// too late until somebody needs it; see ends.
type having struct {
	reason decision.Reason
	rows   expr.Bits
	end    decision.Ending
	last   expr.Bits // those of rows that have the end; nil: nobody is held
	n      int64     // that are in the sum
	sum    *decision.ReasonSum
}

// until takes in until when some are held.
func (w *having) until(rows *some, r *decision.BulkReason) {
	if w.last == nil {
		w.end.Open = true
		return
	}
	end := decision.Ending{Until: r.Until, Open: r.Until.IsZero()}
	switch {
	case w.end.Before(end):
		clear(w.last)
		w.end = end
	case end.Before(w.end):
		return
	}
	rows.join(w.last, r.Last)
}

// release takes out so many customers, whose rows are among those. Only when the
// sum's end may have been theirs alone it has to be found out anew.
func (e *Evaluation) release(w *having, n int64, rows *some) {
	sum, end := w.counted(&e.sum), w.end
	w.n -= n
	if w.last != nil {
		rows.drop(w.last)
		if empty(w.last) {
			e.recount = e.recount || sum.Ends(end)
			if w.n == 0 {
				w.end = decision.Ending{}
			}
		}
	}
	sum.Add(-n, end)
}

// ends finds out until when reasons hold where the last to be held is gone:
// chunks are asked until when they hold only while one that does not know could
// be the last.
func (l *look) ends(ctx context.Context) error {
	e := l.e
	if !e.recount {
		return nil
	}
	for {
		e.recounted()
		chunk, w := e.unsure()
		if w == nil {
			return nil
		}
		w.end = decision.Ending{}
		if err := l.askEnd(ctx, chunk, w); err != nil {
			return err
		}
		if empty(w.last) {
			return errors.New("find out until when customers are held: who was held is not any more; everybody is asked about anew")
		}
	}
}

// unsure is who may have the sum's end for a reason, which nobody has for sure.
func (e *Evaluation) unsure() (chunk int, who *having) {
	type open struct {
		chunk int
		who   *having
	}
	var (
		maybe []open
		sure  []*decision.Reason
	)
	for i := range e.chunks {
		for j := range e.chunks[i].who {
			w := &e.chunks[i].who[j]
			switch {
			case w.last == nil || w.n == 0 || !w.counted(&e.sum).Ends(w.end):
			case empty(w.last):
				maybe = append(maybe, open{i, w})
			default:
				sure = append(sure, &w.reason)
			}
		}
	}
	for _, m := range maybe {
		if !slices.ContainsFunc(sure, func(r *decision.Reason) bool { return decision.SameReason(r, &m.who.reason) }) {
			return m.chunk, m.who
		}
	}
	return 0, nil
}

// askEnd asks again about those of a chunk who are held for a reason.
func (l *look) askEnd(ctx context.Context, chunk int, w *having) error {
	rows := some{words: w.rows}
	return decision.SweeperOf(l.a.Judge).Sweep(ctx, decision.Sweep{
		Now: l.a.Now, Campaigns: []decision.Campaign{l.a.Campaign}, Source: l.e.snapshot, Chunks: []int{chunk},
		Rows: func(int, int) expr.Bits { return w.rows },
		Answer: func(_, _ int, b *decision.Bulk) error {
			for i := range b.Reasons {
				if r := &b.Reasons[i]; decision.SameReason(&r.Reason, &w.reason) {
					w.until(&rows, r)
				}
			}
			d := &l.e.chunks[chunk]
			for row := range w.rows.All {
				l.e.wake(d, b.StaleAt[row])
			}
			return nil
		},
	})
}

// recounted sums up anew.
func (e *Evaluation) recounted() {
	e.sum, e.recount = decision.Tally{}, false
	for i := range e.chunks {
		d := &e.chunks[i]
		e.sum.Many(d.counts, 1)
		for j := range d.who {
			w := &d.who[j]
			if w.sum = nil; w.n > 0 {
				w.counted(&e.sum).Add(w.n, w.end)
			}
		}
	}
}
