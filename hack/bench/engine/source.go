package main

import (
	"hash/maphash"
	"slices"

	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
	"github.com/codb-dev/codb/internal/importer"
)

// distinct is how many customers are drawn; beyond, the same ones follow again, in
// memory of their own.
const distinct = 256 * expr.Chunk

// customers are a Source that is made straight in columns.
type customers struct {
	bank   []importer.Row
	chunks []decision.Chunk

	drawn    int // the chunk that subjects are of
	subjects []decision.Subject
}

// newCustomers makes n of them.
func newCustomers(n int, bank []importer.Row) *customers {
	c := &customers{bank: bank, drawn: -1}
	into := audience.NewColumns()
	for lo := 0; lo < n; lo += expr.Chunk {
		rows := min(expr.Chunk, n-lo)
		if i := lo % distinct / expr.Chunk; lo >= distinct && rows == expr.Chunk {
			c.chunks = append(c.chunks, clone(&c.chunks[i]))
			continue
		}
		into.Reset()
		subjects := c.draw(len(c.chunks))[:rows]
		for i := range subjects {
			into.Add(&subjects[i])
		}
		live := expr.NewBits(rows)
		for i := range rows {
			live.Set(i)
		}
		c.chunks = append(c.chunks, decision.Chunk{Columns: into.Narrow(), Dicts: into.Dicts, Live: live, Odd: slices.Clone(into.Odd())})
	}
	return c
}

// draw makes the people of a chunk, the same ones each time.
func (c *customers) draw(chunk int) []decision.Subject {
	crowd := newCrowd(uint64(chunk%(distinct/expr.Chunk)), c.bank)
	out := make([]decision.Subject, expr.Chunk)
	for i := range out {
		out[i] = crowd.draw()
	}
	return out
}

func clone(of *decision.Chunk) decision.Chunk {
	out := *of
	out.Live = slices.Clone(of.Live)
	cols := &expr.Columns{Rows: of.Columns.Rows}
	for _, col := range of.Columns.IDs {
		cols.IDs = append(cols.IDs, cloneIDs(col))
	}
	for _, col := range of.Columns.Arrays {
		cols.Arrays = append(cols.Arrays, cloneIDs(col))
	}
	for _, col := range of.Columns.Ints {
		copied := *col
		copied.U8, copied.U16, copied.U32, copied.I64 = slices.Clone(col.U8), slices.Clone(col.U16), slices.Clone(col.U32), slices.Clone(col.I64)
		cols.Ints = append(cols.Ints, &copied)
	}
	out.Columns = cols
	return out
}

func cloneIDs(col *expr.IDs) *expr.IDs {
	return &expr.IDs{U8: slices.Clone(col.U8), U16: slices.Clone(col.U16), U32: slices.Clone(col.U32), Same: col.Same}
}

// bytes of all columns.
func (c *customers) bytes() (n int64) {
	for i := range c.chunks {
		n += c.chunks[i].Columns.Bytes() + int64(len(c.chunks[i].Live))*8
	}
	return n
}

func (c *customers) rows() (n int) {
	for i := range c.chunks {
		n += c.chunks[i].Columns.Rows
	}
	return n
}

// Chunks implements decision.Source.
func (c *customers) Chunks() int { return len(c.chunks) }

// Chunk implements decision.Source. All of them know one brand only.
func (c *customers) Chunk(i int, _ string) decision.Chunk { return c.chunks[i] }

// Buckets implements decision.Source.
func (c *customers) Buckets(i, lo, hi int, of *decision.Campaign, into []int64) {
	place := maphash.String(bucketSeed, of.Namespace+"/"+of.Name)
	for row := lo; row < hi; row++ {
		into[row] = bucket(place, i, row)
	}
}

var bucketSeed = maphash.MakeSeed()

// bucket mixes who somebody is into a campaign's place.
func bucket(place uint64, chunk, row int) int64 {
	x := place ^ uint64(chunk*expr.Chunk+row)*0x9e3779b97f4a7c15
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 32
	return int64(x % 10000)
}

// Subject implements decision.Source. It is not for use by several goroutines.
func (c *customers) Subject(chunk, row int, of *decision.Campaign) decision.Subject {
	if c.drawn != chunk {
		c.drawn, c.subjects = chunk, c.draw(chunk)
	}
	s := c.subjects[row]
	s.Person.Bucket = int(bucket(maphash.String(bucketSeed, of.Namespace+"/"+of.Name), chunk, row))
	return s
}
