package expr

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
		v.spans[a].base = int(offsets.At(lo))
		v.spans[a].n = int(offsets.At(hi)) - v.spans[a].base
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
	mask.Drop(v.Hard) // somebody else answers for them, and they may be hard because they have so much
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
	switch a := v.Machine.Columns.Arrays[at.at.Array]; {
	case a.U8 != nil:
		at.owner = own(at.owner, a.U8[v.lo:v.lo+v.n+1])
	case a.U16 != nil:
		at.owner = own(at.owner, a.U16[v.lo:v.lo+v.n+1])
	case a.U32 != nil:
		at.owner = own(at.owner, a.U32[v.lo:v.lo+v.n+1])
	}
	return at.owner
}

// own appends to each element its row.
func own[T width](owner []uint16, offsets []T) []uint16 {
	for row := range len(offsets) - 1 {
		for range int(offsets[row+1] - offsets[row]) {
			owner = append(owner, uint16(row))
		}
	}
	return owner
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
		out.span(int(offsets.At(v.lo+row))-at.base, int(offsets.At(v.lo+row+1))-at.base)
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
