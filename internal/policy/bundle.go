package policy

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// use is one package of a bundle that gives reasons: a library rule with its
// parameters, or a policy's own Rego.
type use struct {
	policy string
	rule   string
	mode   v1alpha1.PolicyMode
	pkg    ast.Ref
	// alike is the same for what other policies use with the same parameters.
	alike string
	// sets are those that its module defines, of deny, hold and wake.
	sets []string
	// untimed: it looks at the time and doesn't say when its answer changes.
	untimed bool
}

// OwnRule is what reasons of a policy's own Rego carry as their rule.
const OwnRule = "rego"

// bundle is what policies become for the compiler: each use in a package of its
// own, data.codb.p<policy>.r<use> or data.codb.p<policy>.own, its parameters in
// data.codb.params.p<policy>.r<use>, and the helpers that any of them needs.
type bundle struct {
	uses    []use
	modules map[string]*ast.Module
	data    map[string]any
	// placed are the packages of rules by their name and parameters: a rule that
	// two policies use alike, such as the floor's, is evaluated once.
	placed map[string]ast.Ref
}

var bundlePackage = ast.MustParseRef("data.codb")

func bundleRef(parts ...string) ast.Ref {
	ref := bundlePackage
	for _, p := range parts {
		ref = ref.Append(ast.StringTerm(p))
	}
	return ref
}

// bundle puts policies together. What Lint would refuse makes an error.
func (l *Library) bundle(ps []Policy) (*bundle, error) {
	b := &bundle{modules: map[string]*ast.Module{}, placed: map[string]ast.Ref{}}
	params := map[string]any{}
	topics := map[string]bool{}
	for i := range ps {
		p := &ps[i]
		at := "p" + strconv.Itoa(i)
		own := map[string]any{}
		for j := range p.Rules {
			values, err := l.addUse(b, p, &p.Rules[j], at, "r"+strconv.Itoa(j), topics)
			if err != nil {
				return nil, err
			}
			own["r"+strconv.Itoa(j)] = values
		}
		params[at] = own
		if err := l.addOwn(b, p, at, topics); err != nil {
			return nil, err
		}
	}
	for name := range topics {
		for file, m := range l.libs[name].modules {
			b.modules[file] = plain(m)
		}
	}
	b.data = map[string]any{"codb": map[string]any{"params": params}}
	return b, nil
}

func (l *Library) addUse(b *bundle, p *Policy, u *v1alpha1.RuleUse, at, slot string, topics map[string]bool) (map[string]any, error) {
	r := l.rules[ruleName(u)]
	if r == nil {
		return nil, fmt.Errorf("policy %s: %s", p.Name, l.lintUse(u)[0])
	}
	values, problems := r.schema.complete("spec.rules["+u.Name+"].with", given(u))
	if len(problems) > 0 {
		return nil, fmt.Errorf("policy %s: %s", p.Name, problems[0])
	}
	alike := r.info.Name + " " + digest(values)
	pkg, placed := b.placed[alike]
	if !placed {
		pkg = bundleRef(at, slot)
		m, err := moved(r.module, pkg, bundleRef("params", at, slot))
		if err != nil {
			return nil, fmt.Errorf("policy %s: place rule %s: %w", p.Name, u.Name, err)
		}
		b.placed[alike] = pkg
		b.modules[at+"/"+slot+"/"+r.file] = m
		for _, t := range r.topics {
			topics[t] = true
		}
	}
	b.uses = append(b.uses, l.useOf(p, use{rule: u.Name, pkg: pkg, alike: alike}, r.module))
	return values, nil
}

func (l *Library) addOwn(b *bundle, p *Policy, at string, topics map[string]bool) error {
	if p.Rego == "" {
		return nil
	}
	m, problems := parse(ownFile, p.Rego)
	if len(problems) > 0 {
		return fmt.Errorf("policy %s: %s", p.Name, problems[0])
	}
	if !m.Package.Path.Equal(ownPackage) {
		return fmt.Errorf("policy %s: package is %s, not codb.policy", p.Name, m.Package.Path)
	}
	for _, t := range l.topicsFor(m) {
		topics[t] = true
	}
	pkg := bundleRef(at, "own")
	b.uses = append(b.uses, l.useOf(p, use{rule: OwnRule, pkg: pkg, alike: OwnRule + " " + digest(p.Rego)}, m))
	own, err := moved(m, pkg, nil)
	if err != nil {
		return fmt.Errorf("policy %s: place its Rego: %w", p.Name, err)
	}
	b.modules[at+"/"+ownFile] = own
	return nil
}

