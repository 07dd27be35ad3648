package expr

// singly asks the machine for a number place by place.
func (v *Vector) singly(n Num, at *span, due Bits, values []int64) {
	for i := range due.All {
		row := v.place(at, i)
		k, ok := n.Value(v.Machine)
		if !ok {
			k = Missing
		} else if k == Missing {
			v.Machine.Hard = true
		}
		values[i] = k
		v.note(row)
	}
}

// lens puts how many elements the rows have.
func (v *Vector) lens(n *Len, values []int64) {
	clear(values)
	for _, a := range n.Arrays {
		switch a := v.Machine.Columns.Arrays[a]; {
		case a.U8 != nil:
			addLengths(a.U8[v.lo:v.lo+v.n+1], values)
		case a.U16 != nil:
			addLengths(a.U16[v.lo:v.lo+v.n+1], values)
		case a.U32 != nil:
			addLengths(a.U32[v.lo:v.lo+v.n+1], values)
		}
	}
}

func addLengths[T width](offsets []T, values []int64) {
	for row := range values {
		values[row] += int64(offsets[row+1] - offsets[row])
	}
}

// last asks the machine only for those that have so many.
func (v *Vector) last(n *Last, at *span, due Bits, values []int64) {
	if n.Most == nil {
		v.singly(n, at, due, values)
		return
	}
	place := v.numbers(n.Place, at, due)
	left := v.where(place, due)
	most := v.numbers(n.Most, at, left)
	for i := range due.All {
		values[i] = Missing
	}
	for i := range left.All {
		if most[i] < place[i] {
			left[i>>6] &^= 1 << (i & 63)
		}
	}
	v.singly(n, at, left, values)
	v.give(left)
}

// simple says whether items are of the elements of one array each, or of the row.
func simple(items []Item) bool {
	for i := range items {
		loops := 0
		for _, s := range items[i].Steps {
			if s.Loop.Var != 0 {
				loops++
				if s.Loop.Var != 1 {
					return false
				}
			}
		}
		if loops > 1 {
			return false
		}
	}
	return true
}

// extremes follows the steps of items for all rows together: rows without
// elements cost nothing.
func (v *Vector) extremes(n *Extreme, due Bits, values []int64) {
	for row := range due.All {
		values[row] = Missing
	}
	for i := range n.Items {
		it := &n.Items[i]
		at, mask := v.follow(it.Steps, due)
		if !mask.empty() {
			of, owner := v.numbers(it.Value, at, mask), v.rowsOf(at)
			for place := range mask.All {
				k, row := of[place], place
				if owner != nil {
					row = int(owner[place])
				}
				if k != Missing && (values[row] == Missing || (k < values[row]) == n.Least) {
					values[row] = k
				}
			}
		}
		v.give(mask)
	}
}

// follow are the places that steps with at most one loop lead to from rows.
func (v *Vector) follow(steps []Step, rows Bits) (*span, Bits) {
	at, mask := &v.root, v.take(v.n)
	copy(mask, rows)
	for i := range steps {
		s := &steps[i]
		if s.Loop.Var == 0 {
			v.keep(s.If, at, mask)
			continue
		}
		at = &v.spans[s.Loop.Array]
		inner := v.take(at.n)
		v.elements(at, mask, inner)
		v.give(mask)
		mask = inner
	}
	return at, mask
}
