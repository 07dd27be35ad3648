package irplan

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
)

// literal stands for the statements by which a plan builds a collection of
// constants anew each time.
type literal struct {
	ir.NopStmt
	target ir.Local
	term   *ast.Term
}

// literals puts literals in the place of the statements that build them.
func (c *compiler) literals(stmts []ir.Stmt) []ir.Stmt {
	known, times := c.scalars(stmts)
	out := slices.Clone(stmts)
	for k := len(stmts) - 1; k >= 0; k-- { // inner collections are begun later
		target, ok := made(stmts[k])
		if !ok || times[target] > 1 {
			continue
		}
		adding, ok := additions(stmts[k+1:], target)
		if !ok || len(adding) == 0 {
			continue
		}
		term, ok := c.collect(stmts[k], stmts[k+1:], adding, known)
		if !ok {
			continue
		}
		known[target] = term
		out[k] = &literal{target: target, term: term}
		for _, at := range adding {
			out[k+1+at] = &ir.NopStmt{}
		}
	}
	return out
}

// scalars are the variables that a block gives one constant and nothing else; and
// how often it begins each variable.
func (c *compiler) scalars(stmts []ir.Stmt) (known map[ir.Local]*ast.Term, times map[ir.Local]int) {
	known, times = map[ir.Local]*ast.Term{}, map[ir.Local]int{}
	for _, s := range stmts {
		if l, ok := made(s); ok {
			times[l]++
		}
		switch s := s.(type) {
		case *ir.MakeNullStmt:
			known[s.Target] = ast.InternedNullTerm
			times[s.Target]++
		case *ir.MakeNumberIntStmt:
			known[s.Target] = ast.InternedTerm(s.Value)
			times[s.Target]++
		case *ir.MakeNumberRefStmt:
			known[s.Target] = ast.NewTerm(ast.Number(c.plan.Static.Strings[s.Index].Value))
			times[s.Target]++
		case *ir.AssignIntStmt:
			times[s.Target] += 2 // a counter
		}
	}
	for l, n := range times {
		if n > 1 {
			delete(known, l)
		}
	}
	return known, times
}

// made is the variable of a new collection.
func made(s ir.Stmt) (ir.Local, bool) {
	switch s := s.(type) {
	case *ir.MakeArrayStmt:
		return s.Target, true
	case *ir.MakeSetStmt:
		return s.Target, true
	case *ir.MakeObjectStmt:
		return s.Target, true
	}
	return 0, false
}

// additions are the statements that add to a collection; not ok where something
// adds to it that may happen more than once or not at all.
func additions(stmts []ir.Stmt, to ir.Local) (at []int, ok bool) {
	for i, s := range stmts {
		if adds(s, to) {
			at = append(at, i)
			continue
		}
		nested := false
		walk(&ir.Block{Stmts: []ir.Stmt{s}}, func(s ir.Stmt) { nested = nested || adds(s, to) })
		if nested {
			return nil, false
		}
	}
	return at, true
}

func adds(s ir.Stmt, to ir.Local) bool {
	switch s := s.(type) {
	case *ir.ArrayAppendStmt:
		return s.Array == to
	case *ir.SetAddStmt:
		return s.Set == to
	case *ir.ObjectInsertStmt:
		return s.Object == to
	case *ir.ObjectInsertOnceStmt:
		return s.Object == to
	}
	return false
}

// collect makes the collection, if all that is added is known.
func (c *compiler) collect(begun ir.Stmt, stmts []ir.Stmt, adding []int, known map[ir.Local]*ast.Term) (*ast.Term, bool) {
	var keys, values []*ast.Term
	for _, at := range adding {
		var k, v *ast.Term
		switch s := stmts[at].(type) {
		case *ir.ArrayAppendStmt:
			v = c.known(s.Value, known)
			k = v
		case *ir.SetAddStmt:
			v = c.known(s.Value, known)
			k = v
		case *ir.ObjectInsertStmt:
			k, v = c.known(s.Key, known), c.known(s.Value, known)
		}
		if k == nil || v == nil {
			return nil, false
		}
		keys, values = append(keys, k), append(values, v)
	}
	switch begun.(type) {
	case *ir.MakeArrayStmt:
		return ast.ArrayTerm(values...), true
	case *ir.MakeSetStmt:
		return ast.SetTerm(values...), true
	}
	o := ast.NewObject()
	for i := range keys {
		o.Insert(keys[i], values[i])
	}
	return ast.NewTerm(o), true
}

func (c *compiler) known(o ir.Operand, known map[ir.Local]*ast.Term) *ast.Term {
	if l, ok := o.Value.(ir.Local); ok {
		return known[l]
	}
	return c.operand(o).constant
}
