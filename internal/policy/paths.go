package policy

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// place is a place in the document, or in an argument of a function: "input" or
// "$0" first, then names, and "*" for any element or a name not known.
type place []string

func (p place) String() string { return strings.ReplaceAll(strings.Join(p, "."), ".*", "[_]") }

// argument is the number of the argument that the place begins with; -1 where it
// begins with the input.
func (p place) argument() int {
	if n, err := strconv.Atoi(strings.TrimPrefix(p[0], "$")); err == nil {
		return n
	}
	return -1
}

// walk calls visit for each attribute along the place, as far as it is known.
func (p place) walk(visit func(i int, of, a *attribute) bool) {
	if p[0] != "input" {
		return
	}
	of := shape()
	for i, step := range p[1:] {
		var a *attribute
		switch of.kind {
		case reflect.Struct:
			if step == "*" {
				return
			}
			a = of.byName[step]
		case reflect.Slice:
			a = of.elem
		}
		if !visit(i+1, of, a) || a == nil {
			return
		}
		of = a
	}
}

// misspelt is the first step that names nothing, and what it should be part of.
func (p place) misspelt() (of *attribute, wrong string) {
	p.walk(func(i int, o, a *attribute) bool {
		if a == nil {
			of, wrong = o, p[i]
		}
		return a != nil
	})
	return of, wrong
}

// optional is how many steps lead to the last attribute on the place that may be
// absent; 0 where none may.
func (p place) optional() int {
	n := 0
	p.walk(func(i int, _, a *attribute) bool {
		if a != nil && a.optional {
			n = i + 1
		}
		return true
	})
	return n
}

// optionalScalar says whether the place ends at a scalar of the customer that may
// be absent, outside of lists.
func (p place) optionalScalar() bool {
	if len(p) < 3 || p[1] != "customer" || slices.Contains(p, "*") {
		return false
	}
	ends := false
	p.walk(func(i int, of, a *attribute) bool {
		ends = i == len(p)-1 && a != nil && a.optional && a.scalar()
		return of.kind != reflect.Slice
	})
	return ends
}

// paths is a set of paths by their text.
type paths map[string]place

func (s paths) add(p place) { s[p.String()] = p }

// both is what is in both sets.
func (s paths) both(t paths) paths {
	out := maps.Clone(s)
	maps.DeleteFunc(out, func(key string, _ place) bool { _, ok := t[key]; return !ok })
	return out
}

// within says whether some place leads to p or beyond it.
func (s paths) within(p place) bool {
	for _, q := range s {
		if len(q) >= len(p) && slices.Equal(q[:len(p)], p) {
			return true
		}
	}
	return false
}

// bindings are the local names of a rule that stand for a part of the document.
type bindings struct {
	names names
	vars  map[ast.Var]place
	mixed map[ast.Var]bool // stand for several parts: not followed
}

// newBindings reads arguments, assignments and iterations of a rule. Rego has no
// order, so assignments are read until nothing is added; chains are short.
func newBindings(r *ast.Rule, n names) *bindings {
	b := &bindings{names: n, vars: map[ast.Var]place{}, mixed: map[ast.Var]bool{}}
	for i, arg := range r.Head.Args {
		b.bind(arg, place{"$" + strconv.Itoa(i)}, true)
	}
	for range 4 {
		before := len(b.vars)
		ast.WalkExprs(r, func(x *ast.Expr) bool { b.read(x); return false })
		if len(b.vars) == before {
			break
		}
	}
	return b
}

func (b *bindings) read(x *ast.Expr) {
	switch t := x.Terms.(type) {
	case *ast.SomeDecl:
		for _, s := range t.Symbols {
			if c, ok := s.Value.(ast.Call); ok && len(c) > 2 {
				b.element(c[len(c)-2], c[len(c)-1])
			}
		}
	case *ast.Every:
		b.element(t.Value, t.Domain)
	case []*ast.Term:
		if len(t) == 3 && (t[0].Value.String() == "assign" || t[0].Value.String() == "eq") {
			p, ok := b.resolve(t[2].Value)
			b.bind(t[1], p, ok)
		}
	}
}

func (b *bindings) element(name, domain *ast.Term) {
	p, ok := b.resolve(domain.Value)
	b.bind(name, append(slices.Clone(p), "*"), ok)
}

func (b *bindings) bind(name *ast.Term, p place, ok bool) {
	v, isVar := name.Value.(ast.Var)
	if !isVar || b.mixed[v] {
		return
	}
	was, bound := b.vars[v]
	switch {
	case ok && !bound:
		b.vars[v] = p
	case bound && (!ok || !slices.Equal(was, p)):
		delete(b.vars, v)
		b.mixed[v] = true
	}
}

// resolve is the place that a ref or a name stands for.
func (b *bindings) resolve(v ast.Value) (place, bool) {
	var ref ast.Ref
	switch v := v.(type) {
	case ast.Ref:
		ref = v
	case ast.Var:
		ref = ast.Ref{ast.NewTerm(v)}
	default:
		return nil, false
	}
	head, ok := ref[0].Value.(ast.Var)
	if !ok {
		return nil, false
	}
	p, ok := b.vars[head]
	if !ok {
		ref = b.names.expand(ref)
		if !ref[0].Equal(ast.InputRootDocument) {
			return nil, false
		}
		p = place{"input"}
	}
	p = slices.Clone(p)
	for _, t := range ref[1:] {
		if s, ok := t.Value.(ast.String); ok {
			p = append(p, string(s))
		} else {
			p = append(p, "*")
		}
	}
	return p, true
}
