package expr

import "slices"

// Ref names a column and whose: Var 0 is the row, others are loops, counted from
// the outermost.
type Ref struct{ Var, Column int }

// State of a cell.
type State uint8

const (
	Unasked   State = iota
	Undefined       // there is no answer, which is one
	Defined
	Hard // somebody else must answer
)

// Cell is one answer of a table.
type Cell struct {
	State State
	Value int64
}

// Table has the answers that depend on nothing but a few ids. It asks for each
// answer once, when it is first needed, and is not safe for use by several
// goroutines.
type Table struct {
	Label string // what it answers, for telling nodes apart
	Refs  []Ref
	Ask   func(ids []uint32) Cell
	// Timed: the answers are of one instant only.
	Timed bool
	// Of is the label of what it answers about, and Needs those of all that must
	// be defined for that to be.
	Of    string
	Needs map[string]bool
	// Fails: it may be Hard because a builtin failed, which others must hear of.
	Fails bool
	// Defines: it answers whether that is defined at all.
	Defines bool

	turns  int    // how often Forget dropped all
	dense  []Cell // of one id, or of two: rows of width
	width  uint32
	sparse map[[4]uint32]Cell
	ids    [4]uint32
}

// MaxRefs is how many ids an answer may depend on.
const MaxRefs = 4

// maxDense is how many cells of pairs are kept side by side.
const maxDense = 1 << 16

// Forget drops all answers.
func (t *Table) Forget() {
	t.turns++
	clear(t.dense)
	clear(t.sparse)
}

// Known are the values that it has answered with so far.
func (t *Table) Known() []int64 {
	var out []int64
	for _, c := range t.dense {
		if c.State == Defined {
			out = append(out, c.Value)
		}
	}
	for _, c := range t.sparse {
		if c.State == Defined {
			out = append(out, c.Value)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (t *Table) cell(m *Machine) Cell {
	var key [4]uint32
	for i, r := range t.Refs {
		key[i] = m.Columns.IDs[r.Column].At(int(m.at[r.Var]))
	}
	return t.Answer(key)
}

// Answer for some ids.
func (t *Table) Answer(key [4]uint32) Cell {
	switch {
	case len(t.Refs) <= 1 && key[0] < maxDense:
		if int(key[0]) >= len(t.dense) {
			t.dense = append(t.dense, make([]Cell, int(key[0])+1-len(t.dense))...)
		}
		return t.ask(&t.dense[key[0]], key)
	case len(t.Refs) == 2 && t.fits(key):
		return t.ask(&t.dense[key[0]*t.width+key[1]], key)
	}
	c, ok := t.sparse[key]
	if !ok {
		if t.sparse == nil {
			t.sparse = map[[4]uint32]Cell{}
		}
		t.ask(&c, key)
		t.sparse[key] = c
	}
	return c
}

func (t *Table) ask(c *Cell, key [4]uint32) Cell {
	if c.State == Unasked {
		t.ids = key
		*c = t.Ask(t.ids[:len(t.Refs)])
	}
	return *c
}

// fits makes room for a pair of ids; false: there would be too many.
func (t *Table) fits(key [4]uint32) bool {
	if key[1] < t.width && key[0] < uint32(len(t.dense))/t.width {
		return true
	}
	width, height := max(t.width, 16), uint32(16)
	if t.width > 0 {
		height = uint32(len(t.dense)) / t.width
	}
	for width <= key[1] {
		width *= 2
	}
	for height <= key[0] {
		height *= 2
	}
	if key[0] >= maxDense || key[1] >= maxDense || uint64(width)*uint64(height) > maxDense {
		return false
	}
	grown := make([]Cell, width*height)
	for i := range t.dense {
		grown[uint32(i)/t.width*width+uint32(i)%t.width] = t.dense[i]
	}
	t.dense, t.width = grown, width
	return true
}
