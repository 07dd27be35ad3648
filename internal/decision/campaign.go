package decision

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// Outcome is the answer for a whole campaign.
type Outcome struct {
	Verdict v1alpha1.CampaignVerdict
	// Code is the reason of the Permitted condition: the code that decides.
	Code string
	// Why is one line for people: the code that decides, then the most frequent
	// reasons with their numbers.
	Why string
	// StaleAt is the first instant at which any part of the answer can change
	// by itself; zero: never.
	StaleAt time.Time
	Counts  v1alpha1.Counts
	Reasons []v1alpha1.ReasonCount
	// Withdrawn is true where somebody who is meant said no, or is gone: that
	// stops what runs whatever the campaign wishes.
	Withdrawn bool
}

// Runs says whether a workload with a list of its own may run: only when
// everyone who is meant is allowed.
func (o *Outcome) Runs() bool { return o.Verdict == v1alpha1.CampaignAllowed }

// Refuse is the answer for a campaign that is not asked about person by person.
func Refuse(v v1alpha1.CampaignVerdict, code, why string, staleAt time.Time) Outcome {
	verdict := v1alpha1.VerdictDeny
	if v == v1alpha1.CampaignHeld {
		verdict = v1alpha1.VerdictHold
	}
	return Outcome{
		Verdict: v, Code: code, Why: clip(why), StaleAt: staleAt,
		Reasons: []v1alpha1.ReasonCount{{Code: code, Verdict: verdict}},
	}
}

// Preflight says what codb knows about a campaign before it asks about any
// customer; ok is false where that already decides.
func Preflight(c *v1alpha1.Campaign, brand *v1alpha1.Brand, now time.Time) (out Outcome, ok bool) {
	spec := &c.Spec
	if brand == nil {
		return Refuse(v1alpha1.CampaignBlocked, v1alpha1.CodeBrandUnknown,
			fmt.Sprintf("there is no Brand %s; the platform team declares brands", spec.Brand), time.Time{}), false
	}
	if !slices.Contains(brand.Spec.Namespaces, c.Namespace) {
		return Refuse(v1alpha1.CampaignBlocked, v1alpha1.CodeBrandNotBound,
			fmt.Sprintf("Brand %s does not list namespace %s", spec.Brand, c.Namespace), time.Time{}), false
	}
	if Class(brand, spec.Purpose) == "" {
		return Refuse(v1alpha1.CampaignBlocked, v1alpha1.CodePurposeNotDeclared,
			fmt.Sprintf("Brand %s declares no purpose %s", spec.Brand, spec.Purpose), time.Time{}), false
	}
	if !agreed(brand, spec.Depth) {
		return Refuse(v1alpha1.CampaignBlocked, v1alpha1.CodeDepthNotAgreed,
			fmt.Sprintf("Brand %s accepts no agreement of depth %s", spec.Brand, spec.Depth), time.Time{}), false
	}
	if h := firstHold(brand.Spec.Hold, spec.Hold); h != nil {
		return Refuse(v1alpha1.CampaignHeld, v1alpha1.CodeHoldRequested, "stopped by hand: "+h.Reason, time.Time{}), false
	}
	return inTime(spec, now)
}

// inTime looks at the campaign's own dates; where it may run now, the answer
// carries when that ends.
func inTime(spec *v1alpha1.CampaignSpec, now time.Time) (Outcome, bool) {
	var ends time.Time
	if s := spec.Schedule; s != nil {
		if s.NotAfter != nil {
			if !now.Before(s.NotAfter.Time) {
				return Refuse(v1alpha1.CampaignBlocked, v1alpha1.CodeNotAfter,
					"over since "+stamp(s.NotAfter.Time), time.Time{}), false
			}
			ends = s.NotAfter.Time
		}
		if s.NotBefore != nil && now.Before(s.NotBefore.Time) {
			return Refuse(v1alpha1.CampaignHeld, v1alpha1.CodeNotBefore,
				"begins "+stamp(s.NotBefore.Time), s.NotBefore.Time), false
		}
	}
	if spec.Offer != nil && spec.Offer.Expires != nil {
		if !now.Before(spec.Offer.Expires.Time) {
			return Refuse(v1alpha1.CampaignBlocked, v1alpha1.CodeOfferExpired,
				"the offer is void since "+stamp(spec.Offer.Expires.Time), time.Time{}), false
		}
		ends = Sooner(ends, spec.Offer.Expires.Time)
	}
	return Outcome{StaleAt: ends}, true
}

