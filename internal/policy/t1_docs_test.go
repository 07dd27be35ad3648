package policy

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/policies"
)

// The documentation's samples are evaluated by what it says, and answer like OPA.
func TestTheDocumentationsSamples(t *testing.T) {
	text, err := os.ReadFile("../../docs/policies.md")
	if err != nil {
		t.Fatal(err)
	}
	lib := load(t, policies.FS)
	samples := regexp.MustCompile("(?s)\n```rego\n(.*?)```\n").FindAllStringSubmatch(string(text), -1)
	if len(samples) != 2 {
		t.Fatalf("%d samples", len(samples))
	}
	native := Policy{Name: "sample", Rego: samples[0][1]}
	report := lib.Try(t.Context(), native)
	if engines := Engines(native, report); len(report.Problems) > 0 || engines[0].Engine != v1alpha1.EngineNative {
		t.Errorf("problems %v, engines %+v", report.Problems, engines)
	}
	answered := compareNative(t, lib, newChance(99).question(400), native)
	if answered < 300 {
		t.Errorf("natively answered for %d of 400 customers only", answered)
	}
	not := Policy{Name: "sample", Rego: samples[1][1]}
	report = lib.Try(t.Context(), not)
	engines := Engines(not, report)
	if len(report.Problems) > 0 || engines[0].Engine == v1alpha1.EngineNative ||
		!strings.Contains(engines[0].Why, "spec.rego:") || !strings.Contains(engines[0].Why, "write a function") {
		t.Errorf("problems %v, engines %+v", report.Problems, engines)
	}
}
