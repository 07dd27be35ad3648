package policy

import (
	"io/fs"
	"maps"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/policies"
)

func TestLibraryThatIsNone(t *testing.T) {
	tests := map[string]struct {
		change func(fstest.MapFS)
		want   string
	}{
		"FloorRuleMissing": {func(f fstest.MapFS) { delete(f, "pause/pause.rego") }, "rule pause of the built-in floor is missing"},
		"SchemaMissing":    {func(f fstest.MapFS) { delete(f, "pause/schema.json") }, "pause/pause.rego has no schema.json"},
		"SchemaIsNoJSON":   {func(f fstest.MapFS) { f["pause/schema.json"] = file("{") }, "pause/schema.json: read schema"},
		"SchemaIsOpen":     {func(f fstest.MapFS) { f["pause/schema.json"] = file(`{"type": "object"}`) }, "additionalProperties: false"},
		"SchemaReachesOut": {func(f fstest.MapFS) { f["pause/schema.json"] = file(`{"$ref": "file:///etc/passwd"}`) }, "can't refer to file:///etc/passwd"},
		"DefaultIsNotAllowed": {func(f fstest.MapFS) {
			f["pause/schema.json"] = file(`{"type": "object", "additionalProperties": false, "properties": {"a": {"type": "string", "default": 1}}}`)
		}, "defaults: .a: 1 is no string"},
		"WrongPackage": {func(f fstest.MapFS) { f["pause/pause.rego"] = file("package codb.rules.break") }, "package is data.codb.rules.break"},
		"WrongFolder":  {func(f fstest.MapFS) { f["pause/other.rego"] = file("package codb.rules.pause") }, "pause/other.rego is neither pause/pause.rego nor"},
		"NotRego":      {func(f fstest.MapFS) { f["pause/pause.rego"] = file("package codb.rules.pause\nx if") }, "pause/pause.rego: line 2"},
		"TopicMissing": {func(f fstest.MapFS) { delete(f, "lib/tally/tally.rego") }, "frequency-cap/frequency_cap.rego needs lib/tally"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			files := smallLibrary()
			tc.change(files)
			_, err := LoadLibrary(files)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want %q, got %v", tc.want, err)
			}
		})
	}
}

func TestTestsAreNoPartOfTheLibrary(t *testing.T) {
	files := smallLibrary()
	files["pause/pause_test.rego"] = file("this is not even Rego")
	if got := load(t, files).digest(); got != small(t).digest() {
		t.Error("a test changes the library")
	}
	var _ fs.FS = files
}

func TestRulesAreDescribed(t *testing.T) {
	rules := small(t).Rules()
	if diff := cmp.Diff(RuleInfo{
		Name: "frequency-cap", Title: "Frequency cap", Description: "At most some contacts.", Codes: []string{"FrequencyCapping"},
		Schema: smallLibrary()["frequency-cap/schema.json"].Data,
	}, rules[0]); diff != "" {
		t.Errorf("rule (-want +got):\n%s", diff)
	}
	if len(rules) != 8 {
		t.Errorf("%d rules", len(rules))
	}
}

