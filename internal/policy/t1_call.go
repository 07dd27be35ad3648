package policy

import (
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/codb-dev/codb/internal/expr"
)

// cond is a boolean that is defined and depends on the customer.
type cond struct{ b expr.Bool }

// call is an expression that calls a builtin or a function.
func (c *native) call(terms []*ast.Term, e *env, t *trail, k func(*env, *trail)) {
	op, ok := terms[0].Value.(ast.Ref)
	if !ok {
		refuse("a call of %s", terms[0])
	}
	name := op.String()
	if name == "eq" || name == "assign" {
		c.unify(terms[1], terms[2], e, t, k)
		return
	}
	rules := c.i.compiler.GetRulesExact(op)
	arity := 0
	if len(rules) > 0 {
		arity = len(rules[0].Head.Args)
	} else if b := ast.BuiltinMap[name]; b != nil && !b.Nondeterministic {
		arity = b.Decl.Arity()
	} else {
		refuse("a call of %s", name)
	}
	var out *ast.Term
	if len(terms) > arity+1 {
		out = terms[arity+1]
	}
	c.evalAll(terms[1:arity+1], nil, e, t, func(args []value, e *env, t *trail) {
		apply := func(t *trail, yield func(value, *trail)) {
			if len(rules) > 0 {
				c.function(rules, op, args, t, yield)
			} else {
				c.builtin(name, args, t, func(v value) { yield(v, t) })
			}
		}
		if out != nil {
			apply(t, func(v value, t *trail) { c.result(out, v, e, t, k) })
			return
		}
		var ways []expr.Bool
		apply(t, func(v value, end *trail) {
			c.guard(end, c.truthy(v), func(end *trail) { ways = append(ways, end.fold(t)) })
		})
		c.guard(t, expr.Or(ways...), func(t *trail) { k(e, t) })
	})
}

// result gives the value of a call its name, or compares it.
func (c *native) result(out *ast.Term, v value, e *env, t *trail, k func(*env, *trail)) {
	if name, ok := out.Value.(ast.Var); ok {
		if _, bound := e.of(name); !bound {
			c.guard(t, c.defined(v), func(t *trail) { k(e.with(name, v), t) })
			return
		}
	}
	c.eval(out, e, t, func(w value, e *env, t *trail) {
		c.guard(t, c.equal(v, w, t), func(t *trail) { k(e, t) })
	})
}

// equal is the condition that two values are equal.
func (c *native) equal(a, b value, t *trail) expr.Bool {
	if s, ok := a.(spot); ok {
		if other, ok := b.(spot); ok && s.loop.Array == other.loop.Array {
			if s.loop.Var == other.loop.Var {
				return expr.Lit(true)
			}
			return &expr.Same{A: s.loop.Var, B: other.loop.Var}
		}
	}
	if f, ok := join("eq", []value{a, b}, func(args []ast.Value) (ast.Value, error) {
		return ast.Boolean(args[0].Compare(args[1]) == 0), nil
	}); ok {
		return c.test(f)
	}
	if isNumber(a) || isNumber(b) {
		return c.compare("equal", a, b, t)
	}
	refuse("%s = %s", kindOf(a), kindOf(b))
	return nil
}

func isNumber(v value) bool {
	switch v.(type) {
	case number, size:
		return true
	}
	return false
}

var comparisons = map[string]expr.Op{
	"equal": expr.EQ, "neq": expr.NE, "lt": expr.LT, "lte": expr.LE, "gt": expr.GT, "gte": expr.GE,
}

// compare is a comparison of which one side is an integer.
func (c *native) compare(name string, a, b value, t *trail) expr.Bool {
	op := comparisons[name]
	if s, ok := a.(size); ok && s.less == nil {
		if w, ok := b.(known); ok {
			if n, err := instant(w.v); err == nil {
				return c.compareSize(op, s, n, t)
			}
		}
	}
	whole := &expr.Cmp{Op: op, L: c.num(a), R: c.num(b)}
	if count, ok := countOf(whole.L); ok && (op == expr.GT || op == expr.GE) && expr.Unfailing(count.Items) {
		if most := expr.AtMost(count.Items); most != nil {
			return expr.And(&expr.Cmp{Op: op, L: most, R: whole.R}, whole)
		}
	}
	return whole
}

