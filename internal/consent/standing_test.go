package consent_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consent"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

const tick = time.Second // the API's instants have whole seconds

func stamp(t time.Time) metav1.Time { return metav1.NewTime(t) }

func pstamp(t time.Time) *metav1.Time { return &metav1.Time{Time: t} }

// yes is a newsletter by e-mail that acme may send from a year before noon on.
func yes(change ...func(*v1alpha1.Grant)) v1alpha1.Grant {
	g := v1alpha1.Grant{
		Purpose: "DirectMarketing", Channel: v1alpha1.ChannelEmail, Status: v1alpha1.ConsentGiven,
		CaptureDate: stamp(noon.AddDate(-1, 0, 0)),
	}
	for _, f := range change {
		f(&g)
	}
	return g
}

func toAcme(grants ...v1alpha1.Grant) v1alpha1.CustomerConsentSpec {
	return v1alpha1.CustomerConsentSpec{Relationships: []v1alpha1.Relationship{{Brand: "acme", Grants: grants}}}
}

func implied(by v1alpha1.ImplyingEvent, at time.Time) func(*v1alpha1.Grant) {
	return func(g *v1alpha1.Grant) {
		g.ConsentType = v1alpha1.ImpliedConsent
		g.ImpliedBy = &v1alpha1.ImpliedBy{Event: by, EventDate: stamp(at)}
		g.CaptureDate = stamp(at)
	}
}

// one is the expectation for acme alone; zero until: never.
func one(summary, state string, until time.Time, channels ...v1alpha1.Channel) consent.Standing {
	b := v1alpha1.BrandStanding{Brand: "acme", State: state, Channels: channels}
	if !until.IsZero() {
		b.Until = pstamp(until)
	}
	return consent.Standing{Summary: summary, Brands: []v1alpha1.BrandStanding{b}, NextChange: until}
}

