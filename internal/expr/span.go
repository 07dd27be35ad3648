package expr

import "math"

// span is a list of places that are looked at together: the rows of a chunk, the
// elements of an array in them, pairs of such elements, or some of another span's.
type span struct {
	loop  Loop  // the innermost that leads here; Var 0: rows
	outer *span // without that loop; nil: there is none
	epoch int   // counts what has lain here
	n     int

	flat bool // the places of the innermost loop, or the rows, follow each other
	base int  // the first of them
	elem [MaxDepth + 1][]uint32
	out  []uint32 // by place: where it is in outer
	rows []uint32 // by place: its row in the chunk; of rows that are flat none
	far  []uint32 // by place: where it is further out

	children map[Loop]*span // all elements; see all
	ids      []*idView
	ints     []*intView
	conds    map[string]cond
	nums     map[string]num
}

func newSpan(outer *span, loop Loop) *span {
	return &span{loop: loop, outer: outer, conds: map[string]cond{}, nums: map[string]num{}}
}

// renew says that other places are in it from now on.
func (v *Vector) renew(s *span, n int) {
	v.epochs++
	s.epoch, s.n = v.epochs, n
}

// all is the span of all elements of an array of the chunk's rows.
func (v *Vector) all(loop Loop) *span {
	s := v.root.children[loop]
	if s == nil {
		if v.root.children == nil {
			v.root.children = map[Loop]*span{}
		}
		s = newSpan(&v.root, loop)
		s.flat = true
		v.root.children[loop] = s
	}
	if s.epoch < v.root.epoch {
		a := v.Machine.Columns.Arrays[loop.Array]
		s.base = int(a.At(v.lo))
		v.renew(s, int(a.At(v.lo+v.n))-s.base)
	}
	return s
}

// rowsOf are the rows of places; nil: they are rows themselves.
func (v *Vector) rowsOf(s *span) []uint32 {
	if s.flat && s.outer != nil {
		o := &v.owners[s.loop.Array] // it is the same whichever loop
		if o.chunk != v.chunk {
			o.chunk = v.chunk
			o.rows = sized(o.rows, s.n+spill)
			switch a := v.Machine.Columns.Arrays[s.loop.Array]; {
			case a.U8 != nil:
				own(o.rows, a.U8[v.lo:v.lo+v.n+1])
			case a.U16 != nil:
				own(o.rows, a.U16[v.lo:v.lo+v.n+1])
			case a.U32 != nil:
				own(o.rows, a.U32[v.lo:v.lo+v.n+1])
			}
		}
		s.rows = o.rows[:s.n]
		s.out = s.rows
	}
	return s.rows
}

// owners are the rows of all elements of an array.
type owners struct {
	chunk int
	rows  []uint32
}

// outOf are where places are in the outer span.
func (v *Vector) outOf(s *span) []uint32 {
	v.rowsOf(s)
	return s.out
}

// spill is how many places own may write too many.
const spill = 4

// own writes the row of each element. Most rows have few: writing as many each
// time, for the next to write over, spares the processor to guess how many.
func own[T width](rows []uint32, offsets []T) {
	base := offsets[0]
	if len(rows)-spill < len(offsets)/2 { // most rows have none
		for row := range len(offsets) - 1 {
			for k := offsets[row] - base; k < offsets[row+1]-base; k++ {
				rows[k] = uint32(row)
			}
		}
		return
	}
	for row := range len(offsets) - 1 {
		lo, hi := int(offsets[row]-base), int(offsets[row+1]-base)
		next := rows[lo : lo+spill : lo+spill]
		next[0], next[1], next[2], next[3] = uint32(row), uint32(row), uint32(row), uint32(row)
		for k := lo + spill; k < hi; k++ {
			rows[k] = uint32(row)
		}
	}
}

// row of a place in the chunk.
func (v *Vector) row(s *span, n int) int {
	if rows := v.rowsOf(s); rows != nil {
		return int(rows[n])
	}
	return n
}

// narrow fills a span with some places of another of the same loops.
func (v *Vector) narrow(s, of *span, mask Bits) {
	v.renew(s, 0)
	rows, out := v.rowsOf(of), of.out
	s.rows, s.out = s.rows[:0], s.out[:0]
	for n := range mask.All {
		row := uint32(n)
		if rows != nil {
			row = rows[n]
		}
		s.rows = append(s.rows, row)
		if out != nil {
			s.out = append(s.out, out[n])
		}
	}
	s.n = len(s.rows)
	for x := of; x != nil && x.loop.Var != 0; x = x.outer {
		k := x.loop.Var
		s.elem[k] = s.elem[k][:0]
		for n := range mask.All {
			s.elem[k] = append(s.elem[k], of.element(k, n))
		}
	}
}

// element that a loop is at, of a place.
func (s *span) element(loop, n int) uint32 {
	if s.flat {
		return uint32(s.base + n)
	}
	return s.elem[loop][n]
}

// maxPlaces is after how many an expansion waits for what it has so far to be
// looked at.
const maxPlaces = 1 << 15

