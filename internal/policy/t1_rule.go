package policy

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/expr"
)

// rule calls k for the value of a rule.
func (c *native) rule(rules []*ast.Rule, ref ast.Ref, t *trail, k func(value, *trail)) {
	name := ref.String()
	v, ok := c.atoms[name]
	if !ok {
		v = c.atom(name, ref, rules)
		c.atoms[name] = v
	}
	switch v := v.(type) {
	case undefinedRule:
	case nil:
		c.inline(rules, t, k)
	case *finite:
		if set(rules) {
			m := c.partial(rules)
			m.whole = v
			k(m, t)
			return
		}
		k(v, t)
	default:
		k(v, t)
	}
}

// undefinedRule is the value of a rule that has none.
type undefinedRule struct{}

func set(rules []*ast.Rule) bool {
	return rules[0].Head.RuleKind() == ast.MultiValue && rules[0].Head.Ref().IsGround()
}

// atom is a rule as a known or finite value; nil where it must be compiled.
func (c *native) atom(name string, ref ast.Ref, rules []*ast.Rule) value {
	ids, timed, ok := c.readsOf(name, rules).split()
	switch {
	case !ok || len(rules[0].Head.Args) > 0:
		return nil
	case len(ids) == 0 && !timed:
		v, err := c.evaluator(ref, isOwn(ref))(nil, c.input(nil, nil))
		if err != nil {
			refuse("%s: %s", name, err)
		}
		if v == nil {
			return undefinedRule{}
		}
		return known{v}
	}
	ask := c.evaluator(ref, isOwn(ref))
	f, ok := join("rule "+name, c.leaves(ids), func(args []ast.Value) (ast.Value, error) {
		return ask(nil, c.input(ids, args))
	})
	if !ok {
		return nil
	}
	f.timed, f.total, f.needs = timed, set(rules), map[string]bool{}
	f.label += c.about(c.readsOf(name, rules))
	f.fails = !c.readsOf(name, rules).unfailing()
	return f
}

// absent stands for an attribute that is not there where a function must be
// called all the same.
var absent = ast.Null{}

// leaves are attributes of the customer, absent where they are.
func (c *native) leaves(ids []string) []value {
	out := make([]value, len(ids))
	for i, path := range ids {
		at := shape()
		for step := range strings.SplitSeq(path, ".") {
			at = at.byName[step]
		}
		leaf := c.leaf(path, at, expr.Ref{Column: audience.Fields[path].Column}, true)
		leaf.label = "maybe " + leaf.label
		leaf.eval = func(vals []ast.Value) (ast.Value, error) {
			if vals[0] == nil {
				return absent, nil
			}
			return vals[0], nil
		}
		out[i] = leaf
	}
	return out
}

// input is the document with some attributes of the customer.
func (c *native) input(ids []string, vals []ast.Value) ast.Value {
	customer, nested := ast.NewObject(), map[string]ast.Object{}
	for i, path := range ids {
		if vals[i].Compare(absent) == 0 {
			continue
		}
		steps := strings.Split(path, ".")[1:]
		o := customer
		if len(steps) == 2 {
			if nested[steps[0]] == nil {
				nested[steps[0]] = ast.NewObject()
			}
			o = nested[steps[0]]
		}
		o.Insert(ast.StringTerm(steps[len(steps)-1]), ast.NewTerm(vals[i]))
	}
	for name, o := range nested {
		customer.Insert(ast.StringTerm(name), ast.NewTerm(o))
	}
	root := ast.NewObject(
		[2]*ast.Term{ast.StringTerm("campaign"), ast.NewTerm(c.campaign)},
		[2]*ast.Term{ast.StringTerm("customer"), ast.NewTerm(customer)},
		[2]*ast.Term{ast.StringTerm("contacts"), ast.ObjectTerm()},
	)
	if c.clock.asked != nil {
		root.Insert(ast.StringTerm("now"), c.clock.asked.nowTerm)
	}
	return root
}

