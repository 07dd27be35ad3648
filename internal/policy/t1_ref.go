package policy

import (
	"fmt"
	"reflect"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/expr"
)

// The most elements of a known collection, and of one that is a single value of
// its column, that a rule may go through.
const (
	maxUnrolled = 256
	maxNested   = 8
)

// eval calls k for each value of a term.
func (c *native) eval(x *ast.Term, e *env, t *trail, k func(value, *env, *trail)) {
	switch v := x.Value.(type) {
	case ast.Null, ast.Boolean, ast.Number, ast.String:
		k(known{v}, e, t)
	case ast.Var:
		got, ok := e.of(v)
		if !ok {
			refuse("%s is used before it has a value", v)
		}
		k(got, e, t)
	case ast.Ref:
		c.ref(v, e, t, k)
	case *ast.Array:
		c.evalAll(terms(v), nil, e, t, func(vs []value, e *env, t *trail) { k(listOf(vs), e, t) })
	case ast.Object:
		c.object(v, e, t, k)
	case ast.Set:
		c.set(v, e, t, k)
	case *ast.SetComprehension:
		k(c.comprehension(v.Body, v.Term, true, e), e, t)
	case *ast.ArrayComprehension:
		k(c.comprehension(v.Body, v.Term, false, e), e, t)
	default:
		refuse("%s", ast.ValueName(v))
	}
}

func terms(a *ast.Array) []*ast.Term {
	out := make([]*ast.Term, a.Len())
	for i := range out {
		out[i] = a.Elem(i)
	}
	return out
}

// evalAll calls k for each combination of the terms' values.
func (c *native) evalAll(xs []*ast.Term, done []value, e *env, t *trail, k func([]value, *env, *trail)) {
	if len(xs) == 0 {
		k(done, e, t)
		return
	}
	c.eval(xs[0], e, t, func(v value, e *env, t *trail) {
		c.evalAll(xs[1:], append(done[:len(done):len(done)], v), e, t, k)
	})
}

func listOf(vs []value) value {
	all := make([]*ast.Term, len(vs))
	for i, v := range vs {
		w, ok := v.(known)
		if !ok {
			return list{vs}
		}
		all[i] = ast.NewTerm(w.v)
	}
	return known{ast.NewArray(all...)}
}

func (c *native) object(o ast.Object, e *env, t *trail, k func(value, *env, *trail)) {
	var keys []string
	var vals []*ast.Term
	o.Foreach(func(key, v *ast.Term) {
		s, ok := key.Value.(ast.String)
		if !ok {
			refuse("an object whose keys are no text")
		}
		keys, vals = append(keys, string(s)), append(vals, v)
	})
	c.evalAll(vals, nil, e, t, func(vs []value, e *env, t *trail) {
		whole := ast.NewObject()
		for i, v := range vs {
			w, ok := v.(known)
			if !ok {
				k(record{keys: keys, vals: vs}, e, t)
				return
			}
			whole.Insert(ast.StringTerm(keys[i]), ast.NewTerm(w.v))
		}
		k(known{whole}, e, t)
	})
}

func (c *native) set(s ast.Set, e *env, t *trail, k func(value, *env, *trail)) {
	if s.IsGround() {
		k(known{s}, e, t)
		return
	}
	c.evalAll(s.Slice(), nil, e, t, func(vs []value, e *env, t *trail) {
		k(many{set: true, each: func(t *trail, yield func(value, *trail)) {
			for _, v := range vs {
				yield(v, t)
			}
		}}, e, t)
	})
}

func (c *native) comprehension(b ast.Body, head *ast.Term, set bool, e *env) value {
	c.manies++
	return many{set: set, id: c.manies, each: func(t *trail, yield func(value, *trail)) {
		c.solve(b, e, t, func(e *env, t *trail) {
			c.eval(head, e, t, func(v value, _ *env, t *trail) { yield(v, t) })
		})
	}}
}

