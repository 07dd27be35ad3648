package expr

import "math"

// Machine evaluates for one row at a time. It is not safe for use by several
// goroutines; nor are the tables of what it evaluates.
type Machine struct {
	Columns *Columns
	Now     int64
	// Hard: the latest row can't be answered exactly. Who sets Row clears it.
	Hard bool

	at    [MaxDepth + 1]uint32
	epoch uint32
}

// Renew forgets what was remembered of rows: they, the time or what tables say
// have changed.
func (m *Machine) Renew() { m.epoch++ }

// Row says which row is asked about.
func (m *Machine) Row(r int) {
	m.at[0] = uint32(r)
	m.Hard = false
}

func (m *Machine) bounds(array int) (lo, hi uint32) {
	a, row := m.Columns.Arrays[array], int(m.at[0])
	return a.At(row), a.At(row + 1)
}

// Loop goes through the elements of an array of the row.
type Loop struct{ Var, Array int }

// Bool is a predicate.
type Bool interface {
	// True for the machine's row and loops.
	True(m *Machine) bool
	// Key tells predicates apart: the same key means the same.
	Key() string
}

// Num is an integer that may be undefined.
type Num interface {
	Value(m *Machine) (v int64, ok bool)
	Key() string
}

// At is the row.
func (m *Machine) At() int { return int(m.at[0]) }

// Number is what a table answers for the machine's row and loops.
func (m *Machine) Number(t *Table) (int64, bool) { return m.number(t.cell(m)) }

func (m *Machine) number(c Cell) (int64, bool) {
	switch c.State {
	case Defined:
		return c.Value, true
	case Hard:
		m.Hard = true
	}
	return 0, false
}

// sum is a+b, or hard.
func (m *Machine) sum(a, b int64) (int64, bool) {
	s := a + b
	if (s > a) != (b > 0) && b != 0 {
		m.Hard = true
		return 0, false
	}
	return s, true
}

func (m *Machine) difference(a, b int64) (int64, bool) {
	if b == math.MinInt64 {
		m.Hard = true
		return 0, false
	}
	return m.sum(a, -b)
}
