package irplan

import (
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
)

// control compiles the statements that have blocks, and the way out of them.
func (c *compiler) control(s ir.Stmt) step {
	switch s := s.(type) {
	case *ir.BlockStmt:
		return inBlocks(c.blocks(s.Blocks))
	case *ir.BreakStmt:
		n := int(s.Index)
		return func(*Machine, frame) int { return n }
	case *ir.NotStmt:
		return not(c.block(s.Block))
	case *ir.ScanStmt:
		return c.scan(s)
	case *ir.WithStmt:
		return c.with(s)
	}
	return nil
}

func inBlocks(blocks [][]step) step {
	return func(m *Machine, f frame) int {
		for _, b := range blocks {
			switch r := run(b, m, f); {
			case r == stop:
				return stop
			case r > 0:
				return r - 1
			}
		}
		return next
	}
}

func not(b []step) step {
	return func(m *Machine, f frame) int {
		switch r := run(b, m, f); {
		case r == next:
			return 0
		case r == 0:
			return next
		case r == stop:
			return stop
		default:
			return r - 1
		}
	}
}

func (c *compiler) scan(s *ir.ScanStmt) step {
	l := &loop{from: c.read(s.Source), key: c.local(s.Key), value: c.local(s.Value), body: c.block(s.Block)}
	return func(m *Machine, f frame) int {
		t := l.from.get(f)
		if t == nil {
			return next
		}
		switch v := t.Value.(type) {
		case *ast.Array:
			for i := range v.Len() {
				if done, out := l.once(m, f, ast.InternedTerm(i), v.Elem(i)); done {
					return out
				}
			}
		case ast.Set:
			for _, t := range v.Slice() {
				if done, out := l.once(m, f, t, t); done {
					return out
				}
			}
		case ast.Object:
			out := next
			v.Until(func(k, v *ast.Term) (done bool) {
				done, out = l.once(m, f, k, v)
				return done
			})
			return out
		}
		return next
	}
}

type loop struct {
	from       operand
	key, value int
	body       []step
}

// once runs a loop's body; out counts only when the loop is done.
func (l *loop) once(m *Machine, f frame, key, value *ast.Term) (done bool, out int) {
	if m.cancel.Cancelled() {
		return true, m.fail(errCancelled)
	}
	f[l.key], f[l.value] = key, value
	switch r := run(l.body, m, f); {
	case r == stop:
		return true, stop
	case r == 1: // out of the loop, and on behind it
		return true, next
	case r > 1:
		return true, r - 2
	}
	return false, next
}

// with replaces a document, or a part of it, for the length of a block. What
// pure functions answered is told apart by their arguments, which differ then.
func (c *compiler) with(s *ir.WithStmt) step {
	l, value, body := c.local(s.Local), c.operand(s.Value), c.block(s.Block)
	path := make([]*ast.Term, len(s.Path))
	for i, at := range s.Path {
		path[i] = c.strings[at]
	}
	return func(m *Machine, f frame) int {
		old := f[l]
		f[l] = put(old, path, value.get(f))
		r := run(body, m, f)
		f[l] = old
		if r > 0 {
			return r - 1
		}
		return r
	}
}

// put is t with a value at a path; what lies there and on the way that is no
// object gives way.
func put(t *ast.Term, path []*ast.Term, value *ast.Term) *ast.Term {
	if len(path) == 0 {
		return value
	}
	out := ast.NewObject()
	var child *ast.Term
	if t != nil {
		if old, ok := t.Value.(ast.Object); ok {
			child = old.Get(path[0])
			old.Foreach(out.Insert)
		}
	}
	out.Insert(path[0], put(child, path[1:], value))
	return ast.NewTerm(out)
}
