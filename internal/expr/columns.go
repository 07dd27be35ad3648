// Package expr evaluates typed predicates over columns. It does not know what
// the columns are about, where a predicate comes from, or what follows from it.
// It is pure: no clock, no client, no logger.
//
// A predicate is made of comparisons of integers, answers looked up by the ids
// of dictionaries, and loops over arrays. What it means is what Rego means: the
// comparison of something that is absent is not true, and neither is its
// opposite. Where a row can't be answered exactly (an integer overflows, a value
// is of another kind than its column says) the row is Hard, and somebody else
// must answer for it.
package expr

import "math"

// Absent is the id of what is not there, in every dictionary.
const Absent uint32 = 0

// Missing is the integer that is not there. A row that has this very number is
// not to be put into columns.
const Missing int64 = math.MinInt64

// MaxDepth is how deep loops nest.
const MaxDepth = 7

// Columns hold rows field by field. A column belongs to the rows or to the
// elements of one array; who fills it knows which.
type Columns struct {
	Rows   int
	IDs    [][]uint32 // by column: an id of its dictionary for each row or element
	Ints   [][]int64  // by column: a number for each row or element
	Arrays [][]uint32 // by array: row r has the elements [a[r], a[r+1])
}

// NewColumns makes empty columns of a shape.
func NewColumns(ids, ints, arrays int) *Columns {
	c := &Columns{IDs: make([][]uint32, ids), Ints: make([][]int64, ints), Arrays: make([][]uint32, arrays)}
	c.Reset()
	return c
}

// Reset takes out all rows and keeps the space.
func (c *Columns) Reset() {
	c.Rows = 0
	for i := range c.IDs {
		c.IDs[i] = c.IDs[i][:0]
	}
	for i := range c.Ints {
		c.Ints[i] = c.Ints[i][:0]
	}
	for i := range c.Arrays {
		c.Arrays[i] = append(c.Arrays[i][:0], 0)
	}
}

// Bytes is what the columns hold.
func (c *Columns) Bytes() int64 {
	var n int64
	for _, col := range c.IDs {
		n += int64(len(col)) * 4
	}
	for _, col := range c.Ints {
		n += int64(len(col)) * 8
	}
	for _, col := range c.Arrays {
		n += int64(len(col)) * 4
	}
	return n
}

// Dict numbers the values of a column, from 1 on. Values are told apart by a
// key, which says all of them.
type Dict struct {
	ids    map[string]uint32
	values []any
}

// NewDict makes one without values.
func NewDict() *Dict { return &Dict{ids: map[string]uint32{}, values: []any{nil}} }

// ID of the value with the key; what it does not know yet is called make for.
func (d *Dict) ID(key []byte, value func() any) uint32 {
	if id, ok := d.ids[string(key)]; ok {
		return id
	}
	id := uint32(len(d.values))
	d.ids[string(key)] = id
	d.values = append(d.values, value())
	return id
}

// Text is the ID of a text, which is its own key.
func (d *Dict) Text(s string) uint32 {
	if id, ok := d.ids[s]; ok {
		return id
	}
	id := uint32(len(d.values))
	d.ids[s] = id
	d.values = append(d.values, s)
	return id
}

// Value of an id; nil for Absent.
func (d *Dict) Value(id uint32) any { return d.values[id] }

// Len is how many ids there are, Absent included.
func (d *Dict) Len() int { return len(d.values) }
