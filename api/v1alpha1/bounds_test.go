package v1alpha1_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/codb-dev/codb/test/crd"
)

// The largest consent that the API takes, and one more of each.
func TestConsentAtItsBounds(t *testing.T) {
	k := kinds(t)["CustomerConsent"]
	if errs := k.Check(crd.LargestConsent("c-1"), nil); len(errs) > 0 {
		t.Fatalf("the largest consent is refused: %s", errs)
	}

	spec := func(o crd.Object) crd.Object { return o["spec"].(crd.Object) }
	first := func(o any) crd.Object { return o.([]any)[0].(crd.Object) }
	relationship := func(o crd.Object) crd.Object { return first(spec(o)["relationships"]) }
	grant := func(o crd.Object) crd.Object { return first(relationship(o)["grants"]) }
	more := func(o crd.Object, list string, item any) {
		o[list] = append(o[list].([]any), item)
	}
	tests := map[string]struct {
		change func(crd.Object)
		want   string
	}{
		"Brand":         {func(o crd.Object) { more(spec(o), "relationships", crd.Object{"brand": "another"}) }, "spec.relationships: Too many: 33: must have at most 32 items"},
		"Grant":         {func(o crd.Object) { more(relationship(o), "grants", grant(o)) }, "spec.relationships[0].grants: Too many: 13: must have at most 12 items"},
		"Topic":         {func(o crd.Object) { more(grant(o), "topics", "Another") }, "grants[0].topics: Too many"},
		"Objection":     {func(o crd.Object) { more(relationship(o), "objections", first(relationship(o)["objections"])) }, "objections: Too many"},
		"BrandCap":      {func(o crd.Object) { more(relationship(o), "caps", first(relationship(o)["caps"])) }, "spec.relationships[0].caps: Too many"},
		"Cap":           {func(o crd.Object) { more(spec(o), "caps", first(spec(o)["caps"])) }, "spec.caps: Too many"},
		"QuietHours":    {func(o crd.Object) { more(spec(o), "quietHours", first(spec(o)["quietHours"])) }, "spec.quietHours: Too many"},
		"ContactWindow": {func(o crd.Object) { more(spec(o), "contactWindows", first(spec(o)["contactWindows"])) }, "spec.contactWindows: Too many"},
		"BlockedTopic":  {func(o crd.Object) { more(spec(o), "blockedTopics", "Another") }, "spec.blockedTopics: Too many"},
		"LifeEvent":     {func(o crd.Object) { more(spec(o), "lifeEvents", first(spec(o)["lifeEvents"])) }, "spec.lifeEvents: Too many"},
		"LongBrand":     {func(o crd.Object) { relationship(o)["brand"] = strings.Repeat("b", 64) }, "spec.relationships[0].brand: Too long"},
		"LongPurpose":   {func(o crd.Object) { grant(o)["purpose"] = strings.Repeat("P", 64) }, "grants[0].purpose: Too long"},
		"LongReward":    {func(o crd.Object) { relationship(o)["reward"] = crd.Object{"statement": strings.Repeat("r", 257)} }, "reward.statement: Too long"},
		"LongZone":      {func(o crd.Object) { spec(o)["timeZone"] = "Z" + strings.Repeat("z", 40) }, "spec.timeZone: Too long"},
		"LongArtifact":  {func(o crd.Object) { grant(o)["artifact"] = strings.Repeat("a", 129) }, "artifact: Too long"},
		"LateBirth":     {func(o crd.Object) { spec(o)["birthYear"] = int64(2201) }, "spec.birthYear: Invalid value: 2201"},
		"LargeCap":      {func(o crd.Object) { first(spec(o)["caps"])["max"] = int64(1001) }, "spec.caps[0].max: Invalid value: 1001"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			o := crd.LargestConsent("c-1")
			tc.change(o)
			if got := fmt.Sprint(k.Check(o, nil)); !strings.Contains(got, tc.want) {
				t.Errorf("Check = %s, want %s", got, tc.want)
			}
		})
	}
}