// ref calls k for each value that a ref leads to.
func (c *native) ref(ref ast.Ref, e *env, t *trail, k func(value, *env, *trail)) {
	head, _ := ref[0].Value.(ast.Var)
	if v, ok := e.of(head); ok {
		c.walk(v, ref[1:], e, t, k)
		return
	}
	switch {
	case ref[0].Equal(ast.InputRootDocument):
		c.walk(node{at: shape()}, ref[1:], e, t, k)
	case ref[0].Equal(ast.DefaultRootDocument):
		if rules, n := c.rulesOf(ref); len(rules) > 0 {
			c.rule(rules, ref[:n], t, func(v value, t *trail) { c.walk(v, ref[n:], e, t, k) })
			return
		}
		if !ref.IsGround() || len(c.i.compiler.GetRulesWithPrefix(ref)) > 0 {
			refuse("%s, which is several rules", ref)
		}
		if v, err := c.evaluator(ref, false)(nil, ast.NewObject()); err != nil {
			refuse("%s: %s", ref, err)
		} else if v != nil {
			k(known{v}, e, t)
		}
	default:
		refuse("%s is used before it has a value", ref[0])
	}
}

// rulesOf are the rules that a ref begins with, and of how many terms that is.
func (c *native) rulesOf(ref ast.Ref) ([]*ast.Rule, int) {
	prefix := ref.ConstantPrefix()
	for n := len(prefix); n > 1; n-- {
		if rules := c.i.compiler.GetRulesExact(prefix[:n]); len(rules) > 0 {
			return rules, n
		}
	}
	return nil, 0
}

// walk follows the rest of a ref.
func (c *native) walk(v value, rest ast.Ref, e *env, t *trail, k func(value, *env, *trail)) {
	if n, ok := v.(node); ok && len(rest) == 0 {
		c.guard(t, c.present(n), func(t *trail) { n.maybe = false; k(n, e, t) })
		return
	}
	if len(rest) == 0 {
		c.guard(t, c.definedRef(v, t), func(t *trail) { k(v, e, t) })
		return
	}
	op := rest[0]
	if name, ok := op.Value.(ast.Var); ok {
		bound, has := e.of(name)
		if !has {
			c.iterate(v, t, func(key, elem value, t *trail) { c.walk(elem, rest[1:], e.with(name, key), t, k) })
			return
		}
		c.at1(v, bound, t, func(v value, t *trail) { c.walk(v, rest[1:], e, t, k) })
		return
	}
	c.eval(op, e, t, func(key value, e *env, t *trail) {
		c.at1(v, key, t, func(v value, t *trail) { c.walk(v, rest[1:], e, t, k) })
	})
}

// definedRef is defined for what a ref leads to.
func (c *native) definedRef(v value, t *trail) expr.Bool {
	if a, ok := v.(array); ok && !t.within(a.id) {
		return &expr.Some{Array: a.id} // an empty one is absent
	}
	return c.defined(v)
}

// at1 is the element of v at a key.
func (c *native) at1(v, key value, t *trail, k func(value, *trail)) {
	if w, ok := v.(node); ok {
		name, ok := key.(known)
		if !ok {
			refuse("an attribute whose name depends on the customer")
		}
		c.field(w, name.v, t, k)
		return
	}
	switch w := v.(type) {
	case known:
		if _, ok := key.(spot); ok && w.v.Compare(ast.NewArray()) == 0 {
			return // there is no such place
		}
	case array:
		s, ok := key.(spot)
		if !ok || s.loop.Array != w.id {
			refuse("%s at a place of its own", w.path)
		}
		k(c.element(w, s.loop), t)
		return
	case list:
		if i, err := placeOf(key); err == nil && i >= 0 && int(i) < len(w.elems) {
			k(w.elems[i], t)
		}
		return
	case record:
		if name, ok := key.(known); ok {
			for i, n := range w.keys {
				if name.v.Compare(ast.String(n)) == 0 {
					k(w.vals[i], t)
				}
			}
			return
		}
	case many:
		if w.whole == nil {
			c.atMany(w, key, t, k)
			return
		}
	}
	c.atFinite(v, key, t, k)
}

func placeOf(key value) (int64, error) {
	if w, ok := key.(known); ok {
		return instant(w.v)
	}
	refuse("an array at a place that depends on the customer")
	return 0, nil
}

