package policy

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// floorRules are the library rules of the built-in floor: opt-in, withdrawal,
// objection, expiry, pause, suppression, and the campaign's own holdout, which
// must not depend on a policy's naming it.
var floorRules = []string{"opt-in", "withdrawal", "objection", "validity", "pause", "suppression", "holdout"}

// FloorName is the name of the built-in floor among policies.
const FloorName = "floor"

// Library is codb's rule library.
type Library struct {
	files map[string]string // what it was read from, for the workers
	rules map[string]*rule  // by name
	libs  map[string]*topic // by topic
	seen  index             // rules and functions of the topics, for Lint
}

// rule is one rule of the library.
type rule struct {
	info   RuleInfo
	file   string
	module *ast.Module
	schema *parameters
	topics []string // all that it needs, directly or not; sorted
}

// topic is one package of shared helpers; it may have several files.
type topic struct {
	modules map[string]*ast.Module // by file
	topics  []string               // all that it needs, itself included; sorted
}

// RuleInfo describes a library rule.
type RuleInfo struct {
	Name, Title, Description string
	// Schema is the JSON Schema of the rule's parameters.
	Schema json.RawMessage
	// Codes are those of its reasons, as its METADATA lists them.
	Codes []string
}

// LoadLibrary reads a rule library: <rule-name>/<rule_name>.rego with
// schema.json, and lib/<topic>/*.rego. Tests are left out.
func LoadLibrary(fsys fs.FS) (*Library, error) {
	l := &Library{files: map[string]string{}, rules: map[string]*rule{}, libs: map[string]*topic{}}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !libraryFile(name) {
			return err
		}
		text, err := fs.ReadFile(fsys, name)
		l.files[name] = string(text)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read policy library: %w", err)
	}
	if err := l.load(); err != nil {
		return nil, fmt.Errorf("load policy library: %w", err)
	}
	return l, nil
}

func libraryFile(name string) bool {
	if strings.HasSuffix(name, "_test.rego") {
		return false
	}
	return strings.HasSuffix(name, ".rego") || path.Base(name) == "schema.json"
}

func (l *Library) load() error {
	for _, name := range slices.Sorted(maps.Keys(l.files)) {
		var err error
		switch dir, base := path.Split(name); {
		case path.Ext(base) != ".rego":
		case strings.HasPrefix(dir, "lib/"):
			err = l.loadTopic(name, path.Base(dir))
		default:
			err = l.loadRule(name, path.Base(dir))
		}
		if err != nil {
			return err
		}
	}
	for _, name := range floorRules {
		if l.rules[name] == nil {
			return fmt.Errorf("rule %s of the built-in floor is missing", name)
		}
	}
	return l.link()
}

func (l *Library) loadTopic(file, name string) error {
	m, err := l.module(file, topicRef(name))
	if err != nil {
		return err
	}
	if l.libs[name] == nil {
		l.libs[name] = &topic{modules: map[string]*ast.Module{}}
	}
	l.libs[name].modules[file] = m
	return nil
}

func (l *Library) loadRule(file, name string) error {
	under := strings.ReplaceAll(name, "-", "_")
	if want := name + "/" + under + ".rego"; file != want {
		return fmt.Errorf("%s is neither %s nor lib/<topic>/*.rego", file, want)
	}
	m, err := l.module(file, ruleRef(under))
	if err != nil {
		return err
	}
	text, ok := l.files[name+"/schema.json"]
	if !ok {
		return fmt.Errorf("%s has no schema.json beside it", file)
	}
	schema, err := newParameters(text)
	if err != nil {
		return fmt.Errorf("%s/schema.json: %w", name, err)
	}
	r := &rule{file: file, module: m, schema: schema, info: RuleInfo{Name: name, Schema: json.RawMessage(text)}}
	r.info.describe(m)
	l.rules[name] = r
	return nil
}

func (l *Library) module(file string, pkg ast.Ref) (*ast.Module, error) {
	m, problems := parse(file, l.files[file])
	if len(problems) > 0 {
		return nil, fmt.Errorf("%s", problems[0])
	}
	if !m.Package.Path.Equal(pkg) {
		return nil, fmt.Errorf("%s: package is %s, not %s", file, m.Package.Path, pkg)
	}
	return m, nil
}

// link finds what each module needs, so that a bundle holds nothing else.
func (l *Library) link() error {
	l.seen = index{}
	needs := map[string][]string{}
	for name, t := range l.libs {
		for _, m := range t.modules {
			l.seen.add(m)
			needs[name] = append(needs[name], topicsOf(m)...)
		}
	}
	for name, t := range l.libs {
		t.topics = closure(needs, []string{name})
	}
	for _, r := range l.rules {
		r.topics = closure(needs, topicsOf(r.module))
		for _, t := range r.topics {
			if l.libs[t] == nil {
				return fmt.Errorf("%s needs lib/%s, which is missing", r.file, t)
			}
		}
	}
	return nil
}

// closure is all that is reached from some topics, sorted.
func closure(needs map[string][]string, from []string) []string {
	seen := map[string]bool{}
	for todo := slices.Clone(from); len(todo) > 0; {
		t := todo[0]
		todo = todo[1:]
		if !seen[t] {
			seen[t] = true
			todo = append(todo, needs[t]...)
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// describe takes title, description and codes from the METADATA.
func (i *RuleInfo) describe(m *ast.Module) {
	for _, a := range m.Annotations {
		if a.Scope != "package" {
			continue
		}
		i.Title, i.Description = a.Title, a.Description
		if codes, ok := a.Custom["codes"].([]any); ok {
			for _, c := range codes {
				i.Codes = append(i.Codes, fmt.Sprint(c))
			}
		}
	}
}

// Rules lists the library's rules by name.
func (l *Library) Rules() []RuleInfo {
	out := make([]RuleInfo, 0, len(l.rules))
	for _, r := range l.rules {
		out = append(out, r.info)
	}
	slices.SortFunc(out, func(a, b RuleInfo) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// digest of all that was read.
func (l *Library) digest() string { return digest(l.files) }

func (l *Library) ruleNames() []string { return slices.Sorted(maps.Keys(l.rules)) }

// CheckRules says what Lint would say of the library's own rules, were they a
// policy's Rego.
func (l *Library) CheckRules() []Problem {
	var out []Problem
	for _, name := range l.ruleNames() {
		r := l.rules[name]
		out = append(out, l.lintModule(r.file, r.module, true)...)
	}
	for _, t := range slices.Sorted(maps.Keys(l.libs)) {
		for _, file := range slices.Sorted(maps.Keys(l.libs[t].modules)) {
			out = append(out, l.lintHelpers(file, l.libs[t].modules[file])...)
		}
	}
	return out
}
