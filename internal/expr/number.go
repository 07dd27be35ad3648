package expr

// num is a number made ready for a span.
type num interface {
	// of takes out of a set of places those where it is undefined, and returns
	// what it is at the others; what it returns for those that are not in the set
	// means nothing.
	of(v *Vector, at *span, mask Bits) []int64
}

// num of a number for a span, the same for the same number.
func (v *Vector) num(at *span, n Num) num {
	if m, ok := n.(*Memo); ok {
		n = m.Num
	}
	key := n.Key()
	out := at.nums[key]
	if out == nil {
		out = v.newNum(at, n)
		at.nums[key] = out
	}
	return out
}

func (v *Vector) newNum(at *span, n Num) num {
	switch n := n.(type) {
	case Const, Now:
		return &fixed{n: n}
	case Col:
		return &rememberedNum{finder: &column{at.intsAt(Ref(n))}}
	}
	if home := v.home(at, varsOf(n)); home != at {
		return &rememberedNum{finder: &liftedNum{home: home, num: v.num(home, n)}}
	}
	var f finder
	switch n := n.(type) {
	case *Sum:
		f = &summed{n, v.num(at, n.A), v.num(at, n.B)}
	case *Best:
		b := &bestOf{least: n.Least}
		for _, o := range n.Of {
			b.nums = append(b.nums, v.num(at, o))
		}
		f = b
	case *Otherwise:
		f = &either{v.num(at, n.Num), v.num(at, n.Else)}
	case *Len:
		f = &lengths{n.Arrays}
	case *Lookup:
		f = v.newLookup(at, n.Table)
	case *Extreme:
		if simple(n.Items) {
			f = &extremes{n.Least, v.branches(at, n.Items)}
		}
	case *Count:
		if simple(n.Items) {
			f = &counts{v.branches(at, n.Items)}
		}
	case *Last:
		if simple(n.Items) && len(n.Items) == 1 {
			f = v.newLast(at, n)
		}
	}
	if f == nil {
		f = &asking{n}
	}
	return &rememberedNum{finder: f}
}

// finder finds numbers out.
type finder interface {
	// find takes out of a set of places those where the number is undefined, and
	// puts what it is at the others.
	find(v *Vector, at *span, mask Bits, values []int64)
}

// rememberedNum is a number that is found once for each place.
type rememberedNum struct {
	memory
	finder
	values []int64
}

func (r *rememberedNum) of(v *Vector, at *span, mask Bits) []int64 {
	if due := r.due(v, at, mask); due != nil {
		r.values = sized(r.values, at.n)
		was, holds := v.listen(), v.copyOf(due)
		r.find(v, at, holds, r.values)
		r.learn(v, at, due, holds, was)
	}
	r.recall(v, at, mask)
	return r.values
}

// fixed is the same number for all places.
type fixed struct {
	n      Num
	is     int64
	values []int64
}

func (f *fixed) of(v *Vector, at *span, _ Bits) []int64 {
	if k, _ := f.n.Value(v.Machine); k != f.is {
		f.is, f.values = k, f.values[:0]
	}
	had := len(f.values)
	if had < at.n {
		f.values = sized(f.values, at.n)
		for i := had; i < at.n; i++ {
			f.values[i] = f.is
		}
	}
	return f.values
}

// column is one of numbers.
type column struct{ col *intView }

func (c *column) find(v *Vector, at *span, mask Bits, values []int64) {
	col := c.col.get(v, at)
	if !sparse(mask, at.n) {
		col.Read(0, values)
	} else {
		for n := range mask.All {
			values[n] = col.At(n)
		}
	}
	for n := range mask.All {
		if values[n] == Missing {
			mask.Unset(n)
		}
	}
}

// liftedNum is one of what is around the span.
type liftedNum struct {
	home *span
	num  num
}

func (l *liftedNum) find(v *Vector, at *span, mask Bits, values []int64) {
	places := v.lifted(at, l.home)
	outer := v.lift(places, l.home, mask)
	of := l.num.of(v, l.home, outer)
	for n := range mask.All {
		k := places[n]
		if values[n] = of[k]; !outer.Has(int(k)) {
			mask.Unset(n)
		}
	}
	v.give(outer)
}