// compareSize says whether a collection has so many elements.
func (c *native) compareSize(op expr.Op, s size, n int64, t *trail) expr.Bool {
	some := func() expr.Bool { return c.some(s.of, t) }
	switch {
	case n == 0 && (op == expr.GT || op == expr.NE), n == 1 && op == expr.GE:
		return some()
	case n == 0 && (op == expr.EQ || op == expr.LE), n == 1 && op == expr.LT:
		return expr.Not(some())
	}
	return &expr.Cmp{Op: op, L: c.sizeNum(s), R: expr.Const(n)}
}

// some is the condition that a collection has an element.
func (c *native) some(v value, t *trail) expr.Bool {
	var ways []expr.Bool
	c.iterate(v, t, func(_, _ value, end *trail) { ways = append(ways, end.fold(t)) })
	return expr.Or(ways...)
}

func (c *native) sizeNum(s size) expr.Num {
	var n expr.Num
	switch of := s.of.(type) {
	case array:
		n = &expr.Count{Items: []expr.Item{{Steps: []expr.Step{{Loop: expr.Loop{Var: s.at.depth + 1, Array: of.id}}}, Value: expr.Const(1)}}}
	case many:
		if of.set {
			n = c.memo(&expr.Different{Items: c.marks(of, s.at)}, s.at.depth)
			break
		}
		n = c.memo(&expr.Count{Items: c.items(of, s.at)}, s.at.depth)
	default:
		refuse("the count of a %s", kindOf(s.of))
	}
	if s.less == nil {
		return n
	}
	return &expr.Sum{A: n, B: c.num(s.less), Minus: true}
}

func countOf(n expr.Num) (*expr.Count, bool) {
	if m, ok := n.(*expr.Memo); ok {
		n = m.Num
	}
	count, ok := n.(*expr.Count)
	return count, ok
}

// same is the number that was made before of the same parts.
func (c *native) same(n expr.Num) expr.Num {
	key := n.Key()
	if c.nums[key] == nil {
		c.nums[key] = n
	}
	return c.nums[key]
}

// memo is a number that takes a loop, remembered; the same one is one.
func (c *native) memo(n expr.Num, depth int) expr.Num {
	if depth > 1 {
		return n
	}
	return c.same(&expr.Memo{Num: n, Depth: depth})
}

// items are the integers in a collection.
func (c *native) items(m many, t *trail) []expr.Item {
	var out []expr.Item
	m.each(t, func(v value, end *trail) {
		out = append(out, expr.Item{Steps: end.steps(t), Value: c.num(v)})
	})
	return out
}

// marks are the values in a set as integers that tell them apart.
func (c *native) marks(m many, t *trail) []expr.Item {
	var vals []value
	var ends []*trail
	ints := false
	m.each(t, func(v value, end *trail) {
		vals, ends = append(vals, v), append(ends, end)
		ints = ints || isNumber(v)
	})
	out := make([]expr.Item, len(vals))
	for i, v := range vals {
		out[i].Steps = ends[i].steps(t)
		if ints {
			out[i].Value = c.num(v)
			continue
		}
		f, ok := operand(v)
		if !ok {
			refuse("the count of a set of a %s", kindOf(v))
		}
		out[i].Value = &expr.Lookup{Table: c.table("mark", f, c.mark)}
	}
	return out
}

// mark numbers a value: equal ones have the same number.
func (c *native) mark(v ast.Value) (int64, error) {
	h := v.Hash()
	for _, m := range c.marked[h] {
		if m.v.Compare(v) == 0 {
			return m.n, nil
		}
	}
	m := marked{v: v, n: *c.lastMark}
	c.marked[h] = append(c.marked[h], m)
	*c.lastMark++
	return m.n, nil
}

