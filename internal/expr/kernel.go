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
	switch a := v.Machine.Columns.Arrays[s.Array]; {
	case a.U8 != nil:
		longer(a.U8[v.lo:v.lo+v.n+1], m.holds)
	case a.U16 != nil:
		longer(a.U16[v.lo:v.lo+v.n+1], m.holds)
	case a.U32 != nil:
		longer(a.U32[v.lo:v.lo+v.n+1], m.holds)
	}
}

// longer sets the rows whose next one begins later.
func longer[T width](offsets []T, holds Bits) {
	for row := range len(offsets) - 1 {
		if offsets[row+1] > offsets[row] {
			holds.Set(row)
		}
	}
}

// width is what a column's numbers are kept in.
type width interface {
	uint8 | uint16 | uint32 | int64
}

func (x *Exists) sweep(v *Vector, _ *span, m *memo) {
	at := &v.spans[x.Loop.Array]
	inner := v.take(at.n)
	v.allOf(at, inner)
	holds := m.holds
	v.keep(x.If, at, inner)
	owner := v.rowsOf(at)
	for n := range inner.All {
		holds.Set(int(owner[n]))
	}
	v.give(inner)
}

// sweep looks up the ids of a whole span.
func (t *Table) sweep(v *Vector, at *span, m *memo) {
	lo, hi := at.base, at.base+at.n
	switch c := v.Machine.Columns.IDs[t.Refs[0].Column]; {
	case c.U8 != nil:
		lookup(t, c.U8[lo:hi], m)
	case c.U16 != nil:
		lookup(t, c.U16[lo:hi], m)
	case c.U32 != nil:
		lookup(t, c.U32[lo:hi], m)
	default:
		switch t.look(c.Same) {
		case hard:
			m.hard.first(at.n)
			m.anyHard = true
		case 1:
			m.holds.first(at.n)
		}
	}
}

func lookup[T uint8 | uint16 | uint32](t *Table, ids []T, m *memo) {
	for w := range m.holds {
		part := ids[w<<6 : min(w<<6+64, len(ids))]
		var word, seen uint64
		for j, id := range part {
			var x uint64 = unasked
			if int(id) < len(t.lut) {
				x = uint64(t.lut[id])
			}
			word |= (x & 1) << (j & 63)
			seen |= x
		}
		if seen&^1 != 0 {
			word = askWord(t, part, w, m)
		}
		m.holds[w] = word
	}
}

// askWord is what lookup does where answers are missing or hard.
func askWord[T uint8 | uint16 | uint32](t *Table, ids []T, w int, m *memo) uint64 {
	var word uint64
	for j, id := range ids {
		x := t.look(uint32(id))
		word |= uint64(x&1) << j
		if x == hard {
			m.hard[w] |= 1 << j
			m.anyHard = true
		}
	}
	return word
}

// look is what lut says of an id.
func (t *Table) look(id uint32) uint8 {
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
	return t.lut[id]
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
			n += int64(offsets.At(v.lo+row+1) - offsets.At(v.lo+row))
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
	from, to := at.base, at.base+at.n
	col := v.Machine.Columns.Ints[c.Column]
	switch {
	case col.I64 != nil:
		between(col.I64[from:to], uint64(lo), uint64(hi)-uint64(lo), m.holds)
		return
	case col.U8 == nil && col.U16 == nil && col.U32 == nil:
		if lo <= col.Same && col.Same <= hi {
			m.holds.first(at.n)
		}
		return
	}
	first, last, any := col.codes(lo, hi)
	switch {
	case !any:
	case col.U8 != nil:
		between(col.U8[from:to], first, last-first, m.holds)
	case col.U16 != nil:
		between(col.U16[from:to], first, last-first, m.holds)
	default:
		between(col.U32[from:to], first, last-first, m.holds)
	}
}

// between fills a set with where a number is in [lo, lo+more].
func between[T width](numbers []T, lo, more uint64, holds Bits) {
	for w := range holds {
		var word uint64
		for j, n := range numbers[w<<6 : min(w<<6+64, len(numbers))] {
			var in uint64
			if uint64(n)-lo <= more {
				in = 1
			}
			word |= in << (j & 63)
		}
		holds[w] = word
	}
}
