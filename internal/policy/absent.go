package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// lintAbsent says which attributes a module misspells, and where the absence of
// one would make a denial or a hold silent. See the package's documentation.
func (l *Library) lintAbsent(file string, m *ast.Module) []Problem {
	a := &absence{file: file, index: index{}, memo: map[string]paths{}}
	maps.Copy(a.index, l.seen)
	a.index.add(m)
	n := namesOf(m)
	for _, r := range m.Rules {
		a.spelling(r, n)
		a.negations(r, n)
	}
	if len(a.problems) > 0 || declared(m.Annotations, "package") {
		return a.problems
	}
	fired := paths{}
	for _, r := range m.Rules {
		if denies(r) {
			maps.Copy(fired, a.fires(r.Body, newBindings(r, n), map[string]bool{}))
		}
	}
	for _, r := range m.Rules {
		if denies(r) && !declared(r.Annotations, "") {
			a.silent(r, n, fired)
		}
	}
	return a.problems
}

func denies(r *ast.Rule) bool {
	name := r.Head.Ref()[0].Value.String()
	return name == "deny" || name == "hold"
}

// declared says whether METADATA states that silence is meant.
func declared(as []*ast.Annotations, scope string) bool {
	return slices.ContainsFunc(as, func(a *ast.Annotations) bool {
		return (scope == "" || a.Scope == scope) && a.Custom["absent"] == "allows"
	})
}

// absence follows which attributes a rule needs in order to fire.
type absence struct {
	file     string
	index    index
	memo     map[string]paths
	problems []Problem
}

func (a *absence) report(loc *ast.Location, code, message, remedy string) {
	p := at(a.file, loc, code, message, remedy)
	if len(a.problems) < maxProblems && !slices.Contains(a.problems, p) {
		a.problems = append(a.problems, p)
	}
}

// spelling looks for attributes that the document doesn't have.
func (a *absence) spelling(r *ast.Rule, n names) {
	b := newBindings(r, n)
	loc := r.Location
	ast.WalkTerms(r, func(t *ast.Term) bool {
		if t.Location != nil {
			loc = t.Location
		}
		p, ok := b.resolve(t.Value)
		if !ok || p[0] != "input" {
			return false
		}
		if of, wrong := p.misspelt(); wrong != "" {
			remedy := "take it out; api/v1alpha1 and the docs say what there is"
			if near := of.nearest(wrong); near != "" {
				remedy = "did you mean " + near + "?"
			}
			a.report(loc, ProblemAttribute, fmt.Sprintf("%s: there is no attribute %s", clip(p.String(), 128), clip(wrong, 64)), remedy)
		}
		return false
	})
}

// negations looks for what Rego v1 does not negate: it computes operands before
// the "not", and an absent one silences the whole rule.
func (a *absence) negations(r *ast.Rule, n names) {
	b := newBindings(r, n)
	ast.WalkExprs(r, func(x *ast.Expr) bool {
		if !x.Negated {
			return false
		}
		var operands []*ast.Term
		switch ts := x.Terms.(type) {
		case []*ast.Term:
			operands = ts[1:]
		case *ast.Term:
			if ref, ok := ts.Value.(ast.Ref); ok {
				operands = ref[1:]
			} else {
				operands = []*ast.Term{ts}
			}
		}
		for _, o := range operands {
			ast.WalkTerms(o, func(t *ast.Term) bool {
				if p, ok := b.resolve(t.Value); ok && p.optional() > 0 {
					a.report(x.Location, ProblemAbsent,
						fmt.Sprintf("\"not\" does not fire where %s is absent", clip(p.String(), 128)),
						"add: import rego.v2")
				}
				return false
			})
		}
		return false
	})
}

// silent says which absent attributes keep a denial or a hold from firing while
// no other one speaks up for them.
func (a *absence) silent(r *ast.Rule, n names, fired paths) {
	b := newBindings(r, n)
	body := a.body(r.Body, b)
	name := r.Head.Ref()[0].Value.String()
	for _, key := range slices.Sorted(maps.Keys(body)) {
		p := body[key]
		if _, ok := fired[key]; ok || !p.optionalScalar() {
			continue
		}
		a.report(r.Location, ProblemAbsent, fmt.Sprintf("%s is silent for a customer without %s", name, p),
			fmt.Sprintf("add a rule \"%s contains ... if not %s\", use object.get with a default, or state in METADATA that silence is meant: custom: {absent: allows}", name, p))
	}
	if r.Head.Key == nil {
		return
	}
	for _, p := range a.term(r.Head.Key, b, false) {
		if cut := p.optional(); cut > 0 && !body.within(p[:cut]) {
			a.report(r.Location, ProblemAbsent, fmt.Sprintf("%s vanishes together with its reason where %s is absent", name, p),
				"take it out of the reason, write it as $\"{"+p.String()+"}\", or let the rule's body need it")
		}
	}
}

// body is what all of a body needs.
func (a *absence) body(body ast.Body, b *bindings) paths {
	out := paths{}
	for _, x := range body {
		maps.Copy(out, a.expr(x, b))
	}
	return out
}

func (a *absence) expr(x *ast.Expr, b *bindings) paths {
	if x.Negated {
		return paths{}
	}
	return a.terms(x, b)
}

