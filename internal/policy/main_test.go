package policy

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consent"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/policies"
)

// TestMain lets the test binary be its own policy worker.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "policy-worker") {
		os.Exit(work(os.Args[1]))
	}
	os.Exit(m.Run())
}

// The workers of these tests: with the little library below or the real one, and
// one without the allow-list, as if a builtin had slipped through it.
const (
	workerSmall = "policy-worker-small"
	workerReal  = "policy-worker-real"
	workerWide  = "policy-worker-wide"
	workerBroke = "policy-worker-broken"
)

func work(kind string) int {
	files := smallLibrary()
	switch kind {
	case workerBroke:
		fmt.Fprintln(os.Stderr, "no such thing")
		return 3
	case workerWide:
		capabilities = sync.OnceValue(func() *ast.Capabilities { return ast.CapabilitiesForThisVersion() })
	case workerReal:
		l, err := LoadLibrary(policies.FS)
		if err != nil {
			return 2
		}
		return WorkerMain(l, os.Stdin, os.Stdout)
	}
	l, err := LoadLibrary(files)
	if err != nil {
		return 2
	}
	return WorkerMain(l, os.Stdin, os.Stdout)
}

// smallLibrary has the rules of the floor, one with parameters and one helper.
func smallLibrary() fstest.MapFS {
	fsys := fstest.MapFS{
		"frequency-cap/schema.json": file(`{
			"type": "object", "additionalProperties": false,
			"properties": {
				"max": {"type": "integer", "minimum": 0, "maximum": 1000, "default": 3},
				"counts": {"type": "array", "items": {"type": "string", "enum": ["Marketing", "Service"]}, "default": ["Marketing"]},
				"zone": {"type": "object", "additionalProperties": false, "properties": {"name": {"type": "string", "pattern": "^[A-Z]", "default": "UTC"}}}
			}}`),
		"frequency-cap/frequency_cap.rego": file(`# METADATA
# scope: package
# title: Frequency cap
# description: At most some contacts.
# custom:
#   codes: [FrequencyCapping]
package codb.rules.frequency_cap

import rego.v2

import data.codb.lib.tally
import data.parameters as p

hold contains {"code": "FrequencyCapping", "message": $"at most {p.max}"} if {
	tally.sent(p.counts) >= data.parameters.max
	data.codb.rules.frequency_cap.some_allowed
}

some_allowed if p.max >= 0
`),
		"lib/tally/tally.rego": file(`package codb.lib.tally

import rego.v2

sent(classes) := count([1 | some c in input.contacts.sent; c.class in classes])

minor if input.customer.birthYear > 2008
`),
	}
	for _, name := range floorRules {
		under := strings.ReplaceAll(name, "-", "_")
		fsys[name+"/schema.json"] = file(`{"type": "object", "additionalProperties": false, "properties": {}}`)
		fsys[name+"/"+under+".rego"] = file("package codb.rules." + under + "\n\nimport rego.v2\n\n" +
			`deny contains {"code": "Bucket` + strings.ToUpper(under[:1]) + under[1:2] + `", "message": ""} if input.customer.bucket < 0` + "\n")
	}
	return fsys
}

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

func small(t testing.TB) *Library { return load(t, smallLibrary()) }

func load(t testing.TB, files fs.FS) *Library {
	t.Helper()
	l, err := LoadLibrary(files)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// sandbox makes one whose workers are this binary; small budgets unless told.
func sandbox(t testing.TB, lib *Library, kind string, o Options) *Sandbox {
	t.Helper()
	o.Command = []string{os.Args[0], kind}
	o.Workers = positive(o.Workers, 1)
	s := NewSandbox(lib, o)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// own is a policy of some Rego, in v2, without package and import.
func own(rules string) Policy {
	return Policy{Name: "own", Rego: "package codb.policy\n\nimport rego.v2\n\n" + rules + "\n"}
}

var noon = time.Date(2026, time.June, 15, 12, 0, 0, 0, time.UTC)

// question asks about customers whose buckets count from 0.
func question(customers int) decision.Question {
	q := decision.Question{Now: noon, Campaign: decision.Campaign{
		Name: "spring", Namespace: "acme-marketing", Brand: "acme", Purpose: "Marketing",
		PurposeClass: "Marketing", Channel: "Email", Depth: "Basic",
	}}
	for i := range customers {
		q.Subjects = append(q.Subjects, decision.Subject{Person: consent.Person{Bucket: i}})
	}
	return q
}

// ask evaluates policies in this process.
func ask(t testing.TB, lib *Library, q decision.Question, ps ...Policy) []decision.Answer {
	t.Helper()
	i, err := NewInterpreter(lib, ps)
	if err != nil {
		t.Fatal(err)
	}
	answers, err := i.Judge(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return answers
}

// codes are those of an answer, in its order.
func codes(a decision.Answer) []string {
	var out []string
	for _, r := range a.Reasons {
		out = append(out, r.Code)
	}
	return out
}

func raw(text string) *runtime.RawExtension { return &runtime.RawExtension{Raw: []byte(text)} }

func with(name, params string) v1alpha1.RuleUse {
	u := v1alpha1.RuleUse{Name: name}
	if params != "" {
		u.With = raw(params)
	}
	return u
}

// problem finds the first of some code.
func problem(ps []Problem, code string) (Problem, bool) {
	i := slices.IndexFunc(ps, func(p Problem) bool { return p.Code == code })
	if i < 0 {
		return Problem{}, false
	}
	return ps[i], true
}
