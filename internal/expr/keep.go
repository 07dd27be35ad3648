package expr

// memo is what is known of a condition or a number at the places of a chunk.
type memo struct {
	chunk int
	// Of the condition or number, in whichever chunk.
	kernel kernel // nil: none
	lifted bool   // it depends on rows only, and is asked about for elements

	whole   bool // asked about at all places
	asked   Bits // else, at these
	holds   Bits // where the condition holds
	values  []int64
	hard    Bits // places at which it is hard to say
	anyHard bool
	rows    Bits // rows in which something inside was hard to say
	anyRow  bool
}

// slot is a node of a predicate, asked about for rows or the elements of an array.
type slot struct {
	node  any
	array int // -1: rows
}

type keyed struct {
	key   string
	array int
}

// memoOf is what is known of a condition or a number so far.
func (v *Vector) memoOf(node interface{ Key() string }, at *span) *memo {
	s := slot{node: node, array: -1}
	if at.at.Var != 0 {
		s.array = at.at.Array
	}
	m := v.slots[s]
	if m == nil {
		k := keyed{node.Key(), s.array}
		if m = v.keys[k]; m == nil {
			m = &memo{chunk: -1}
			on := uint8(0)
			switch n := node.(type) {
			case Bool:
				m.kernel, on = kernelOf(n, at), vars(n)
			case Num:
				on = varsOf(n)
			}
			m.lifted = at.at.Var != 0 && on&^1 == 0
			v.keys[k] = m
		}
		v.slots[s] = m
	}
	if m.chunk != v.chunk {
		m.chunk = v.chunk
		m.asked = empty(m.asked, at.n)
		m.whole, m.anyHard, m.anyRow = false, false, false
	}
	return m
}

// due are the places of mask at which m was not asked about yet, from now on
// asked; nil: none. Who gets some calls done with them.
func (v *Vector) due(m *memo, mask Bits) (due, hard Bits) {
	if m.whole {
		return nil, nil
	}
	var some uint64
	due = v.take(len(mask) << 6)
	for i, w := range mask {
		due[i] = w &^ m.asked[i]
		some |= due[i]
		m.asked[i] |= w
	}
	if some == 0 {
		v.give(due)
		return nil, nil
	}
	return due, v.listen(m)
}

// listen has hard rows noted in m until done.
func (v *Vector) listen(m *memo) (was Bits) {
	if !m.anyRow {
		m.rows = empty(m.rows, v.n)
	}
	was, v.Hard = v.Hard, m.rows
	return was
}

func (v *Vector) done(m *memo, due, was Bits) {
	v.Hard = was
	m.anyRow = m.anyRow || !m.rows.empty()
	if due != nil {
		v.give(due)
	}
}

// alarm notes the rows of mask in which it is hard to say.
func (v *Vector) alarm(m *memo, at *span, mask Bits) {
	if m.anyHard {
		owner := v.rowsOf(at)
		for n := range mask.All {
			if m.hard.Has(n) {
				if owner != nil {
					n = int(owner[n])
				}
				v.Hard.Set(n)
			}
		}
	}
	if m.anyRow {
		rows := v.take(v.n)
		if at.at.Var == 0 {
			copy(rows, mask)
		} else {
			v.owners(at, mask, rows)
		}
		for i := range rows {
			v.Hard[i] |= rows[i] & m.rows[i]
		}
		v.give(rows)
	}
}

// keep takes out of mask where b does not hold.
func (v *Vector) keep(b Bool, at *span, mask Bits) {
	switch b := b.(type) {
	case Lit:
		if !b {
			clear(mask)
		}
	case *AndOf:
		for _, t := range b.Terms {
			v.keep(t, at, mask)
		}
	case *OrOf:
		v.keepOr(b, at, mask)
	case *NotOf:
		inner := v.take(at.n)
		copy(inner, mask)
		v.keep(b.Term, at, inner)
		for i := range mask {
			mask[i] &^= inner[i]
		}
		v.give(inner)
	default:
		v.recall(b, at, mask)
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

// recall is keep for a condition whose answers are remembered.
func (v *Vector) recall(b Bool, at *span, mask Bits) {
	m := v.memoOf(b, at)
	switch {
	case m.whole:
	case m.lifted:
		v.lift(b, at, mask)
		return
	case m.kernel != nil:
		m.whole = true
		m.holds, m.hard = empty(m.holds, at.n), empty(m.hard, at.n)
		was := v.listen(m)
		m.kernel(v, at, m)
		v.done(m, nil, was)
	default:
		if len(m.holds) != len(m.asked) || m.asked.empty() {
			m.holds = empty(m.holds, at.n)
		}
		if due, was := v.due(m, mask); due != nil {
			v.ask(b, at, due, m.holds)
			v.done(m, due, was)
		}
	}
	v.alarm(m, at, mask)
	for i := range mask {
		mask[i] &= m.holds[i]
	}
}

// lift asks about the rows of elements.
func (v *Vector) lift(b Bool, at *span, mask Bits) {
	rows := v.take(v.n)
	v.owners(at, mask, rows)
	v.keep(b, &v.root, rows)
	owner := v.rowsOf(at)
	for n := range mask.All {
		if !rows.Has(int(owner[n])) {
			mask[n>>6] &^= 1 << (n & 63)
		}
	}
	v.give(rows)
}

// ask adds the places at which b holds.
func (v *Vector) ask(b Bool, at *span, due, holds Bits) {
	switch b := b.(type) {
	case *Cmp:
		l := v.numbers(b.L, at, due)
		both := v.take(at.n)
		for n := range due.All {
			if l[n] != Missing {
				both.Set(n)
			}
		}
		r := v.numbers(b.R, at, both)
		for n := range both.All {
			if r[n] != Missing && b.Op.holds(l[n], r[n]) {
				holds.Set(n)
			}
		}
		v.give(both)
	case *Known:
		known := v.numbers(b.Num, at, due)
		for n := range due.All {
			if known[n] != Missing {
				holds.Set(n)
			}
		}
	case *Test:
		v.answers(b.Table, at, due, func(n int, value int64) {
			if value != 0 && value != Missing {
				holds.Set(n)
			}
		})
	default:
		for n := range due.All {
			row := v.place(at, n)
			if b.True(v.Machine) {
				holds.Set(n)
			}
			v.note(row)
		}
	}
}