// atMany is an element of a set that is looked for, or one of a sorted array
// counted from its end.
func (c *native) atMany(w many, key value, t *trail, k func(value, *trail)) {
	if s, ok := key.(size); ok && w.sorted && sameMany(s.of, w) {
		if s.less == nil {
			return // there is nothing behind the last
		}
		last := &expr.Last{Items: c.items(w, t), Place: c.num(s.less)}
		if expr.Unfailing(last.Items) {
			last.Most = expr.AtMost(last.Items)
		}
		k(number{n: c.memo(last, t.depth)}, t)
		return
	}
	if !w.set {
		refuse("an array at a place that depends on the customer")
	}
	c.guard(t, c.member(key, w, t), func(t *trail) { k(key, t) })
}

func sameMany(v value, w many) bool {
	m, ok := v.(many)
	return ok && m.id == w.id && m.id != 0
}

func (c *native) atFinite(v, key value, t *trail, k func(value, *trail)) {
	f, ok := join("at", []value{v, key}, func(args []ast.Value) (ast.Value, error) { return lookup(args[0], args[1]), nil })
	if !ok {
		refuse("%s of %s", kindOf(key), kindOf(v))
	}
	c.fold(f, func(v value) { k(v, t) })
}

// lookup is what a ref finds; nil: nothing.
func lookup(in, key ast.Value) ast.Value {
	v, err := in.Find(ast.Ref{ast.NewTerm(key)})
	if err != nil {
		return nil
	}
	return v
}

// fold makes a finite value that depends on nothing a known one; what is
// undefined has no value.
func (c *native) fold(f *finite, k func(value)) {
	if len(f.refs) > 0 || f.timed {
		k(f)
		return
	}
	v, err := f.eval(nil)
	if err != nil {
		refuse("%s", err)
	}
	if v != nil {
		k(known{v})
	}
}

// field is an attribute of an object of the document.
func (c *native) field(n node, key ast.Value, t *trail, k func(value, *trail)) {
	name, ok := key.(ast.String)
	at := n.at.byName[string(name)]
	if !ok || at == nil {
		refuse("%s has no attribute %s", n.path, key)
	}
	path := string(name)
	if n.path != "" {
		path = n.path + "." + path
	}
	switch path {
	case "now":
		k(c.now(), t)
		return
	case "campaign":
		k(known{c.campaign}, t)
		return
	}
	maybe := n.maybe || at.optional
	f := audience.Fields[path]
	switch f.Kind {
	case audience.ID:
		k(c.leaf(path, at, expr.Ref{Var: n.loop, Column: f.Column}, !maybe), t)
	case audience.Int:
		k(number{n: expr.Col{Var: n.loop, Column: f.Column}, total: !maybe}, t)
	case audience.Array:
		k(array{path: path, at: at, id: f.Column}, t)
	default:
		if at.kind != reflect.Struct {
			refuse("%s is not in the columns", path)
		}
		k(node{path: path, at: at, loop: n.loop, maybe: maybe}, t)
	}
}

func (c *native) leaf(path string, at *attribute, r expr.Ref, total bool) *finite {
	if at != nil {
		c.columns.shape[r.Column] = at
	}
	return &finite{
		refs: []expr.Ref{r}, label: fmt.Sprintf("$%d.%s", r.Var, path), total: total, needs: map[string]bool{},
		eval: func(vals []ast.Value) (ast.Value, error) { return vals[0], nil },
	}
}

// present is the condition under which an object of the document is there.
func (c *native) present(n node) expr.Bool {
	f, ok := audience.Presence[n.path]
	switch {
	case !ok:
		return expr.Lit(true)
	case f.Kind == audience.Int:
		return &expr.Known{Num: expr.Col{Var: n.loop, Column: f.Column}}
	}
	for path, of := range audience.Fields {
		if of == f {
			return c.defined(c.leaf(path, nil, expr.Ref{Var: n.loop, Column: f.Column}, false))
		}
	}
	return c.defined(c.leaf(n.path, nil, expr.Ref{Var: n.loop, Column: f.Column}, false))
}

func (c *native) element(a array, l expr.Loop) value {
	path := a.path + ".*"
	if f, ok := audience.Fields[path]; ok {
		return c.leaf(path, a.at.elem, expr.Ref{Var: l.Var, Column: f.Column}, true)
	}
	return node{path: path, at: a.at.elem, loop: l.Var}
}
