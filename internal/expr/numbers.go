package expr

// numbers are a number's at the places of mask: Missing where it is undefined.
// Those at other places mean nothing.
func (v *Vector) numbers(n Num, at *span, mask Bits) []int64 {
	if k, ok := n.(*Memo); ok {
		n = k.Num
	}
	m := v.memoOf(n, at)
	if due, was := v.due(m, mask); due != nil {
		m.values = sized(m.values, at.n)
		v.find(n, at, due, m)
		v.done(m, due, was)
	}
	v.alarm(m, at, mask)
	return m.values
}

func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return append(make([]T, 0, max(n, Chunk)), s...)[:n]
	}
	return s[:n]
}

// find puts the numbers at due places into m.
func (v *Vector) find(n Num, at *span, due Bits, m *memo) {
	values := m.values
	if m.lifted {
		rows := v.take(v.n)
		v.owners(at, due, rows)
		of, owner := v.numbers(n, &v.root, rows), v.rowsOf(at)
		for i := range due.All {
			values[i] = of[owner[i]]
		}
		v.give(rows)
		return
	}
	switch n := n.(type) {
	case Const, Now:
		k, _ := n.Value(v.Machine)
		for i := range values {
			values[i] = k
		}
		m.whole = true
	case Col:
		v.Machine.Columns.Ints[n.Column].Read(at.base, values)
		m.whole = true
	case *Sum:
		v.sums(n, at, due, values)
	case *Best:
		v.bests(n, at, due, values)
	case *Otherwise:
		v.either(n, at, due, values)
	case *Len:
		v.lens(n, values)
		m.whole = true
	case *Last:
		v.last(n, at, due, values)
	case *Extreme:
		if at != &v.root || !simple(n.Items) {
			v.singly(n, at, due, values)
			return
		}
		v.extremes(n, due, values)
	case *Lookup:
		v.answers(n.Table, at, due, func(i int, value int64) { values[i] = value })
	default:
		v.singly(n, at, due, values)
	}
}

// where are the places of mask at which numbers are defined.
func (v *Vector) where(numbers []int64, mask Bits) Bits {
	out := v.take(len(mask) << 6)
	for i := range mask.All {
		if numbers[i] != Missing {
			out.Set(i)
		}
	}
	return out
}

func (v *Vector) sums(n *Sum, at *span, due Bits, values []int64) {
	a := v.numbers(n.A, at, due)
	both := v.where(a, due)
	b, owner := v.numbers(n.B, at, both), v.rowsOf(at)
	for i := range due.All {
		values[i] = Missing
		if a[i] == Missing || b[i] == Missing {
			continue
		}
		var s int64
		var ok bool
		if n.Minus {
			s, ok = v.Machine.difference(a[i], b[i])
		} else {
			s, ok = v.Machine.sum(a[i], b[i])
		}
		if !ok || s == Missing {
			row := i
			if owner != nil {
				row = int(owner[i])
			}
			v.Machine.Hard = true
			v.note(row)
			continue
		}
		values[i] = s
	}
	v.give(both)
}

func (v *Vector) bests(n *Best, at *span, due Bits, values []int64) {
	left := v.take(at.n)
	copy(left, due)
	for i := range due.All {
		values[i] = Missing
	}
	for k, of := range n.Of {
		one := v.numbers(of, at, left)
		for i := range left.All {
			switch {
			case one[i] == Missing:
				values[i] = Missing
				left[i>>6] &^= 1 << (i & 63)
			case k == 0 || (one[i] < values[i]) == n.Least:
				values[i] = one[i]
			}
		}
	}
	v.give(left)
}

func (v *Vector) either(n *Otherwise, at *span, due Bits, values []int64) {
	first := v.numbers(n.Num, at, due)
	left := v.take(at.n)
	for i := range due.All {
		if values[i] = first[i]; first[i] == Missing {
			left.Set(i)
		}
	}
	if !left.empty() {
		second := v.numbers(n.Else, at, left)
		for i := range left.All {
			values[i] = second[i]
		}
	}
	v.give(left)
}

// codes are the ids of a column in a chunk, side by side.
type codes struct {
	chunk int
	ids   []uint32
}

// ids of a column at all places of a span.
func (v *Vector) ids(column int, at *span) []uint32 {
	c := &v.codes[column]
	if c.chunk != v.chunk {
		c.chunk, c.ids = v.chunk, sized(c.ids, at.n)
		v.Machine.Columns.IDs[column].Read(at.base, c.ids)
	}
	return c.ids
}

// answers puts what a table answers at the due places: Missing for undefined.
func (v *Vector) answers(t *Table, at *span, due Bits, put func(n int, value int64)) {
	var ids [MaxRefs][]uint32
	var lifted [MaxRefs]bool
	for i, r := range t.Refs {
		of := at
		if r.Var == 0 && at.at.Var != 0 {
			of, lifted[i] = &v.root, true
		}
		ids[i] = v.ids(r.Column, of)
	}
	owner := v.rowsOf(at)
	for n := range due.All {
		var key [MaxRefs]uint32
		for i := range t.Refs {
			if lifted[i] {
				key[i] = ids[i][owner[n]]
			} else {
				key[i] = ids[i][n]
			}
		}
		var c Cell
		if len(t.Refs) == 1 && int(key[0]) < len(t.dense) {
			c = t.dense[key[0]]
		}
		if c.State == Unasked {
			c = t.Answer(key)
		}
		switch {
		case c.State == Defined && c.Value != Missing:
			put(n, c.Value)
		case c.State == Undefined:
			put(n, Missing)
		default:
			put(n, Missing)
			row := n
			if owner != nil {
				row = int(owner[n])
			}
			v.Hard.Set(row)
		}
	}
}
