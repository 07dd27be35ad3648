// Package arch keeps the arrows between the rooms of this module. It holds
// tests only. They read the imports themselves: a test that asks "go list" is
// served from the test cache and stays green after a violation.
package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/codb-dev/codb/"
	opa    = "github.com/open-policy-agent/opa"
)

// pure are the rooms without client, clock, logger and environment, each with
// the rooms of ours that it may import besides api.
var pure = map[string][]string{
	"internal/consent":  {},
	"internal/expr":     {},
	"internal/decision": {"internal/consent", "internal/expr"},
	"internal/feed":     {},
	"internal/contacts": {"internal/consent", "internal/decision", "internal/feed"},
	"internal/audience": {"internal/consent", "internal/decision", "internal/contacts", "internal/expr", "internal/feed"},
	"internal/permit":   {"internal/consent", "internal/decision", "internal/contacts", "internal/audience"},
	"internal/audit":    {"internal/consent", "internal/decision", "internal/contacts", "internal/permit"},
}

// impure is what a pure room and api may not import, with everything below it.
var impure = []string{
	"sigs.k8s.io/controller-runtime", "k8s.io/client-go", "k8s.io/klog", "k8s.io/utils/clock",
	"github.com/go-logr", "log", "os", "net", "math/rand", "crypto/rand", "go.etcd.io", "database/sql",
	"github.com/jackc",
}

// drivers are what adapters share: they know a protocol, or how to wait, and
// nothing of ours but each other.
var drivers = []string{"internal/pause", "internal/postgres"}

// clock are the functions of package time that look at it.
var clock = []string{"Now", "Since", "Until", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer", "Sleep"}

// vague names say nothing of the domain.
var vague = []string{"util", "utils", "common", "helper", "helpers", "misc", "types", "shared", "base"}

// room is the part of the house that a folder belongs to: its first two names,
// one for api, policies and config.
func room(folder string) string {
	parts := strings.Split(folder, "/")
	switch parts[0] {
	case "internal", "controllers", "cmd", "test", "hack":
		return strings.Join(parts[:min(2, len(parts))], "/")
	}
	return parts[0]
}

// kind is the floor that a room is on.
func kind(room string) string {
	first, _, nested := strings.Cut(room, "/")
	_, isPure := pure[room]
	switch {
	case isPure:
		return "pure"
	case slices.Contains(drivers, room):
		return "driver"
	case first == "internal":
		return "adapter"
	case first == "controllers" && nested:
		return "controller"
	case first == "controllers" || first == "cmd":
		return "cmd" // controllers.go is the list of all controllers
	case first == "policies" || first == "config":
		return "data"
	}
	return first // api, test, hack
}

// may lists the floors that a floor may import.
var may = map[string][]string{
	"api":        {},
	"data":       {"api"},
	"pure":       {"api"}, // and what pure says
	"driver":     {"driver"},
	"adapter":    {"api", "pure", "data", "driver"},
	"controller": {"api", "pure", "data", "adapter"},
	"cmd":        {"api", "pure", "data", "adapter", "controller", "cmd"},
}

// violations says what is wrong with one file; name is its path in the module.
func violations(name string, f *ast.File) []string {
	var wrong []string
	fault := func(format string, args ...any) {
		wrong = append(wrong, fmt.Sprintf("%s: ", name)+fmt.Sprintf(format, args...))
	}
	folder, test := path.Dir(name), strings.HasSuffix(name, "_test.go")
	own := room(folder)
	if p := strings.TrimSuffix(f.Name.Name, "_test"); slices.Contains(vague, p) || slices.Contains(vague, path.Base(folder)) {
		fault("package %s: a vague name; put the code beside its caller, or name a noun of the domain", p)
	}
	for _, spec := range f.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value)
		if below(imported, opa) && own != "internal/policy" && (own != "policies" || !test) {
			fault("imports %s: only internal/policy may", imported)
		}
		if test {
			continue
		}
		if rest, ours := strings.CutPrefix(imported, module); ours && !allowed(own, room(rest)) {
			fault("%s imports %s", own, rest)
		}
		if k := kind(own); k == "pure" || k == "api" {
			if i := slices.IndexFunc(impure, func(p string) bool { return below(imported, p) }); i >= 0 {
				fault("imports %s: %s has no client, clock, logger or environment", imported, own)
			}
		}
	}
	if k := kind(own); !test && (k == "pure" || k == "api") {
		for _, call := range looksAtTheClock(f) {
			fault("uses time.%s: the caller passes the instant", call)
		}
	}
	return wrong
}

func allowed(from, to string) bool {
	k := kind(from)
	switch {
	case from == to, k == "test", k == "hack":
		return true
	case k == "pure" && slices.Contains(pure[from], to):
		return true
	}
	return slices.Contains(may[k], kind(to))
}

func below(imported, parent string) bool {
	rest, ok := strings.CutPrefix(imported, parent)
	return ok && (rest == "" || rest[0] == '/')
}

func looksAtTheClock(f *ast.File) []string {
	var found []string
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && slices.Contains(clock, s.Sel.Name) {
			if p, ok := s.X.(*ast.Ident); ok && p.Name == "time" {
				found = append(found, s.Sel.Name)
			}
		}
		return true
	})
	return found
}

