package policy

import (
	"context"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/codb-dev/codb/internal/expr"
)

// builtin calls k for the value of a builtin.
func (c *native) builtin(name string, args []value, t *trail, k func(value)) {
	if name == "internal.template_string" {
		args = []value{c.parts(args[0], t)}
	}
	if f, ok := c.ofBuiltin(name, args); ok {
		c.fold(f, k)
		return
	}
	if _, ok := comparisons[name]; ok {
		k(cond{c.compare(name, args[0], args[1], t)})
		return
	}
	switch name {
	case "plus":
		k(c.sum(name, args))
	case "minus":
		if isSet(args[0]) {
			k(c.only(args, false))
		} else {
			k(c.sum(name, args))
		}
	case "mul", "rem":
		k(c.multiply(name, args))
	case "abs":
		k(number{n: c.same(&expr.Best{Of: []expr.Num{c.num(args[0]), c.same(&expr.Sum{A: expr.Const(0), B: c.num(args[0]), Minus: true})}}), total: total(args...)})
	case "min", "max":
		k(c.extreme(name == "min", args[0], t))
	case "count":
		k(size{of: args[0], at: t})
	case "sum":
		k(c.total(args[0], t))
	case "sort":
		m, ok := args[0].(many)
		if !ok || m.set {
			refuse("sort of a %s", kindOf(args[0]))
		}
		m.sorted = true
		k(m)
	case "or":
		k(c.union(args))
	case "and":
		k(c.only(args, true))
	case "internal.member_2":
		k(cond{c.member(args[0], args[1], t)})
	case "object.get":
		c.get(args, t, k)
	case "div":
		refuse("a division, which may leave a fraction; multiply the other side instead")
	default:
		refuse("%s of a %s", name, kindOf(worst(args)))
	}
}

// worst is the argument for which a builtin can't be asked of OPA.
func worst(args []value) value {
	for _, a := range args {
		if _, ok := operand(a); !ok {
			return a
		}
	}
	return nil
}

// ofBuiltin is OPA's own builtin asked for each combination of its arguments.
func (c *native) ofBuiltin(name string, args []value) (*finite, bool) {
	f := topdown.GetBuiltin(name)
	if f == nil {
		return nil, false
	}
	here := func(vals []ast.Value) (ast.Value, error) { return callBuiltin(f, vals) }
	there := c.i.elsewhere
	if there == nil || !c.own {
		return join(name, args, here)
	}
	grows, ref := slices.Contains(growing, name), ast.BuiltinMap[name].Ref()
	return join(name, args, func(vals []ast.Value) (ast.Value, error) {
		if !grows && short(vals) {
			return here(vals)
		}
		return there.value(ref, vals, ast.NewObject())
	})
}

func callBuiltin(f topdown.BuiltinFunc, vals []ast.Value) (ast.Value, error) {
	operands := make([]*ast.Term, len(vals))
	for i, v := range vals {
		operands[i] = ast.NewTerm(v)
	}
	var out ast.Value
	b := topdown.BuiltinContext{Context: context.Background(), Metrics: metrics.NoOp(), Cancel: topdown.NewCancel()}
	err := f(b, operands, func(t *ast.Term) error { out = t.Value; return nil })
	return out, err
}

func (c *native) sum(name string, args []value) value {
	if s, ok := args[0].(size); ok && s.less == nil && name == "minus" {
		s.less = args[1]
		return s
	}
	return number{n: c.same(&expr.Sum{A: c.num(args[0]), B: c.num(args[1]), Minus: name == "minus"}), total: total(args...)}
}

func (c *native) multiply(name string, args []value) value {
	var n expr.Num = &expr.Product{A: c.num(args[0]), B: c.num(args[1])}
	if name == "rem" {
		n = &expr.Rest{A: c.num(args[0]), B: c.num(args[1])}
	}
	return number{n: c.same(n), total: total(args...)}
}

// total is the sum of a collection.
func (c *native) total(of value, t *trail) value {
	switch of := of.(type) {
	case list:
		var n expr.Num = expr.Const(0)
		for _, v := range of.elems {
			n = c.same(&expr.Sum{A: n, B: c.num(v)})
		}
		return number{n: n, total: total(of.elems...)}
	case many:
		return number{n: c.memo(&expr.Total{Items: c.items(of, t), Distinct: of.set}, t.depth), total: true}
	}
	refuse("sum of a %s", kindOf(of))
	return nil
}

