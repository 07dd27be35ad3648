package irplan

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/test/cases"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/types"
	"github.com/open-policy-agent/opa/v1/util"
)

// TestCompliance runs all of the cases by which OPA tells whether something that
// evaluates Rego does so rightly.
func TestCompliance(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/open-policy-agent/opa").Output()
	if err != nil {
		t.Fatalf("find OPA's cases: %v", err)
	}
	testdata := filepath.Join(strings.TrimSpace(string(dir)), "v1/test/cases/testdata")
	rego.RegisterBuiltin1(&rego.Function{Name: "test.sleep", Decl: types.NewFunction(types.Args(types.S), types.Nl)}, slept)
	ran := 0
	for v, version := range map[string]ast.RegoVersion{"v0": ast.RegoV0, "v1": ast.RegoV1} {
		for _, tc := range cases.MustLoad(filepath.Join(testdata, v)).Sorted().Cases {
			ran++
			t.Run(v+"/"+tc.Note, func(t *testing.T) { comply(t, &tc, version) })
		}
	}
	if ran < 2000 {
		t.Errorf("only %d cases", ran)
	}
}

// slept is what one case takes for granted besides OPA's builtins: that time
// passes.
func slept(_ rego.BuiltinContext, t *ast.Term) (*ast.Term, error) {
	for begun := time.Now(); time.Since(begun) < time.Millisecond; {
		runtime.Gosched()
	}
	return ast.NullTerm(), nil
}

func comply(t *testing.T, tc *cases.TestCase, version ast.RegoVersion) {
	for k, v := range tc.Env {
		t.Setenv(k, v)
	}
	r, err := evaluate(t, tc, version)
	switch {
	case tc.WantError != nil || tc.WantErrorCode != nil:
		complain(t, tc, r, err)
	case err != nil:
		t.Fatal(err)
	case tc.WantResult != nil:
		compareResults(t, tc, r.Bindings)
	case tc.WantDefined != nil && (r.Bindings.Len() > 0) != *tc.WantDefined:
		t.Errorf("defined is %v", !*tc.WantDefined)
	}
}

// complain expects an error, of a builtin or of the evaluation.
func complain(t *testing.T, tc *cases.TestCase, r Result, err error) {
	t.Helper()
	if tc.StrictError && err == nil && len(r.Failed) > 0 {
		err = r.Failed[0]
	}
	var failed *topdown.Error
	if !errors.As(err, &failed) {
		t.Fatalf("got %v, %v, want an error", r.Bindings, err)
	}
	if tc.WantErrorCode != nil && failed.Code != *tc.WantErrorCode {
		t.Errorf("error is %s, want %s", failed.Code, *tc.WantErrorCode)
	}
}

func evaluate(t *testing.T, tc *cases.TestCase, version ast.RegoVersion) (Result, error) {
	caps := ast.CapabilitiesForThisVersion(ast.CapabilitiesExperimentalKeywords(tc.ExperimentalKeywords))
	modules := map[string]*ast.Module{}
	for i, text := range tc.Modules {
		name := fmt.Sprintf("test-%d.rego", i)
		m, err := ast.ParseModuleWithOpts(name, text, ast.ParserOptions{RegoVersion: version, Capabilities: caps, ProcessAnnotation: true})
		if err != nil {
			t.Fatal(err)
		}
		modules[name] = m
	}
	c := ast.NewCompiler().WithCapabilities(caps)
	if c.Compile(modules); c.Failed() {
		t.Fatal(c.Errors)
	}
	data := ast.Value(ast.NewObject())
	if tc.Data != nil {
		data = ast.MustInterfaceToValue(*tc.Data)
	}
	p, err := Compile(t.Context(), c, ast.MustParseBody(tc.Query), data)
	if err != nil {
		t.Fatal(err)
	}
	var input ast.Value
	if tc.InputTerm != nil {
		input = ast.MustParseTerm(*tc.InputTerm).Value
	} else if tc.Input != nil {
		input = ast.MustInterfaceToValue(*tc.Input)
	}
	return p.New().Eval(t.Context(), input, topdown.NewCancel())
}

func compareResults(t *testing.T, tc *cases.TestCase, got ast.Set) {
	t.Helper()
	want, have := ast.NewSet(), ast.NewSet()
	for _, b := range *tc.WantResult {
		want.Add(ast.NewTerm(ast.MustInterfaceToValue(b)))
	}
	got.Foreach(func(b *ast.Term) {
		o := ast.NewObject()
		b.Value.(ast.Object).Foreach(func(k, v *ast.Term) {
			x, err := ast.JSON(v.Value)
			if err != nil {
				t.Fatal(err)
			}
			if list, ok := x.([]any); ok && tc.SortBindings {
				slices.SortFunc(list, util.Compare)
			}
			o.Insert(k, ast.NewTerm(ast.MustInterfaceToValue(x)))
		})
		have.Add(ast.NewTerm(o))
	})
	if want.Compare(have) != 0 {
		t.Errorf("got %v, want %v", have, want)
	}
}
