package policy

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consent"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/policies"
)

// What can't be a policy is refused with its place and what is wrong.
func TestRegoThatIsNoPolicyIsRefused(t *testing.T) {
	lib := small(t)
	tests := map[string]struct {
		rules string
		want  []string
	}{
		"Recursion":          {`deny contains {"code": "A", "message": ""} if a` + "\na if b\nb if a", []string{"line 6", "recursive"}},
		"RecursionOfOne":     {`deny contains {"code": "A", "message": ""} if f(1)` + "\nf(x) if f(x + 1)", []string{"line 6", "recursive"}},
		"RecursionInSets":    {`deny contains {"code": "A", "message": ""} if count(deny) > 0`, []string{"line 5", "recursive"}},
		"UndefinedRule":      {`deny contains {"code": "A", "message": ""} if nothing > 1`, []string{"line 5", "nothing"}},
		"UndefinedFunction":  {`deny contains {"code": "A", "message": ""} if nothing(1)`, []string{"line 5", "nothing"}},
		"UndefinedHelper":    {`deny contains {"code": "A", "message": ""} if data.codb.lib.tally.nothing`, []string{"line 5", "nothing"}},
		"UndefinedField":     {`deny contains {"code": "A", "message": ""} if input.customer.nothing`, []string{"line 5", "nothing"}},
		"NoSet":              {`deny := {"code": "A", "message": ""}`, []string{"line 5", "deny is no set"}},
		"Function":           {`hold(x) := x`, []string{"line 5", "hold is no set"}},
		"NeitherDenyNorHold": {`wake contains 1`, []string{"neither deny nor hold"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			report := lib.Try(t.Context(), own(tc.rules))
			if len(report.Problems) == 0 {
				t.Fatal("not refused")
			}
			for _, part := range tc.want {
				if text := fmt.Sprint(report.Problems); !strings.Contains(text, part) {
					t.Errorf("%s lacks %q", text, part)
				}
			}
		})
	}
}

// What a rule says is wrong in shape denies, with every engine.
func TestWrongShapesDeny(t *testing.T) {
	lib := load(t, policies.FS)
	for name, text := range map[string]string{
		"Number":      `deny contains 1 if input.customer.bucket >= 0`,
		"Text":        `hold contains "no" if input.customer.bucket >= 0`,
		"NoCode":      `deny contains {"message": "m"} if input.customer.bucket >= 0`,
		"WrongCode":   `deny contains {"code": "no code", "message": "m"} if input.customer.bucket >= 0`,
		"CodeOfData":  `deny contains {"code": g.purpose, "message": 7} if some g in input.customer.relationship.grants`,
		"LongMessage": `deny contains {"code": "A", "message": concat("", [x | some _ in numbers.range(1, 600); x := "x"])} if input.customer.bucket >= 0`,
		"Unprintable": "deny contains {\"code\": \"A\", \"message\": \"\\u0007\"} if input.customer.bucket >= 0",
		"MoreFields":  `deny contains {"code": "A", "message": "m", "who": "x"} if input.customer.bucket >= 0`,
		"Until":       `hold contains {"code": "A", "message": "m", "until": "soon"} if input.customer.bucket >= 0`,
		"UntilPast":   `hold contains {"code": "A", "message": "m", "until": input.now - input.customer.bucket} if input.customer.bucket >= 0`,
		"UntilOfDeny": `deny contains {"code": "A", "message": "m", "until": input.now + 1000} if input.customer.bucket >= 0`,
		"WakeOfText": `hold contains {"code": "A", "message": "m"} if input.customer.bucket < 0
wake contains "soon" if input.customer.bucket >= 0`,
		"TooMany":  `hold contains {"code": "A", "message": sprintf("%d", [n])} if { some n in numbers.range(1, 40); input.customer.bucket >= 0 }`,
		"Fraction": `hold contains {"code": "A", "message": "m", "until": input.now + 0.5} if input.customer.bucket >= 0`,
	} {
		t.Run(name, func(t *testing.T) {
			e, opa, metrics := fronted(t, lib, own(text))
			q := people(50)
			for i := range q.Subjects {
				q.Subjects[i].Person.Relationship.Grants[0].Purpose = fmt.Sprintf("P%d", i%3)
			}
			got := mustJudge(t, e, q)
			for i, a := range got {
				if decision.Personal(a.Reasons) != v1alpha1.VerdictDeny {
					t.Fatalf("customer %d: %+v", i, a)
				}
			}
			if diff := cmp.Diff(mustJudge(t, opa.Interpreter, q), got); diff != "" || counted(t, metrics, "consent_policy_differences_total") > 0 {
				t.Errorf("answers (-OPA +engine):\n%s", diff)
			}
		})
	}
}