// expand fills a span with the elements that places of its outer one lead to,
// which it takes out of the mask; some may be left, unless it is to be whole.
func (v *Vector) expand(s *span, mask Bits, whole bool) {
	of := s.outer
	v.renew(s, 0)
	s.rows, s.out = s.rows[:0], s.out[:0]
	for k := range s.elem {
		s.elem[k] = s.elem[k][:0]
	}
	array, k := v.Machine.Columns.Arrays[s.loop.Array], s.loop.Var
	for n := range mask.All {
		if len(s.rows) >= maxPlaces && !whole {
			break
		}
		mask.Unset(n)
		row := v.row(of, n)
		lo, hi := array.At(v.lo+row), array.At(v.lo+row+1)
		for e := lo; e < hi; e++ {
			s.rows, s.out, s.elem[k] = append(s.rows, uint32(row)), append(s.out, uint32(n)), append(s.elem[k], e)
		}
	}
	s.n = len(s.rows)
	for x := of; x != nil && x.loop.Var != 0; x = x.outer {
		outer := s.elem[x.loop.Var]
		for _, n := range s.out {
			outer = append(outer, of.element(x.loop.Var, int(n)))
		}
		s.elem[x.loop.Var] = outer
	}
}

// elements puts those of rows into an empty set.
func (v *Vector) elements(s *span, rows, into Bits) {
	if rows.Count() == v.n {
		into.first(s.n)
		return
	}
	switch a := v.Machine.Columns.Arrays[s.loop.Array]; {
	case a.U8 != nil:
		cover(a.U8[v.lo:v.lo+v.n+1], rows, into)
	case a.U16 != nil:
		cover(a.U16[v.lo:v.lo+v.n+1], rows, into)
	case a.U32 != nil:
		cover(a.U32[v.lo:v.lo+v.n+1], rows, into)
	}
}

// cover puts the elements of the rows into an empty set.
func cover[T width](offsets []T, rows, into Bits) {
	base := offsets[0]
	if offsets[len(offsets)-1] == base {
		return
	}
	for row := range rows.All {
		into.span(int(offsets[row]-base), int(offsets[row+1]-base))
	}
}

// width is what a column's numbers are kept in.
type width interface {
	uint8 | uint16 | uint32 | int64
}

func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return append(make([]T, 0, max(n, Chunk)), s...)[:n]
	}
	return s[:n]
}

// idView is a column of ids at the places of a span.
type idView struct {
	ref   Ref
	epoch int
	is    IDs
	u8    []uint8
	u16   []uint16
	u32   []uint32
}

// idsAt finds one, the same for the same column.
func (s *span) idsAt(r Ref) *idView {
	for _, w := range s.ids {
		if w.ref == r {
			return w
		}
	}
	w := &idView{ref: r}
	s.ids = append(s.ids, w)
	return w
}

func (w *idView) get(v *Vector, s *span) *IDs {
	if w.epoch == s.epoch {
		return &w.is
	}
	w.epoch = s.epoch
	c := v.Machine.Columns.IDs[w.ref.Column]
	if base, ok := v.flat(s, w.ref.Var); ok {
		w.is = c.part(base, base+s.n)
		return &w.is
	}
	w.is = IDs{Same: c.Same}
	switch {
	case c.U8 != nil:
		w.u8 = collect(v, w.u8, c.U8, s, w.ref.Var)
		w.is.U8 = w.u8
	case c.U16 != nil:
		w.u16 = collect(v, w.u16, c.U16, s, w.ref.Var)
		w.is.U16 = w.u16
	case c.U32 != nil:
		w.u32 = collect(v, w.u32, c.U32, s, w.ref.Var)
		w.is.U32 = w.u32
	}
	return &w.is
}

// bytes are the ids where these take no more than that each; nil: they do.
func (w *idView) bytes(v *Vector, s *span) []uint8 {
	c := w.get(v, s)
	if c.U8 != nil || c.U16 != nil || c.U32 != nil || c.Same > math.MaxUint8 {
		return c.U8
	}
	w.u8 = sized(w.u8, s.n)
	for i := range w.u8 {
		w.u8[i] = uint8(c.Same)
	}
	return w.u8
}

// flat says whether the places of a loop follow each other, and from where on.
func (v *Vector) flat(s *span, loop int) (base int, ok bool) {
	return s.base, s.flat && loop == s.loop.Var
}

func collect[T width](v *Vector, into, from []T, s *span, loop int) []T {
	into = sized(into, s.n)
	at := s.elem[loop]
	if loop == 0 {
		at, from = v.rowsOf(s), from[v.lo:]
	}
	for i, n := range at[:len(into)] {
		into[i] = from[n]
	}
	return into
}

// intView is a column of numbers at the places of a span.
type intView struct {
	ref   Ref
	epoch int
	is    Ints
	u8    []uint8
	u16   []uint16
	u32   []uint32
	i64   []int64
}

func (s *span) intsAt(r Ref) *intView {
	for _, w := range s.ints {
		if w.ref == r {
			return w
		}
	}
	w := &intView{ref: r}
	s.ints = append(s.ints, w)
	return w
}

func (w *intView) get(v *Vector, s *span) *Ints {
	if w.epoch == s.epoch {
		return &w.is
	}
	w.epoch = s.epoch
	c := v.Machine.Columns.Ints[w.ref.Column]
	if base, ok := v.flat(s, w.ref.Var); ok {
		w.is = c.part(base, base+s.n)
		return &w.is
	}
	w.is = Ints{Unit: c.Unit, Base: c.Base, Same: c.Same}
	switch {
	case c.U8 != nil:
		w.u8 = collect(v, w.u8, c.U8, s, w.ref.Var)
		w.is.U8 = w.u8
	case c.U16 != nil:
		w.u16 = collect(v, w.u16, c.U16, s, w.ref.Var)
		w.is.U16 = w.u16
	case c.U32 != nil:
		w.u32 = collect(v, w.u32, c.U32, s, w.ref.Var)
		w.is.U32 = w.u32
	case c.I64 != nil:
		w.i64 = collect(v, w.i64, c.I64, s, w.ref.Var)
		w.is.I64 = w.i64
	}
	return &w.is
}
