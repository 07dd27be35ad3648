package irplan

import (
	"errors"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
)

// compiler makes steps of the statements of one function.
type compiler struct {
	program *Program
	named   map[string]*function
	plan    *ir.Policy
	strings []*ast.Term
	built   map[string]*ir.BuiltinFunc

	// of the function at hand
	locals int
	arrays map[ir.Local]bool // that are made by appending
	stored map[ir.Local]bool // what a ref from data leads to
	err    error
}

func compile(plan *ir.Policy, data ast.Value) (*Program, error) {
	if len(plan.Plans.Plans) != 1 {
		return nil, fmt.Errorf("%d plans instead of one", len(plan.Plans.Plans))
	}
	p := &Program{data: ast.NewTerm(data), dynamic: map[string]*function{}}
	c := &compiler{program: p, plan: plan, named: map[string]*function{}, built: map[string]*ir.BuiltinFunc{}}
	for _, s := range plan.Static.Strings {
		c.strings = append(c.strings, ast.InternedTerm(s.Value))
	}
	for _, b := range plan.Static.BuiltinFuncs {
		c.built[b.Name] = b
	}
	for _, f := range plan.Funcs.Funcs {
		x := &function{id: len(p.functions), params: f.Params, pure: len(f.Params) == 2}
		if grows(f) {
			p.Nested = append(p.Nested, strings.Join(f.Path[min(1, len(f.Path)):], "."))
		}
		p.functions = append(p.functions, x)
		c.named[f.Name] = x
		if x.pure && len(f.Path) > 0 {
			p.dynamic[strings.Join(f.Path, pathSeparator)] = x
		}
	}
	changes := changing(plan)
	for _, f := range plan.Funcs.Funcs {
		x := c.named[f.Name]
		x.fixed = x.pure && !changes[f.Name]
		c.body(x, f.Blocks)
	}
	c.body(&p.plan, plan.Plans.Plans[0].Blocks)
	if c.err != nil {
		return nil, c.err
	}
	return p, nil
}

const pathSeparator = "\x00"

// grows says whether a function's result is an object whose parts are made by
// steps: only then does a plan put something back into it.
func grows(f *ir.Func) (found bool) {
	for _, b := range f.Blocks {
		walk(b, func(s ir.Stmt) {
			put, ok := s.(*ir.ObjectInsertStmt)
			found = found || ok && put.Object == f.Return
		})
	}
	return found
}

func (c *compiler) body(x *function, blocks []*ir.Block) {
	c.locals, c.arrays, c.stored = 2, map[ir.Local]bool{}, map[ir.Local]bool{}
	for _, b := range blocks {
		walk(b, func(s ir.Stmt) {
			if a, ok := s.(*ir.ArrayAppendStmt); ok {
				c.arrays[a.Array] = true
			}
		})
	}
	for _, l := range x.params {
		c.local(l)
	}
	for _, b := range blocks {
		x.blocks = append(x.blocks, c.block(b))
	}
	x.locals = c.locals
}

// local is where a frame has a variable.
func (c *compiler) local(l ir.Local) int {
	c.locals = max(c.locals, int(l)+1)
	return int(l)
}

// operand is a constant, or where a frame has its value.
type operand struct {
	constant *ast.Term
	local    int
	array    bool // that may be unfinished
}

func (o operand) get(f frame) *ast.Term {
	if o.constant != nil {
		return o.constant
	}
	if o.array {
		return finished(f[o.local])
	}
	return f[o.local]
}

func (c *compiler) read(l ir.Local) operand { return operand{local: c.local(l), array: c.arrays[l]} }

func (c *compiler) operand(o ir.Operand) operand {
	switch v := o.Value.(type) {
	case ir.Local:
		return c.read(v)
	case ir.StringIndex:
		return operand{constant: c.strings[v]}
	case ir.Bool:
		return operand{constant: ast.InternedTerm(bool(v))}
	}
	c.refuse(fmt.Errorf("operand %T is not supported", o.Value))
	return operand{}
}

func (c *compiler) refuse(err error) { c.err = errors.Join(c.err, err) }

