package consent_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consent"
)

// ns is an instant as policies see it.
func ns(rfc3339 string) int64 { return instant(rfc3339).UnixNano() }

func nsp(rfc3339 string) *int64 {
	n := ns(rfc3339)
	return &n
}

func instant(rfc3339 string) metav1.Time {
	at, err := time.Parse(time.RFC3339, rfc3339)
	if err != nil {
		panic(err)
	}
	return metav1.NewTime(at)
}

func instantp(rfc3339 string) *metav1.Time {
	at := instant(rfc3339)
	return &at
}

func TestFor(t *testing.T) {
	year := int32(1984)
	captured := instant("2026-03-01T09:00:00Z")
	tests := map[string]struct {
		spec v1alpha1.CustomerConsentSpec
		want consent.Person
	}{
		"NothingSaidIsNothingKnown": {},
		"WhatIsAboutThePersonAlone": {
			spec: v1alpha1.CustomerConsentSpec{
				OptOut:   &v1alpha1.OptOut{Since: instant("2027-03-01T09:00:00+01:00"), Source: "Import"},
				TimeZone: "Europe/Berlin", TimeZoneSource: "Declared", Jurisdiction: "DE", Language: "de",
				BirthYear: &year, LifeStage: "Working",
				Guardian:      &v1alpha1.Guardian{Ref: "c-19b2", AuthorizedAt: &captured},
				Pause:         &v1alpha1.Pause{From: instant("2026-12-20T00:00:00Z"), Until: instant("2027-01-06T00:00:00Z")},
				BlockedTopics: []v1alpha1.Topic{"Alcohol"},
			},
			want: consent.Person{
				OptOut:   &consent.Since{Since: ns("2027-03-01T08:00:00Z")},
				TimeZone: "Europe/Berlin", TimeZoneSource: "Declared", Jurisdiction: "DE", Language: "de",
				BirthYear: &year, LifeStage: "Working",
				Guardian:      &consent.Guardian{AuthorizedAt: nsp("2026-03-01T09:00:00Z")},
				Pause:         &consent.Span{From: ns("2026-12-20T00:00:00Z"), Until: ns("2027-01-06T00:00:00Z")},
				BlockedTopics: []string{"Alcohol"},
			},
		},
		"AGuardianWhoDidNotAuthorise": {
			spec: v1alpha1.CustomerConsentSpec{Guardian: &v1alpha1.Guardian{Ref: "c-19b2"}},
			want: consent.Person{Guardian: &consent.Guardian{}},
		},
		"WindowsInMinutes": {
			spec: v1alpha1.CustomerConsentSpec{
				QuietHours:     []v1alpha1.DailyWindow{{Days: []v1alpha1.Weekday{"Mon", "Sun"}, Start: "21:05", End: "08:00"}},
				ContactWindows: []v1alpha1.DailyWindow{{Days: []v1alpha1.Weekday{"Sat"}, Start: "00:00", End: "24:00"}},
			},
			want: consent.Person{
				QuietHours:     []consent.Window{{Days: []string{"Mon", "Sun"}, Start: 21*60 + 5, End: 8 * 60}},
				ContactWindows: []consent.Window{{Days: []string{"Sat"}, Start: 0, End: 24 * 60}},
			},
		},
		"LifeEventsAtMidnightWithoutThoseThatAreNoDay": {
			spec: v1alpha1.CustomerConsentSpec{LifeEvents: []v1alpha1.LifeEvent{
				{EventType: "Relocation", EventDate: "2026-10-01", ExpirationDate: "2027-04-01"},
				{EventType: "Job", EventDate: "2026-02-30"},
				{EventType: "Home", EventDate: "2026-10-02"},
			}},
			want: consent.Person{LifeEvents: []consent.LifeEvent{
				{EventType: "Relocation", EventDate: ns("2026-10-01T00:00:00Z"), ExpirationDate: nsp("2027-04-01T00:00:00Z")},
				{EventType: "Home", EventDate: ns("2026-10-02T00:00:00Z")},
			}},
		},
		"CapsOfThePersonAndOfThisBrandOnly": {
			spec: v1alpha1.CustomerConsentSpec{
				Caps: []v1alpha1.FrequencyCap{{Name: "mine", Max: 2, Window: v1alpha1.WindowRolling, Length: "168h", Counts: []v1alpha1.PurposeClass{"Marketing"}}},
				Relationships: []v1alpha1.Relationship{
					{Brand: "globex", Caps: []v1alpha1.FrequencyCap{{Name: "theirs"}}},
					{Brand: "acme", Depth: "Tracking", Caps: []v1alpha1.FrequencyCap{{
						Name: "acme", Max: 0, Window: v1alpha1.WindowCalendarWeek, Zone: "Europe/Berlin",
						Counts: []v1alpha1.PurposeClass{"Service"}, Channels: []v1alpha1.Channel{"Phone"},
					}}},
				},
			},
			want: consent.Person{
				Caps: []consent.Cap{
					{Name: "mine", Max: 2, Window: "Rolling", Length: int64(168 * time.Hour), Counts: []string{"Marketing"}},
					{Name: "acme", Brand: "acme", Max: 0, Window: "CalendarWeek", Zone: "Europe/Berlin", Counts: []string{"Service"}, Channels: []string{"Phone"}},
				},
				Relationship: &consent.Relationship{Depth: "Tracking"},
			},
		},
		"OtherBrandsStayUnknown": {
			spec: v1alpha1.CustomerConsentSpec{Relationships: []v1alpha1.Relationship{{
				Brand: "globex", Depth: "Profiling",
				Grants: []v1alpha1.Grant{{Purpose: "Marketing", Channel: "Email", Status: "ConsentGiven", CaptureDate: captured}},
			}}},
		},
		"AnAnswerWithWhatItLeavesOut": {
			spec: v1alpha1.CustomerConsentSpec{Relationships: []v1alpha1.Relationship{{
				Brand:      "acme",
				Objections: []v1alpha1.Objection{{Purpose: "Profiling", Since: captured}},
				Grants:     []v1alpha1.Grant{{Purpose: "Marketing", Channel: "Email", Status: "ConsentRefused", CaptureDate: captured}},
			}}},
			want: consent.Person{Relationship: &consent.Relationship{
				Depth:      "Basic",
				Objections: []consent.Objection{{Purpose: "Profiling", Since: ns("2026-03-01T09:00:00Z")}},
				Grants: []consent.Grant{{
					Purpose: "Marketing", Channel: "Email", Status: "ConsentRefused",
					ConsentType: "ExpressedConsent", LegalBasis: "Consent",
					CaptureDate: ns("2026-03-01T09:00:00Z"), EffectiveFrom: ns("2026-03-01T09:00:00Z"),
				}},
			}},
		},
		"AnAnswerInFull": {
			spec: v1alpha1.CustomerConsentSpec{Relationships: []v1alpha1.Relationship{{Brand: "acme", Grants: []v1alpha1.Grant{{
				Purpose: "Marketing", Channel: "Post", Topics: []v1alpha1.Topic{"Garden"}, Status: "ConsentGiven",
				ConsentType: "ImpliedConsent", LegalBasis: "LegitimateInterest",
				CaptureDate: captured, CaptureSource: "Paper", DoubleConsentCaptureDate: instantp("2026-03-01T09:04:00Z"),
				EffectiveFrom: instantp("2026-03-02T00:00:00Z"), EffectiveTo: instantp("2028-03-01T00:00:00Z"),
				ImpliedBy:     &v1alpha1.ImpliedBy{Event: "Purchase", EventDate: instant("2026-01-10T00:00:00Z")},
				PrivacyNotice: &v1alpha1.PrivacyNotice{Version: "7"}, Artifact: "scan:1",
			}}}}},
			want: consent.Person{Relationship: &consent.Relationship{Depth: "Basic", Grants: []consent.Grant{{
				Purpose: "Marketing", Channel: "Post", Topics: []string{"Garden"}, Status: "ConsentGiven",
				ConsentType: "ImpliedConsent", LegalBasis: "LegitimateInterest",
				CaptureDate: ns("2026-03-01T09:00:00Z"), CaptureSource: "Paper", DoubleConsentCaptureDate: nsp("2026-03-01T09:04:00Z"),
				EffectiveFrom: ns("2026-03-02T00:00:00Z"), EffectiveTo: nsp("2028-03-01T00:00:00Z"),
				ImpliedBy:     &consent.ImpliedBy{Event: "Purchase", EventDate: ns("2026-01-10T00:00:00Z")},
				NoticeVersion: "7",
			}}}},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, consent.For(&tc.spec, "acme")); diff != "" {
				t.Errorf("For (-want +got):\n%s", diff)
			}
		})
	}
}

