package expr

import "math"

// Chunk is how many rows a Vector looks at together: few enough that what is
// known of them stays close to the processor.
const Chunk = 4096

// Vector evaluates for many rows at once. What it has no quick way for it asks
// the machine row by row, so that its answers are the machine's. It is not safe
// for use by several goroutines.
type Vector struct {
	Machine *Machine
	// Hard are the rows of the chunk that can't be answered exactly.
	Hard Bits

	lo, n int    // rows of the chunk
	spans []span // by array
	root  span
	slots map[Bool]int // of conditions that are worth remembering
	keys  map[string]int
	known []memo // by slot
	chunk int    // which one it is
	pool  []Bits
}

// span are the rows of a chunk, or the elements of one array in them.
type span struct {
	at    Loop // Var 0: rows
	base  int
	n     int
	owner []uint16 // of an element: its row in the chunk
	chunk int      // for which owner is filled
}

// memo is for which places of a chunk a condition holds, and for which it is
// hard to say.
type memo struct {
	chunk   int
	holds   Bits
	hard    Bits
	anyHard bool
}

// NewVector makes one for a machine.
func NewVector(m *Machine) *Vector {
	v := &Vector{Machine: m, slots: map[Bool]int{}, keys: map[string]int{}, spans: make([]span, len(m.Columns.Arrays))}
	for a := range v.spans {
		v.spans[a].at = Loop{Var: 1, Array: a}
	}
	return v
}

// Rows sets the chunk: rows [lo, hi), no more than Chunk.
func (v *Vector) Rows(lo, hi int) {
	v.chunk++
	v.lo, v.n = lo, hi-lo
	v.root = span{base: lo, n: v.n}
	for a, offsets := range v.Machine.Columns.Arrays {
		v.spans[a].base = int(offsets[lo])
		v.spans[a].n = int(offsets[hi] - offsets[lo])
	}
	v.Hard = append(v.Hard[:0], make(Bits, words(v.n))...)
}

// take lends an empty set for n; give takes it back.
func (v *Vector) take(n int) Bits {
	w := words(n)
	if last := len(v.pool) - 1; last >= 0 {
		b := v.pool[last]
		v.pool = v.pool[:last]
		if cap(b) >= w {
			b = b[:w]
			clear(b)
			return b
		}
	}
	return make(Bits, w, max(w, words(Chunk)))
}

func (v *Vector) give(b Bits) { v.pool = append(v.pool, b) }

// Lead says what to do where steps lead. A nil Visit is one that is content with
// Rows.
type Lead struct {
	Rows  func(rows Bits)
	Visit Visitor // the machine is at the place
}

// Each goes through the steps for all rows of the chunk: Rows gets all that they
// lead somewhere for, or Visit is told of every way through them.
func (v *Vector) Each(steps []Step, l Lead) {
	at := &v.root
	mask := v.take(v.n)
	mask.first(v.n)
	for i := range steps {
		s := &steps[i]
		switch {
		case s.Loop.Var == 0:
			v.keep(s.If, at, mask)
		case at == &v.root:
			at = &v.spans[s.Loop.Array]
			inner := v.elements(at, mask)
			v.give(mask)
			mask = inner
		default: // a loop within a loop
			v.visit(at, mask, steps[i:], l)
			v.give(mask)
			return
		}
		if mask.empty() {
			v.give(mask)
			return
		}
	}
	if l.Visit == nil {
		rows := v.owners(at, mask)
		l.Rows(rows)
		if at != &v.root {
			v.give(rows)
		}
	} else {
		v.visit(at, mask, nil, l)
	}
	v.give(mask)
}

// visit goes through the rest of the steps place by place.
func (v *Vector) visit(at *span, mask Bits, rest []Step, l Lead) {
	var rows Bits
	visitor := l.Visit
	if visitor == nil {
		rows = v.take(v.n)
	}
	for n := range mask.All {
		row := v.place(at, n)
		if visitor != nil {
			v.Machine.Each(rest, visitor)
		} else if v.leads(rest) {
			rows.Set(row)
		}
		v.note(row)
	}
	if visitor == nil {
		l.Rows(rows)
		v.give(rows)
	}
}

// arrived stops at the first way through steps.
type arrived struct{ yes bool }

// Visit implements Visitor.
func (a *arrived) Visit() bool {
	a.yes = true
	return false
}

func (v *Vector) leads(rest []Step) bool {
	var a arrived
	v.Machine.Each(rest, &a)
	return a.yes
}

