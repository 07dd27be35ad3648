package expr

import "math"

// kernel fills a memo.
type kernel func(v *Vector, at *span, m *memo)

// kernelOf is the quick way for a condition; nil: there is none.
func kernelOf(b Bool, at *span) kernel {
	switch b := b.(type) {
	case *Test:
		if t := b.Table; len(t.Refs) == 1 && t.Refs[0].Var == at.at.Var {
			return t.sweep
		}
	case *Known:
		if c, ok := b.Num.(Col); ok && c.Var == at.at.Var {
			return func(v *Vector, at *span, m *memo) { v.within(c, at, m, Missing+1, math.MaxInt64) }
		}
	case *Cmp:
		return b.kernel(at)
	case *Some:
		if at.at.Var == 0 {
			return b.sweep
		}
	case *Exists:
		if at.at.Var == 0 && b.Loop.Var == 1 {
			return b.sweep
		}
	}
	return nil
}

func (s *Some) sweep(v *Vector, _ *span, m *memo) {
	offsets := v.Machine.Columns.Arrays[s.Array][v.lo : v.lo+v.n+1]
	for row := range v.n {
		if offsets[row+1] > offsets[row] {
			m.holds.Set(row)
		}
	}
}

func (x *Exists) sweep(v *Vector, _ *span, m *memo) {
	at := &v.spans[x.Loop.Array]
	inner := v.take(at.n)
	inner.first(at.n)
	holds := m.holds
	v.keep(x.If, at, inner)
	owner := v.ownersOf(at)
	for n := range inner.All {
		holds.Set(int(owner[n]))
	}
	v.give(inner)
}

// sweep looks up the ids of a whole span.
func (t *Table) sweep(v *Vector, at *span, m *memo) {
	ids := v.Machine.Columns.IDs[t.Refs[0].Column][at.base : at.base+at.n]
	for w := range m.holds {
		part := ids[w<<6 : min(w<<6+64, len(ids))]
		var word, seen uint64
		for j, id := range part {
			var x uint64 = unasked
			if int(id) < len(t.lut) {
				x = uint64(t.lut[id])
			}
			word |= (x & 1) << j
			seen |= x
		}
		if seen&^1 != 0 {
			word = t.askWord(part, w, m)
		}
		m.holds[w] = word
	}
}

// askWord is what sweep does where answers are missing or hard.
func (t *Table) askWord(ids []uint32, w int, m *memo) uint64 {
	var word uint64
	for j, id := range ids {
		for int(id) >= len(t.lut) {
			t.lut = append(t.lut, unasked)
		}
		if t.lut[id] == unasked {
			switch c := t.Answer([4]uint32{id}); {
			case c.State == Hard:
				t.lut[id] = hard
			case c.State == Defined && c.Value != 0:
				t.lut[id] = 1
			default:
				t.lut[id] = 0
			}
		}
		word |= uint64(t.lut[id]&1) << j
		if t.lut[id] == hard {
			m.hard[w] |= 1 << j
			m.anyHard = true
		}
	}
	return word
}

// kernel of a comparison of a column with what is the same for all places.
func (c *Cmp) kernel(at *span) kernel {
	if l, ok := c.L.(*Len); ok && at.at.Var == 0 && constant(c.R) {
		return func(v *Vector, at *span, m *memo) { v.lengths(l, c, m) }
	}
	col, op, other := c.L, c.Op, c.R
	if _, ok := col.(Col); !ok {
		col, op, other = c.R, mirrored[c.Op], c.L
	}
	of, ok := col.(Col)
	if !ok || of.Var != at.at.Var || !constant(other) {
		return nil
	}
	return func(v *Vector, at *span, m *memo) {
		k, ok := other.Value(v.Machine)
		if v.Machine.Hard { // for each of them
			m.hard.first(at.n)
			m.anyHard, v.Machine.Hard = true, false
		}
		if !ok {
			return
		}
		lo, hi := Missing+1, int64(math.MaxInt64)
		switch op {
		case EQ:
			lo, hi = max(lo, k), k
		case LT:
			if hi = k; k > math.MinInt64 {
				hi--
			}
		case LE:
			hi = k
		case GT:
			if k == math.MaxInt64 {
				return
			}
			lo = max(lo, k+1)
		case GE:
			lo = max(lo, k)
		default:
			v.within(of, at, m, lo, hi)
			except := memo{holds: v.take(at.n)}
			v.within(of, at, &except, k, k)
			for i := range m.holds {
				m.holds[i] &^= except.holds[i]
			}
			v.give(except.holds)
			return
		}
		v.within(of, at, m, lo, hi)
	}
}

// lengths compares those of arrays.
func (v *Vector) lengths(l *Len, c *Cmp, m *memo) {
	k, ok := c.R.Value(v.Machine)
	if !ok {
		return
	}
	for row := range v.n {
		var n int64
		for _, a := range l.Arrays {
			offsets := v.Machine.Columns.Arrays[a]
			n += int64(offsets[v.lo+row+1] - offsets[v.lo+row])
		}
		if c.Op.holds(n, k) {
			m.holds.Set(row)
		}
	}
}

var mirrored = [...]Op{EQ: EQ, NE: NE, LT: GT, LE: GE, GT: LT, GE: LE}

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

// within fills a memo with where a column's number is in [lo, hi].
func (v *Vector) within(c Col, at *span, m *memo, lo, hi int64) {
	if lo > hi {
		return
	}
	width := uint64(hi) - uint64(lo)
	numbers := v.Machine.Columns.Ints[c.Column][at.base : at.base+at.n]
	for w := range m.holds {
		var word uint64
		for j, n := range numbers[w<<6 : min(w<<6+64, len(numbers))] {
			var in uint64
			if uint64(n)-uint64(lo) <= width {
				in = 1
			}
			word |= in << j
		}
		m.holds[w] = word
	}
}
