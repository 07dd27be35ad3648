package audience_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
	"github.com/codb-dev/codb/internal/feed"
)

// strict are rules with reasons of every kind, several of which people have at once:
// some only watch, some deny for the campaign's holdout alone, one has words for
// each customer.
type strict struct{ rules }

func (s strict) Judge(ctx context.Context, q decision.Question) ([]decision.Answer, error) {
	out, err := s.rules.Judge(ctx, q)
	for i := range out {
		p, a := &q.Subjects[i].Person, &out[i]
		if p.Bucket < 2000 {
			a.Reasons = append(a.Reasons, decision.Reason{Code: v1alpha1.CodeHeldOut, Verdict: v1alpha1.VerdictDeny})
		}
		if p.Language != "" {
			a.Reasons = append(a.Reasons,
				decision.Reason{Code: "Spoken", Verdict: v1alpha1.VerdictDeny, Message: p.Language, Mode: v1alpha1.ModeAudit},
				decision.Reason{Code: "Spoken", Verdict: v1alpha1.VerdictHold, Message: p.Language, Until: noon.AddDate(1, 0, p.Bucket)})
		}
		if p.Bucket > 9000 {
			a.StaleAt = decision.Sooner(a.StaleAt, noon.AddDate(1, 0, p.Bucket))
		}
	}
	return out, err
}

// A long history of single changes, each taken in by difference, leaves exactly what
// somebody finds who has never asked before: counts, reasons, until when they hold,
// and whose they are.
func TestALongHistoryOfSingleChangesIsTheSameAsAFreshLook(t *testing.T) {
	const customers, changes = expr.Chunk + 400, 1200
	c := newCrowd(17)
	s := newStore()
	l := &told{Log: feed.Log{Keep: 1 << 16}, past: map[string]decision.Contacts{}}
	name := func() string { return fmt.Sprintf("c-%d", c.IntN(customers)) }
	for i := range customers {
		id := fmt.Sprintf("c-%d", i)
		s.put(id, c.customer(id, false))
	}
	now := noon
	var kept audience.Evaluation
	ask := func(e *audience.Evaluation) *decision.Tally {
		t.Helper()
		tally, err := e.Refresh(t.Context(), audience.Asked{
			Key: "k", Now: now, Judge: strict{}, Table: s.Table, Past: l, Ledger: l,
			Audience: &v1alpha1.Audience{Everyone: &v1alpha1.Everyone{}},
			Campaign: decision.Campaign{Namespace: "n", Name: "c", Brand: "acme"},
		})
		if err != nil {
			t.Fatal(err)
		}
		return tally
	}
	for n := range changes {
		switch id := name(); c.IntN(8) {
		case 0:
			s.remove(id)
		case 1:
			l.past[id] = c.past()
			l.Add(id)
		default:
			s.put(id, c.customer(id, false))
		}
		if c.IntN(200) == 0 {
			now = now.Add(time.Duration(c.IntN(90)) * time.Minute)
		}
		got := ask(&kept)
		if n%20 != 0 && n < changes-20 {
			continue
		}
		var fresh audience.Evaluation
		want := ask(&fresh)
		if diff := cmp.Diff(want.Counts, got.Counts); diff != "" {
			t.Fatalf("change %d: counts (-fresh +kept):\n%s", n, diff)
		}
		if len(fresh.Targeted()) == 0 || len(want.Reasons()) < 4 {
			t.Fatalf("%d targeted with %d reasons: this proves nothing", len(fresh.Targeted()), len(want.Reasons()))
		}
		if diff := cmp.Diff(want.Reasons(), got.Reasons()); diff != "" {
			t.Fatalf("change %d: reasons (-fresh +kept):\n%s", n, diff)
		}
		if !want.StaleAt.IsZero() && (got.StaleAt.IsZero() || got.StaleAt.After(want.StaleAt)) {
			t.Fatalf("change %d: wakes at %s, must at %s", n, got.StaleAt, want.StaleAt)
		}
		if diff := cmp.Diff(fresh.Targeted(), kept.Targeted()); diff != "" {
			t.Fatalf("change %d: who is meant (-fresh +kept):\n%s", n, diff)
		}
	}
}
