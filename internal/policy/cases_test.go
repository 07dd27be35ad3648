package policy

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consent"
	"github.com/codb-dev/codb/internal/decision"
)

func TestCaseIsFilledIn(t *testing.T) {
	got, err := readCase(&v1alpha1.PolicyTest{Name: "plain", Customer: *raw(`{}`)})
	if err != nil {
		t.Fatal(err)
	}
	want := decision.Question{
		Now: time.Date(2026, 6, 15, 10, 0, 0, 0, time.UTC),
		Campaign: decision.Campaign{
			Name: "case", Namespace: "default", Brand: "acme", Purpose: "Marketing", PurposeClass: "Marketing",
			Channel: "Email", Depth: "Basic", Owner: "case",
		},
		Subjects: []decision.Subject{{Person: consent.Person{Bucket: 9999}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("question (-want +got):\n%s", diff)
	}
}

func TestCaseSaysWhatItWants(t *testing.T) {
	now := metav1.Date(2026, 7, 1, 8, 0, 0, 0, time.UTC)
	got, err := readCase(&v1alpha1.PolicyTest{
		Name: "full", Now: &now,
		Campaign: raw(`{"brand": "globex", "channel": "SMS", "topic": "Garden", "purpose": "ServiceProvision", "purposeClass": "Service", "holdout": {"percent": 5}}`),
		Customer: *raw(`{"bucket": 0, "birthYear": 1990, "relationships": [
			{"brand": "acme", "depth": "Profiling"},
			{"brand": "globex", "grants": [{"purpose": "Marketing", "channel": "SMS", "status": "ConsentGiven", "captureDate": "2026-01-01T00:00:00Z"}]}]}`),
		Contacts: []v1alpha1.TestContact{
			{At: metav1.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)},
			{At: metav1.Date(2026, 6, 3, 0, 0, 0, 0, time.UTC), Event: "Sent", Brand: "acme", Channel: "Email", Class: "Service"},
			{At: metav1.Date(2026, 6, 2, 0, 0, 0, 0, time.UTC), Event: "Complaint"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	day := func(d int) int64 { return time.Date(2026, 6, d, 0, 0, 0, 0, time.UTC).UnixNano() }
	year, captured := int32(1990), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()
	want := decision.Question{
		Now: now.Time,
		Campaign: decision.Campaign{
			Name: "case", Namespace: "default", Brand: "globex", Purpose: "ServiceProvision", PurposeClass: "Service",
			Channel: "SMS", Topic: "Garden", Depth: "Basic", Owner: "case", HoldoutPercent: 5,
		},
		Subjects: []decision.Subject{{
			Person: consent.Person{BirthYear: &year, Relationship: &consent.Relationship{Depth: "Basic", Grants: []consent.Grant{{
				Purpose: "Marketing", Channel: "SMS", Status: "ConsentGiven", ConsentType: "ExpressedConsent", LegalBasis: "Consent",
				CaptureDate: captured, EffectiveFrom: captured,
			}}}},
			Contacts: decision.Contacts{
				Sent: []decision.Contact{
					{At: day(3), Brand: "acme", Class: "Service", Channel: "Email"}, {At: day(1), Brand: "globex", Class: "Marketing", Channel: "SMS"},
				},
				Events: []decision.Event{{Type: "Complaint", At: day(2), Brand: "globex", Channel: "SMS"}},
			},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("question (-want +got):\n%s", diff)
	}
}

func TestCasesOfAPolicy(t *testing.T) {
	lib := small(t)
	p := own(`
deny contains {"code": "Low", "message": ""} if input.customer.bucket < 10
hold contains {"code": "Wait", "message": "", "until": 1781697600000000000} if input.customer.bucket < 20
deny contains {"code": "Broken", "message": ""} if { input.customer.bucket == 30; to_number("x") == 1 }`)
	p.Mode = v1alpha1.ModeAudit // a policy that only watches is tested all the same
	until := metav1.Date(2026, 6, 17, 12, 0, 0, 0, time.UTC)
	c := func(name, customer string, v v1alpha1.Verdict, until *metav1.Time, reasons ...string) v1alpha1.PolicyTest {
		return v1alpha1.PolicyTest{Name: name, Customer: *raw(customer), Expect: v1alpha1.TestExpectation{Verdict: v, Reasons: reasons, Until: until}}
	}
	p.Tests = []v1alpha1.PolicyTest{
		c("allowed", `{}`, "Allow", nil),
		c("denied", `{"bucket": 1}`, "Deny", nil, "Wait", "Low"),
		c("held", `{"bucket": 11}`, "Hold", &until, "Wait"),
		c("wrong verdict", `{"bucket": 11}`, "Deny", nil),
		c("one code too few", `{"bucket": 1}`, "Deny", nil, "Low"),
		c("one code too many", `{"bucket": 11}`, "Hold", nil, "Wait", "Low"),
		c("wrong end", `{"bucket": 11}`, "Hold", new(metav1.Date(2026, 6, 18, 0, 0, 0, 0, time.UTC))),
		c("no complete answer", `{"bucket": 30}`, "Allow", nil),
	}
	want := Report{Passed: 3, Total: 8, Tests: []TestResult{
		{"allowed", true, "Allow", "Allow"},
		{"denied", true, "Deny Low, Wait", "Deny Low, Wait"},
		{"held", true, "Hold Wait until 2026-06-17T12:00:00Z", "Hold Wait until 2026-06-17T12:00:00Z"},
		{"wrong verdict", false, "Hold Wait until 2026-06-17T12:00:00Z", "Deny"},
		{"one code too few", false, "Deny Low, Wait", "Deny Low"},
		{"one code too many", false, "Hold Wait until 2026-06-17T12:00:00Z", "Hold Low, Wait"},
		{"wrong end", false, "Hold Wait until 2026-06-17T12:00:00Z", "Hold until 2026-06-18T00:00:00Z"},
		{"no complete answer", false, `Deny EvaluationFailed (rego: spec.rego:8: eval_builtin_error: to_number: strconv.ParseFloat: parsing "x": invalid syntax)`, "Allow"},
	}, NotNative: []Refused{{"own", OwnRule, `spec.rego:8: eval_builtin_error: to_number: strconv.ParseFloat: parsing "x": invalid syntax`}}}
	s := sandbox(t, lib, workerSmall, Options{})
	for name, check := range map[string]func(context.Context, Policy) (Report, error){
		"InWorker":      s.Check,
		"InThisProcess": func(ctx context.Context, p Policy) (Report, error) { return lib.Try(ctx, p), nil },
	} {
		t.Run(name, func(t *testing.T) {
			got, err := check(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBucketOfACaseHasBounds(t *testing.T) {
	for _, customer := range []string{`{"bucket": -1}`, `{"bucket": 10000}`} {
		if _, err := readCase(&v1alpha1.PolicyTest{Customer: *raw(customer)}); err == nil {
			t.Errorf("%s is taken", customer)
		}
	}
}