// place puts the machine at a place of the span, and returns its row in the
// chunk.
func (v *Vector) place(at *span, n int) int {
	row := n
	if at.at.Var != 0 {
		row = int(v.ownersOf(at)[n])
		v.Machine.at[at.at.Var] = uint32(at.base + n)
	}
	v.Machine.Row(v.lo + row)
	return row
}

// note remembers that the machine could not tell.
func (v *Vector) note(row int) {
	if v.Machine.Hard {
		v.Hard.Set(row)
		v.Machine.Hard = false
	}
}

func (v *Vector) ownersOf(at *span) []uint16 {
	if at.chunk == v.chunk {
		return at.owner
	}
	at.chunk = v.chunk
	at.owner = at.owner[:0]
	offsets := v.Machine.Columns.Arrays[at.at.Array][v.lo : v.lo+v.n+1]
	for row := range v.n {
		for range offsets[row+1] - offsets[row] {
			at.owner = append(at.owner, uint16(row))
		}
	}
	return at.owner
}

// elements are those of the rows.
func (v *Vector) elements(at *span, rows Bits) Bits {
	out := v.take(at.n)
	offsets := v.Machine.Columns.Arrays[at.at.Array]
	if rows.Count() == v.n {
		out.first(at.n)
		return out
	}
	for row := range rows.All {
		out.span(int(offsets[v.lo+row])-at.base, int(offsets[v.lo+row+1])-at.base)
	}
	return out
}

// owners are the rows of the elements; those of rows are themselves.
func (v *Vector) owners(at *span, mask Bits) Bits {
	if at == &v.root {
		return mask
	}
	out := v.take(v.n)
	owner := v.ownersOf(at)
	for n := range mask.All {
		out.Set(int(owner[n]))
	}
	return out
}

// keep takes out of mask where b does not hold.
func (v *Vector) keep(b Bool, at *span, mask Bits) {
	switch b := b.(type) {
	case Lit:
		if !b {
			clear(mask)
		}
		return
	case *AndOf:
		for _, t := range b.Terms {
			v.keep(t, at, mask)
		}
		return
	case *OrOf:
		v.keepOr(b, at, mask)
		return
	case *NotOf:
		inner := v.take(at.n)
		copy(inner, mask)
		v.keep(b.Term, at, inner)
		for i := range mask {
			mask[i] &^= inner[i]
		}
		v.give(inner)
		return
	}
	if m := v.recall(b, at); m != nil {
		v.narrow(m, at, mask)
		return
	}
	for n := range mask.All {
		row := v.place(at, n)
		if !b.True(v.Machine) {
			mask[n>>6] &^= 1 << (n & 63)
		}
		v.note(row)
	}
}

func (v *Vector) keepOr(b *OrOf, at *span, mask Bits) {
	left, one := v.take(at.n), v.take(at.n)
	copy(left, mask)
	for _, t := range b.Terms {
		copy(one, left)
		v.keep(t, at, one)
		for i := range left {
			left[i] &^= one[i]
		}
	}
	for i := range mask {
		mask[i] &^= left[i]
	}
	v.give(left)
	v.give(one)
}

func (v *Vector) narrow(m *memo, at *span, mask Bits) {
	if m.anyHard {
		for n := range mask.All {
			if m.hard.Has(n) {
				row := n
				if at.at.Var != 0 {
					row = int(v.ownersOf(at)[n])
				}
				v.Hard.Set(row)
			}
		}
	}
	for i := range mask {
		mask[i] &= m.holds[i]
	}
}

// recall is a condition that is quickest looked at for all places of the span at
// once, and remembered; nil: it is none.
func (v *Vector) recall(b Bool, at *span) *memo {
	k := kernelOf(b, at)
	if k == nil {
		return nil
	}
	slot, ok := v.slots[b]
	if !ok {
		key := b.Key()
		if slot, ok = v.keys[key]; !ok {
			slot = len(v.known)
			v.keys[key] = slot
			v.known = append(v.known, memo{})
		}
		v.slots[b] = slot
	}
	m := &v.known[slot]
	if m.chunk == v.chunk {
		return m
	}
	m.chunk, m.anyHard = v.chunk, false
	w := words(at.n)
	m.holds = append(m.holds[:0], make(Bits, w)...)
	m.hard = append(m.hard[:0], make(Bits, w)...)
	k(v, at, m)
	return &v.known[slot] // an inner condition may have moved it
}

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
