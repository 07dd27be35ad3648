package policy

import (
	"fmt"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/codb-dev/codb/internal/expr"
)

// native compiles the rules of one bundle, as OPA's compiler rewrote them, to
// predicates over columns: campaign and parameters are known, the time is when
// the predicates are asked, the customer never is. What depends on a few ids of
// dictionaries only is not compiled at all but asked of OPA, once for each
// combination of ids. It panics with notNative where a rule is outside of what it
// can do.
type native struct {
	i        *Interpreter
	opa      *sync.Mutex // held while the interpreter is asked
	campaign ast.Value
	clock    *clock
	columns  *columns
	tables   map[string]*expr.Table
	funcs    map[string]*expr.Func
	reads    map[string]*reads
	atoms    map[string]value // rules that are known or finite, by name
	hard     []expr.Bool      // where two values of one rule could be in conflict
	manies   int
	nums     map[string]expr.Num
	abouts   map[string]string    // see about
	answers  map[string]ast.Value // see once
	at       *ast.Location        // what is being compiled
	own      bool                 // it is a policy's own Rego
	marked   map[int][]marked     // by hash
	lastMark *int64
	effort   effort
}

// clock is the time that a plan is asked about.
type clock struct {
	asked *asked
}

// solve calls k for every way to make a body true.
func (c *native) solve(b ast.Body, e *env, t *trail, k func(*env, *trail)) {
	if len(b) == 0 {
		k(e, t)
		return
	}
	c.spend()
	x, rest := b[0], b[1:]
	next := func(e *env, t *trail) { c.solve(rest, e, t, k) }
	was := c.at
	if x.Location != nil {
		c.at = x.Location // it stays where something refuses
	}
	c.expr(x, e, t, next)
	c.at = was
}

// expr calls next for every way to make an expression true.
func (c *native) expr(x *ast.Expr, e *env, t *trail, next func(*env, *trail)) {
	if len(x.With) > 0 {
		refuse("with; write a function of what it replaces")
	}
	if x.Negated {
		inner := x.NoWith()
		inner.Negated = false
		c.guard(t, expr.Not(c.holds(ast.NewBody(inner), e, t)), func(t *trail) { next(e, t) })
		return
	}
	switch terms := x.Terms.(type) {
	case *ast.Not:
		c.guard(t, expr.Not(c.holds(terms.Body, e, t)), func(t *trail) { next(e, t) })
	case *ast.Every:
		c.every(terms, e, t, next)
	case *ast.Term:
		c.statement(terms, e, t, next)
	case []*ast.Term:
		c.call(terms, e, t, next)
	case *ast.LogicalAnd:
		c.guard(t, c.holds(terms.Lhs, e, t), func(t *trail) {
			c.guard(t, c.holds(terms.Rhs, e, t), func(t *trail) { next(e, t) })
		})
	case *ast.LogicalOr:
		c.guard(t, expr.Or(c.holds(terms.Lhs, e, t), c.holds(terms.Rhs, e, t)), func(t *trail) { next(e, t) })
	default:
		refuse("%T", terms)
	}
}

// guard goes on where a condition may hold.
func (c *native) guard(t *trail, b expr.Bool, k func(*trail)) {
	if b != expr.Lit(false) && !t.denies(b) {
		k(t.If(b))
	}
}

// holds is the predicate that there is a way to make a body true.
func (c *native) holds(b ast.Body, e *env, t *trail) expr.Bool {
	var ways []expr.Bool
	c.solve(b, e, t, func(_ *env, end *trail) { ways = append(ways, end.fold(t)) })
	return expr.Or(ways...)
}

// every holds where no element makes its body fail.
func (c *native) every(x *ast.Every, e *env, t *trail, k func(*env, *trail)) {
	c.eval(x.Domain, e, t, func(domain value, e *env, t *trail) {
		var fails []expr.Bool
		c.iterate(domain, t, func(key, v value, inner *trail) {
			e := e
			if x.Key != nil {
				e = e.with(x.Key.Value.(ast.Var), key)
			}
			e = e.with(x.Value.Value.(ast.Var), v)
			c.guard(inner, expr.Not(c.holds(x.Body, e, inner)), func(end *trail) { fails = append(fails, end.fold(t)) })
		})
		c.guard(t, expr.Not(expr.Or(fails...)), func(t *trail) { k(e, t) })
	})
}

