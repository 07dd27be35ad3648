package decision

import (
	"cmp"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// maxReasons is how many reasons a decision names; the rest is Other.
const maxReasons = 64

// Tally sums up the answers for the customers of one campaign.
type Tally struct {
	// Counts of people by what follows for them.
	Counts v1alpha1.Counts
	// StaleAt is the first instant at which any answer can change by itself;
	// zero: never.
	StaleAt time.Time

	reasons map[reasonKey]*ReasonSum
	torn    bool
}

type reasonKey struct {
	code, policy, rule string
	verdict            v1alpha1.Verdict
	mode               v1alpha1.PolicyMode
}

// ReasonSum is how many customers have a reason, and until when the last of them.
type ReasonSum struct {
	customers int64
	until     time.Time
	open      bool // some hold has no known end
}

// Personal is the verdict that reasons lead to: Deny beats Hold beats Allow.
// Reasons of policies that only watch have no effect.
func Personal(reasons []Reason) v1alpha1.Verdict {
	v := v1alpha1.VerdictAllow
	for _, r := range reasons {
		switch {
		case r.Mode == v1alpha1.ModeAudit:
		case r.Verdict == v1alpha1.VerdictHold:
			if v == v1alpha1.VerdictAllow {
				v = v1alpha1.VerdictHold
			}
		default: // a verdict that nobody knows denies
			return v1alpha1.VerdictDeny
		}
	}
	return v
}

// Until is when the last of the holds ends; zero where one has no known end or
// there is none.
func Until(reasons []Reason) time.Time {
	var last time.Time
	for _, r := range reasons {
		if r.Mode == v1alpha1.ModeAudit || r.Verdict != v1alpha1.VerdictHold {
			continue
		}
		if r.Until.IsZero() {
			return time.Time{}
		}
		if r.Until.After(last) {
			last = r.Until
		}
	}
	return last
}

// Sooner is the earlier of two instants, of which zero means never.
func Sooner(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// Add counts the answer for one customer.
func (t *Tally) Add(a *Answer) {
	t.people(a, 1)
	t.StaleAt = Sooner(t.StaleAt, a.StaleAt)
	for i := range a.Reasons {
		r := &a.Reasons[i]
		var n int64
		if firstOf(a.Reasons, i) {
			n = 1
		}
		t.Of(r).Add(n, Ending{r.Until, r.Until.IsZero()})
	}
}

// Remove takes out what Add counted for the same answer. StaleAt stays: it may
// then be too early, never too late.
func (t *Tally) Remove(a *Answer) {
	t.people(a, -1)
	for i := range a.Reasons {
		r := &a.Reasons[i]
		s := t.reasons[keyOf(r)]
		if s == nil || s.customers == 0 {
			t.torn = t.torn || firstOf(a.Reasons, i) // never added: the sum is not to be trusted
			continue
		}
		if firstOf(a.Reasons, i) {
			s.customers--
		}
		if s.customers == 0 {
			*s = ReasonSum{}
			continue
		}
		if r.Verdict == v1alpha1.VerdictHold && (r.Until.IsZero() || !r.Until.Before(s.until)) {
			t.torn = true
		}
	}
}

// firstOf says whether no reason before it is the same to a count of people:
// somebody may have two that differ in their message or their end.
func firstOf(reasons []Reason, i int) bool {
	return !slices.ContainsFunc(reasons[:i], func(r Reason) bool { return keyOf(&r) == keyOf(&reasons[i]) })
}

// Ending is until when a reason holds for the last of many customers.
type Ending struct {
	Until time.Time // of those of whom it is known; zero: of nobody
	Open  bool      // somebody's is not known
}

// Before says whether one comes before another; what nobody knows comes last.
func (e Ending) Before(other Ending) bool {
	return !e.Open && (other.Open || e.Until.Before(other.Until))
}

// Many counts so many customers more, or less, of whom all that is known is what
// follows for them.
func (t *Tally) Many(people v1alpha1.Counts, sign int64) {
	t.Counts = Plus(t.Counts, people, sign)
}

// Plus is the sum of numbers of people, or the difference.
func Plus(c, people v1alpha1.Counts, sign int64) v1alpha1.Counts {
	c.Targeted += sign * people.Targeted
	c.Allowed += sign * people.Allowed
	c.Held += sign * people.Held
	c.Denied += sign * people.Denied
	c.HeldOut += sign * people.HeldOut
	return c
}

// Of is what the tally says of a reason, for as long as the tally is there.
func (t *Tally) Of(r *Reason) *ReasonSum { return t.sum(keyOf(r)) }

// Ends says whether that is until when the last of those who have the reason do.
func (s *ReasonSum) Ends(end Ending) bool {
	return s.customers != 0 && s.open == end.Open && (s.open || s.until.Equal(end.Until))
}

// Add counts so many customers more, or less, who have the reason, the last of
// them until end.
func (s *ReasonSum) Add(n int64, end Ending) {
	s.customers += n
	if s.customers == 0 {
		*s = ReasonSum{}
		return
	}
	s.open = s.open || end.Open
	if end.Until.After(s.until) {
		s.until = end.Until
	}
}

func (t *Tally) sum(k reasonKey) *ReasonSum {
	s := t.reasons[k]
	if s == nil {
		if t.reasons == nil {
			t.reasons = map[reasonKey]*ReasonSum{}
		}
		s = &ReasonSum{}
		t.reasons[k] = s
	}
	return s
}

// With is the sum of two.
func (t *Tally) With(other *Tally) *Tally {
	out := &Tally{Counts: t.Counts, StaleAt: Sooner(t.StaleAt, other.StaleAt), reasons: map[reasonKey]*ReasonSum{}}
	out.Many(other.Counts, 1)
	for _, of := range []*Tally{t, other} {
		for k, s := range of.reasons {
			out.sum(k).Add(s.customers, Ending{s.until, s.open})
		}
	}
	return out
}

// SameReason says whether two reasons are one to a count of people.
func SameReason(a, b *Reason) bool { return keyOf(a) == keyOf(b) }

// Torn says that an answer was removed which may have been the last to hold:
// until when a reason holds is not known until everything is added anew.
func (t *Tally) Torn() bool { return t.torn }

// withdrawn says whether somebody said no; it looks at all reasons, not only at
// those that a decision names.
func (t *Tally) withdrawn() bool {
	for k, s := range t.reasons {
		if s.customers != 0 && k.mode != v1alpha1.ModeAudit && slices.Contains(noes, k.code) {
			return true
		}
	}
	return false
}

func (t *Tally) people(a *Answer, n int64) {
	t.Counts.Targeted += n
	switch Personal(a.Reasons) {
	case v1alpha1.VerdictAllow:
		t.Counts.Allowed += n
	case v1alpha1.VerdictHold:
		t.Counts.Held += n
	default:
		if onlyHeldOut(a.Reasons) {
			t.Counts.HeldOut += n
		} else {
			t.Counts.Denied += n
		}
	}
}

func keyOf(r *Reason) reasonKey {
	return reasonKey{code: r.Code, policy: r.Policy, rule: r.Rule, verdict: r.Verdict, mode: r.Mode}
}

// Reasons lists the reasons, denials first, then holds, each by how many
// customers have them; the same answers give the same list.
func (t *Tally) Reasons() []v1alpha1.ReasonCount {
	out := make([]v1alpha1.ReasonCount, 0, len(t.reasons))
	for k, s := range t.reasons {
		if s.customers == 0 {
			continue // nobody has it any more
		}
		rc := v1alpha1.ReasonCount{
			Code: k.code, Verdict: k.verdict, Policy: k.policy, Rule: k.rule, Mode: k.mode, Customers: s.customers,
		}
		if !s.open && !s.until.IsZero() {
			rc.Until = &metav1.Time{Time: s.until}
		}
		out = append(out, rc)
	}
	slices.SortFunc(out, func(a, b v1alpha1.ReasonCount) int {
		return cmp.Or(
			cmp.Compare(rank(a), rank(b)), cmp.Compare(b.Customers, a.Customers),
			cmp.Compare(a.Code, b.Code), cmp.Compare(a.Policy, b.Policy), cmp.Compare(a.Rule, b.Rule),
			cmp.Compare(a.Verdict, b.Verdict), cmp.Compare(a.Mode, b.Mode),
		)
	})
	return capped(out)
}

// rank puts what decides first: denials, then holds, then what only watches.
func rank(rc v1alpha1.ReasonCount) int {
	switch {
	case rc.Mode == v1alpha1.ModeAudit:
		return 2
	case rc.Verdict == v1alpha1.VerdictHold:
		return 1
	}
	return 0
}

func capped(rs []v1alpha1.ReasonCount) []v1alpha1.ReasonCount {
	if len(rs) <= maxReasons {
		return rs
	}
	other := v1alpha1.ReasonCount{Code: v1alpha1.CodeOther, Verdict: v1alpha1.VerdictDeny}
	for _, r := range rs[maxReasons:] {
		other.Customers += r.Customers
	}
	return append(rs[:maxReasons:maxReasons], other)
}

func onlyHeldOut(reasons []Reason) bool {
	for _, r := range reasons {
		if r.Mode != v1alpha1.ModeAudit && r.Verdict != v1alpha1.VerdictHold && r.Code != v1alpha1.CodeHeldOut {
			return false
		}
	}
	return true
}
