package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// FuzzLint gives Lint any text: it must neither panic nor take long.
func FuzzLint(f *testing.F) {
	for _, text := range exhaustive {
		f.Add(text, `{}`)
	}
	f.Add("package codb.policy\nimport rego.v2\n"+fine, `{"max": 3}`)
	f.Add("package codb.policy\ndeny contains x if { some g in input.customer.relationship.grants; x := g.status }", `{"max": "x", "zone": {"name": 1}}`)
	f.Add("package codb.policy\nimport input.customer as c\nf(a) := b if { b := a.x } else := 1\ndeny contains 1 if not f(c) in {1}", `[`)
	f.Add("package codb.policy\n# METADATA\n# custom: {absent: allows}\ndeny contains 1 if every k, v in input { k == v.x with data.x as 1 }", `null`)
	for _, open := range []string{"[", "{", "(", "not {", "{1:", "[y|y:=", "$`{", "a[", "abs(", "some x in [", "every y in [1] {", "1 or ", "-"} {
		f.Add("package codb.policy\nimport rego.v2\nx if "+strings.Repeat(open, 40), `{}`)
	}
	lib := small(f)
	f.Fuzz(func(t *testing.T, rego, with string) {
		begun := time.Now()
		lib.Lint("fuzz", &v1alpha1.CampaignPolicySpec{
			Rego: rego, Rules: []v1alpha1.RuleUse{{Name: "frequency-cap", With: raw(with)}},
			Tests: []v1alpha1.PolicyTest{{Name: "case", Customer: *raw(with), Campaign: raw(with)}},
		})
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("took %s", took)
		}
	})
}