// statement is a term that must be defined and not false.
func (c *native) statement(x *ast.Term, e *env, t *trail, k func(*env, *trail)) {
	if ref, ok := x.Value.(ast.Ref); ok {
		if rules, n := c.rulesOf(ref); len(rules) > 0 && n == len(ref) && len(rules[0].Head.Args) == 0 {
			c.guard(t, c.truth(x, e, t), func(t *trail) { k(e, t) })
			return
		}
	}
	c.eval(x, e, t, func(v value, e *env, t *trail) {
		c.guard(t, c.truthy(v), func(t *trail) { k(e, t) })
	})
}

// truth is the predicate that one of a term's values is there and not false.
func (c *native) truth(x *ast.Term, e *env, t *trail) expr.Bool {
	var ways []expr.Bool
	c.eval(x, e, t, func(v value, _ *env, end *trail) {
		c.guard(end, c.truthy(v), func(end *trail) { ways = append(ways, end.fold(t)) })
	})
	return expr.Or(ways...)
}

func (c *native) truthy(v value) expr.Bool {
	switch v := v.(type) {
	case known:
		return expr.Lit(v.v.Compare(ast.Boolean(false)) != 0)
	case *finite:
		return c.test(v)
	case number:
		return c.defined(v)
	case cond:
		return v.b
	}
	return expr.Lit(true)
}

// defined is the condition under which a value is there.
func (c *native) defined(v value) expr.Bool {
	switch v := v.(type) {
	case *finite:
		if v.total {
			return expr.Lit(true)
		}
		return &expr.Test{Table: c.table("defined", v, func(ast.Value) (int64, error) { return 1, nil })}
	case number:
		if v.total {
			return expr.Lit(true)
		}
		return &expr.Known{Num: v.n}
	}
	return expr.Lit(true)
}

func (c *native) test(f *finite) expr.Bool {
	if len(f.refs) == 0 && !f.timed {
		v, err := f.eval(nil)
		if err != nil {
			refuse("%s", err)
		}
		return expr.Lit(v != nil && v.Compare(ast.Boolean(false)) != 0)
	}
	return &expr.Test{Table: c.table("test", f, func(v ast.Value) (int64, error) {
		if v.Compare(ast.Boolean(false)) == 0 {
			return 0, nil
		}
		return 1, nil
	})}
}

// table answers for a finite value; the same answers share one table.
func (c *native) table(kind string, f *finite, read func(ast.Value) (int64, error)) *expr.Table {
	label := fmt.Sprintf("%s %s %v", kind, f.label, f.refs)
	if t, ok := c.tables[label]; ok {
		return t
	}
	refs, eval := f.refs, f.eval
	t := &expr.Table{Label: label, Refs: refs, Timed: f.timed, Needs: f.needs, Of: f.label, Defines: kind == "defined", Fails: f.fails}
	t.Ask = func(ids []uint32) expr.Cell {
		vals := make([]ast.Value, len(ids))
		for i, id := range ids {
			vals[i] = c.columns.value(refs[i].Column, id)
		}
		return cell(eval, vals, read)
	}
	c.tables[label] = t
	return t
}

func cell(eval func([]ast.Value) (ast.Value, error), vals []ast.Value, read func(ast.Value) (int64, error)) expr.Cell {
	v, err := eval(vals)
	if err != nil {
		return expr.Cell{State: expr.Hard}
	}
	if v == nil {
		return expr.Cell{State: expr.Undefined}
	}
	n, err := read(v)
	if err != nil {
		return expr.Cell{State: expr.Hard}
	}
	return expr.Cell{State: expr.Defined, Value: n}
}

// num is a value as an integer.
func (c *native) num(v value) expr.Num {
	switch v := v.(type) {
	case number:
		return v.n
	case known:
		if n, err := instant(v.v); err == nil && n != expr.Missing { // which stands for what is not there
			return expr.Const(n)
		}
		refuse("%s where an integer is compared", clip(v.v.String(), 80))
	case *finite:
		if v == c.now() {
			return expr.Now{}
		}
		return &expr.Lookup{Table: c.table("int", v, instant)}
	case size:
		return c.sizeNum(v)
	}
	refuse("%s where an integer is expected", kindOf(v))
	return nil
}

// now is input.now.
func (c *native) now() *finite { return c.atoms["input.now"].(*finite) }

func kindOf(v value) string {
	return strings.TrimPrefix(strings.TrimPrefix(fmt.Sprintf("%T", v), "*"), "policy.")
}
