package policy

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/policies"
)

// compareNative asks a plan, row by row and in bulk, and OPA about each customer.
// It returns how many of them the plan answered.
func compareNative(t testing.TB, lib *Library, q decision.Question, ps ...Policy) (answered int) {
	t.Helper()
	p, refused, want := compiled(t, lib, q, ps...)
	if len(refused) > 0 {
		t.Fatalf("not native: %+v", refused)
	}
	odd := p.columns.Odd()
	bulk := inColumns(p, odd)
	for row := range want {
		if slices.Contains(odd, row) {
			continue
		}
		got, ok := p.answer(row)
		if !ok {
			continue
		}
		answered++
		diff := cmp.Diff(want[row], got)
		if diff == "" && !bulk.Left.Has(row) && !bulk.agrees(row, &want[row]) {
			diff = cmp.Diff(want[row], ofBulk(bulk, row))
		}
		if diff != "" {
			text, _ := json.Marshal(q.Subjects[row])
			t.Fatalf("row %d at %s (-OPA +native):\n%s\n%+v\n%s\n%s", row, q.Now, diff, q.Campaign, text, ps[len(ps)-1].Rego)
		}
	}
	return answered
}

// fragment are own rules with each construct that is compiled.
var fragment = map[string]string{
	"Every": `
deny contains {"code": "A", "message": "all grants are old"} if {
	every g in input.customer.relationship.grants { g.captureDate < input.now - 86400000000000000 }
}
hold contains {"code": "B", "message": "no cap is wide"} if {
	every c in input.customer.caps { c.max < 3; c.window != "Rolling" }
}`,
	"Else": `
window := "blocked" if input.customer.blockedTopics
else := "weekly" if {
	some c in input.customer.caps
	c.window == "CalendarWeek"
} else := "other"
rank(g) := 1 if g.status == "ConsentGiven"
else := 2 if g.effectiveFrom < input.now
else := 3 if g.topics
deny contains {"code": "Window", "message": window} if count(input.contacts.sent) > 0
hold contains {"code": "Rank", "message": sprintf("%d", [rank(g)])} if some g in input.customer.relationship.grants
wake contains input.now + (rank(g) * 60000000000) if some g in input.customer.relationship.grants`,
	"Defaults": `
default grade(_) := "none"
grade(c) := "high" if c.max > 2
default old := false
old if input.customer.birthYear < 1990
deny contains {"code": "Grade", "message": grade(c)} if some c in input.customer.caps
hold contains {"code": "Old", "message": "old"} if old == false`,
	"Sums": `
late := sum([1 | some c in input.contacts.sent; c.at > input.now - (7 * 86400000000000)])
weights := sum({c.max | some c in input.customer.caps})
deny contains {"code": "Late", "message": "late"} if late >= 2
deny contains {"code": "Weights", "message": "w"} if weights in {1, 3, 4}
hold contains {"code": "Two", "message": "t"} if sum([input.customer.bucket, 7]) % 5 == 2`,
	"Arithmetic": `
deny contains {"code": "Even", "message": "e"} if input.customer.bucket % 2 == 0
deny contains {"code": "Product", "message": "p"} if (input.customer.bucket - 1000) * (input.customer.bucket - 500) > 250000
hold contains {"code": "Far", "message": "f", "until": input.now + ((1 + (input.customer.bucket % 3)) * 3600000000000)} if abs(input.customer.bucket - 999) > 1
deny contains {"code": "Since", "message": "s"} if (input.now - input.customer.optOut.since) % 7 == 3`,
	"Sets": `
asked := {g.purpose | some g in input.customer.relationship.grants}
given := {g.purpose | some g in input.customer.relationship.grants; g.status == "ConsentGiven"}
days := {c.at | some c in input.contacts.sent}
many := {x | some x in numbers.range(0, 300)}
deny contains {"code": "Two", "message": "t"} if count(asked) >= 2
deny contains {"code": "Open", "message": "o"} if count(asked - given) > 0
hold contains {"code": "Both", "message": "b"} if "Marketing" in asked & given
deny contains {"code": "Days", "message": "d"} if count(days) == 1
hold contains {"code": "Any", "message": p} if some p in asked | {"Other"}
deny contains {"code": "Range", "message": "r"} if input.customer.bucket in many`,
	"Helpers": `
channels contains g.channel if some g in input.customer.relationship.grants
open(g) if {
	g.effectiveFrom <= input.now
	not ended(g)
}
ended(g) if g.effectiveTo <= input.now
latest := max([g.captureDate | some g in input.customer.relationship.grants; open(g)])
deny contains {"code": "Channels", "message": c} if some c in channels
deny contains {"code": "Latest", "message": "l"} if latest < input.now - (86400000000000 * 30)
hold contains {"code": "First", "message": "f", "until": at} if {
	at := min([g.effectiveFrom | some g in input.customer.relationship.grants; g.effectiveFrom > input.now])
}
wake contains g.effectiveTo if some g in input.customer.relationship.grants`,
	"AndOr": `
deny contains {"code": "Or", "message": "o"} if input.customer.language == "de" or input.customer.bucket > 1000
hold contains {"code": "And", "message": "a"} if {
	not input.customer.timeZone and input.customer.optOut
}`,
	"Text": `
deny contains {"code": "Land", "message": sprintf("no letters to %s", [upper(input.customer.jurisdiction)])} if lower(input.customer.jurisdiction) != "de"
hold contains {"code": "Zone", "message": $"in {input.customer.timeZone}"} if startswith(input.customer.timeZone, "Europe/")
deny contains {"code": "Topics", "message": concat(", ", sort(input.customer.blockedTopics))} if count(input.customer.blockedTopics) > 1`,
	"Clock": `
deny contains {"code": "Morning", "message": "m"} if {
	[hour, _, _] := time.clock([input.now, input.customer.timeZone])
	hour < 12
}
hold contains {"code": "Sunday", "message": "s"} if time.weekday([input.now, input.customer.timeZone]) == "Sunday"`,
}

func TestOwnRegoIsNative(t *testing.T) {
	lib := load(t, policies.FS)
	for name, text := range fragment {
		t.Run(name, func(t *testing.T) {
			answered, all := 0, 0
			for seed := range *worlds / 2 {
				q := newChance(uint64(3000 + seed)).question(100)
				all += len(q.Subjects)
				answered += compareNative(t, lib, q, own(text))
			}
			if answered < all*3/4 {
				t.Errorf("natively answered for %d of %d customers only", answered, all)
			}
		})
	}
}

// The integer that stands for absence in columns is one to Rego.
func TestTheLeastIntegerIsNotAbsent(t *testing.T) {
	lib := load(t, policies.FS)
	p := own(`
deny contains {"code": "Least", "message": "l"} if input.customer.bucket - -9223372036854775808 > 0
deny contains {"code": "More", "message": "m"} if input.customer.optOut.since > -9223372036854775808
hold contains {"code": "In", "message": "i"} if input.customer.bucket in {-9223372036854775808, 7}`)
	e, opa, _ := fronted(t, lib, p)
	q := people(100)
	if diff := cmp.Diff(mustJudge(t, opa.Interpreter, q), mustJudge(t, e, q)); diff != "" || e.Doubted() > 0 {
		t.Errorf("answers (-OPA +engine):\n%s; confirmed: %t", diff, e.Doubted() == 0)
	}
}
