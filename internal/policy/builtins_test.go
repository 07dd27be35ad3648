package policy

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/ast"
	opaversion "github.com/open-policy-agent/opa/v1/version"
)

func TestAllowListIsWhatTheCompilerKnows(t *testing.T) {
	var got []string
	for _, b := range capabilities().Builtins {
		got = append(got, b.Name)
	}
	want := slices.Sorted(slices.Values(allowed))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("builtins (-allowed +capabilities):\n%s", diff)
	}
	if net := capabilities().AllowNet; net == nil || len(net) > 0 {
		t.Errorf("schemas may be fetched from %v", net)
	}
}

func TestNothingForbiddenIsAllowed(t *testing.T) {
	forbidden := []string{
		"http.", "net.", "opa.", "rand.", "uuid.", "time.now_ns", "crypto.", "io.jwt.", "json.", "yaml.", "bits.",
		"regex.", "glob.", "graph.", "graphql.", "walk", "print", "trace", "internal.print", "internal.test_case", "rego.", "providers.",
		"replace", "strings.replace_n", "strings.render_template", "base64", "hex.", "urlquery.", "units.", "semver.", "uri.",
	}
	for _, b := range ast.CapabilitiesForThisVersion().Builtins {
		_, _, refused := refusal(b.Name)
		bad := b.Nondeterministic || slices.ContainsFunc(forbidden, func(p string) bool { return strings.HasPrefix(b.Name, p) })
		if bad && (!refused || slices.Contains(allowed, b.Name)) {
			t.Errorf("%s is allowed", b.Name)
		}
		if refused == slices.Contains(allowed, b.Name) {
			t.Errorf("%s: Lint and the compiler disagree", b.Name)
		}
	}
}

func TestFlagBeatsTheList(t *testing.T) {
	for _, b := range []*ast.Builtin{ast.BuiltinMap["count"]} {
		b.Nondeterministic = true
		defer func() { b.Nondeterministic = false }()
		if _, _, refused := refusal("count"); !refused {
			t.Error("a builtin that OPA flags as nondeterministic is allowed because it is on the list")
		}
	}
}

// A new OPA may change the language and the meaning of builtins. Whoever bumps it
// reads its release notes, runs all policies' cases, and then changes this test.
func TestOPAIsTheOneThatWasLookedAt(t *testing.T) {
	if opaversion.Version != "1.22.2" {
		t.Errorf("OPA is %s", opaversion.Version)
	}
	decls := map[string]string{}
	for _, b := range capabilities().Builtins {
		decls[b.Name] = b.Decl.String()
	}
	const want = "sha256:6e0810455fd93e26ac3f358e7af80eb98f4d167489d1439adc4c76e6a65fc937"
	if got := digest(decls); got != want {
		t.Errorf("declarations of allowed builtins: %s", got)
	}
	features := []string{"keywords_in_refs", "rego_v1", "rego_v2", "rego_v2_import", "template_strings"}
	if diff := cmp.Diff(features, capabilities().Features); diff != "" {
		t.Errorf("features (-want +got):\n%s", diff)
	}
	if all := len(ast.Builtins); all != 206 {
		t.Errorf("OPA has %d builtins; read what the new ones do before this number changes", all)
	}
}
