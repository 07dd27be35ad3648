package consent

import (
	"cmp"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// What all answers of a customer amount to.
const (
	SummaryGiven    = "Given"
	SummaryPaused   = "Paused"
	SummaryOptedOut = "OptedOut"
	SummaryNone     = "None"
)

// What the answers to one brand amount to.
const (
	StateGiven     = "Given"
	StatePending   = "Pending"
	StateExpired   = "Expired"
	StateWithdrawn = "Withdrawn"
	StateRefused   = "Refused"
	StateNone      = "None"
)

// The longest that an act implies a consent, in calendar months, whatever the
// record says (CASL section 10(9)-(10)).
const (
	monthsAfterPurchase = 24
	monthsAfterInquiry  = 6
)

// Standing is what a customer's answers amount to at one instant. It knows
// neither campaigns nor contacts: a policy may refuse what is Given here, and a
// purchase that only the ledger knows of may renew what is Expired.
type Standing struct {
	Summary string
	// Brands are sorted by name.
	Brands []v1alpha1.BrandStanding
	// NextChange is the first instant at which any of this changes by itself;
	// zero: never.
	NextChange time.Time
}

// BrandsGiven counts the brands with an answer that counts.
func (s Standing) BrandsGiven() int32 {
	var n int32
	for _, b := range s.Brands {
		if b.State == StateGiven {
			n++
		}
	}
	return n
}

// StandingAt says what the record amounts to at the instant at. Spans include
// their first instant and exclude their last. An opt-out counts at once and
// withdraws every answer; a pause leaves the answers as they are, and is said
// in the summary.
func StandingAt(spec *v1alpha1.CustomerConsentSpec, at time.Time) Standing {
	s := Standing{Summary: SummaryNone}
	for i := range spec.Relationships {
		r := &spec.Relationships[i]
		if spec.OptOut != nil {
			s.Brands = append(s.Brands, v1alpha1.BrandStanding{Brand: r.Brand, State: StateWithdrawn})
			continue
		}
		b := brandAt(r, at)
		if b.State == StateGiven {
			s.Summary = SummaryGiven
		}
		if b.Until != nil {
			s.changes(b.Until.Time)
		}
		s.Brands = append(s.Brands, b)
	}
	slices.SortFunc(s.Brands, func(a, b v1alpha1.BrandStanding) int { return cmp.Compare(a.Brand, b.Brand) })

	switch p := spec.Pause; {
	case spec.OptOut != nil:
		s.Summary = SummaryOptedOut
	case p == nil || !at.Before(p.Until.Time) || !p.From.Time.Before(p.Until.Time):
	case at.Before(p.From.Time):
		s.changes(p.From.Time)
	default:
		s.Summary = SummaryPaused
		s.changes(p.Until.Time)
	}
	return s
}

func (s *Standing) changes(at time.Time) {
	if s.NextChange.IsZero() || at.Before(s.NextChange) {
		s.NextChange = at
	}
}

// brandAt looks at the answers to one brand, now and at each edge to come.
func brandAt(r *v1alpha1.Relationship, at time.Time) v1alpha1.BrandStanding {
	answers := make([]answer, len(r.Grants))
	var edges []time.Time
	for i := range r.Grants {
		answers[i] = answerOf(r, &r.Grants[i])
		for _, edge := range []time.Time{answers[i].from, answers[i].to} {
			if edge.After(at) {
				edges = append(edges, edge)
			}
		}
	}
	slices.SortFunc(edges, time.Time.Compare)

	b := v1alpha1.BrandStanding{Brand: r.Brand}
	b.State, b.Channels = best(r, answers, at)
	for _, edge := range edges {
		if state, channels := best(r, answers, edge); state != b.State || !slices.Equal(channels, b.Channels) {
			b.Until = &metav1.Time{Time: edge}
			break
		}
	}
	return b
}

// ranks orders the states: the best of all answers is the brand's.
var ranks = map[string]int{StateNone: 0, StateRefused: 1, StateWithdrawn: 2, StateExpired: 3, StatePending: 4, StateGiven: 5}

// best is the best state of any answer, and the channels of those given.
func best(r *v1alpha1.Relationship, answers []answer, at time.Time) (string, []v1alpha1.Channel) {
	state := StateNone
	if len(r.Objections) > 0 {
		state = StateRefused
	}
	var channels []v1alpha1.Channel
	for _, a := range answers {
		s := a.at(at)
		if ranks[s] > ranks[state] {
			state = s
		}
		if s == StateGiven {
			channels = append(channels, a.channel)
		}
	}
	slices.Sort(channels)
	return state, slices.Compact(channels)
}

// answer is a grant as far as time is concerned.
type answer struct {
	channel v1alpha1.Channel
	// fixed is the state where time changes nothing; else it is Given in
	// [from, to), with to zero for ever.
	fixed    string
	from, to time.Time
}

func (a answer) at(t time.Time) string {
	switch {
	case a.fixed != "":
		return a.fixed
	case t.Before(a.from):
		return StatePending
	case a.to.IsZero() || t.Before(a.to):
		return StateGiven
	}
	return StateExpired
}

// StateAt is what one answer amounts to at the instant at, and when that
// changes by itself; zero: never.
func StateAt(spec *v1alpha1.CustomerConsentSpec, r *v1alpha1.Relationship, g *v1alpha1.Grant, at time.Time) (state string, until time.Time) {
	if spec.OptOut != nil {
		return StateWithdrawn, until
	}
	a := answerOf(r, g)
	for _, edge := range []time.Time{a.from, a.to} {
		if a.fixed == "" && edge.After(at) && (until.IsZero() || edge.Before(until)) {
			until = edge
		}
	}
	return a.at(at), until
}

// answerOf reads a grant. An objection to its purpose withdraws it, and only
// what is known to be given is given.
func answerOf(r *v1alpha1.Relationship, g *v1alpha1.Grant) answer {
	for _, o := range r.Objections {
		if o.Purpose == g.Purpose {
			return answer{fixed: StateWithdrawn}
		}
	}
	switch g.Status {
	case v1alpha1.ConsentGiven, v1alpha1.RenewedConsentGiven:
		return givenIn(g)
	case v1alpha1.ConsentRequested, v1alpha1.ConsentRequestDeferred:
		return answer{fixed: StatePending}
	case v1alpha1.ConsentRefused:
		return answer{fixed: StateRefused}
	case v1alpha1.ConsentExpired:
		return answer{fixed: StateExpired}
	case v1alpha1.ConsentWithdrawn, v1alpha1.ConsentRevoked, v1alpha1.ConsentInvalidated:
		return answer{fixed: StateWithdrawn}
	}
	return answer{fixed: StateNone}
}

// givenIn says when a given answer counts: never before it was captured, and
// an implied one no longer than the law allows.
func givenIn(g *v1alpha1.Grant) answer {
	a := answer{channel: g.Channel, from: g.CaptureDate.Time}
	if g.EffectiveFrom != nil {
		a.from = later(a.from, g.EffectiveFrom.Time)
	}
	if g.EffectiveTo != nil {
		a.to = g.EffectiveTo.Time
	}
	switch g.ConsentType {
	case "", v1alpha1.ExpressedConsent, v1alpha1.ExplicitlyExpressedConsent:
	default: // whatever is not known to be expressed is implied at most
		from, to, ok := impliedIn(g.ImpliedBy)
		if !ok {
			return answer{fixed: StateNone}
		}
		a.from = later(a.from, from)
		if a.to.IsZero() || to.Before(a.to) {
			a.to = to
		}
	}
	if !a.to.IsZero() && !a.from.Before(a.to) {
		return answer{fixed: StateExpired}
	}
	return a
}

// impliedIn says when an act implies a consent. A contract may still run, so
// that its date lies ahead; a purchase or an inquiry to come implies nothing.
func impliedIn(act *v1alpha1.ImpliedBy) (from, to time.Time, ok bool) {
	if act == nil {
		return from, to, false
	}
	switch act.Event {
	case v1alpha1.EventContract:
		return from, plusMonths(act.EventDate.Time, monthsAfterPurchase), true
	case v1alpha1.EventPurchase:
		return act.EventDate.Time, plusMonths(act.EventDate.Time, monthsAfterPurchase), true
	case v1alpha1.EventInquiry:
		return act.EventDate.Time, plusMonths(act.EventDate.Time, monthsAfterInquiry), true
	}
	return from, to, false
}

// plusMonths adds calendar months in UTC. Where the month is too short, it ends
// on its last day: 31 August and 6 months is the end of February.
func plusMonths(t time.Time, months int) time.Time {
	t = t.UTC()
	sum := t.AddDate(0, months, 0)
	if sum.Day() != t.Day() {
		sum = sum.AddDate(0, 0, -sum.Day())
	}
	return sum
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
