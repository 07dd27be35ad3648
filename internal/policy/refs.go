package policy

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// The packages that policies live in.
var (
	ownPackage    = ast.MustParseRef("data.codb.policy")
	rulesPackage  = ast.MustParseRef("data.codb.rules")
	libPackage    = ast.MustParseRef("data.codb.lib")
	parametersRef = ast.MustParseRef("data.parameters")
)

func topicRef(name string) ast.Ref { return libPackage.Append(ast.StringTerm(name)) }
func ruleRef(under string) ast.Ref { return rulesPackage.Append(ast.StringTerm(under)) }

// names says what the names of a module stand for.
type names struct {
	imports map[ast.Var]ast.Ref // alias to what it stands for
	rules   map[ast.Var]bool    // the module's own rules and functions
	pkg     ast.Ref
}

func namesOf(m *ast.Module) names {
	n := names{imports: map[ast.Var]ast.Ref{}, rules: map[ast.Var]bool{}, pkg: m.Package.Path}
	for _, imp := range m.Imports {
		if ref, ok := imp.Path.Value.(ast.Ref); ok {
			n.imports[imp.Name()] = ref
		}
	}
	for _, r := range m.Rules {
		if v, ok := r.Head.Ref()[0].Value.(ast.Var); ok {
			n.rules[v] = true
		}
	}
	return n
}

// expand writes a ref out: imports become what they stand for, the module's own
// rules become part of its package.
func (n names) expand(ref ast.Ref) ast.Ref {
	v, ok := ref[0].Value.(ast.Var)
	if !ok {
		return ref
	}
	if full, ok := n.imports[v]; ok {
		return slices.Concat(full, ref[1:])
	}
	if n.rules[v] {
		return slices.Concat(n.pkg, ast.Ref{ast.StringTerm(string(v))}, ref[1:])
	}
	return ref
}

// topicsOf are the topics that a module names, in its imports or in refs.
func topicsOf(m *ast.Module) []string {
	var out []string
	ast.WalkRefs(m, func(ref ast.Ref) bool {
		if t, ok := topicName(ref); ok {
			out = append(out, t)
		}
		return false
	})
	return out
}

// topicName is the topic that a ref reaches into.
func topicName(ref ast.Ref) (string, bool) {
	if !ref.HasPrefix(libPackage) || len(ref) <= len(libPackage) {
		return "", false
	}
	s, ok := ref[len(libPackage)].Value.(ast.String)
	return string(s), ok
}

// steps are the constant strings that a ref begins with, its head included.
func steps(ref ast.Ref) []string {
	var out []string
	for i, t := range ref {
		switch v := t.Value.(type) {
		case ast.Var:
			if i > 0 {
				return out
			}
			out = append(out, string(v))
		case ast.String:
			out = append(out, string(v))
		default:
			return out
		}
	}
	return out
}

// index finds rules and functions by their full name, for example
// data.codb.policy.minor.
type index map[string][]definition

// definition is one of the rules that together define a name.
type definition struct {
	rule  *ast.Rule
	names names
}

func (x index) add(m *ast.Module) {
	n := namesOf(m)
	ast.WalkRules(m, func(r *ast.Rule) bool {
		full := strings.Join(steps(n.expand(r.Head.Ref().GroundPrefix())), ".")
		x[full] = append(x[full], definition{rule: r, names: n})
		return false
	})
}

// find is the name that an expanded ref begins with and how many of its terms
// that takes; empty where it names no rule.
func (x index) find(ref ast.Ref) (name string, terms int) {
	s := steps(ref)
	for i := len(s); i > 2; i-- {
		if full := strings.Join(s[:i], "."); len(x[full]) > 0 {
			return full, i
		}
	}
	return "", 0
}