// Sum is the answer for a campaign whose customers were asked about. Every
// threshold must be met.
func Sum(t *Tally, thresholds []v1alpha1.Thresholds, staleAt time.Time) Outcome {
	n := t.Counts
	out := Outcome{Counts: n, Reasons: t.Reasons(), StaleAt: Sooner(t.StaleAt, staleAt), Withdrawn: t.withdrawn()}
	denied, few, never := missed(n, thresholds)
	switch {
	case n.Targeted == 0:
		out.Verdict, out.Code, out.Why = v1alpha1.CampaignBlocked, v1alpha1.CodeEmptyAudience, "nobody is in the audience"
	case n.Allowed == 0 && n.Held == 0:
		out.Verdict, out.Code, out.Why = v1alpha1.CampaignBlocked, topCode(out.Reasons, v1alpha1.VerdictDeny), top(out.Reasons, v1alpha1.VerdictDeny)
	case denied != "":
		out.Verdict, out.Code, out.Why = v1alpha1.CampaignBlocked, v1alpha1.CodeThresholdMissed, join(denied, top(out.Reasons, v1alpha1.VerdictDeny))
	case n.Allowed == 0:
		out.Verdict, out.Code, out.Why = v1alpha1.CampaignHeld, topCode(out.Reasons, v1alpha1.VerdictHold), top(out.Reasons, v1alpha1.VerdictHold)
	case few != "" && never:
		out.Verdict, out.Code, out.Why = v1alpha1.CampaignBlocked, v1alpha1.CodeThresholdMissed, join(few, top(out.Reasons, v1alpha1.VerdictDeny))
	case few != "":
		out.Verdict, out.Code, out.Why = v1alpha1.CampaignHeld, v1alpha1.CodeThresholdMissed, join(few, top(out.Reasons, v1alpha1.VerdictHold))
	case n.Allowed == n.Targeted:
		out.Verdict, out.Code, out.Why = v1alpha1.CampaignAllowed, v1alpha1.ReasonReady, "everyone is allowed"
	default:
		out.Verdict, out.Code, out.Why = v1alpha1.CampaignPartlyAllowed, v1alpha1.CodeNeedsPermits, join("runs with permits only", top(out.Reasons, ""))
	}
	out.Why = clip(out.Why)
	return out
}

// missed says which thresholds are missed: by too many denied, or by too few
// allowed; never is true where those who are held would not make up for it.
func missed(n v1alpha1.Counts, thresholds []v1alpha1.Thresholds) (denied, few string, never bool) {
	for _, th := range thresholds {
		if th.MaxDeniedPercent != nil && n.Targeted > 0 && denied == "" {
			if limit := int64(*th.MaxDeniedPercent); n.Denied*100 > limit*n.Targeted {
				denied = fmt.Sprintf("%d%% denied, limit %d%%", n.Denied*100/n.Targeted, limit)
			}
		}
		if th.MinAllowed != nil && n.Allowed < *th.MinAllowed {
			few = fmt.Sprintf("%s allowed, at least %s needed", Thousands(n.Allowed), Thousands(*th.MinAllowed))
			never = never || n.Allowed+n.Held < *th.MinAllowed
		}
	}
	return denied, few, never
}

// Facts is what policies may know about the campaign, whose purpose is of the
// class.
func Facts(c *v1alpha1.Campaign, class v1alpha1.PurposeClass) Campaign {
	f := Campaign{
		Name: c.Name, Namespace: c.Namespace, Brand: c.Spec.Brand, Owner: c.Spec.Owner,
		Purpose: string(c.Spec.Purpose), PurposeClass: string(class),
		Channel: string(c.Spec.Channel), Topic: string(c.Spec.Topic), Depth: string(c.Spec.Depth),
	}
	if f.Depth == "" {
		f.Depth = string(v1alpha1.DepthBasic)
	}
	if c.Spec.Holdout != nil {
		f.HoldoutPercent = int32(c.Spec.Holdout.Percent)
	}
	return f
}

// Class is the class of a purpose that the brand declares; empty: it doesn't.
func Class(brand *v1alpha1.Brand, purpose v1alpha1.Purpose) v1alpha1.PurposeClass {
	for _, p := range brand.Spec.Purposes {
		if p.Name == purpose {
			return p.Class
		}
	}
	return ""
}

func agreed(brand *v1alpha1.Brand, depth v1alpha1.Depth) bool {
	if depth == "" || depth == v1alpha1.DepthBasic {
		return true
	}
	return slices.Contains(brand.Spec.Agreements, depth)
}

func firstHold(holds ...*v1alpha1.HoldRequest) *v1alpha1.HoldRequest {
	for _, h := range holds {
		if h != nil {
			return h
		}
	}
	return nil
}

func topCode(rs []v1alpha1.ReasonCount, v v1alpha1.Verdict) string {
	for _, r := range rs {
		if r.Verdict == v && r.Mode != v1alpha1.ModeAudit {
			return r.Code
		}
	}
	return v1alpha1.CodeOther
}

// top names the three most frequent codes that have an effect and lead to the
// verdict; empty: to any.
func top(rs []v1alpha1.ReasonCount, v v1alpha1.Verdict) string {
	var codes []string
	sums := map[string]int64{}
	for _, r := range rs {
		if r.Mode == v1alpha1.ModeAudit || (v != "" && r.Verdict != v) {
			continue
		}
		if _, seen := sums[r.Code]; !seen {
			codes = append(codes, r.Code)
		}
		// The floor and a policy may give one person the same code: the greater
		// of the two numbers is the honest one.
		sums[r.Code] = max(sums[r.Code], r.Customers)
	}
	var parts []string
	for _, c := range codes[:min(3, len(codes))] {
		parts = append(parts, c+" "+Thousands(sums[c]))
	}
	if len(codes) > 3 {
		parts = append(parts, "...")
	}
	return strings.Join(parts, ", ")
}

// Thousands writes 12345 as 12,345.
func Thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func join(a, b string) string {
	if b == "" {
		return a
	}
	return a + ": " + b
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// clip keeps a line within the API's bound.
func clip(s string) string {
	const most = 256
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most-3], "") + "..."
}
