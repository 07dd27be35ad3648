package expr

import (
	"fmt"
	"slices"
	"strings"
)

// Lit is true or false.
type Lit bool

// True implements Bool.
func (l Lit) True(*Machine) bool { return bool(l) }

// Key implements Bool.
func (l Lit) Key() string { return fmt.Sprint(bool(l)) }

// AndOf holds where all hold. They are looked at in order, and no further than
// the first that does not.
type AndOf struct {
	Terms []Bool
	key   string
}

// And is the simplest predicate that holds where all hold.
func And(terms ...Bool) Bool {
	flat, done := gather[*AndOf](terms, false, func(a *AndOf) []Bool { return a.Terms })
	if done {
		return Lit(false)
	}
	flat = tidy(flat)
	switch len(flat) {
	case 0:
		return Lit(true)
	case 1:
		return flat[0]
	}
	return &AndOf{Terms: flat, key: keys("and", flat)}
}

// True implements Bool.
func (a *AndOf) True(m *Machine) bool {
	for _, t := range a.Terms {
		if !t.True(m) {
			return false
		}
	}
	return true
}

// Key implements Bool.
func (a *AndOf) Key() string { return a.key }

// OrOf holds where one holds.
type OrOf struct {
	Terms []Bool
	key   string
}

// Or is the simplest predicate that holds where one of them does.
func Or(terms ...Bool) Bool {
	flat, done := gather[*OrOf](terms, true, func(o *OrOf) []Bool { return o.Terms })
	if done {
		return Lit(true)
	}
	switch len(flat) {
	case 0:
		return Lit(false)
	case 1:
		return flat[0]
	}
	return &OrOf{Terms: flat, key: keys("or", flat)}
}

// True implements Bool.
func (o *OrOf) True(m *Machine) bool {
	for _, t := range o.Terms {
		if t.True(m) {
			return true
		}
	}
	return false
}

// Key implements Bool.
func (o *OrOf) Key() string { return o.key }

// gather flattens terms of the same kind and drops those that change nothing;
// done: one of them decides alone, or two of them contradict each other.
func gather[T Bool](terms []Bool, decides Lit, inner func(T) []Bool) (flat []Bool, done bool) {
	seen := map[string]bool{}
	var add func(b Bool)
	add = func(b Bool) {
		switch t := b.(type) {
		case Lit:
			done = done || t == decides
			return
		case T:
			for _, x := range inner(t) {
				add(x)
			}
			return
		}
		if k := b.Key(); !seen[k] {
			seen[k] = true
			flat = append(flat, b)
		}
	}
	for _, b := range terms {
		add(b)
	}
	done = done || slices.ContainsFunc(flat, func(b Bool) bool {
		n, ok := b.(*NotOf)
		return ok && seen[n.Term.Key()]
	})
	return flat, done
}

func keys(op string, terms []Bool) string {
	parts := make([]string, len(terms))
	for i, t := range terms {
		parts[i] = t.Key()
	}
	return op + "(" + strings.Join(parts, ",") + ")"
}

// NotOf holds where its term does not.
type NotOf struct{ Term Bool }

// Not is the opposite.
func Not(t Bool) Bool {
	switch t := t.(type) {
	case Lit:
		return !t
	case *NotOf:
		return t.Term
	}
	return &NotOf{Term: t}
}

// True implements Bool.
func (n *NotOf) True(m *Machine) bool { return !n.Term.True(m) }

// Key implements Bool.
func (n *NotOf) Key() string { return "not(" + n.Term.Key() + ")" }

// Op is a comparison.
type Op uint8

const (
	EQ Op = iota
	NE
	LT
	LE
	GT
	GE
)

func (o Op) holds(a, b int64) bool {
	switch o {
	case EQ:
		return a == b
	case NE:
		return a != b
	case LT:
		return a < b
	case LE:
		return a <= b
	case GT:
		return a > b
	}
	return a >= b
}

// Cmp compares two integers, both of which must be defined.
type Cmp struct {
	Op   Op
	L, R Num
}

// True implements Bool.
func (c *Cmp) True(m *Machine) bool {
	l, ok := c.L.Value(m)
	if !ok {
		return false
	}
	r, ok := c.R.Value(m)
	return ok && c.Op.holds(l, r)
}

// Key implements Bool.
func (c *Cmp) Key() string { return fmt.Sprintf("cmp(%d,%s,%s)", c.Op, c.L.Key(), c.R.Key()) }

// Known holds where an integer is defined.
type Known struct{ Num Num }

// True implements Bool.
func (k *Known) True(m *Machine) bool {
	_, ok := k.Num.Value(m)
	return ok
}

// Key implements Bool.
func (k *Known) Key() string { return "known(" + k.Num.Key() + ")" }

// Test holds where a table answers with something other than 0.
type Test struct{ Table *Table }

// True implements Bool.
func (t *Test) True(m *Machine) bool {
	v, ok := m.number(t.Table.cell(m))
	return ok && v != 0
}

// Key implements Bool.
func (t *Test) Key() string {
	if t.Table.Defines {
		return definedKey(t.Table.Of)
	}
	return "test(" + t.Table.Label + ")"
}

// Same holds where two loops over one array are at the same element.
type Same struct{ A, B int }

// True implements Bool.
func (s *Same) True(m *Machine) bool { return m.at[s.A] == m.at[s.B] }

// Key implements Bool.
func (s *Same) Key() string { return fmt.Sprintf("same(%d,%d)", s.A, s.B) }

// Some holds where an array of the row has elements.
type Some struct{ Array int }

// True implements Bool.
func (s *Some) True(m *Machine) bool {
	lo, hi := m.bounds(s.Array)
	return lo < hi
}

// Key implements Bool.
func (s *Some) Key() string { return fmt.Sprintf("some(%d)", s.Array) }

// Exists holds where it does for one of the elements.
type Exists struct {
	Loop Loop
	If   Bool
}

// True implements Bool.
func (x *Exists) True(m *Machine) bool {
	lo, hi := m.bounds(x.Loop.Array)
	was, found := m.at[x.Loop.Var], false
	for e := lo; e < hi && !found; e++ {
		m.at[x.Loop.Var] = e
		found = x.If.True(m)
	}
	m.at[x.Loop.Var] = was
	return found
}

// Key implements Bool.
func (x *Exists) Key() string {
	return fmt.Sprintf("exists(%d,%d,%s)", x.Loop.Var, x.Loop.Array, x.If.Key())
}
