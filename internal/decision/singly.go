package decision

import (
	"context"
	"fmt"
	"time"

	"github.com/codb-dev/codb/internal/expr"
)

// SweeperOf is the judge itself where it answers for many at once, else one that
// asks it customer by customer.
func SweeperOf(j Judge) Sweeper {
	if s, ok := j.(Sweeper); ok {
		return s
	}
	return Singly{j}
}

// Singly asks a Judge about each customer of a Sweep.
type Singly struct{ Judge Judge }

// Doubted implements Sweeper.
func (Singly) Doubted() uint64 { return 0 }

// Sweep implements Sweeper.
func (s Singly) Sweep(ctx context.Context, of Sweep) error {
	chunks := of.Chunks
	if chunks == nil {
		for i := range of.Source.Chunks() {
			chunks = append(chunks, i)
		}
	}
	for n := range of.Campaigns {
		for _, chunk := range chunks {
			if err := s.chunk(ctx, &of, n, chunk); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s Singly) chunk(ctx context.Context, of *Sweep, n, chunk int) error {
	c := &of.Campaigns[n]
	columns := of.Source.Chunk(chunk, c.Brand)
	rows := columns.Live
	if of.Rows != nil {
		rows = of.Rows(n, chunk)
	}
	q := Question{Now: of.Now, Campaign: *c}
	for row := range rows.All {
		q.Subjects = append(q.Subjects, of.Source.Subject(chunk, row, c))
	}
	if len(q.Subjects) == 0 {
		return nil
	}
	answers, err := s.Judge.Judge(ctx, q)
	if err != nil {
		return fmt.Errorf("judge %d customers: %w", len(q.Subjects), err)
	}
	if len(answers) != len(q.Subjects) {
		return fmt.Errorf("judge %d customers: got %d answers", len(q.Subjects), len(answers))
	}
	b := newBulk(columns.Columns.Rows, len(answers))
	i := 0
	for row := range rows.All {
		b.add(row, &answers[i])
		i++
	}
	return of.Answer(n, chunk, b)
}

func newBulk(rows, customers int) *Bulk {
	b := &Bulk{Customers: customers, Left: expr.NewBits(rows), StaleAt: make([]int64, rows)}
	for i := range b.StaleAt {
		b.StaleAt[i] = Never
	}
	return b
}

// add takes in the answer for a row.
func (b *Bulk) add(row int, a *Answer) {
	if !a.StaleAt.IsZero() {
		b.StaleAt[row] = a.StaleAt.UnixNano()
	}
	for _, r := range a.Reasons {
		who := b.reason(r)
		who.until(row, r.Until)
		who.Who.Set(row)
	}
}

// reason is that of everybody who has it, whenever it ends.
func (b *Bulk) reason(r Reason) *BulkReason {
	until := r.Until
	for i := range b.Reasons {
		r.Until = b.Reasons[i].Until
		if b.Reasons[i].Reason == r {
			return &b.Reasons[i]
		}
	}
	r.Until = until
	b.Reasons = append(b.Reasons, BulkReason{Reason: r, Who: b.none(), Last: b.none()})
	return &b.Reasons[len(b.Reasons)-1]
}

// Instant is a moment of StaleAt's; zero: Never.
func Instant(ns int64) time.Time {
	if ns == Never {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}