func (c *compiler) block(b *ir.Block) []step {
	out := make([]step, 0, len(b.Stmts))
	for _, s := range c.literals(b.Stmts) {
		if s := c.statement(s); s != nil {
			out = append(out, s)
		}
	}
	return out
}

func (c *compiler) blocks(bs []*ir.Block) [][]step {
	out := make([][]step, len(bs))
	for i, b := range bs {
		out[i] = c.block(b)
	}
	return out
}

// statement compiles one; nil where it does nothing.
func (c *compiler) statement(s ir.Stmt) step {
	if made := c.control(s); made != nil {
		return made
	}
	if made := c.making(s); made != nil {
		return made
	}
	if made := c.test(s); made != nil {
		return made
	}
	switch s := s.(type) {
	case *ir.NopStmt:
		return nil
	case *literal:
		return constant(c.local(s.target), s.term)
	case *ir.CallStmt:
		return c.call(s)
	case *ir.CallDynamicStmt:
		return c.callDynamic(s)
	case *ir.DotStmt:
		return c.dot(s)
	case *ir.LenStmt:
		return c.length(s)
	case *ir.AssignVarStmt:
		from, to := c.operand(s.Source), c.local(s.Target)
		return func(_ *Machine, f frame) int { f[to] = from.get(f); return next }
	case *ir.AssignVarOnceStmt:
		return c.assignOnce(s)
	case *ir.ResetLocalStmt:
		to := c.local(s.Target)
		return func(_ *Machine, f frame) int { f[to] = nil; return next }
	case *ir.ResultSetAddStmt:
		from := c.read(s.Value)
		return func(m *Machine, f frame) int { m.results.Add(from.get(f)); return next }
	case *ir.ReturnLocalStmt:
		from := c.read(s.Source)
		return func(m *Machine, f frame) int { m.returned = from.get(f); return stop }
	}
	c.refuse(fmt.Errorf("statement %T is not supported", s))
	return nil
}

func (c *compiler) assignOnce(s *ir.AssignVarOnceStmt) step {
	from, to := c.operand(s.Source), c.local(s.Target)
	return func(m *Machine, f frame) int {
		v := from.get(f)
		if old := f[to]; old != nil && !equal(old, v) {
			return m.fail(conflict("rules produce different values"))
		}
		f[to] = v
		return next
	}
}

// test compiles conditions.
func (c *compiler) test(s ir.Stmt) step {
	switch s := s.(type) {
	case *ir.EqualStmt:
		a, b := c.operand(s.A), c.operand(s.B)
		return func(_ *Machine, f frame) int { return when(equal(a.get(f), b.get(f))) }
	case *ir.NotEqualStmt:
		a, b := c.operand(s.A), c.operand(s.B)
		return func(_ *Machine, f frame) int { return when(!equal(a.get(f), b.get(f))) }
	case *ir.IsDefinedStmt:
		l := c.local(s.Source)
		return func(_ *Machine, f frame) int { return when(f[l] != nil) }
	case *ir.IsUndefinedStmt:
		l := c.local(s.Source)
		return func(_ *Machine, f frame) int { return when(f[l] == nil) }
	case *ir.IsArrayStmt:
		return is[*ast.Array](c.operand(s.Source))
	case *ir.IsObjectStmt:
		return is[ast.Object](c.operand(s.Source))
	case *ir.IsSetStmt:
		return is[ast.Set](c.operand(s.Source))
	}
	return nil
}

func is[T ast.Value](from operand) step {
	return func(_ *Machine, f frame) int {
		t := from.get(f)
		if t == nil {
			return 0
		}
		_, ok := t.Value.(T)
		return when(ok)
	}
}

// when goes on, or makes the block undefined.
func when(holds bool) int {
	if holds {
		return next
	}
	return 0
}

// equal compares values; undefined is equal to itself alone.
func equal(a, b *ast.Term) bool {
	if a == b {
		return true
	}
	if a == nil || b == nil {
		return false
	}
	if x, ok := a.Value.(ast.String); ok {
		y, ok := b.Value.(ast.String)
		return ok && x == y
	}
	return ast.Compare(a.Value, b.Value) == 0
}
