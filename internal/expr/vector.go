package expr

// Chunk is how many rows a Vector looks at together: few enough that what is
// known of them stays close to the processor.
const Chunk = 4096

// Vector evaluates for many rows at once: step by step for all that earlier steps
// have left, in kernels that know a column's width. Steps that begin alike are
// gone once for a chunk, whoever asks; where few places are left these are copied
// together, so that what follows costs what they cost. What it has no kernel for
// it asks the machine place by place, so that its answers are the machine's. It is
// not safe for use by several goroutines.
type Vector struct {
	Machine *Machine
	// Hard are rows of the chunk that can't be answered exactly: they are added
	// to it, and who wants to tell them apart puts another set here.
	Hard Bits

	lo, n  int  // rows of the chunk
	only   Bits // of them, those that are asked about; nil: all
	chunk  int  // which one it is
	epochs int
	root   span
	ways   way
	pool   []Bits
	silent []Bits // empty ones of rows
	cried  bool   // Hard was added to since listen
	found  arrived
	counts []atMost
	owners []owners // by array
	values [4][]int64
}

// NewVector makes one for a machine.
func NewVector(m *Machine) *Vector {
	v := &Vector{Machine: m, root: *newSpan(nil, Loop{}), counts: make([]atMost, len(m.Columns.Arrays)), owners: make([]owners, len(m.Columns.Arrays))}
	v.root.flat = true
	return v
}

// Rows sets the chunk: rows [lo, hi), no more than Chunk, of which those in only
// are asked about; nil: all.
func (v *Vector) Rows(lo, hi int, only Bits) {
	v.chunk++
	v.Machine.Renew()
	v.lo, v.n, v.only = lo, hi-lo, only
	v.renew(&v.root, v.n)
	v.root.base = lo
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

// copyOf lends a copy.
func (v *Vector) copyOf(of Bits) Bits {
	b := v.take(len(of) << 6)
	copy(b, of)
	return b
}

// Lead says what to do at an End. Where it has a Tell this is told of all places at
// which the End's numbers are defined; Rows gets all rows that there is a way for.
type Lead struct {
	Rows  func(rows Bits)
	Tell  Teller
	Visit Visitor // the machine is at the place
}

// Teller is told of numbers, each at some places: rows are theirs in the chunk,
// nil where the places are rows themselves.
type Teller interface {
	Tell(places Bits, rows []uint32, numbers [][]int64)
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

// Each goes to an end for all rows of the chunk that are asked about.
func (v *Vector) Each(e *End, l Lead) {
	v.reach(e.way)
	v.heard(e.way)
	switch {
	case e.void:
	case e.rest != nil || l.Visit != nil:
		v.visit(e, l)
	case l.Tell != nil:
		v.tell(e, l)
	default:
		l.Rows(v.fold(e.way))
	}
}

// heard notes rows that are hard on a way.
func (v *Vector) heard(w *way) {
	for ; w != nil; w = w.up {
		if w.any {
			v.Hard.Join(w.hard)
			return
		}
	}
}

// tell tells of the numbers at an end.
func (v *Vector) tell(e *End, l Lead) {
	if e.of != e.at {
		e.of, e.nums = e.at, e.nums[:0]
		for _, n := range e.numbers {
			e.nums = append(e.nums, v.num(e.at, n))
		}
	}
	values := v.values[:len(e.nums)]
	mask := v.copyOf(e.mask)
	for i, n := range e.nums {
		if !e.open || i < len(values)-1 {
			values[i] = n.of(v, e.at, mask)
			continue
		}
		there := v.copyOf(mask)
		values[i] = n.of(v, e.at, there)
		for n := range mask.All {
			if !there.Has(n) {
				values[i][n] = Missing
			}
		}
		v.give(there)
	}
	if !mask.empty() {
		l.Tell.Tell(mask, v.rowsOf(e.at), values)
	}
	v.give(mask)
}

// visit goes through the rest of the steps place by place.
func (v *Vector) visit(e *End, l Lead) {
	rows := v.take(v.n)
	for n := range e.mask.All {
		row := v.place(e.at, n)
		if l.Visit != nil {
			v.Machine.Each(e.rest, l.Visit)
		} else if v.leads(e.rest) {
			rows.Set(row)
		}
		v.note(row)
	}
	if l.Visit == nil {
		l.Rows(rows)
	}
	v.give(rows)
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
	row := v.row(at, n)
	for x := at; x != nil && x.loop.Var != 0; x = x.outer {
		v.Machine.at[x.loop.Var] = at.element(x.loop.Var, n)
	}
	v.Machine.Row(v.lo + row)
	return row
}

// note remembers that the machine could not tell.
func (v *Vector) note(row int) {
	if v.Machine.Hard {
		v.cry(row)
		v.Machine.Hard = false
	}
}

// atMost is a number that no row of the chunk has more elements of an array than.
type atMost struct {
	chunk, n int
	exact    bool // some row has as many
}

// Longer adds the rows that have more elements of an array.
func (v *Vector) Longer(array, than int, rows Bits) {
	a, l := v.Machine.Columns.Arrays[array], &v.counts[array]
	if l.chunk != v.chunk {
		*l = atMost{chunk: v.chunk, n: v.together(a, 8)}
	}
	if l.n > than && !l.exact {
		l.n, l.exact = v.together(a, 1), true
	}
	if l.n <= than {
		return
	}
	for row := range v.n {
		if int(a.At(v.lo+row+1)-a.At(v.lo+row)) > than {
			rows.Set(row)
		}
	}
}

// together is how many elements some rows have at most that follow each other.
func (v *Vector) together(a *IDs, rows int) int {
	switch lo, hi := v.lo, v.lo+v.n+1; {
	case a.U8 != nil:
		return together(a.U8[lo:hi], rows)
	case a.U16 != nil:
		return together(a.U16[lo:hi], rows)
	case a.U32 != nil:
		return together(a.U32[lo:hi], rows)
	}
	return 0
}

func together[T width](offsets []T, rows int) (most int) {
	last := len(offsets) - 1
	for row := 0; row < last; row += rows {
		most = max(most, int(offsets[min(row+rows, last)]-offsets[row]))
	}
	return most
}