// partial is a set that rules contribute to.
func (c *native) partial(rules []*ast.Rule) many {
	c.manies++
	return many{set: true, id: c.manies, each: func(t *trail, yield func(value, *trail)) {
		for _, r := range rules {
			c.solve(r.Body, nil, t, func(e *env, t *trail) {
				c.eval(r.Head.Key, e, t, func(v value, _ *env, t *trail) { yield(v, t) })
			})
		}
	}}
}

// way is one value that a rule or function can have, and how it comes to it: by
// which of its definitions, and of that by the body or by which else.
type way struct {
	v            value
	t            *trail
	rule, orElse int
}

// inline compiles a rule in the place where it is used.
func (c *native) inline(rules []*ast.Rule, t *trail, k func(value, *trail)) {
	if set(rules) {
		k(c.partial(rules), t)
		return
	}
	c.values(rules, t, k, func(_ *ast.Rule, t *trail, k func(*env, *trail)) { k(nil, t) })
}

// values calls k for each value of a rule or function, where match leads to the
// environment of a definition.
func (c *native) values(rules []*ast.Rule, t *trail, k func(value, *trail), match func(*ast.Rule, *trail, func(*env, *trail))) {
	var ways []way
	var otherwise *ast.Rule
	for n, r := range rules {
		if r.Default {
			otherwise = r
			continue
		}
		ways = append(ways, c.chain(n, r, t, match)...)
	}
	c.oneOf(ways, t, k)
	if otherwise == nil {
		return
	}
	var any []expr.Bool
	for _, w := range ways {
		any = append(any, w.t.fold(t))
	}
	c.guard(t, expr.Not(expr.Or(any...)), func(t *trail) {
		match(otherwise, t, func(e *env, t *trail) {
			c.eval(otherwise.Head.Value, e, t, func(v value, _ *env, t *trail) { k(v, t) })
		})
	})
}

// chain are the ways of one definition: of its body and, where that has none, of
// what follows else.
func (c *native) chain(n int, r *ast.Rule, t *trail, match func(*ast.Rule, *trail, func(*env, *trail))) []way {
	if r.Head.Key != nil || !r.Head.Ref().IsGround() {
		refuse("a partial object; write a function, or an object comprehension")
	}
	var out []way
	match(r, t, func(e *env, t *trail) {
		c.solve(r.Body, e, t, func(e *env, end *trail) {
			c.eval(r.Head.Value, e, end, func(v value, _ *env, end *trail) { out = append(out, way{v: v, t: end, rule: n}) })
		})
	})
	if r.Else == nil {
		return out
	}
	var any []expr.Bool
	for _, w := range out {
		any = append(any, w.t.fold(t))
	}
	c.guard(t, expr.Not(expr.Or(any...)), func(t *trail) {
		for _, w := range c.chain(n, r.Else, t, match) {
			w.orElse++
			out = append(out, w)
		}
	})
	return out
}

// conflict says whether two ways can lead to two values at once.
func conflict(a, b way) bool {
	return !alike(a.v, b.v) && (a.rule != b.rule || a.orElse == b.orElse)
}

// oneOf goes on with each way. A rule has one value: where two different ones
// could come about, OPA must look.
func (c *native) oneOf(ways []way, t *trail, k func(value, *trail)) {
	merged := map[string][]expr.Bool{}
	for i, w := range ways {
		if _, ok := w.v.(known); !ok && w.t.depth > t.depth {
			refuse("a rule with a value for each element; make it a set (contains), or a function of the element")
		}
		for _, other := range ways[:i] {
			c.spend()
			if conflict(w, other) {
				both := expr.And(t.fold(nil), w.t.fold(t), other.t.fold(t))
				if both != expr.Lit(false) {
					c.hard = append(c.hard, both)
				}
			}
		}
		if w, ok := w.v.(known); ok {
			label := labelOf(w.v)
			merged[label] = append(merged[label], ways[i].t.fold(t))
		}
	}
	for _, w := range ways {
		v, ok := w.v.(known)
		if !ok {
			k(w.v, w.t)
			continue
		}
		label := labelOf(v.v)
		if all := merged[label]; all != nil {
			delete(merged, label)
			c.guard(t, expr.Or(all...), func(t *trail) { k(v, t) })
		}
	}
}

