package expr

// Chunk is how many rows a Vector looks at together: few enough that what is
// known of them stays close to the processor.
const Chunk = 4096

// Vector evaluates for many rows at once. What it has no quick way for it asks
// the machine row by row, so that its answers are the machine's. Conditions and
// numbers that mean the same are looked at once for a chunk, whoever asks. It is
// not safe for use by several goroutines.
type Vector struct {
	Machine *Machine
	// Hard are rows of the chunk that can't be answered exactly: they are added
	// to it, and who wants to tell them apart puts another set here.
	Hard Bits

	lo, n int    // rows of the chunk
	only  Bits   // of them, those that are asked about
	every bool   // these are all
	spans []span // by array
	root  span
	slots map[slot]*memo
	keys  map[keyed]*memo
	codes []codes // by column of ids
	chunk int     // which one it is
	pool  []Bits
	told  [4]int64
	found arrived
}

// span are the rows of a chunk, or the elements of one array in them.
type span struct {
	at    Loop // Var 0: rows
	base  int
	n     int
	owner []uint16 // of an element: its row in the chunk
	chunk int      // for which owner is filled
	only  Bits     // elements of rows that are asked about
	asked int      // for which chunk only is filled
	most  int      // see Longest
	count int      // for which chunk most is counted
}

// NewVector makes one for a machine.
func NewVector(m *Machine) *Vector {
	v := &Vector{
		Machine: m, slots: map[slot]*memo{}, keys: map[keyed]*memo{},
		spans: make([]span, len(m.Columns.Arrays)), codes: make([]codes, len(m.Columns.IDs)),
	}
	for a := range v.spans {
		v.spans[a].at = Loop{Var: 1, Array: a}
	}
	return v
}

// Rows sets the chunk: rows [lo, hi), no more than Chunk, of which those in only
// are asked about; nil: all.
func (v *Vector) Rows(lo, hi int, only Bits) {
	v.chunk++
	v.Machine.Renew()
	v.lo, v.n = lo, hi-lo
	v.root.base, v.root.n = lo, v.n
	for a, offsets := range v.Machine.Columns.Arrays {
		v.spans[a].base = int(offsets.At(lo))
		v.spans[a].n = int(offsets.At(hi)) - v.spans[a].base
	}
	v.only, v.every = only, only == nil || only.Count() == v.n
	v.Hard = empty(v.Hard, v.n)
}

// empty is a set without anybody in the space of another.
func empty(b Bits, n int) Bits {
	w := words(n)
	if cap(b) < w {
		return make(Bits, w, max(w, words(Chunk)))
	}
	b = b[:w]
	clear(b)
	return b
}

// take lends an empty set for n; give takes it back.
func (v *Vector) take(n int) Bits {
	var b Bits
	if last := len(v.pool) - 1; last >= 0 {
		b = v.pool[last]
		v.pool = v.pool[:last]
	}
	return empty(b, n)
}

func (v *Vector) give(b Bits) { v.pool = append(v.pool, b) }

// Lead says what to do where steps lead. A nil Visit is one that is content with
// Rows, or with Numbers.
type Lead struct {
	Rows func(rows Bits)
	// Tell is told of each place, with these numbers: Missing where one is
	// undefined.
	Numbers []Num
	Tell    Teller
	Visit   Visitor // the machine is at the place
}

// Teller is told of numbers at a place of a row of the chunk.
type Teller interface {
	Tell(row int, numbers []int64)
}

// Flat says whether steps have no loop within a loop, so that Each can tell
// Numbers.
func Flat(steps []Step) bool {
	loops := 0
	for _, s := range steps {
		if s.Loop.Var != 0 {
			loops++
		}
	}
	return loops <= 1
}