// sources parses every Go file of this module, keyed by path.
func sources(t *testing.T) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			return skip(name, entry.Name())
		case filepath.Ext(name) != ".go":
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		inModule, err := filepath.Rel(root, name)
		files[filepath.ToSlash(inModule)] = f
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// skip leaves out what belongs to another module or to none.
func skip(path, name string) error {
	if path == root {
		return nil
	}
	if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil || name == "testdata" || strings.HasPrefix(name, ".") {
		return filepath.SkipDir
	}
	return nil
}

func TestArrows(t *testing.T) {
	files := sources(t)
	if files["api/v1alpha1/doc.go"] == nil || files["internal/arch/arch_test.go"] == nil {
		t.Fatal("the files of this module were not found")
	}
	for name, f := range files {
		for _, wrong := range violations(name, f) {
			t.Error(wrong)
		}
	}
}

func TestEveryPackageIsDocumented(t *testing.T) {
	documented := map[string]bool{}
	for name, f := range sources(t) {
		if folder := path.Dir(name); f.Doc != nil {
			documented[folder] = true
		} else if !documented[folder] {
			documented[folder] = false
		}
	}
	for folder, is := range documented {
		if !is {
			t.Errorf("%s: no package comment; its first sentence says what the package refuses to know", folder)
		}
	}
}

// The arrows are of no use if they let everything pass.
func TestViolationsAreFound(t *testing.T) {
	own := func(p string) string { return "import _ \"" + module + p + "\"" }
	tests := map[string]struct {
		file, source string
		want         string
	}{
		"APIImportsOurs":            {"api/v1alpha1/a.go", own("internal/consent"), "api imports internal/consent"},
		"PureImportsAdapter":        {"internal/decision/a.go", own("internal/policy"), "internal/decision imports internal/policy"},
		"PureImportsUpwards":        {"internal/consent/a.go", own("internal/audience"), "internal/consent imports internal/audience"},
		"PureImportsClient":         {"internal/audience/a.go", `import _ "sigs.k8s.io/controller-runtime/pkg/client"`, "no client, clock, logger"},
		"PureImportsLogger":         {"internal/contacts/a.go", `import _ "log/slog"`, "no client, clock, logger"},
		"PureReadsEnvironment":      {"internal/expr/a.go", `import _ "os"`, "no client, clock, logger"},
		"PureLooksAtTheClock":       {"internal/permit/a.go", "import \"time\"\nvar now = time.Now()", "uses time.Now"},
		"PureKeepsTheClock":         {"internal/audit/a.go", "import \"time\"\nvar now = time.Now", "uses time.Now"},
		"AdapterImportsAdapter":     {"internal/gate/a.go", own("internal/ledger"), "internal/gate imports internal/ledger"},
		"AdapterBelowImportsOne":    {"internal/policy/worker/a.go", own("internal/ledger"), "internal/policy imports internal/ledger"},
		"AdapterImportsController":  {"internal/webhook/a.go", own("controllers/campaign"), "internal/webhook imports controllers/campaign"},
		"ControllerImportsOne":      {"controllers/brand/a.go", own("controllers/campaign"), "controllers/brand imports controllers/campaign"},
		"ProductImportsTest":        {"cmd/codb/a.go", own("test/crd"), "cmd/codb imports test/crd"},
		"OthersImportOPA":           {"internal/webhook/a.go", `import _ "github.com/open-policy-agent/opa/v1/ast"`, "only internal/policy may"},
		"TestsOfOthersImportOPA":    {"internal/webhook/a_test.go", `import _ "github.com/open-policy-agent/opa/v1/ast"`, "only internal/policy may"},
		"LibraryImportsOPA":         {"policies/a.go", `import _ "github.com/open-policy-agent/opa/v1/ast"`, "only internal/policy may"},
		"VagueName":                 {"internal/gate/util/a.go", "", "a vague name"},
		"PolicyMayImportOPA":        {"internal/policy/a.go", `import _ "github.com/open-policy-agent/opa/v1/rego"`, ""},
		"TestsOfLibraryMay":         {"policies/a_test.go", `import _ "github.com/open-policy-agent/opa/v1/tester"`, ""},
		"AdapterMayImportPure":      {"internal/ledger/a.go", own("internal/contacts"), ""},
		"ControllerMayImportBelow":  {"controllers/campaign/a.go", own("internal/workload"), ""},
		"CommandMayImportAll":       {"cmd/codb/a.go", own("controllers/campaign"), ""},
		"PureMayImportWhatItMay":    {"internal/decision/a.go", own("internal/consent"), ""},
		"TestsMayUseTheTestRooms":   {"internal/gate/a_test.go", own("test/apiserver"), ""},
		"RoomsMayImportTheirInside": {"internal/ledger/ledgertest/a.go", own("internal/ledger"), ""},
		"PureMayCount":              {"internal/consent/a.go", "import \"time\"\nvar at = time.Unix(0, 0)", ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			source := "package " + path.Base(path.Dir(tc.file)) + "\n" + tc.source
			f, err := parser.ParseFile(token.NewFileSet(), tc.file, source, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(violations(tc.file, f), "; ")
			if (tc.want == "") != (got == "") || !strings.Contains(got, tc.want) {
				t.Errorf("violations = %q, want %q", got, tc.want)
			}
		})
	}
}
