package policy

import (
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
)

// unify binds a name, or compares.
func (c *native) unify(a, b *ast.Term, e *env, t *trail, k func(*env, *trail)) {
	if name, ok := unbound(a, e); ok {
		c.eval(b, e, t, func(v value, e *env, t *trail) { k(e.with(name, v), t) })
		return
	}
	if name, ok := unbound(b, e); ok {
		c.eval(a, e, t, func(v value, e *env, t *trail) { k(e.with(name, v), t) })
		return
	}
	if pattern, ok := a.Value.(*ast.Array); ok && !ground(pattern, e) {
		c.eval(b, e, t, func(v value, e *env, t *trail) { c.destructure(pattern, v, e, t, k) })
		return
	}
	if pattern, ok := b.Value.(*ast.Array); ok && !ground(pattern, e) {
		c.eval(a, e, t, func(v value, e *env, t *trail) { c.destructure(pattern, v, e, t, k) })
		return
	}
	c.eval(a, e, t, func(v value, e *env, t *trail) {
		c.eval(b, e, t, func(w value, e *env, t *trail) {
			c.guard(t, c.equal(v, w, t), func(t *trail) { k(e, t) })
		})
	})
}

// ground says whether all names of an array have a value.
func ground(a *ast.Array, e *env) bool {
	free := false
	ast.WalkVars(a, func(v ast.Var) bool {
		_, bound := e.of(v)
		free = free || !bound && !ast.ReservedVars.Contains(v)
		return free
	})
	return !free
}

// destructure gives the elements of an array their names.
func (c *native) destructure(pattern *ast.Array, v value, e *env, t *trail, k func(*env, *trail)) {
	var elems []value
	switch w := v.(type) {
	case list:
		elems = w.elems
	case known, *finite:
		f, _ := operand(w)
		long, _ := join(fmt.Sprintf("has length %d", pattern.Len()), []value{f}, func(vs []ast.Value) (ast.Value, error) {
			a, ok := vs[0].(*ast.Array)
			return ast.Boolean(ok && a.Len() == pattern.Len()), nil
		})
		long.fails = f.fails
		c.guard(t, c.test(long), func(t *trail) {
			elems := make([]value, pattern.Len())
			for i := range elems {
				elem, _ := join("at", []value{f, known{ast.InternedTerm(i).Value}}, func(vs []ast.Value) (ast.Value, error) {
					return lookup(vs[0], vs[1]), nil
				})
				elems[i] = elem
				c.fold(elem, func(v value) { elems[i] = v })
			}
			c.each(pattern, elems, e, t, k)
		})
		return
	default:
		refuse("[...] = %s", kindOf(v))
	}
	if len(elems) == pattern.Len() {
		c.each(pattern, elems, e, t, k)
	}
}

func (c *native) each(pattern *ast.Array, elems []value, e *env, t *trail, k func(*env, *trail)) {
	if len(elems) == 0 {
		k(e, t)
		return
	}
	n := pattern.Len() - len(elems)
	c.result(pattern.Elem(n), elems[0], e, t, func(e *env, t *trail) { c.each(pattern, elems[1:], e, t, k) })
}

func unbound(x *ast.Term, e *env) (ast.Var, bool) {
	name, ok := x.Value.(ast.Var)
	if !ok {
		return "", false
	}
	_, bound := e.of(name)
	return name, !bound
}
