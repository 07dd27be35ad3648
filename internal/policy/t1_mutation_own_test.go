package policy

import (
	"testing"

	"github.com/codb-dev/codb/policies"
)

// ownOfMutants are own rules with what the library has no use for, whose faults must
// show as well.
var ownOfMutants = map[string]string{
	"own else": `
grade(g) := 1 if g.status == "ConsentGiven"
else := 2 if g.effectiveFrom > input.now
else := 3 if g.purpose == "Offers"
deny contains {"code": "Grade", "message": sprintf("%d", [grade(g)])} if some g in input.customer.relationship.grants
default kind(_) := "other"
kind(e) := "bounce" if e.type == "HardBounce"
hold contains {"code": "Kind", "message": kind(e)} if some e in input.contacts.events`,
	"own integers": `
deny contains {"code": "Rest", "message": "r"} if input.customer.bucket % 5 == 3
deny contains {"code": "Product", "message": "p"} if input.customer.bucket * 2 == 1998
deny contains {"code": "In", "message": "i"} if input.customer.bucket in {0, 999, 1001}
hold contains {"code": "Far", "message": "f"} if abs(input.customer.bucket - 1000) >= 1`,
	"own sets": `
purposes := {g.purpose | some g in input.customer.relationship.grants}
deny contains {"code": "Two", "message": "t"} if count(purposes) >= 2
deny contains {"code": "Sum", "message": "s"} if sum({c.max | some c in input.customer.caps}) > 2
hold contains {"code": "Others", "message": "o"} if count(purposes - {"Marketing"}) == 1
hold contains {"code": "Both", "message": "b"} if count(purposes & {"Offers", "Marketing"}) == 1
deny contains {"code": "Calls", "message": "c"} if sum([2 | some c in input.contacts.sent; c.channel == "Phone"]) == 4`,
	"own every": `
deny contains {"code": "Old", "message": "o"} if {
	every g in input.customer.relationship.grants { g.effectiveFrom < input.now; g.channel in {"Email", "SMS"} }
}
hold contains {"code": "Or", "message": "o"} if input.customer.bucket > 1000 or input.customer.language == "de"`,
}

// TestNoFaultOfOwnRegoGoesUnseen is TestNoFaultOfAPlanGoesUnseen for constructs
// that the library does not have.
func TestNoFaultOfOwnRegoGoesUnseen(t *testing.T) {
	if raced {
		t.Skip("it has one goroutine, and minutes to run: hack/test.sh runs it without the race detector")
	}
	lib := load(t, policies.FS)
	for _, name := range sortedKeys(ownOfMutants) {
		killed, total := killRule(t, lib, name, 0)
		t.Logf("%s: %d of %d faults seen", name, killed, total)
	}
}