// useOf reads off a module what it answers with.
func (l *Library) useOf(p *Policy, u use, m *ast.Module) use {
	u.policy, u.mode = p.Name, p.mode()
	for _, set := range []string{"deny", "hold", "wake"} {
		if slices.ContainsFunc(m.Rules, func(r *ast.Rule) bool { return r.Head.Ref()[0].Value.String() == set }) {
			u.sets = append(u.sets, set)
		}
	}
	timed := l.readsNow(m)
	u.untimed = timed && !slices.Contains(u.sets, "wake")
	return u
}

// readsNow says whether a module can see the time: input.now, or the input as a
// whole or under a name that is not written out; itself or through the helpers
// that it calls.
func (l *Library) readsNow(m *ast.Module) bool {
	found, seen := false, map[string]bool{}
	var rule func(r *ast.Rule, n names)
	look := func(ref ast.Ref, n names) {
		ref = n.expand(ref)
		if ref[0].Equal(ast.InputRootDocument) {
			if len(ref) == 1 {
				found = true
				return
			}
			name, ok := ref[1].Value.(ast.String)
			found = found || !ok || name == "now"
			return
		}
		if name, _ := l.seen.find(ref); name != "" && !seen[name] {
			seen[name] = true
			for _, d := range l.seen[name] {
				rule(d.rule, d.names)
			}
		}
	}
	var terms func(x any, n names)
	terms = func(x any, n names) {
		ast.WalkTerms(x, func(t *ast.Term) bool {
			switch v := t.Value.(type) {
			case ast.Ref:
				look(v, n)
				for _, index := range v[1:] {
					terms(index, n)
				}
				return true // its head alone is not the whole input
			case ast.Var:
				look(ast.Ref{t}, n)
			}
			return found
		})
	}
	rule = func(r *ast.Rule, n names) { terms(r, n) }
	for _, r := range m.Rules {
		rule(r, namesOf(m))
	}
	return found
}

// moved copies a module into another package and points it at its parameters.
func moved(m *ast.Module, pkg, params ast.Ref) (*ast.Module, error) {
	from := m.Package.Path
	out := plain(m)
	for _, imp := range out.Imports {
		imp.Alias = imp.Name() // the name must survive another path
		if ref, ok := imp.Path.Value.(ast.Ref); ok && (ref[0].Equal(ast.RegoRootDocument) || ref[0].Equal(ast.FutureRootDocument)) {
			imp.Alias = ""
		}
	}
	place := func(ref ast.Ref) (ast.Value, error) {
		switch {
		case ref.HasPrefix(from):
			return slices.Concat(pkg.Copy(), ref[len(from):]), nil // a compiler rewrites terms in place
		case params != nil && ref.HasPrefix(parametersRef):
			return slices.Concat(params.Copy(), ref[len(parametersRef):]), nil
		}
		return ref, nil
	}
	_, err := ast.TransformRefs(out, place)
	if err != nil {
		return nil, err
	}
	return out, placeSome(out, place)
}

// placeSome does for "some x in y" what TransformRefs leaves out.
func placeSome(m *ast.Module, place func(ast.Ref) (ast.Value, error)) error {
	var failed error
	ast.WalkExprs(m, func(x *ast.Expr) bool {
		decl, ok := x.Terms.(*ast.SomeDecl)
		if !ok {
			return false
		}
		for _, symbol := range decl.Symbols {
			if _, err := ast.TransformRefs(symbol, place); err != nil {
				failed = err
			}
		}
		return false
	})
	return failed
}

// plain copies a module without its METADATA, which evaluation doesn't need and
// which two files of one package could both declare.
func plain(m *ast.Module) *ast.Module {
	out := m.Copy()
	out.Annotations, out.Comments = nil, nil
	ast.WalkRules(out, func(r *ast.Rule) bool { r.Annotations = nil; return false })
	return out
}