type marked struct {
	v ast.Value
	n int64
}

// oneOfMany is the condition that an integer is in a known collection.
func oneOfMany(n expr.Num, in ast.Value) expr.Bool {
	var all []int64
	eachKnown(in, func(_, elem ast.Value) {
		if v, err := instant(elem); err == nil { // nothing else equals an integer
			all = append(all, v)
		}
	})
	slices.Sort(all)
	return &expr.In{Num: n, Values: slices.Compact(all)}
}

// member is the condition that a value is in a collection.
func (c *native) member(v, in value, t *trail) expr.Bool {
	if w, ok := in.(known); ok && isNumber(v) {
		return oneOfMany(c.num(v), w.v)
	}
	var ways []expr.Bool
	c.iterate(in, t, func(_, elem value, end *trail) {
		c.guard(end, c.equal(elem, v, end), func(end *trail) { ways = append(ways, end.fold(t)) })
	})
	return expr.Or(ways...)
}

// iterate calls yield for each element of a collection.
func (c *native) iterate(v value, t *trail, yield func(key, elem value, t *trail)) {
	switch v := v.(type) {
	case known:
		iterateKnown(v.v, func(key, elem ast.Value) { yield(known{key}, known{elem}, t) })
	case array:
		end, l := t.loop(v.id)
		c.effort.depth = max(c.effort.depth, end.depth)
		yield(spot{l}, c.element(v, l), end)
	case many:
		v.each(t, func(elem value, t *trail) {
			if v.set {
				yield(elem, elem, t)
			} else {
				yield(nil, elem, t)
			}
		})
	case list:
		for i, elem := range v.elems {
			yield(known{ast.InternedTerm(i).Value}, elem, t)
		}
	case *finite:
		c.unroll(v, t, yield)
	default:
		refuse("iteration over a %s", kindOf(v))
	}
}

func iterateKnown(v ast.Value, yield func(key, elem ast.Value)) {
	n := 0
	eachKnown(v, func(_, _ ast.Value) { n++ })
	if n > maxUnrolled {
		refuse("iteration over %d elements, the limit is %d; ask with \"in\" instead", n, maxUnrolled)
	}
	eachKnown(v, yield)
}

func eachKnown(v ast.Value, yield func(key, elem ast.Value)) {
	switch v := v.(type) {
	case *ast.Array:
		for i := range v.Len() {
			yield(ast.InternedTerm(i).Value, v.Elem(i).Value)
		}
	case ast.Set:
		for _, t := range v.Slice() {
			yield(t.Value, t.Value)
		}
	case ast.Object:
		v.Foreach(func(key, elem *ast.Term) { yield(key.Value, elem.Value) })
	}
}

// unroll goes through the places of a collection that is one value of its
// column. Where one has more elements than places, the row is hard.
func (c *native) unroll(f *finite, t *trail, yield func(key, elem value, t *trail)) {
	for n := range maxNested {
		elem, _ := join(fmt.Sprintf("place %d", n), []value{f}, func(args []ast.Value) (ast.Value, error) {
			return nth(args[0], n)
		})
		c.guard(t, c.defined(elem), func(t *trail) { yield(nil, elem, t) })
	}
}

// nth is the element at a place; beyond the last place there must be nothing.
func nth(v ast.Value, n int) (ast.Value, error) {
	var all []*ast.Term
	switch v := v.(type) {
	case *ast.Array:
		all = terms(v)
	case ast.Set:
		all = v.Slice()
	default:
		return nil, nil // nothing to go through
	}
	switch {
	case len(all) > maxNested:
		return nil, fmt.Errorf("%d elements", len(all))
	case n < len(all):
		return all[n].Value, nil
	}
	return nil, nil
}
