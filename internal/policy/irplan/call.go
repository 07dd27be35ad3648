package irplan

import (
	"errors"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
	"github.com/open-policy-agent/opa/v1/topdown"
)

func (c *compiler) call(s *ir.CallStmt) step {
	args, to := make([]operand, len(s.Args)), c.local(s.Result)
	for i := range s.Args {
		args[i] = c.operand(s.Args[i])
	}
	if x, ok := c.named[s.Func]; ok {
		return func(m *Machine, f frame) int {
			f[to] = m.call(x, args, f)
			if m.err != nil {
				return stop
			}
			return when(f[to] != nil)
		}
	}
	if holds, ok := comparisons[s.Func]; ok {
		return compare(args, to, holds)
	}
	call := c.builtin(s.Func, args, to)
	if exact, ok := arithmetic[s.Func]; ok {
		return compute(args, to, exact, call)
	}
	return call
}

// call calls a function of the plan; nil: it is undefined, or failed.
func (m *Machine) call(x *function, args []operand, caller frame) *ast.Term {
	var memo *kept
	if x.pure {
		memo = &m.kept[x.id]
		input, data := args[0].get(caller), args[1].get(caller)
		if memo.known && memo.data == data && (x.fixed || memo.input == input) {
			return memo.result
		}
	}
	if m.cancel.Cancelled() {
		m.err = errCancelled
		return nil
	}
	top := len(m.stack)
	f := m.push(x.locals)
	for i, a := range args {
		f[x.params[i]] = a.get(caller)
	}
	input, data := f[ir.Input], f[ir.Data]
	m.returned = nil
	x.run(m, f)
	out := m.returned
	m.stack = m.stack[:top]
	if m.err != nil {
		return nil
	}
	if memo != nil {
		*memo = kept{input: input, data: data, result: out, known: true}
	}
	return out
}

// callDynamic calls the function that lies at a path, where there is one. If it
// is undefined then so are the three blocks around it.
func (c *compiler) callDynamic(s *ir.CallDynamicStmt) step {
	path, to := make([]operand, len(s.Path)), c.local(s.Result)
	for i := range s.Path {
		path[i] = c.operand(s.Path[i])
	}
	args := make([]operand, len(s.Args))
	for i := range s.Args {
		args[i] = c.read(s.Args[i])
	}
	if len(args) != 2 {
		c.refuse(fmt.Errorf("dynamic call with %d arguments is not supported", len(args)))
	}
	return func(m *Machine, f frame) int {
		names := make([]string, len(path))
		for i, p := range path {
			t := p.get(f)
			if t == nil {
				return 0
			}
			name, ok := t.Value.(ast.String)
			if !ok {
				return 0
			}
			names[i] = string(name)
		}
		x := m.program.dynamic[strings.Join(names, pathSeparator)]
		if x == nil {
			return 0
		}
		f[to] = m.call(x, args, f)
		switch {
		case m.err != nil:
			return stop
		case f[to] == nil:
			return 3
		}
		return next
	}
}

// comparisons are the builtins that are no more than OPA's order of values.
var comparisons = map[string]func(order int) bool{
	"lt":    func(o int) bool { return o < 0 },
	"lte":   func(o int) bool { return o <= 0 },
	"gt":    func(o int) bool { return o > 0 },
	"gte":   func(o int) bool { return o >= 0 },
	"equal": func(o int) bool { return o == 0 },
	"neq":   func(o int) bool { return o != 0 },
}

func compare(args []operand, to int, holds func(int) bool) step {
	a, b := args[0], args[1]
	return func(_ *Machine, f frame) int {
		x, y := a.get(f), b.get(f)
		if x == nil || y == nil {
			return 0
		}
		f[to] = ast.InternedTerm(holds(ast.Compare(x.Value, y.Value)))
		return next
	}
}

// builtin calls one of OPA's.
func (c *compiler) builtin(name string, args []operand, to int) step {
	known, call := c.built[name], topdown.GetBuiltin(name)
	if known == nil || call == nil {
		c.refuse(fmt.Errorf("builtin %s is not known", name))
		return nil
	}
	decl := ast.BuiltinMap[name]
	relation, void := decl != nil && decl.Relation, known.Decl.Result() == nil
	return func(m *Machine, f frame) int {
		operands := m.operands[:0] // no builtin keeps them
		for _, a := range args {
			t := a.get(f)
			if t == nil {
				return 0
			}
			operands = append(operands, t)
		}
		m.operands = operands
		m.outputs = m.outputs[:0]
		err := call(m.context, operands, m.hear)
		switch {
		case err != nil && m.halted(err):
			return stop
		case relation:
			f[to] = ast.ArrayTerm(append([]*ast.Term(nil), m.outputs...)...)
			return next
		case len(m.outputs) == 0:
			f[to] = nil
			return 0
		}
		f[to] = m.outputs[0]
		if void {
			f[to] = ast.InternedTerm(true)
		}
		return next
	}
}

// halted notes the error of a builtin and says whether it ends the evaluation.
func (m *Machine) halted(err error) bool {
	var halt topdown.Halt
	if errors.As(err, &halt) {
		m.err = halt.Err
		return true
	}
	m.failed = append(m.failed, err)
	return false
}