func alike(a, b value) bool {
	x, ok := a.(known)
	y, also := b.(known)
	return ok && also && x.v.Compare(y.v) == 0
}

// function calls k for the values of a call of a function.
func (c *native) function(rules []*ast.Rule, ref ast.Ref, args []value, t *trail, k func(value, *trail)) {
	name := ref.String()
	r := c.readsOf(name, rules)
	ids, timed, ok := r.split()
	ask := c.evaluator(ref, c.own || isOwn(ref))
	if _, finite := operands(args); finite && ok {
		about := c.about(r)
		f, _ := join("call "+name, slices.Concat(args, c.leaves(ids)), func(vals []ast.Value) (ast.Value, error) {
			return c.once(name+about, vals, func() (ast.Value, error) { return ask(vals[:len(args)], c.input(ids, vals[len(args):])) })
		})
		f.timed = f.timed || timed
		f.label += about
		f.fails = slices.ContainsFunc(args, fails) || !r.unfailing()
		c.fold(f, func(v value) { k(v, t) })
		return
	}
	if ok && len(ids) == 0 && !timed && !numeric(r) {
		if n, ok := c.ofNumber(name+c.about(r), ask, args); ok {
			k(n, t)
			return
		}
	}
	c.values(rules, t, k, func(r *ast.Rule, t *trail, k func(*env, *trail)) { c.bind(r.Head.Args, args, nil, t, k) })
}

// once asks what was not asked for the same values at the same instant: whether a
// value is defined, what it is, and what follows from it are several tables.
func (c *native) once(name string, vals []ast.Value, ask func() (ast.Value, error)) (ast.Value, error) {
	key := name
	for _, v := range vals {
		key += "\x00" + v.String()
	}
	if v, ok := c.answers[key]; ok {
		return v, nil
	}
	v, err := ask()
	if err == nil && len(c.answers) < maxAnswers {
		c.answers[key] = v
	}
	return v, err
}

// bind gives a function's arguments their names.
func (c *native) bind(params ast.Args, args []value, e *env, t *trail, k func(*env, *trail)) {
	if len(params) == 0 {
		k(e, t)
		return
	}
	if name, ok := params[0].Value.(ast.Var); ok {
		c.bind(params[1:], args[1:], e.with(name, args[0]), t, k)
		return
	}
	c.eval(params[0], e, t, func(v value, e *env, t *trail) {
		c.guard(t, c.equal(v, args[0], t), func(t *trail) { c.bind(params[1:], args[1:], e, t, k) })
	})
}

// ofNumber is a function of one integer that is asked of OPA once for each.
func (c *native) ofNumber(name string, ask evaluator, args []value) (value, bool) {
	at := slices.IndexFunc(args, func(v value) bool { _, ok := v.(number); return ok })
	if at < 0 {
		return nil, false
	}
	rest, ok := join("args", slices.Concat(args[:at], args[at+1:]), func(vals []ast.Value) (ast.Value, error) {
		all := make([]*ast.Term, len(vals))
		for i := range vals {
			all[i] = ast.NewTerm(vals[i])
		}
		return ast.NewArray(all...), nil
	})
	if !ok || rest.timed {
		return nil, false
	}
	n := args[at].(number)
	f := &expr.Func{Label: name + " " + rest.label, Arg: n.n, Refs: rest.refs}
	if have, ok := c.funcs[f.Key()]; ok {
		return number{n: have}, true
	}
	f.Ask = func(arg int64, ids []uint32) expr.Cell {
		vals := make([]ast.Value, len(ids))
		for i, id := range ids {
			vals[i] = c.columns.value(f.Refs[i].Column, id)
		}
		return cell(func(vals []ast.Value) (ast.Value, error) {
			others, err := rest.eval(vals)
			if others == nil || err != nil {
				return nil, err
			}
			all := make([]ast.Value, 0, len(args))
			others.(*ast.Array).Foreach(func(t *ast.Term) { all = append(all, t.Value) })
			return ask(slices.Insert(all, at, ast.InternedTerm(arg).Value), c.input(nil, nil))
		}, vals, instant)
	}
	c.funcs[f.Key()] = f
	return number{n: f}, true
}
