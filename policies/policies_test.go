package policies_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/format"
	"github.com/open-policy-agent/opa/v1/tester"

	"github.com/codb-dev/codb/policies"
)

// modules are the library and its tests, by file.
func modules(t *testing.T) map[string]*ast.Module {
	t.Helper()
	out := map[string]*ast.Module{}
	for name, text := range sources(t) {
		m, err := ast.ParseModuleWithOpts(name, text, ast.ParserOptions{ProcessAnnotation: true})
		if err != nil {
			t.Fatal(err)
		}
		out[name] = m
	}
	return out
}

// sources are the texts of all Rego files, by file.
func sources(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := fs.WalkDir(policies.FS, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) != ".rego" {
			return err
		}
		text, err := fs.ReadFile(policies.FS, name)
		out[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// rules are the names of the library's rules.
func rules(t *testing.T) []string {
	t.Helper()
	entries, err := fs.ReadDir(policies.FS, ".")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		if e.IsDir() && e.Name() != "lib" {
			out = append(out, e.Name())
		}
	}
	return out
}

func TestRegoTestsPass(t *testing.T) {
	coverage := cover.New()
	results, err := tester.NewRunner().
		SetModules(modules(t)).
		SetCoverageQueryTracer(coverage).
		RaiseBuiltinErrors(true).
		SetTimeout(time.Minute).
		RunTests(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for r := range results {
		ran++
		if !r.Pass() {
			t.Errorf("%s: %s.%s fails: %v", r.Location, r.Package, r.Name, r.Error)
		}
	}
	if ran < 200 {
		t.Errorf("%d tests ran; the library has more than 200", ran)
	}
	report := coverage.Report(modules(t))
	covered, missed := 0, 0
	for file, f := range report.Files {
		if strings.HasSuffix(file, "_test.rego") {
			continue
		}
		covered += f.CoveredLines
		missed += f.NotCoveredLines
		for _, r := range f.NotCovered {
			t.Logf("not covered: %s:%d-%d", file, r.Start.Row, r.End.Row)
		}
	}
	if 100*covered < 95*(covered+missed) {
		t.Errorf("tests cover %d of %d lines, less than 95 %%", covered, covered+missed)
	}
}

func TestFormatted(t *testing.T) {
	for name, text := range sources(t) {
		want, err := format.SourceWithOpts(name, []byte(text), format.Opts{RegoVersion: ast.RegoV1})
		if err != nil {
			t.Fatal(err)
		}
		if string(want) != text {
			t.Errorf("%s is not formatted; run: go run github.com/open-policy-agent/opa fmt -w policies", name)
		}
	}
}

func TestEveryRuleIsComplete(t *testing.T) {
	all := modules(t)
	for _, name := range rules(t) {
		under := strings.ReplaceAll(name, "-", "_")
		m := all[path.Join(name, under+".rego")]
		if m == nil {
			t.Errorf("%s has no %s.rego", name, under)
			continue
		}
		if got, want := m.Package.Path.String(), "data.codb.rules."+under; got != want {
			t.Errorf("%s: package is %s, want %s", name, got, want)
		}
		if all[path.Join(name, under+"_test.rego")] == nil {
			t.Errorf("%s has no %s_test.rego", name, under)
		}
		checkReadme(t, name, checkSchema(t, name), declared(t, name, m))
		checkUses(t, name, m)
	}
}

// declared checks a rule's METADATA and returns its codes.
func declared(t *testing.T, name string, m *ast.Module) []string {
	t.Helper()
	for _, a := range m.Annotations {
		if a.Scope != "package" {
			continue
		}
		if a.Title == "" || a.Description == "" || len(a.RelatedResources) == 0 {
			t.Errorf("%s: METADATA lacks title, description or a source in related_resources", name)
		}
		for _, r := range a.RelatedResources {
			if r.Description == "" {
				t.Errorf("%s: METADATA does not say what %s says", name, &r.Ref)
			}
		}
		var codes []string
		list, _ := a.Custom["codes"].([]any)
		for _, c := range list {
			codes = append(codes, fmt.Sprint(c))
		}
		written := literals(m)
		for _, c := range written {
			if !slices.Contains(codes, c) {
				t.Errorf("%s: METADATA lacks the code %s", name, c)
			}
		}
		if len(codes) == 0 {
			t.Errorf("%s: METADATA lists no codes", name)
		}
		return codes
	}
	t.Errorf("%s has no METADATA of its package", name)
	return nil
}

// literals are the codes that stand in a module's text.
func literals(m *ast.Module) []string {
	var out []string
	ast.WalkTerms(m, func(term *ast.Term) bool {
		if o, ok := term.Value.(ast.Object); ok {
			if code := o.Get(ast.StringTerm("code")); code != nil {
				if s, ok := code.Value.(ast.String); ok {
					out = append(out, string(s))
				}
			}
		}
		return false
	})
	return out
}

// checkUses finds what rules of the library may not do: with, or a builtin that
// is not the same every time.
func checkUses(t *testing.T, name string, m *ast.Module) {
	t.Helper()
	ast.WalkWiths(m, func(w *ast.With) bool {
		t.Errorf("%s: %s uses with", w.Location, name)
		return false
	})
	ast.WalkTerms(m, func(term *ast.Term) bool {
		if b, ok := ast.BuiltinMap[term.Value.String()]; ok && b.Nondeterministic {
			t.Errorf("%s: %s calls %s", term.Location, name, b.Name)
		}
		return false
	})
}

type schema struct {
	Type                 string             `json:"type"`
	AdditionalProperties *bool              `json:"additionalProperties"`
	Description          string             `json:"description"`
	Default              json.RawMessage    `json:"default"`
	Properties           map[string]*schema `json:"properties"`
	MaxItems             *int               `json:"maxItems"`
	Maximum              *int               `json:"maximum"`
	Pattern              string             `json:"pattern"`
	Enum                 []string           `json:"enum"`
	Items                *schema            `json:"items"`
}

// checkSchema checks the schema of a rule's parameters and returns their names.
func checkSchema(t *testing.T, name string) []string {
	t.Helper()
	text, err := fs.ReadFile(policies.FS, path.Join(name, "schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var s schema
	if err := json.Unmarshal(text, &s); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	if s.Type != "object" || s.AdditionalProperties == nil || *s.AdditionalProperties {
		t.Errorf("%s: the schema is no object without additionalProperties", name)
	}
	for p, sub := range s.Properties {
		if sub.Description == "" || sub.Default == nil {
			t.Errorf("%s: parameter %s lacks description or default", name, p)
		}
		bounded := map[string]bool{
			"array":   sub.MaxItems != nil && sub.Items != nil,
			"integer": sub.Maximum != nil,
			"string":  sub.Enum != nil || sub.Pattern != "",
		}
		if !bounded[sub.Type] {
			t.Errorf("%s: parameter %s (%s) has no bounds", name, p, sub.Type)
		}
	}
	return slices.Sorted(maps.Keys(s.Properties))
}

// checkReadme looks for a rule's parameters and codes in its row of README.md.
func checkReadme(t *testing.T, name string, parameters, codes []string) {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for row := range strings.Lines(string(text)) {
		if !strings.HasPrefix(row, "| `"+name+"` |") {
			continue
		}
		for _, word := range slices.Concat(parameters, codes) {
			if !strings.Contains(row, "`"+word+"`") {
				t.Errorf("README.md: the row of %s lacks %s", name, word)
			}
		}
		return
	}
	t.Errorf("README.md has no row of %s", name)
}