// A clock that is beyond what policies can see denies, whoever is asked.
func TestAClockBeyondTheInstantsDenies(t *testing.T) {
	lib := load(t, policies.FS)
	ps := append(everyRule(lib), own(`hold contains {"code": "Late", "message": "l"} if input.now > 0`))
	e, opa, _ := fronted(t, lib, ps...)
	in := sandbox(t, lib, workerReal, Options{})
	loaded, err := in.Load(t.Context(), ps)
	if err != nil {
		t.Fatal(err)
	}
	for _, year := range []int{1, 1677, 2262, 9999} {
		q := people(40)
		q.Now = time.Date(year, time.December, 31, 23, 59, 59, 0, time.UTC)
		for _, j := range []decision.Judge{e, opa.Interpreter, loaded} {
			for _, a := range mustJudge(t, j, q) {
				if len(a.Reasons) != 1 || a.Reasons[0].Verdict != v1alpha1.VerdictDeny || !strings.Contains(a.Reasons[0].Message, "clock") || !a.StaleAt.After(q.Now) {
					t.Fatalf("year %d, %T: %+v", year, j, a)
				}
			}
		}
	}
	for _, year := range []int{1678, 2261} { // still the same with each
		q := people(200)
		q.Now = time.Date(year, time.June, 30, 12, 0, 0, 0, time.UTC)
		if diff := cmp.Diff(mustJudge(t, opa.Interpreter, q), mustJudge(t, e, q)); diff != "" {
			t.Errorf("year %d (-OPA +engine):\n%s", year, diff)
		}
	}
}

// crowded is a customer with as much of everything as the API admits, whose names
// nobody else has.
func crowded(n int) decision.Subject {
	name := func(i int) string { return fmt.Sprintf("%s-%d-%d", strings.Repeat("x", 40), n, i) }
	year := int32(1980)
	p := consent.Person{TimeZone: "Europe/Berlin", TimeZoneSource: "Declared", Jurisdiction: "DE", BirthYear: &year, Relationship: &consent.Relationship{Depth: "Basic"}}
	at := noon.Add(-time.Hour).UnixNano()
	for i := range 32 {
		p.BlockedTopics = append(p.BlockedTopics, name(i))
		p.LifeEvents = append(p.LifeEvents, consent.LifeEvent{EventType: name(i), EventDate: math.MaxInt64})
		p.Relationship.Grants = append(p.Relationship.Grants, consent.Grant{
			Purpose: name(i), Channel: "Email", Topics: []string{name(i), name(i + 1)}, Status: "ConsentGiven", ConsentType: "ExpressedConsent",
			LegalBasis: "Consent", CaptureDate: math.MinInt64 + 1, EffectiveFrom: math.MaxInt64, CaptureSource: name(i),
		})
	}
	for i := range 8 {
		p.Caps = append(p.Caps, consent.Cap{Name: name(i), Brand: name(i), Max: math.MaxInt32, Window: "Rolling", Counts: []string{"Marketing"}})
	}
	s := decision.Subject{Person: p}
	for i := range 64 {
		s.Contacts.Sent = append(s.Contacts.Sent, decision.Contact{At: at, Brand: name(i), Class: "Marketing", Channel: "Email", Topic: name(i)})
		s.Contacts.Events = append(s.Contacts.Events, decision.Event{Type: "Purchase", At: at, Brand: name(i)})
	}
	return s
}

// Ten thousand brands, topics and purposes, and customers with as much as the API
// admits: the same answers as OPA's, nobody is allowed, and a plan forgets.
func TestAsMuchAsTheAPIAdmits(t *testing.T) {
	lib := load(t, policies.FS)
	e, opa, metrics := fronted(t, lib, append(everyRule(lib), own(`
hold contains {"code": "Brands", "message": "b"} if count({c.brand | some c in input.contacts.sent}) > 60
deny contains {"code": "Topics", "message": "t"} if count(input.customer.blockedTopics) > 31`))...)
	q := question(0)
	for n := range 320 { // of 32 to 64 names each
		q.Subjects = append(q.Subjects, crowded(n))
	}
	begun := time.Now()
	got := mustJudge(t, e, q)
	for i, a := range got {
		if decision.Personal(a.Reasons) != v1alpha1.VerdictDeny {
			t.Fatalf("customer %d: %+v", i, a)
		}
	}
	if took := time.Since(begun); took > time.Minute {
		t.Errorf("took %s", took)
	}
	some := q
	some.Subjects = q.Subjects[:20]
	if diff := cmp.Diff(mustJudge(t, opa.Interpreter, some), got[:20]); diff != "" || counted(t, metrics, "consent_policy_differences_total") > 0 {
		t.Errorf("answers (-OPA +engine):\n%s", diff)
	}
	if opa.asked > len(q.Subjects)/2 {
		t.Errorf("OPA was asked about %d of %d", opa.asked, len(q.Subjects))
	}
}