// Each goes through the steps for all rows of the chunk: Rows gets all that they
// lead somewhere for, or Visit is told of every way through them.
func (v *Vector) Each(steps []Step, l Lead) {
	at := &v.root
	mask := v.take(v.n)
	v.all(mask)
	fresh := true
	for i := range steps {
		s := &steps[i]
		switch {
		case s.Loop.Var == 0:
			v.keep(s.If, at, mask)
			fresh = false
		case at == &v.root:
			at = &v.spans[s.Loop.Array]
			inner := v.take(at.n)
			if fresh {
				v.allOf(at, inner)
			} else {
				v.elements(at, mask, inner)
			}
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
	switch {
	case l.Tell != nil:
		v.tell(at, mask, &l)
	case l.Visit != nil:
		v.visit(at, mask, nil, l)
	case at == &v.root:
		l.Rows(mask)
	default:
		rows := v.take(v.n)
		v.owners(at, mask, rows)
		l.Rows(rows)
		v.give(rows)
	}
	v.give(mask)
}

// all puts the rows that are asked about into an empty set.
func (v *Vector) all(rows Bits) {
	if v.only == nil {
		rows.first(v.n)
	} else {
		copy(rows, v.only)
	}
}

// allOf puts their elements into one.
func (v *Vector) allOf(at *span, into Bits) {
	if v.every {
		into.first(at.n)
		return
	}
	if at.asked != v.chunk {
		at.asked, at.only = v.chunk, empty(at.only, at.n)
		v.elements(at, v.only, at.only)
	}
	copy(into, at.only)
}

// tell tells of the numbers at each place.
func (v *Vector) tell(at *span, mask Bits, l *Lead) {
	var room [4][]int64
	of := room[:len(l.Numbers)]
	for i, n := range l.Numbers {
		of[i] = v.numbers(n, at, mask)
	}
	owner := v.rowsOf(at)
	for n := range mask.All {
		row := n
		if owner != nil {
			row = int(owner[n])
		}
		for i := range of {
			v.told[i] = of[i][n]
		}
		l.Tell.Tell(row, v.told[:len(of)])
	}
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
	v.found.yes = false
	v.Machine.Each(rest, &v.found)
	return v.found.yes
}

// place puts the machine at a place of the span, and returns its row in the
// chunk.
func (v *Vector) place(at *span, n int) int {
	row := n
	if at.at.Var != 0 {
		row = int(v.rowsOf(at)[n])
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

// rowsOf are the rows of the elements; nil: the span is of rows.
func (v *Vector) rowsOf(at *span) []uint16 {
	if at.chunk == v.chunk || at.at.Var == 0 {
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

// elements puts those of the rows into an empty set.
func (v *Vector) elements(at *span, rows, into Bits) {
	if rows.Count() == v.n {
		into.first(at.n)
		return
	}
	switch a := v.Machine.Columns.Arrays[at.at.Array]; {
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

// owners adds the rows of the elements.
func (v *Vector) owners(at *span, mask, rows Bits) {
	owner := v.rowsOf(at)
	for n := range mask.All {
		rows.Set(int(owner[n]))
	}
}

// Longest is how many elements of an array a row of the chunk has at most.
func (v *Vector) Longest(array int) int {
	at := &v.spans[array]
	if at.count == v.chunk {
		return at.most
	}
	at.count, at.most = v.chunk, 0
	switch a := v.Machine.Columns.Arrays[array]; {
	case a.U8 != nil:
		at.most = longest(a.U8[v.lo : v.lo+v.n+1])
	case a.U16 != nil:
		at.most = longest(a.U16[v.lo : v.lo+v.n+1])
	case a.U32 != nil:
		at.most = longest(a.U32[v.lo : v.lo+v.n+1])
	}
	return at.most
}

func longest[T width](offsets []T) (most int) {
	for row := range len(offsets) - 1 {
		most = max(most, int(offsets[row+1]-offsets[row]))
	}
	return most
}

// Longer adds the rows that have more elements of an array.
func (v *Vector) Longer(array, than int, rows Bits) {
	if v.Longest(array) <= than {
		return
	}
	offsets := v.Machine.Columns.Arrays[array]
	for row := range v.n {
		if int(offsets.At(v.lo+row+1)-offsets.At(v.lo+row)) > than {
			rows.Set(row)
		}
	}
}
