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

import (
	"math"
	"strings"
	"sync/atomic"
)

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
	IDs    []*IDs  // by column: an id of its dictionary for each row or element
	Ints   []*Ints // by column: a number for each row or element
	Arrays []*IDs  // by array: row r has the elements from At(r) to At(r+1)
}

// NewColumns makes empty columns of a shape, to be appended to.
func NewColumns(ids, ints, arrays int) *Columns {
	c := &Columns{IDs: make([]*IDs, ids), Ints: make([]*Ints, ints), Arrays: make([]*IDs, arrays)}
	for i := range c.IDs {
		c.IDs[i] = &IDs{U32: []uint32{}}
	}
	for i := range c.Ints {
		c.Ints[i] = &Ints{I64: []int64{}}
	}
	for i := range c.Arrays {
		c.Arrays[i] = &IDs{U32: []uint32{0}}
	}
	return c
}

// Reset takes out all rows and keeps the space.
func (c *Columns) Reset() {
	c.Rows = 0
	for _, col := range c.IDs {
		col.U32 = col.U32[:0]
	}
	for _, col := range c.Ints {
		col.I64 = col.I64[:0]
	}
	for _, col := range c.Arrays {
		col.U32 = append(col.U32[:0], 0)
	}
}

// Bytes is what the columns hold.
func (c *Columns) Bytes() int64 {
	var n int64
	for _, col := range c.IDs {
		n += col.Bytes()
	}
	for _, col := range c.Ints {
		n += col.Bytes()
	}
	for _, col := range c.Arrays {
		n += col.Bytes()
	}
	return n
}

// Dict numbers the values of a column, from 1 on. Values are told apart by a
// key, which says all of them.
//
// One goroutine gives ids; others may look up the values of ids that they have
// from it at the same time.
type Dict struct {
	ids    map[string]uint32
	values atomic.Pointer[[]any]
}

// NewDict makes one without values.
func NewDict() *Dict {
	d := &Dict{ids: map[string]uint32{}}
	d.values.Store(&[]any{nil})
	return d
}

// ID of the value with the key; what it does not know yet is called make for.
func (d *Dict) ID(key []byte, value func() any) uint32 {
	if id, ok := d.ids[string(key)]; ok {
		return id
	}
	return d.add(string(key), value())
}

// Text is the ID of a text, which is its own key.
func (d *Dict) Text(s string) uint32 {
	if id, ok := d.ids[s]; ok {
		return id
	}
	s = strings.Clone(s) // it may be a part of something large
	return d.add(s, s)
}

func (d *Dict) add(key string, value any) uint32 {
	values := *d.values.Load()
	id := uint32(len(values))
	d.ids[key] = id
	values = append(values, value)
	d.values.Store(&values)
	return id
}

// Value of an id; nil for Absent.
func (d *Dict) Value(id uint32) any { return (*d.values.Load())[id] }

// Len is how many ids there are, Absent included.
func (d *Dict) Len() int { return len(*d.values.Load()) }
