package policy

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consent"
	"github.com/codb-dev/codb/internal/decision"
)

func TestAnswers(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	deny := func(code, message string) decision.Reason {
		return decision.Reason{Code: code, Verdict: v1alpha1.VerdictDeny, Message: message, Policy: "own", Rule: "rego", Mode: v1alpha1.ModeEnforce}
	}
	hold := func(code, message string, until time.Time) decision.Reason {
		r := deny(code, message)
		r.Verdict, r.Until = v1alpha1.VerdictHold, until
		return r
	}
	tests := map[string]struct {
		rules string
		want  decision.Answer
	}{
		"NoReasonIsAllow": {`deny contains {"code": "A"} if input.customer.bucket == 1`, decision.Answer{}},
		"ReasonsAreSortedAndUnique": {
			`hold contains {"code": "C", "message": "c", "until": 1781697600000000000}
			deny contains {"code": "B", "message": "b"}
			deny contains {"code": "A", "message": "y"}
			deny contains {"code": "A", "message": "x"}
			deny contains {"message": "x", "code": "A"}`,
			decision.Answer{
				Reasons: []decision.Reason{deny("A", "x"), deny("A", "y"), deny("B", "b"), hold("C", "c", at("2026-06-17T12:00:00Z"))},
				StaleAt: at("2026-06-17T12:00:00Z"),
			},
		},
		"HoldWithoutEnd": {`hold contains {"code": "A", "message": "m"}`, decision.Answer{Reasons: []decision.Reason{hold("A", "m", time.Time{})}}},
		"EarliestWakeCounts": {
			`deny contains {"code": "A"} if input.now > 1900000000000000000
			wake contains 1781697600000000000
			wake contains 1781611200000000000
			wake contains 1781438400000000000
			wake contains input.now`,
			decision.Answer{StaleAt: at("2026-06-16T12:00:00Z")},
		},
		"WholeNumbersInOtherNotations": {
			`wake contains 1781611200 * 1e9
			deny contains {"code": "A"} if input.now > 1900000000000000000`,
			decision.Answer{StaleAt: at("2026-06-16T12:00:00Z")},
		},
		"TimeWithoutWake": {`deny contains {"code": "A"} if input.now > 1900000000000000000`, decision.Answer{StaleAt: noon.Add(again)}},
		"TimeInHiding":    {"deny contains {\"code\": \"A\"} if f(input)\nf(x) if x.now > 1900000000000000000", decision.Answer{StaleAt: noon.Add(again)}},
		"NoTime":          {`deny contains {"code": "A"} if input.customer.bucket > 3`, decision.Answer{}},
	}
	lib := small(t)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, ask(t, lib, question(1), own(tc.rules))[0]); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatIsNoAnswerDenies(t *testing.T) {
	long := strings.Repeat("x", maxMessage+1)
	tests := map[string]struct{ rules, words string }{
		"ReasonIsText":       {`deny contains "A"`, "no object"},
		"NoCode":             {`deny contains {"message": "x"}`, "lacks its code"},
		"CodeIsNumber":       {`deny contains {"code": 1}`, "code 1 does not match"},
		"CodeHasBlank":       {`deny contains {"code": "No Grant"}`, "does not match"},
		"CodeIsSmall":        {`deny contains {"code": "grant"}`, "does not match"},
		"CodeIsLong":         {`deny contains {"code": "A` + strings.Repeat("b", 63) + `"}`, "does not match"},
		"UnknownKey":         {`deny contains {"code": "A", "mesage": "x"}`, `a reason has no "mesage"`},
		"DenyUntil":          {`deny contains {"code": "A", "until": 1900000000000000000}`, `a reason has no "until"`},
		"MessageIsNumber":    {`deny contains {"code": "A", "message": 1}`, "message is no text"},
		"MessageIsLong":      {`deny contains {"code": "A", "message": "` + long + `"}`, "512 bytes"},
		"MessageControls":    {`deny contains {"code": "A", "message": "a\u001b[31mb"}`, "printable"},
		"MessageTurnsAround": {`deny contains {"code": "A", "message": "a\u202eb"}`, "printable"},
		"UntilIsText":        {`hold contains {"code": "A", "until": "tomorrow"}`, "no instant"},
		"UntilIsFraction":    {`hold contains {"code": "A", "until": 1900000000000000000.5}`, "no instant"},
		"UntilIsBeyond":      {`hold contains {"code": "A", "until": 1e30}`, "no instant"},
		"UntilIsPast":        {`hold contains {"code": "A", "until": input.now}`, "not later than now"},
		"WakeIsText":         {`wake contains "tomorrow"` + "\n" + fine, "no instant"},
		"TooManyReasons":     {`deny contains {"code": sprintf("A%d", [i])} if some i in numbers.range(1, 100)`, "the limit is 32"},
		"TooManyWakes":       {"wake contains i if some i in numbers.range(1, 2000)\n" + fine, "the limit is 1024"},
		"DenyIsUndefined":    {`deny := 1 if input.customer.bucket == 7`, "0 results"},
		"DenyIsANumber":      {`deny := 1`, "deny is no set"},
		"TwoValues":          {"deny contains {\"code\": x}\nx := \"A\"\nx := \"B\" if input.customer.bucket == 0", "eval_conflict_error"},
		"UnknownZone":        {`deny contains {"code": "A"} if time.clock([input.now, "Nowhere/Land"])[0] > 20`, "unknown time zone"},
		"NotANumber":         {`deny contains {"code": "A"} if to_number("three") == 3`, "to_number"},
		"SilentHoldToo":      {`hold contains {"code": "A"} if to_number("three") == 3`, "to_number"},
		"ErrorUnderNegation": {`deny contains {"code": "A"} if { not to_number("three") == 3; input.customer.bucket > 9 }`, "to_number"},
	}
	lib := small(t)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			other := own(`deny contains {"code": "Other", "message": ""}`)
			other.Name = "other"
			audit := own(tc.rules)
			audit.Name, audit.Mode = "audit", v1alpha1.ModeAudit
			got := ask(t, lib, question(1), own(tc.rules), other, audit)[0]
			if diff := cmp.Diff([]string{"EvaluationFailed", "EvaluationFailed", "Other"}, codes(got)); diff != "" {
				t.Fatalf("codes (-want +got):\n%s", diff)
			}
			for i, want := range []decision.Reason{
				{Policy: "audit", Mode: v1alpha1.ModeAudit}, {Policy: "own", Mode: v1alpha1.ModeEnforce},
			} {
				r := got.Reasons[i]
				if r.Policy != want.Policy || r.Mode != want.Mode || r.Rule != "rego" || r.Verdict != v1alpha1.VerdictDeny || !strings.Contains(r.Message, tc.words) {
					t.Errorf("want %q by %s, got %+v", tc.words, want.Policy, r)
				}
			}
			if !got.StaleAt.Equal(noon.Add(again)) {
				t.Errorf("asked again at %s", got.StaleAt)
			}
		})
	}
}

