package expr

import "math"

// inRange is a number of a column next to one that is the same for all places.
type inRange struct {
	col   *intView
	op    Op
	other Num

	epoch  int
	lo, hi int64
	holds  Bits
}

var mirrored = [...]Op{EQ: EQ, NE: NE, LT: GT, LE: GE, GT: LT, GE: LE}

func newRange(at *span, c *Cmp) cond {
	if l, ok := c.L.(Col); ok && constant(c.R) {
		return &inRange{col: at.intsAt(Ref(l)), op: c.Op, other: c.R}
	}
	if r, ok := c.R.(Col); ok && constant(c.L) {
		return &inRange{col: at.intsAt(Ref(r)), op: mirrored[c.Op], other: c.L}
	}
	return nil
}

// split is a comparison of a number that is the same for all places with the best
// of some columns, or with one of two, as comparisons with each; nil: it is none.
func split(c *Cmp) Bool {
	op, k, n := c.Op, c.L, c.R
	if !constant(k) {
		op, k, n = mirrored[op], n, k
	}
	if !constant(k) || op == EQ || op == NE {
		return nil
	}
	var all, any []Bool
	switch n := n.(type) {
	case *Best:
		for _, of := range n.Of {
			if !plain(of) {
				return nil
			}
			all = append(all, &Known{Num: of})
			any = append(any, &Cmp{Op: op, L: k, R: of})
		}
		if len(any) == 0 {
			return nil
		}
		if (op == LT || op == LE) == n.Least { // better than the best is better than all
			return And(append(all, any...)...)
		}
		return And(append(all, Or(any...))...)
	case *Otherwise:
		if plain(n.Num) && plain(n.Else) {
			known := &Known{Num: n.Num}
			return Or(And(known, &Cmp{Op: op, L: k, R: n.Num}), And(Not(known), &Cmp{Op: op, L: k, R: n.Else}))
		}
	}
	return nil
}

// plain says whether a number is a column, or the same for all places.
func plain(n Num) bool {
	_, ok := n.(Col)
	return ok || constant(n)
}

// constant says whether a number is the same for all rows.
func constant(n Num) bool {
	switch n := n.(type) {
	case Const, Now:
		return true
	case *Lookup:
		return len(n.Table.Refs) == 0
	}
	return false
}

// bounds are the least and the greatest number that it holds for; of NE, the one
// that it does not.
func (c *inRange) bounds(m *Machine) (lo, hi int64, ok bool) {
	k, ok := c.other.Value(m)
	lo, hi = Missing+1, int64(math.MaxInt64)
	switch c.op {
	case EQ, NE:
		lo, hi = max(lo, k), k
	case LT:
		if hi = k; k > math.MinInt64 {
			hi--
		}
	case LE:
		hi = k
	case GT:
		if k == math.MaxInt64 {
			return 0, 0, false
		}
		lo = max(lo, k+1)
	case GE:
		lo = max(lo, k)
	}
	return lo, hi, ok
}

func (c *inRange) keep(v *Vector, at *span, mask Bits) {
	lo, hi, ok := c.bounds(v.Machine)
	if v.Machine.Hard { // for each of them
		v.Machine.Hard = false
		v.hardAt(at, mask)
	}
	if !ok || lo > hi && c.op != NE {
		clear(mask)
		return
	}
	col := c.col.get(v, at)
	if c.epoch != at.epoch || c.lo != lo || c.hi != hi {
		if sparse(mask, at.n) {
			for n := range mask.All {
				if k := col.At(n); k == Missing || (k < lo || k > hi) != (c.op == NE) {
					mask.Unset(n)
				}
			}
			return
		}
		c.epoch, c.lo, c.hi = at.epoch, lo, hi
		c.holds = empty(c.holds, at.n)
		if c.op != NE {
			col.within(lo, hi, at.n, c.holds)
		} else {
			one := v.take(at.n)
			col.within(lo, hi, at.n, one)
			col.within(Missing+1, math.MaxInt64, at.n, c.holds)
			c.holds.Drop(one)
			v.give(one)
		}
	}
	mask.only(c.holds)
}

// sparse says whether a set has so few of n places that it is quicker to go
// through them than through all.
func sparse(mask Bits, n int) bool { return n > 64 && mask.Count()*8 < n }
