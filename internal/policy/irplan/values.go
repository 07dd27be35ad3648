package irplan

import (
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
)

// making compiles the statements that make values and add to them.
func (c *compiler) making(s ir.Stmt) step {
	switch s := s.(type) {
	case *ir.MakeNullStmt:
		return constant(c.local(s.Target), ast.InternedNullTerm)
	case *ir.MakeNumberIntStmt:
		return constant(c.local(s.Target), ast.InternedTerm(s.Value))
	case *ir.AssignIntStmt:
		return constant(c.local(s.Target), ast.InternedTerm(s.Value))
	case *ir.MakeNumberRefStmt:
		return constant(c.local(s.Target), ast.NewTerm(ast.Number(c.plan.Static.Strings[s.Index].Value)))
	case *ir.MakeArrayStmt:
		return constant(c.local(s.Target), ast.InternedEmptyArray)
	case *ir.MakeObjectStmt:
		to := c.local(s.Target)
		return func(_ *Machine, f frame) int { f[to] = ast.NewTerm(ast.NewObject()); return next }
	case *ir.MakeSetStmt:
		to := c.local(s.Target)
		return func(_ *Machine, f frame) int { f[to] = ast.NewTerm(ast.NewSet()); return next }
	case *ir.SetAddStmt:
		v, to := c.operand(s.Value), c.local(s.Set)
		return func(_ *Machine, f frame) int { f[to].Value.(ast.Set).Add(v.get(f)); return next }
	case *ir.ArrayAppendStmt:
		v, to := c.operand(s.Value), c.local(s.Array)
		return func(_ *Machine, f frame) int { f[to] = appended(f[to], v.get(f)); return next }
	case *ir.ObjectInsertStmt:
		k, v, to := c.operand(s.Key), c.operand(s.Value), c.local(s.Object)
		return func(_ *Machine, f frame) int { f[to].Value.(ast.Object).Insert(k.get(f), v.get(f)); return next }
	case *ir.ObjectInsertOnceStmt:
		return c.insertOnce(s)
	case *ir.ObjectMergeStmt:
		a, b, to := c.read(s.A), c.read(s.B), c.local(s.Target)
		return func(_ *Machine, f frame) int {
			f[to] = merged(a.get(f), b.get(f))
			return when(f[to] != nil)
		}
	}
	return nil
}

func constant(to int, t *ast.Term) step {
	return func(_ *Machine, f frame) int { f[to] = t; return next }
}

// unfinished is an array that is appended to: making a new one each time would
// take quadratic time.
type unfinished struct {
	*ast.Array
	elems []*ast.Term
}

func appended(t, v *ast.Term) *ast.Term {
	if u, ok := t.Value.(*unfinished); ok {
		u.elems = append(u.elems, v)
		return t
	}
	a, _ := t.Value.(*ast.Array)
	u := &unfinished{Array: a, elems: make([]*ast.Term, 0, a.Len()+4)}
	a.Foreach(func(e *ast.Term) { u.elems = append(u.elems, e) })
	u.elems = append(u.elems, v)
	return ast.NewTerm(u)
}

// finished makes an array of one that was appended to, for everybody who has it.
func finished(t *ast.Term) *ast.Term {
	if t != nil {
		if u, ok := t.Value.(*unfinished); ok {
			t.Value = ast.NewArray(u.elems...)
		}
	}
	return t
}

func (c *compiler) insertOnce(s *ir.ObjectInsertOnceStmt) step {
	k, v, to := c.operand(s.Key), c.operand(s.Value), c.local(s.Object)
	return func(m *Machine, f frame) int {
		o, _ := f[to].Value.(ast.Object)
		key, value := k.get(f), v.get(f)
		if old := o.Get(key); old == nil {
			o.Insert(key, value)
		} else if !equal(old, value) {
			return m.fail(conflict("object keys must be unique"))
		}
		return next
	}
}

// merged has what two objects have together; of other values, a.
func merged(a, b *ast.Term) *ast.Term {
	if a == nil {
		return b
	}
	if b == nil {
		return a
	}
	x, ok := a.Value.(ast.Object)
	y, also := b.Value.(ast.Object)
	if !ok || !also {
		return a
	}
	out := ast.NewObject()
	x.Foreach(func(k, v *ast.Term) { out.Insert(k, merged(v, y.Get(k))) })
	y.Foreach(func(k, v *ast.Term) {
		if x.Get(k) == nil {
			out.Insert(k, v)
		}
	})
	return ast.NewTerm(out)
}

func (c *compiler) dot(s *ir.DotStmt) step {
	from, key, to := c.operand(s.Source), c.operand(s.Key), c.local(s.Target)
	find := at
	if of, ok := s.Source.Value.(ir.Local); ok && (of == ir.Data || c.stored[of]) {
		c.stored[s.Target] = true
		find = stored
	}
	return func(_ *Machine, f frame) int {
		t := find(from.get(f), key.get(f))
		f[to] = t
		return when(t != nil)
	}
}

// stored is what is under a key where a ref goes from data on: it is a path of the
// store, in which all keys are text, so that data.x[2] is data.x["2"].
func stored(t, key *ast.Term) *ast.Term {
	if found := at(t, key); found != nil || t == nil || key == nil {
		return found
	}
	n, ok := key.Value.(ast.Number)
	o, in := t.Value.(ast.Object)
	if !ok || !in {
		return nil
	}
	return o.Get(ast.StringTerm(string(n)))
}

// at is what a collection has under a key.
func at(t, key *ast.Term) *ast.Term {
	if t == nil || key == nil {
		return nil
	}
	switch v := t.Value.(type) {
	case ast.Object:
		return v.Get(key)
	case *ast.Array:
		return v.Get(key)
	case ast.Set:
		if v.Contains(key) {
			return key
		}
	}
	return nil
}

func (c *compiler) length(s *ir.LenStmt) step {
	from, to := c.operand(s.Source), c.local(s.Target)
	return func(_ *Machine, f frame) int {
		n := 0
		if t := from.get(f); t != nil {
			switch v := t.Value.(type) {
			case *ast.Array:
				n = v.Len()
			case ast.Set:
				n = v.Len()
			case ast.Object:
				n = v.Len()
			case ast.String:
				n = len(v)
			}
		}
		f[to] = ast.InternedTerm(n)
		return next
	}
}