func TestDigestCoversWhatAnswersDependOn(t *testing.T) {
	lib := small(t)
	base := func() *v1alpha1.CampaignPolicy {
		return &v1alpha1.CampaignPolicy{
			ObjectMeta: metav1.ObjectMeta{Name: "p", Generation: 1},
			Spec: v1alpha1.CampaignPolicySpec{
				Mode: v1alpha1.ModeEnforce, Rules: []v1alpha1.RuleUse{with("frequency-cap", `{"max": 3}`), with("pause", "")}, Rego: own(fine).Rego,
			},
		}
	}
	changedLib := func(name, text string) *Library {
		files := smallLibrary()
		files[name] = file(string(files[name].Data) + text)
		return load(t, files)
	}
	was := lib.Digest(FromObject(base()))
	if !strings.HasPrefix(was, "sha256:") || len(was) != 71 {
		t.Fatalf("digest %q", was)
	}
	tests := map[string]struct {
		lib    *Library
		change func(*v1alpha1.CampaignPolicy)
		same   bool
	}{
		"Nothing":            {lib, func(*v1alpha1.CampaignPolicy) {}, true},
		"Tests":              {lib, func(p *v1alpha1.CampaignPolicy) { p.Spec.Tests = []v1alpha1.PolicyTest{{Name: "a"}} }, true},
		"Generation":         {lib, func(p *v1alpha1.CampaignPolicy) { p.Generation = 9 }, true},
		"OrderOfRules":       {lib, func(p *v1alpha1.CampaignPolicy) { r := p.Spec.Rules; r[0], r[1] = r[1], r[0] }, true},
		"DefaultWrittenOut":  {lib, func(p *v1alpha1.CampaignPolicy) { p.Spec.Rules[0].With = nil }, true},
		"LayoutOfParameters": {lib, func(p *v1alpha1.CampaignPolicy) { p.Spec.Rules[0].With = raw(`{ "max":3 }`) }, true},
		"RuleNamedTwice":     {lib, func(p *v1alpha1.CampaignPolicy) { p.Spec.Rules[1].Rule = "pause" }, true},
		"ModeUnset":          {lib, func(p *v1alpha1.CampaignPolicy) { p.Spec.Mode = "" }, true},
		"UnusedLibraryRule":  {changedLib("withdrawal/withdrawal.rego", "# other"), func(*v1alpha1.CampaignPolicy) {}, true},
		"Mode":               {lib, func(p *v1alpha1.CampaignPolicy) { p.Spec.Mode = v1alpha1.ModeAudit }, false},
		"Name":               {lib, func(p *v1alpha1.CampaignPolicy) { p.Name = "q" }, false},
		"Rego":               {lib, func(p *v1alpha1.CampaignPolicy) { p.Spec.Rego += "#" }, false},
		"Parameter":          {lib, func(p *v1alpha1.CampaignPolicy) { p.Spec.Rules[0].With = raw(`{"max": 4}`) }, false},
		"NameOfUse":          {lib, func(p *v1alpha1.CampaignPolicy) { p.Spec.Rules[1] = v1alpha1.RuleUse{Name: "rest", Rule: "pause"} }, false},
		"FewerRules":         {lib, func(p *v1alpha1.CampaignPolicy) { p.Spec.Rules = p.Spec.Rules[:1] }, false},
		"UsedLibraryRule":    {changedLib("pause/pause.rego", "# other"), func(*v1alpha1.CampaignPolicy) {}, false},
		"UsedLibraryHelper":  {changedLib("lib/tally/tally.rego", "# other"), func(*v1alpha1.CampaignPolicy) {}, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := base()
			tc.change(p)
			if is := tc.lib.Digest(FromObject(p)); (is == was) != tc.same {
				t.Errorf("same digest: %v, want %v", is == was, tc.same)
			}
		})
	}
}

func TestFloor(t *testing.T) {
	p := small(t).Floor()
	got := map[string]bool{}
	for _, u := range p.Rules {
		got[ruleName(&u)] = true
	}
	want := map[string]bool{"opt-in": true, "withdrawal": true, "objection": true, "validity": true, "pause": true, "suppression": true, "holdout": true}
	if !maps.Equal(want, got) || p.Name != "floor" || p.Mode != v1alpha1.ModeEnforce {
		t.Errorf("the floor is %+v", p)
	}
}

// What a rule iterates over with "some x in ..." is placed like all else: the
// next birthday that counts is a parameter away.
func TestParametersInSomeArePlaced(t *testing.T) {
	q := question(1)
	year := int32(2010)
	q.Subjects[0].Person.BirthYear = &year
	p := Policy{Name: "p", Rules: []v1alpha1.RuleUse{with("age", `{"adult": 18}`)}}
	got := ask(t, load(t, policies.FS), q, p)[0]
	if want := time.Date(2027, time.January, 1, 0, 0, 0, 0, time.UTC); !got.StaleAt.Equal(want) {
		t.Errorf("stale at %s, want %s", got.StaleAt, want)
	}
}
