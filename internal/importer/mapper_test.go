package importer

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consent"
	"github.com/codb-dev/codb/internal/contacts"
)

var asOf = time.Date(2026, 11, 20, 14, 30, 0, 0, time.UTC)

func mapper(profile string) Mapper {
	return Mapper{Seed: DefaultSeed, AsOf: asOf, Profile: profiles[profile], Brand: "acme"}
}

// cold is a row of which nothing is known but the call.
func cold(change func(*Row)) Row {
	r := Row{Line: 2, Number: 1, Age: 40, Job: "services", Marital: "married", Calls: 1,
		DaysSince: NeverBefore, Outcome: "nonexistent", Phone: "telephone"}
	if change != nil {
		change(&r)
	}
	return r
}

func TestMapAsRecorded(t *testing.T) {
	year := func(y int32) *int32 { return &y }
	unknown := v1alpha1.Grant{
		Purpose: "Marketing", Channel: "Phone", Status: "ConsentUnknown", ConsentType: "ExpressedConsent", LegalBasis: "Consent",
		CaptureDate: metav1.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC), CaptureSource: "Import",
	}
	spec := func(year *int32, stage v1alpha1.LifeStage, g v1alpha1.Grant) v1alpha1.CustomerConsentSpec {
		return v1alpha1.CustomerConsentSpec{BirthYear: year, LifeStage: stage, Relationships: []v1alpha1.Relationship{
			{Brand: "acme", Depth: "Basic", Grants: []v1alpha1.Grant{g}},
		}}
	}
	tests := map[string]struct {
		row        Row
		want       v1alpha1.CustomerConsentSpec
		wantLabels map[string]string
	}{
		"ANumberTheBankHadIsNoConsent": {
			row:  cold(func(r *Row) { r.Phone = "cellular" }),
			want: spec(year(1985), "Working", unknown),
			wantLabels: map[string]string{
				LabelSource: "uci-bank-marketing", LabelSynthetic: "true", LabelProfile: "as-recorded",
				LabelPhone: "cellular", LabelMarital: "married",
			},
		},
		"AnUnknownJobIsNoLifeStage": {row: cold(func(r *Row) { r.Job = "unknown" }), want: spec(year(1985), "", unknown)},
		"AStudentStudies":           {row: cold(func(r *Row) { r.Job = "student"; r.Age = 17 }), want: spec(year(2008), "Student", unknown)},
		"AnEntrepreneurIsHisOwn":    {row: cold(func(r *Row) { r.Job = "entrepreneur" }), want: spec(year(1985), "SelfEmployed", unknown)},
		"AFailureIsNoConsent":       {row: cold(func(r *Row) { r.Outcome, r.Previous = "failure", 2 }), want: spec(year(1985), "Working", unknown)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, _ := mapper("as-recorded").Map(tc.row)
			if diff := cmp.Diff(tc.want, got.Spec); diff != "" {
				t.Errorf("spec (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.wantLabels, got.Labels); tc.wantLabels != nil && diff != "" {
				t.Errorf("labels (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMapPurchaseImpliesConsent(t *testing.T) {
	for _, profile := range []string{"as-recorded", "demo"} {
		row := cold(func(r *Row) { r.Outcome, r.Previous, r.DaysSince, r.Calls = "success", 2, 6, 3 })
		cc, past := mapper(profile).Map(row)
		g := cc.Spec.Relationships[0].Grants
		if len(g) != 1 || g[0].ConsentType != v1alpha1.ImpliedConsent || g[0].Status != v1alpha1.ConsentGiven || g[0].Channel != "Phone" {
			t.Fatalf("%s: grants %+v, want one implied by the purchase", profile, g)
		}
		bought := g[0].ImpliedBy.EventDate.Time
		want := contacts.Record{
			Key: "uci-bank-marketing/acme/" + cc.Name + "/purchase-1", At: bought, Principal: cc.Name,
			Brand: "acme", Purpose: "Marketing", Class: "Marketing", Channel: "Phone", Event: contacts.Purchase,
		}
		if diff := cmp.Diff(want, past[len(past)-1]); diff != "" {
			t.Errorf("%s: purchase (-want +got):\n%s", profile, diff)
		}
		// 3 calls now and 2 before; the campaigns lie pdays apart.
		if len(past) != 6 {
			t.Fatalf("%s: %d records, want 6", profile, len(past))
		}
		first := past[2].At.Truncate(24 * time.Hour)
		latest := past[3].At.Truncate(24 * time.Hour)
		if days := first.Sub(latest).Hours() / 24; days != 6 {
			t.Errorf("%s: %v days between the campaigns, want 6", profile, days)
		}
	}
}

func TestMapKeysTellRecordsApart(t *testing.T) {
	row := cold(func(r *Row) { r.Outcome, r.Previous, r.Calls = "success", 2, 3 })
	keys := func(m Mapper) []string {
		var out []string
		_, past := m.Map(row)
		for _, c := range past {
			out = append(out, c.Key)
		}
		return out
	}
	m := mapper("demo")
	id := m.principal(row.Number)
	prefix := "uci-bank-marketing/acme/" + id + "/"
	want := []string{prefix + "call-3", prefix + "call-2", prefix + "call-1", prefix + "earlier-2", prefix + "earlier-1", prefix + "purchase-1"}
	if diff := cmp.Diff(want, keys(m)); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	m.AsOf = m.AsOf.AddDate(0, 1, 0)
	if diff := cmp.Diff(want, keys(m)); diff != "" {
		t.Errorf("keys of a later import (-want +got):\n%s", diff)
	}
	m.Brand = "globex"
	if got := keys(m)[0]; got != "uci-bank-marketing/globex/"+id+"/call-3" {
		t.Errorf("key %q of another brand", got)
	}
}

func TestMapDependsOnItsInputsOnly(t *testing.T) {
	row := cold(func(r *Row) { r.Calls = 5 })
	base := mapper("demo")
	cc, past := base.Map(row)
	again, pastAgain := base.Map(row)
	if diff := cmp.Diff(cc, again) + cmp.Diff(past, pastAgain); diff != "" {
		t.Errorf("the same row twice (-first +second):\n%s", diff)
	}
	laterThatDay := base
	laterThatDay.AsOf = laterThatDay.AsOf.Add(3 * time.Hour)
	later, pastLater := laterThatDay.Map(row)
	if diff := cmp.Diff(cc, later) + cmp.Diff(past, pastLater); diff != "" {
		t.Errorf("later that day (-morning +evening):\n%s", diff)
	}
	seeded := base
	seeded.Seed++
	if other, _ := seeded.Map(row); other.Name == cc.Name {
		t.Error("another seed gives the same principal")
	}
}

func TestZeroProfileInventsNothing(t *testing.T) {
	m := mapper("as-recorded")
	want, _ := m.Map(cold(nil))
	m.Profile = Profile{}
	got, _ := m.Map(cold(nil))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("zero profile (-as-recorded +zero):\n%s", diff)
	}
}

// TestSegments says of each segment what a campaign finds there.
func TestSegments(t *testing.T) {
	const email, phone = v1alpha1.ChannelEmail, v1alpha1.ChannelPhone
	given := func(p consent.Person, c v1alpha1.Channel) bool {
		for _, g := range p.Relationship.Grants {
			if g.Channel == string(c) && g.Status == "ConsentGiven" && g.ConsentType == "ExplicitlyExpressedConsent" && g.DoubleConsentCaptureDate != nil {
				return true
			}
		}
		return false
	}
	since := func(past []contacts.Record, d time.Duration) (n int) {
		for _, c := range past {
			if c.Contact() && c.At.After(asOf.Add(-d)) {
				n++
			}
		}
		return n
	}
	const day = 24 * time.Hour
	tests := map[Segment]func(p consent.Person, past []contacts.Record) bool{
		Newsletter: func(p consent.Person, past []contacts.Record) bool {
			return given(p, email) && p.Relationship.Depth == "Profiling" && p.TimeZone != "" && p.TimeZoneSource == "Declared" &&
				since(past, 31*day) == 0 && p.Pause == nil && p.Caps == nil && p.QuietHours == nil
		},
		Holiday: func(p consent.Person, past []contacts.Record) bool {
			return given(p, email) && p.Pause.From < asOf.UnixNano() && p.Pause.Until > asOf.Add(20*day).UnixNano()
		},
		Overcalled: func(p consent.Person, past []contacts.Record) bool {
			// The cap still holds a day and a half after AsOf.
			return given(p, email) && given(p, phone) && p.Caps[0].Max == 3 && since(past, 7*day-36*time.Hour) > 3
		},
		Club: func(p consent.Person, past []contacts.Record) bool {
			return p.TimeZoneSource == "Declared" && since(past, 31*day) == 0
		},
		Purchasers: func(p consent.Person, _ []contacts.Record) bool {
			return len(p.Relationship.Grants) == 1 && p.Relationship.Grants[0].ImpliedBy != nil
		},
		Cold: func(p consent.Person, _ []contacts.Record) bool {
			return len(p.Relationship.Grants) == 1 && p.Relationship.Grants[0].Status == "ConsentUnknown"
		},
	}
	m, seen, clubGiven := mapper("demo"), map[Segment]int{}, 0
	for _, r := range dataset(t) {
		cc, past := m.Map(r)
		seg := Segment(cc.Labels[LabelSegment])
		seen[seg]++
		p := consent.For(&cc.Spec, "acme")
		if holds := tests[seg]; holds == nil || !holds(p, past) {
			t.Fatalf("line %d is in segment %q and isn't what the segment says: %+v", r.Line, seg, p)
		}
		if seg == Club && given(p, email) {
			clubGiven++
		}
		if r.Age < adult && seg != Cold && seg != Purchasers {
			t.Errorf("line %d: a consent was made up for a minor", r.Line)
		}
	}
	want := map[Segment]int{Newsletter: 7963, Club: 7963, Holiday: 3981, Overcalled: 2950, Purchasers: 1373, Cold: 16958}
	near := cmpopts.EquateApprox(0.05, 0)
	if diff := cmp.Diff(floats(want), floats(seen), near); diff != "" {
		t.Errorf("people by segment (-want +got, 5%% allowed):\n%s", diff)
	}
	if share := float64(clubGiven) / float64(seen[Club]); share < 0.55 || share > 0.65 {
		t.Errorf("%.2f of the club gave consent, want 0.6", share)
	}
}

func floats(in map[Segment]int) map[Segment]float64 {
	out := map[Segment]float64{}
	for k, v := range in {
		out[k] = float64(v)
	}
	return out
}