func TestStandingAt(t *testing.T) {
	const email, sms = v1alpha1.ChannelEmail, v1alpha1.ChannelSMS
	never := time.Time{}
	status := func(s v1alpha1.ConsentStatus) v1alpha1.CustomerConsentSpec {
		return toAcme(yes(func(g *v1alpha1.Grant) { g.Status = s }))
	}
	until := func(at time.Time) func(*v1alpha1.Grant) {
		return func(g *v1alpha1.Grant) { g.EffectiveTo = pstamp(at) }
	}
	from := func(at time.Time) func(*v1alpha1.Grant) {
		return func(g *v1alpha1.Grant) { g.EffectiveFrom = pstamp(at) }
	}
	over := func(c v1alpha1.Channel) func(*v1alpha1.Grant) {
		return func(g *v1alpha1.Grant) { g.Channel = c }
	}
	purchase := time.Date(2024, 3, 2, 12, 0, 0, 0, time.UTC) // 24 months before noon
	inquiry := time.Date(2025, 9, 2, 12, 0, 0, 0, time.UTC)  // 6 months before noon

	tests := map[string]struct {
		spec v1alpha1.CustomerConsentSpec
		want consent.Standing
	}{
		"NobodyIsNone":              {want: consent.Standing{Summary: "None"}},
		"ABrandWithoutAnswerIsNone": {spec: toAcme(), want: one("None", "None", never)},
		"GivenForEver":              {spec: toAcme(yes()), want: one("Given", "Given", never, email)},
		"RenewedIsGiven":            {spec: status(v1alpha1.RenewedConsentGiven), want: one("Given", "Given", never, email)},
		"RequestedIsPending":        {spec: status(v1alpha1.ConsentRequested), want: one("None", "Pending", never)},
		"DeferredIsPending":         {spec: status(v1alpha1.ConsentRequestDeferred), want: one("None", "Pending", never)},
		"RefusedIsRefused":          {spec: status(v1alpha1.ConsentRefused), want: one("None", "Refused", never)},
		"ExpiredIsExpired":          {spec: status(v1alpha1.ConsentExpired), want: one("None", "Expired", never)},
		"WithdrawnIsWithdrawn":      {spec: status(v1alpha1.ConsentWithdrawn), want: one("None", "Withdrawn", never)},
		"RevokedIsWithdrawn":        {spec: status(v1alpha1.ConsentRevoked), want: one("None", "Withdrawn", never)},
		"InvalidatedIsWithdrawn":    {spec: status(v1alpha1.ConsentInvalidated), want: one("None", "Withdrawn", never)},
		"UnknownIsNone":             {spec: status(v1alpha1.ConsentUnknown), want: one("None", "None", never)},
		"AForeignWordIsNone":        {spec: status("ConsentAssumed"), want: one("None", "None", never)},
		"AnEmptyWordIsNone":         {spec: status(""), want: one("None", "None", never)},

		"EffectiveNextSecondIsPending": {spec: toAcme(yes(from(noon.Add(tick)))), want: one("None", "Pending", noon.Add(tick))},
		"EffectiveNowCounts":           {spec: toAcme(yes(from(noon))), want: one("Given", "Given", never, email)},
		"CapturedNextSecondIsPending": {
			spec: toAcme(yes(from(noon.Add(-time.Hour)), func(g *v1alpha1.Grant) { g.CaptureDate = stamp(noon.Add(tick)) })),
			want: one("None", "Pending", noon.Add(tick)),
		},
		"TheLastSecondCounts": {spec: toAcme(yes(until(noon.Add(tick)))), want: one("Given", "Given", noon.Add(tick), email)},
		"TheEndDoesNotCount":  {spec: toAcme(yes(until(noon))), want: one("None", "Expired", never)},
		"PendingThenExpiring": {spec: toAcme(yes(from(noon.Add(tick)), until(noon.Add(2*tick)))), want: one("None", "Pending", noon.Add(tick))},

		"TheBestAnswerCounts": {
			spec: toAcme(yes(until(noon)), yes(over(sms))), want: one("Given", "Given", never, sms),
		},
		"ChannelsAreSortedAndNamedOnce": {
			spec: toAcme(yes(over(sms)), yes(), yes(func(g *v1alpha1.Grant) { g.Purpose = "CustomerCare" })), want: one("Given", "Given", never, email, sms),
		},
		"LosingAChannelIsAChange": {
			spec: toAcme(yes(), yes(over(sms), until(noon.Add(tick)))), want: one("Given", "Given", noon.Add(tick), email, sms),
		},
		"AnEdgeThatChangesNothingIsNoChange": {
			spec: toAcme(yes(), yes(func(g *v1alpha1.Grant) { g.Purpose = "CustomerCare" }, until(noon.Add(tick)))), want: one("Given", "Given", never, email),
		},

		"TwoYearsAfterAPurchaseItIsOver": {spec: toAcme(yes(implied(v1alpha1.EventPurchase, purchase))), want: one("None", "Expired", never)},
		"ASecondEarlierItIsNot": {
			spec: toAcme(yes(implied(v1alpha1.EventPurchase, purchase.Add(tick)))), want: one("Given", "Given", noon.Add(tick), email),
		},
		"TwoYearsAfterAContractItIsOver": {spec: toAcme(yes(implied(v1alpha1.EventContract, purchase))), want: one("None", "Expired", never)},
		"AContractThatRunsCounts": {
			spec: toAcme(yes(implied(v1alpha1.EventContract, noon.AddDate(1, 0, 0)), func(g *v1alpha1.Grant) { g.CaptureDate = stamp(noon) })),
			want: one("Given", "Given", noon.AddDate(3, 0, 0), email),
		},
		"SixMonthsAfterAnInquiryItIsOver": {spec: toAcme(yes(implied(v1alpha1.EventInquiry, inquiry))), want: one("None", "Expired", never)},
		"ASecondEarlierTheInquiryCounts": {
			spec: toAcme(yes(implied(v1alpha1.EventInquiry, inquiry.Add(tick)))), want: one("Given", "Given", noon.Add(tick), email),
		},
		"APurchaseToComeImpliesNothingYet": {
			spec: toAcme(yes(implied(v1alpha1.EventPurchase, noon.Add(tick)), func(g *v1alpha1.Grant) { g.CaptureDate = stamp(noon) })),
			want: one("None", "Pending", noon.Add(tick)),
		},
		"TheRecordMayBeStricterThanTheLaw": {
			spec: toAcme(yes(implied(v1alpha1.EventPurchase, noon.AddDate(-1, 0, 0)), until(noon))), want: one("None", "Expired", never),
		},
		"TheRecordCantBeLaxer": {
			spec: toAcme(yes(implied(v1alpha1.EventInquiry, inquiry), until(noon.AddDate(9, 0, 0)))), want: one("None", "Expired", never),
		},
		"ImpliedByNothingIsNone": {
			spec: toAcme(yes(func(g *v1alpha1.Grant) { g.ConsentType = v1alpha1.ImpliedConsent })), want: one("None", "None", never),
		},
		"ImpliedBySomethingElseIsNone": {
			spec: toAcme(yes(implied("Glance", noon.Add(-time.Hour)))), want: one("None", "None", never),
		},
		"AnUnknownTypeIsImpliedAtMost": {
			spec: toAcme(yes(func(g *v1alpha1.Grant) { g.ConsentType = "UninformedConsent" })), want: one("None", "None", never),
		},
		"CapturedAfterItLapsedIsExpired": {
			spec: toAcme(yes(implied(v1alpha1.EventInquiry, inquiry), func(g *v1alpha1.Grant) { g.CaptureDate = stamp(noon.Add(tick)) })),
			want: one("None", "Expired", never),
		},

		"AnObjectionBeatsALaterGrant": {
			spec: v1alpha1.CustomerConsentSpec{Relationships: []v1alpha1.Relationship{{
				Brand: "acme", Objections: []v1alpha1.Objection{{Purpose: "DirectMarketing", Since: stamp(noon.AddDate(-9, 0, 0))}}, Grants: []v1alpha1.Grant{yes()},
			}}},
			want: one("None", "Withdrawn", never),
		},
		"AnObjectionCountsAtOnce": {
			spec: v1alpha1.CustomerConsentSpec{Relationships: []v1alpha1.Relationship{{
				Brand: "acme", Objections: []v1alpha1.Objection{{Purpose: "DirectMarketing", Since: stamp(noon.Add(time.Hour))}}, Grants: []v1alpha1.Grant{yes()},
			}}},
			want: one("None", "Withdrawn", never),
		},
		"AnObjectionToSomethingElseDoesNot": {
			spec: v1alpha1.CustomerConsentSpec{Relationships: []v1alpha1.Relationship{{
				Brand: "acme", Objections: []v1alpha1.Objection{{Purpose: "CustomerCare", Since: stamp(noon)}}, Grants: []v1alpha1.Grant{yes()},
			}}},
			want: one("Given", "Given", never, email),
		},
		"AnObjectionAloneIsARefusal": {
			spec: v1alpha1.CustomerConsentSpec{Relationships: []v1alpha1.Relationship{{
				Brand: "acme", Objections: []v1alpha1.Objection{{Purpose: "DirectMarketing", Since: stamp(noon)}},
			}}},
			want: one("None", "Refused", never),
		},

		"AnOptOutBeatsAllAndNeverChanges": {
			spec: func() v1alpha1.CustomerConsentSpec {
				s := toAcme(yes(until(noon.Add(tick))))
				s.OptOut = &v1alpha1.OptOut{Since: stamp(noon.Add(time.Hour))} // counts at once all the same
				s.Pause = &v1alpha1.Pause{From: stamp(noon), Until: stamp(noon.Add(tick))}
				return s
			}(),
			want: one("OptedOut", "Withdrawn", never),
		},
		"BrandsAreSorted": {
			spec: v1alpha1.CustomerConsentSpec{Relationships: []v1alpha1.Relationship{
				{Brand: "globex", Grants: []v1alpha1.Grant{yes(until(noon.Add(2 * tick)))}}, {Brand: "acme", Grants: []v1alpha1.Grant{yes(until(noon.Add(tick)))}},
			}},
			want: consent.Standing{Summary: "Given", NextChange: noon.Add(tick), Brands: []v1alpha1.BrandStanding{
				{Brand: "acme", State: "Given", Channels: []v1alpha1.Channel{email}, Until: pstamp(noon.Add(tick))},
				{Brand: "globex", State: "Given", Channels: []v1alpha1.Channel{email}, Until: pstamp(noon.Add(2 * tick))},
			}},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, consent.StandingAt(&tc.spec, noon)); diff != "" {
				t.Errorf("StandingAt (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPauseInTheSummary(t *testing.T) {
	begin, end := noon.Add(time.Hour), noon.Add(2*time.Hour)
	spec := toAcme(yes())
	spec.Pause = &v1alpha1.Pause{From: stamp(begin), Until: stamp(end)}
	tests := map[string]struct {
		at      time.Time
		summary string
		next    time.Time
	}{
		"ASecondBefore":  {at: begin.Add(-tick), summary: "Given", next: begin},
		"AtItsBeginning": {at: begin, summary: "Paused", next: end},
		"ItsLastSecond":  {at: end.Add(-tick), summary: "Paused", next: end},
		"AtItsEnd":       {at: end, summary: "Given"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s := consent.StandingAt(&spec, tc.at)
			if s.Summary != tc.summary || !s.NextChange.Equal(tc.next) || s.BrandsGiven() != 1 {
				t.Errorf("%s until %s with %d brands, want %s until %s with 1", s.Summary, s.NextChange, s.BrandsGiven(), tc.summary, tc.next)
			}
		})
	}
}

// The law counts in months, and months differ in length.
func TestMonthsEndOnTheirLastDay(t *testing.T) {
	tests := map[string]struct {
		event v1alpha1.ImplyingEvent
		act   time.Time
		ends  time.Time
	}{
		"ThirtyFirstOfAugust": {v1alpha1.EventInquiry, time.Date(2025, 8, 31, 8, 0, 0, 0, time.UTC), time.Date(2026, 2, 28, 8, 0, 0, 0, time.UTC)},
		"LeapDay":             {v1alpha1.EventPurchase, time.Date(2024, 2, 29, 8, 0, 0, 0, time.UTC), time.Date(2026, 2, 28, 8, 0, 0, 0, time.UTC)},
		"AnotherZone": {
			v1alpha1.EventInquiry,
			time.Date(2025, 8, 31, 1, 0, 0, 0, time.FixedZone("", 3600)), // still the 31st in UTC
			time.Date(2026, 2, 28, 0, 0, 0, 0, time.UTC),
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			spec := toAcme(yes(implied(tc.event, tc.act)))
			if s := consent.StandingAt(&spec, tc.ends.Add(-tick)); s.Summary != "Given" || !s.NextChange.Equal(tc.ends) {
				t.Errorf("a second before: %s until %s", s.Summary, s.NextChange)
			}
			if s := consent.StandingAt(&spec, tc.ends); s.Summary != "None" {
				t.Errorf("at the end: %s", s.Summary)
			}
		})
	}
}

// Between now and NextChange nothing changes, and at NextChange something does.
func TestNextChangeIsTheFirstChange(t *testing.T) {
	const seed = 7
	draw := rand.New(rand.NewPCG(seed, seed))
	for range 3000 {
		spec := randomSpec(draw)
		now := consent.StandingAt(&spec, noon)
		horizon := noon.Add(40 * time.Second)
		for at := noon; at.Before(horizon); at = at.Add(tick) {
			then := consent.StandingAt(&spec, at)
			if now.NextChange.IsZero() || at.Before(now.NextChange) {
				if diff := cmp.Diff(now, then); diff != "" {
					t.Fatalf("seed %d: changed at %s, before NextChange %s (-now +then):\n%s\n%+v", seed, at, now.NextChange, diff, spec)
				}
				continue
			}
			if at.Equal(now.NextChange) && cmp.Equal(now, then) {
				t.Fatalf("seed %d: nothing changes at NextChange %s: %+v", seed, at, spec)
			}
			break
		}
	}
}

func randomSpec(draw *rand.Rand) v1alpha1.CustomerConsentSpec {
	near := func() time.Time { return noon.Add(time.Duration(draw.IntN(60)-20) * time.Second) }
	var spec v1alpha1.CustomerConsentSpec
	for _, brand := range []string{"globex", "acme"} {
		r := v1alpha1.Relationship{Brand: brand}
		for range draw.IntN(4) {
			g := yes(func(g *v1alpha1.Grant) {
				g.CaptureDate = stamp(near())
				g.Channel = []v1alpha1.Channel{v1alpha1.ChannelEmail, v1alpha1.ChannelSMS}[draw.IntN(2)]
				if draw.IntN(2) == 0 {
					g.EffectiveTo = pstamp(near())
				}
				if draw.IntN(4) == 0 {
					g.ConsentType = v1alpha1.ImpliedConsent
					g.ImpliedBy = &v1alpha1.ImpliedBy{Event: v1alpha1.EventPurchase, EventDate: stamp(near().AddDate(-2, 0, 0))}
				}
			})
			r.Grants = append(r.Grants, g)
		}
		spec.Relationships = append(spec.Relationships, r)
	}
	if draw.IntN(3) == 0 {
		from := near()
		spec.Pause = &v1alpha1.Pause{From: stamp(from), Until: stamp(from.Add(time.Duration(1+draw.IntN(9)) * time.Second))}
	}
	return spec
}