// A rule can expect an error and say what follows: that is an answer.
func TestReasonBesideAnErrorStands(t *testing.T) {
	got := ask(t, small(t), question(1), own(`
deny contains {"code": "UnknownZone", "message": ""} if not known("Nowhere/Land")
known(zone) if time.clock([0, zone])`))[0]
	if diff := cmp.Diff([]string{"UnknownZone"}, codes(got)); diff != "" {
		t.Errorf("codes (-want +got):\n%s", diff)
	}
}

func TestUsesOfOneRuleKeepTheirParametersApart(t *testing.T) {
	lib := small(t)
	q := question(1)
	q.Subjects[0].Contacts.Sent = []decision.Contact{{At: 1, Brand: "acme", Class: "Service", Channel: "Email"}, {At: 2, Brand: "acme", Class: "Marketing", Channel: "Email"}}
	p := Policy{Name: "caps", Rules: []v1alpha1.RuleUse{
		{Name: "default", Rule: "frequency-cap"},
		{Name: "one", Rule: "frequency-cap", With: raw(`{"max": 1}`)},
		{Name: "two", Rule: "frequency-cap", With: raw(`{"max": 2}`)},
		{Name: "both", Rule: "frequency-cap", With: raw(`{"max": 2, "counts": ["Marketing", "Service"]}`)},
	}}
	var got []string
	for _, r := range ask(t, lib, q, lib.Floor(), p)[0].Reasons {
		got = append(got, r.Policy+"/"+r.Rule+": "+r.Message)
	}
	if diff := cmp.Diff([]string{"caps/both: at most 2", "caps/one: at most 1"}, got); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
}

// The document is what encoding/json makes of the types: the way past it must
// lead to the same place.
func TestDocumentIsWhatJSONWouldSay(t *testing.T) {
	at := int64(7)
	year := int32(0)
	subjects := map[string]decision.Subject{
		"Empty": {},
		"Full": {
			Person: consent.Person{
				OptOut: &consent.Since{Since: 1}, TimeZone: "UTC", BirthYear: &year, Guardian: &consent.Guardian{AuthorizedAt: &at},
				Pause: &consent.Span{From: 1, Until: 2}, QuietHours: []consent.Window{{Days: []string{"Mon"}, Start: 5, End: 1440}},
				Caps: []consent.Cap{{Name: "a", Max: 3, Window: "Rolling", Length: 5, Counts: []string{"Marketing"}}}, BlockedTopics: []string{},
				LifeEvents:   []consent.LifeEvent{{EventType: "Birth", EventDate: 5}, {EventType: "Job", EventDate: -5, ExpirationDate: &at}},
				Relationship: &consent.Relationship{Depth: "Basic", Grants: []consent.Grant{{Purpose: "Marketing", ImpliedBy: &consent.ImpliedBy{Event: "Purchase"}}}},
				Bucket:       9999,
			},
			Contacts: decision.Contacts{Sent: []decision.Contact{{At: 1 << 62, Brand: "acme"}}, Events: []decision.Event{{Type: "Purchase"}}},
		},
	}
	for name, s := range subjects {
		t.Run(name, func(t *testing.T) {
			q := question(0)
			d := document{Now: consent.Nano(noon), Campaign: q.Campaign, Customer: s.Person, Contacts: s.Contacts}
			text, err := json.Marshal(d)
			if err != nil {
				t.Fatal(err)
			}
			want, err := ast.ValueFromReader(strings.NewReader(string(text)))
			if err != nil {
				t.Fatal(err)
			}
			got := newAsked(&q).input(&s)
			if want.Compare(got) != 0 {
				t.Errorf("want %s\ngot  %s", want, got)
			}
		})
	}
	if shape().kind != reflect.Struct || !shape().byName["customer"].byName["timeZone"].optional || shape().byName["customer"].byName["bucket"].optional {
		t.Error("the shape is wrong about what is optional")
	}
}

func TestCampaignAndCustomerAreAllThereIs(t *testing.T) {
	got := ask(t, small(t), question(1), own(`deny contains {"code": "A", "message": sprintf("%v", [[k | some k, _ in input]])}`))
	if want := `["campaign", "contacts", "customer", "now"]`; got[0].Reasons[0].Message != want {
		t.Errorf("input has %s, not %s", got[0].Reasons[0].Message, want)
	}
}
