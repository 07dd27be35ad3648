package decision

import (
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/expr"
)

// Bulk is what follows for many customers at once, without an Answer for each.
type Bulk struct {
	Customers int
	// Left are those whom somebody else must answer for; nothing else here is
	// about them.
	Left expr.Bits
	// Reasons that anybody has. What their Until says is for each of them apart.
	Reasons []BulkReason
	// StaleAt is by customer when the answer can change by itself, in nanoseconds
	// since 1970; Never where it can't.
	StaleAt []int64
}

// Never is a StaleAt that does not come. It is no instant that lies ahead of any.
const Never = int64(-1 << 63)

// BulkReason is a reason and who has it.
type BulkReason struct {
	Reason
	Who expr.Bits
	// Last are those who are held until Until, or nobody knows until when where
	// that is zero. It is void for other verdicts.
	Last expr.Bits
}

// until is when a reason that a row has ends.
func (r *BulkReason) until(row int, end time.Time) {
	if !r.Until.IsZero() && (end.IsZero() || end.After(r.Until)) {
		r.Until = end
		clear(r.Last)
	}
	if end.Equal(r.Until) {
		r.Last.Set(row)
	}
}

// Verdicts are those who are denied and those who are held; others are allowed.
// Reasons of policies that only watch have no effect.
func (b *Bulk) Verdicts() (denied, held expr.Bits) {
	denied, held = b.none(), b.none()
	for i := range b.Reasons {
		switch r := &b.Reasons[i]; {
		case r.Mode == v1alpha1.ModeAudit:
		case r.Verdict == v1alpha1.VerdictHold:
			held.Join(r.Who)
		default:
			denied.Join(r.Who)
		}
	}
	held.Drop(denied)
	return denied, held
}

// Counts are the numbers of people by what follows for them.
func (b *Bulk) Counts() v1alpha1.Counts {
	denied, held := b.Verdicts()
	others := b.none() // denied for another reason than the campaign's holdout
	for i := range b.Reasons {
		if r := &b.Reasons[i]; r.Mode != v1alpha1.ModeAudit && r.Verdict != v1alpha1.VerdictHold && r.Code != v1alpha1.CodeHeldOut {
			others.Join(r.Who)
		}
	}
	c := v1alpha1.Counts{Targeted: int64(b.Customers - b.Left.Count()), Held: int64(held.Count()), Denied: int64(others.Count())}
	c.HeldOut = int64(denied.Count()) - c.Denied
	c.Allowed = c.Targeted - c.Held - int64(denied.Count())
	return c
}

func (b *Bulk) none() expr.Bits { return make(expr.Bits, len(b.Left)) }