// asking is what the machine is asked place by place.
type asking struct{ n Num }

func (a *asking) find(v *Vector, at *span, mask Bits, values []int64) {
	for n := range mask.All {
		row := v.place(at, n)
		k, ok := a.n.Value(v.Machine)
		if values[n] = k; !ok {
			mask.Unset(n)
		}
		v.note(row)
	}
}

type summed struct {
	*Sum
	a, b num
}

func (s *summed) find(v *Vector, at *span, mask Bits, values []int64) {
	a := s.a.of(v, at, mask)
	b := s.b.of(v, at, mask)
	for n := range mask.All {
		var ok bool
		if s.Minus {
			values[n], ok = v.Machine.difference(a[n], b[n])
		} else {
			values[n], ok = v.Machine.sum(a[n], b[n])
		}
		if !ok {
			mask.Unset(n)
			v.note(v.row(at, n))
		}
	}
}

type bestOf struct {
	least bool
	nums  []num
}

func (b *bestOf) find(v *Vector, at *span, mask Bits, values []int64) {
	for i, of := range b.nums {
		one := of.of(v, at, mask)
		for n := range mask.All {
			if i == 0 || (one[n] < values[n]) == b.least {
				values[n] = one[n]
			}
		}
	}
}

type either struct{ first, second num }

func (e *either) find(v *Vector, at *span, mask Bits, values []int64) {
	there := v.copyOf(mask)
	first := e.first.of(v, at, there)
	for n := range there.All {
		values[n] = first[n]
	}
	mask.Drop(there)
	second := e.second.of(v, at, mask)
	for n := range mask.All {
		values[n] = second[n]
	}
	mask.Join(there)
	v.give(there)
}

// lengths is how many elements rows have.
type lengths struct{ arrays []int }

func (l *lengths) find(v *Vector, at *span, mask Bits, values []int64) {
	if a := v.Machine.Columns.Arrays[l.arrays[0]]; at == &v.root && len(l.arrays) == 1 && a.U16 != nil {
		eachLength(a.U16[v.lo:v.lo+v.n+1], values)
		return
	}
	for n := range mask.All {
		row := v.lo + v.row(at, n)
		values[n] = 0
		for _, array := range l.arrays {
			a := v.Machine.Columns.Arrays[array]
			values[n] += int64(a.At(row+1) - a.At(row))
		}
	}
}

// eachLength puts that of each row.
func eachLength[T width](offsets []T, values []int64) {
	last := offsets[0]
	for row, next := range offsets[1:] {
		values[row] = int64(next - last)
		last = next
	}
}

// looked is what a table answers.
type looked struct {
	table *Table
	cols  []*idView
}

func (v *Vector) newLookup(at *span, t *Table) *looked {
	l := &looked{table: t}
	for _, r := range t.Refs {
		l.cols = append(l.cols, at.idsAt(r))
	}
	return l
}

func (l *looked) find(v *Vector, at *span, mask Bits, values []int64) {
	var cols [MaxRefs]*IDs
	for i, c := range l.cols {
		cols[i] = c.get(v, at)
	}
	for n := range mask.All {
		var key [MaxRefs]uint32
		for i := range l.cols {
			key[i] = cols[i].At(n)
		}
		var c Cell
		switch t := l.table; {
		case len(l.cols) == 1 && int(key[0]) < len(t.dense):
			c = t.dense[key[0]]
		case len(l.cols) == 2 && key[1] < t.width && int(key[0]*t.width+key[1]) < len(t.dense):
			c = t.dense[key[0]*t.width+key[1]]
		}
		if c.State == Unasked {
			c = l.table.Answer(key)
		}
		if values[n] = c.Value; c.State != Defined {
			mask.Unset(n)
			if c.State == Hard {
				v.cry(v.row(at, n))
			}
		}
	}
}