// terms is what an expression needs, were it not negated.
func (a *absence) terms(x *ast.Expr, b *bindings) paths {
	out := paths{}
	switch t := x.Terms.(type) {
	case *ast.LogicalAnd:
		maps.Copy(out, a.body(t.Lhs, b))
		maps.Copy(out, a.body(t.Rhs, b))
	case *ast.LogicalOr:
		return a.body(t.Lhs, b).both(a.body(t.Rhs, b))
	case *ast.Every:
		maps.Copy(out, a.term(t.Domain, b, true))
		maps.Copy(out, a.body(t.Body, b))
	case *ast.SomeDecl:
		for _, s := range t.Symbols {
			if c, ok := s.Value.(ast.Call); ok {
				maps.Copy(out, a.call(c, b))
			}
		}
	case *ast.Term:
		return a.term(t, b, false)
	case []*ast.Term:
		return a.call(t, b)
	}
	return out
}

// call is what a call needs: its operands, and what the function makes of them.
func (a *absence) call(ts []*ast.Term, b *bindings) paths {
	out := paths{}
	if len(ts) == 0 {
		return out
	}
	operator, _ := ts[0].Value.(ast.Ref)
	for i, arg := range ts[1:] {
		member := strings.HasPrefix(operator.String(), "internal.member_") && i == len(ts)-2
		maps.Copy(out, a.term(arg, b, member))
	}
	name, _ := a.index.find(b.names.expand(operator))
	for _, p := range a.named(name) {
		if arg := p.argument(); arg >= 0 && arg+1 < len(ts) {
			if q, ok := b.resolve(ts[arg+1].Value); ok {
				out.add(slices.Concat(q, p[1:]))
			}
		} else if arg < 0 {
			out.add(p)
		}
	}
	return out
}

// term is what a term needs to have a value. A set of the module's own is needed
// only where its members are iterated: it is never undefined, but empty.
func (a *absence) term(t *ast.Term, b *bindings, iterated bool) paths {
	out := paths{}
	switch v := t.Value.(type) {
	case ast.Var:
		if _, local := b.vars[v]; !local {
			a.ref(ast.Ref{t}, b, iterated, out)
		}
	case ast.Ref:
		a.ref(v, b, iterated, out)
		for i, part := range v {
			if _, name := part.Value.(ast.Var); i > 0 || !name {
				maps.Copy(out, a.term(part, b, false))
			}
		}
	case ast.Call:
		return a.call(v, b)
	case *ast.Array:
		v.Foreach(func(e *ast.Term) { maps.Copy(out, a.term(e, b, false)) })
	case ast.Set:
		v.Foreach(func(e *ast.Term) { maps.Copy(out, a.term(e, b, false)) })
	case ast.Object:
		v.Foreach(func(k, e *ast.Term) {
			maps.Copy(out, a.term(k, b, false))
			maps.Copy(out, a.term(e, b, false))
		})
	}
	return out
}

func (a *absence) ref(ref ast.Ref, b *bindings, iterated bool, out paths) {
	if p, ok := b.resolve(ref); ok {
		out.add(p)
		return
	}
	name, terms := a.index.find(b.names.expand(ref))
	if name == "" {
		return
	}
	if a.index[name][0].rule.Head.RuleKind() == ast.MultiValue && !iterated && len(b.names.expand(ref)) == terms {
		return
	}
	maps.Copy(out, a.named(name))
}

// named is what a rule or function needs, whichever of its definitions holds.
func (a *absence) named(name string) paths {
	if known, ok := a.memo[name]; ok {
		return known
	}
	a.memo[name] = paths{} // a rule that needs itself does not compile anyway
	var out paths
	for i, d := range a.index[name] {
		needs := paths{}
		if !d.rule.Default {
			b := newBindings(d.rule, d.names)
			needs = a.body(d.rule.Body, b)
			for _, t := range []*ast.Term{d.rule.Head.Key, d.rule.Head.Value} {
				if t != nil {
					maps.Copy(needs, a.term(t, b, false))
				}
			}
		}
		if i == 0 {
			out = needs
		} else {
			out = out.both(needs)
		}
	}
	a.memo[name] = out
	return out
}

// fires is which attributes' absence makes a body's negations true.
func (a *absence) fires(body ast.Body, b *bindings, seen map[string]bool) paths {
	out := paths{}
	for _, x := range body {
		switch t := x.Terms.(type) {
		case *ast.Not:
			maps.Copy(out, a.body(t.Body, b))
			continue
		case *ast.LogicalAnd:
			maps.Copy(out, a.fires(t.Lhs, b, seen))
			maps.Copy(out, a.fires(t.Rhs, b, seen))
		case *ast.LogicalOr:
			maps.Copy(out, a.fires(t.Lhs, b, seen))
			maps.Copy(out, a.fires(t.Rhs, b, seen))
		}
		if x.Negated {
			maps.Copy(out, a.terms(x, b))
			continue
		}
		ast.WalkTerms(x, func(t *ast.Term) bool {
			name := ""
			switch v := t.Value.(type) {
			case ast.Ref:
				name, _ = a.index.find(b.names.expand(v))
			case ast.Var:
				name, _ = a.index.find(b.names.expand(ast.Ref{t}))
			}
			if name != "" && !seen[name] {
				seen[name] = true
				for _, d := range a.index[name] {
					maps.Copy(out, a.fires(d.rule.Body, newBindings(d.rule, d.names), seen))
				}
			}
			return false
		})
	}
	return out
}