// Rego tells undefined from zero: what a customer did not say must be absent.
func TestAbsentFieldsAreAbsentInJSON(t *testing.T) {
	got, err := json.Marshal(consent.For(&v1alpha1.CustomerConsentSpec{}, "acme"))
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"bucket":0}`; string(got) != want {
		t.Errorf("json = %s, want %s", got, want)
	}
}

func TestPoliciesNeverSeeWhoSomebodyIs(t *testing.T) {
	got, err := json.Marshal(consent.For(&v1alpha1.CustomerConsentSpec{
		Guardian:      &v1alpha1.Guardian{Ref: "secret-guardian"},
		Relationships: []v1alpha1.Relationship{{Brand: "acme", Grants: []v1alpha1.Grant{{Artifact: "secret-proof"}}}},
	}, "acme"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(got), "secret") {
		t.Errorf("a policy would see %s", got)
	}
}

func TestNano(t *testing.T) {
	tests := map[string]struct {
		at   time.Time
		want int64
	}{
		"Epoch":               {time.Unix(0, 0), 0},
		"BeforeTheEpoch":      {time.Unix(-1, 0), -1e9},
		"AnyZone":             {time.Date(2026, 3, 1, 10, 0, 0, 0, time.FixedZone("", 3600)), ns("2026-03-01T09:00:00Z")},
		"TheLastInstant":      {time.Unix(0, math.MaxInt64), math.MaxInt64},
		"AfterTheLastInstant": {time.Unix(0, math.MaxInt64).Add(1), math.MaxInt64},
		"TheYear9999":         {time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), math.MaxInt64},
		"TheFirstInstant":     {time.Unix(0, math.MinInt64), math.MinInt64},
		"BeforeTheFirst":      {time.Unix(0, math.MinInt64).Add(-1), math.MinInt64},
		"TheYear1":            {time.Time{}, math.MinInt64},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := consent.Nano(tc.at); got != tc.want {
				t.Errorf("Nano(%v) = %d, want %d", tc.at, got, tc.want)
			}
		})
	}
}

// A consent without an end in sight must not come out as one that is over.
func TestAFarEndStaysFar(t *testing.T) {
	p := consent.For(&v1alpha1.CustomerConsentSpec{Relationships: []v1alpha1.Relationship{{Brand: "acme", Grants: []v1alpha1.Grant{{
		CaptureDate: instant("2026-03-01T09:00:00Z"), EffectiveTo: instantp("9999-12-31T23:59:59Z"),
	}}}}}, "acme")
	if got := *p.Relationship.Grants[0].EffectiveTo; got != math.MaxInt64 {
		t.Errorf("effectiveTo = %d, want the last instant", got)
	}
}

func TestBucket(t *testing.T) {
	// Places that were given out must never change: a holdout is for good.
	for key, want := range map[[2]string]int{
		{"acme-marketing/spring-garden", "c-7f3a"}: 8788,
		{"acme-marketing/spring-garden", "c-19b2"}: 9041,
		{"acme-marketing/autumn", "c-7f3a"}:        1527,
		{"a", "bc"}:                                4223,
		{"ab", "c"}:                                2398,
	} {
		if got := consent.Bucket(key[0], key[1]); got != want {
			t.Errorf("Bucket(%q, %q) = %d, want %d", key[0], key[1], got, want)
		}
	}

	// And they are even: a tenth of the places has about a tenth of the people.
	const people, tenths = 20000, 10
	var counts [tenths]int
	for i := range people {
		b := consent.Bucket("spring-garden", fmt.Sprintf("c-%d", i))
		if b < 0 || b > 9999 {
			t.Fatalf("Bucket = %d, want 0 to 9999", b)
		}
		counts[b/1000]++
	}
	for i, n := range counts {
		if want := people / tenths; n < want*9/10 || n > want*11/10 {
			t.Errorf("%d of %d people in tenth %d, want about %d", n, people, i, want)
		}
	}
}