func isSet(v value) bool {
	switch v := v.(type) {
	case many:
		return v.set
	case known:
		_, ok := v.v.(ast.Set)
		return ok
	}
	return false
}

// parts of a template string are text, or sets of the one value that an expression
// may have.
func (c *native) parts(v value, t *trail) value {
	l, ok := v.(list)
	if !ok {
		return v
	}
	out := list{elems: slices.Clone(l.elems)}
	for i, elem := range l.elems {
		if m, ok := elem.(many); ok {
			out.elems[i] = c.atMostOne(m, t)
		}
	}
	return out
}

// atMostOne is the set of a value that may be undefined, as one value.
func (c *native) atMostOne(m many, t *trail) value {
	var only *finite
	m.each(t, func(v value, end *trail) {
		f, ok := operand(v)
		if !ok || only != nil {
			refuse("a message with a %s in it", kindOf(v))
		}
		for _, s := range end.steps(t) {
			if s.Loop.Var != 0 || s.If.Key() != c.defined(f).Key() {
				refuse("a message with a condition in it; give its parts names in the rule's body")
			}
		}
		only = f
	})
	if only == nil {
		return known{ast.NewSet()}
	}
	out := *only
	out.label, out.total = "set("+only.label+")", true
	out.eval = func(vals []ast.Value) (ast.Value, error) {
		v, err := only.eval(vals)
		if v == nil || err != nil {
			return ast.NewSet(), err
		}
		return ast.NewSet(ast.NewTerm(v)), nil
	}
	return &out
}

// only are the elements of a set that are, or are not, in another.
func (c *native) only(args []value, in bool) value {
	if !isSet(args[0]) || !isSet(args[1]) {
		refuse("a set operation with a %s", kindOf(worst(args)))
	}
	c.manies++
	return many{set: true, id: c.manies, each: func(t *trail, yield func(value, *trail)) {
		c.iterate(args[0], t, func(_, elem value, t *trail) {
			there := c.member(elem, args[1], t)
			if !in {
				there = expr.Not(there)
			}
			c.guard(t, there, func(t *trail) { yield(elem, t) })
		})
	}}
}

// total says whether all values are always defined.
func total(vs ...value) bool {
	for _, v := range vs {
		switch v := v.(type) {
		case known:
		case number:
			if !v.total {
				return false
			}
		case *finite:
			if !v.total {
				return false
			}
		default:
			return false
		}
	}
	return true
}

func (c *native) extreme(least bool, of value, t *trail) value {
	switch of := of.(type) {
	case list:
		b := &expr.Best{Least: least}
		for _, v := range of.elems {
			b.Of = append(b.Of, c.num(v))
		}
		return number{n: c.same(b), total: total(of.elems...)}
	case many:
		return number{n: c.memo(&expr.Extreme{Least: least, Items: c.items(of, t)}, t.depth)}
	}
	refuse("min or max of a %s", kindOf(of))
	return nil
}

func (c *native) union(args []value) value {
	c.manies++
	return many{set: true, id: c.manies, each: func(t *trail, yield func(value, *trail)) {
		for _, a := range args {
			if m, ok := a.(many); !ok || !m.set {
				if w, ok := a.(known); !ok || ast.ValueName(w.v) != "set" {
					refuse("union of a %s", kindOf(a))
				}
			}
			c.iterate(a, t, func(_, elem value, t *trail) { yield(elem, t) })
		}
	}}
}

// get is object.get of an object of the document.
func (c *native) get(args []value, t *trail, k func(value)) {
	n, ok := args[0].(node)
	key, named := args[1].(known)
	if !ok || !named {
		refuse("object.get of a %s", kindOf(args[0]))
	}
	c.field(n, key.v, t, func(v value, _ *trail) {
		switch v := v.(type) {
		case number:
			if v.total {
				k(v)
				return
			}
			k(number{n: &expr.Otherwise{Num: v.n, Else: c.num(args[2])}, total: total(args[2])})
		case *finite:
			k(c.orElse(v, args[2]))
		default:
			refuse("object.get of a %s", kindOf(v))
		}
	})
}

func (c *native) orElse(f *finite, otherwise value) value {
	if f.total {
		return f
	}
	w, ok := otherwise.(known)
	if !ok {
		refuse("object.get with a default that depends on the customer")
	}
	out := *f
	out.label, out.total = "else("+f.label+","+labelOf(w.v)+")", true
	out.eval = func(vals []ast.Value) (ast.Value, error) {
		if v, err := f.eval(vals); v != nil || err != nil {
			return v, err
		}
		return w.v, nil
	}
	return &out
}
