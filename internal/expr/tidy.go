package expr

import "slices"

// Tidy leaves out conditions that those before imply, and those that something
// is defined where what follows needs that anyway: a comparison, a loop through
// an array that must have elements, or what is done behind the steps, integers
// that count for nothing where they are undefined.
func Tidy(steps []Step, behind ...Num) []Step {
	f := facts{}
	var first []Step
	for _, s := range steps {
		switch {
		case s.Loop.Var != 0:
			f[(&Some{Array: s.Loop.Array}).Key()] = true
		case f.imply(s.If):
			continue
		default:
			f.bool(s.If)
		}
		first = append(first, s)
	}
	f = facts{}
	for _, n := range behind {
		if n != nil {
			f.num(n)
		}
	}
	var out []Step
	for i := len(first) - 1; i >= 0; i-- {
		s := first[i]
		switch {
		case s.Loop.Var != 0:
			f[(&Some{Array: s.Loop.Array}).Key()] = true
		case defines(s.If) && f.imply(s.If):
			continue
		default:
			f.bool(s.If)
		}
		out = append(out, s)
	}
	slices.Reverse(out)
	return out
}

// defines says whether a condition is no more than that something is there, or
// that there is so much of it, and nothing fails over it: a failure must be heard of even where another condition
// does not hold.
func defines(b Bool) bool {
	switch b := b.(type) {
	case *Some:
		return true
	case *Known:
		return !failing(b.Num)
	case *Test:
		return b.Table.Defines && !b.Table.Fails
	case *AndOf:
		return !slices.ContainsFunc(b.Terms, func(t Bool) bool { return !defines(t) })
	case *Cmp:
		if _, ok := b.L.(*Len); ok {
			return true
		}
		m, ok := b.L.(*Memo)
		if !ok {
			return false
		}
		count, ok := m.Num.(*Count)
		return ok && Unfailing(count.Items)
	}
	return false
}

// facts are the keys of what is known to hold.
type facts map[string]bool

func (f facts) imply(b Bool) bool {
	if f[b.Key()] {
		return true
	}
	a, ok := b.(*AndOf)
	if !ok {
		return false
	}
	for _, t := range a.Terms {
		if !f.imply(t) {
			return false
		}
	}
	return true
}

// bool adds what holds where b does.
func (f facts) bool(b Bool) {
	f[b.Key()] = true
	switch b := b.(type) {
	case *AndOf:
		for _, t := range b.Terms {
			f.bool(t)
		}
	case *Cmp:
		f.num(b.L)
		f.num(b.R)
	case *Known:
		f.num(b.Num)
	case *In:
		f.num(b.Num)
	case *Test:
		f.table(b.Table)
	case *Exists:
		f[(&Some{Array: b.Loop.Array}).Key()] = true
	}
}

// num adds what holds where n is defined.
func (f facts) num(n Num) {
	f[(&Known{Num: n}).Key()] = true
	switch n := n.(type) {
	case *Sum:
		f.num(n.A)
		f.num(n.B)
	case *Product:
		f.num(n.A)
		f.num(n.B)
	case *Rest:
		f.num(n.A)
		f.num(n.B)
	case *Best:
		for _, of := range n.Of {
			f.num(of)
		}
	case *Last:
		f.num(n.Place)
		f[(&Cmp{Op: GE, L: &Count{Items: n.Items}, R: n.Place}).Key()] = true // else there is none
		if n.Most != nil {
			f[(&Cmp{Op: GE, L: n.Most, R: n.Place}).Key()] = true
		}
	case *Memo:
		f.num(n.Num)
	case *Func:
		f.num(n.Arg)
	case *Lookup:
		f.table(n.Table)
	}
}

func (f facts) table(t *Table) {
	f[definedKey(t.Of)] = true
	for label := range t.Needs {
		f[definedKey(label)] = true
	}
}

// definedKey is the key of the test that what has a label is defined.
func definedKey(label string) string { return "defined(" + label + ")" }

// tidy does the same for the terms of a conjunction.
func tidy(terms []Bool) []Bool {
	steps := make([]Step, len(terms))
	for i, t := range terms {
		steps[i].If = t
	}
	out := terms[:0]
	for _, s := range Tidy(steps) {
		out = append(out, s.If)
	}
	return out
}
