package expr

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A world is columns of chance: two ids and two numbers of each row, an array
// whose elements have one of each.
type world struct {
	*rapid.T
	columns *Columns
	tables  int
}

var edges = []int64{Missing, Missing + 1, math.MaxInt64, math.MaxInt64 - 1, 0, -1, 1, 41, 42, 43}

func draw(t *rapid.T) *world {
	rows := rapid.SampledFrom([]int{1, 2, 63, 64, 65, 130, 400}).Draw(t, "rows")
	c := NewColumns(3, 3, 1)
	c.Rows = rows
	for range rows {
		for _, col := range c.IDs[:2] {
			col.Append(rapid.SampledFrom([]uint32{Absent, 1, 2, 3, 300}).Draw(t, "id"))
		}
		for _, col := range c.Ints[:2] {
			col.Append(rapid.SampledFrom(edges).Draw(t, "int"))
		}
		for range rapid.IntRange(0, 3).Draw(t, "elements") {
			c.IDs[2].Append(rapid.SampledFrom([]uint32{Absent, 1, 2}).Draw(t, "id"))
			c.Ints[2].Append(rapid.SampledFrom(edges).Draw(t, "int"))
		}
		c.Arrays[0].Append(uint32(len(c.IDs[2].U32)))
	}
	if rapid.Bool().Draw(t, "narrow") {
		c = c.Narrow()
	}
	return &world{T: t, columns: c}
}

func (w *world) pick(n int, what string) int { return rapid.IntRange(0, n-1).Draw(w.T, what) }

// table answers at random, and for some ids not at all.
func (w *world) table(loop int) *Table {
	w.tables++
	t := &Table{Label: fmt.Sprint(w.tables), Refs: []Ref{{Column: w.pick(2, "column")}}}
	if loop > 0 {
		t.Refs = append(t.Refs, Ref{Var: 1, Column: 2})[w.pick(2, "refs"):]
	}
	seed := w.pick(1000, "seed")
	t.Ask = func(ids []uint32) Cell {
		n := seed
		for _, id := range ids {
			n = n*31 + int(id)
		}
		switch n % 5 {
		case 0:
			return Cell{State: Undefined}
		case 1:
			return Cell{State: Hard}
		}
		return Cell{State: Defined, Value: int64(n%3) * 21}
	}
	return t
}

func (w *world) num(deep, loop int) Num {
	kind := w.pick(11, "num")
	if deep == 0 {
		kind %= 4
	}
	switch kind {
	case 0:
		return Const(rapid.SampledFrom(edges[1:]).Draw(w.T, "const"))
	case 1:
		return Now{}
	case 2:
		if loop > 0 && w.pick(2, "element's") == 1 {
			return Col{Var: 1, Column: 2}
		}
		return Col{Column: w.pick(2, "column")}
	case 3:
		return &Lookup{Table: w.table(loop)}
	case 4:
		return &Sum{A: w.num(deep-1, loop), B: w.num(deep-1, loop), Minus: w.pick(2, "minus") == 1}
	case 5:
		return &Best{Least: w.pick(2, "least") == 1, Of: []Num{w.num(deep-1, loop), w.num(deep-1, loop)}}
	case 6:
		return &Otherwise{Num: w.num(deep-1, loop), Else: w.num(deep-1, loop)}
	case 7:
		return &Len{Arrays: []int{0}}
	}
	if loop > 0 {
		return &Memo{Num: w.num(deep-1, loop), Depth: 1}
	}
	items := w.items(deep)
	switch kind {
	case 8:
		return &Extreme{Least: w.pick(2, "least") == 1, Items: items}
	case 9:
		return &Memo{Num: &Count{Items: items}}
	}
	last := &Last{Items: items, Place: Const(w.pick(3, "place"))}
	if w.pick(2, "most") == 1 {
		last.Most = AtMost(items)
	}
	return last
}

// items are one or two, of the elements of the array or of the row alone.
func (w *world) items(deep int) (items []Item) {
	for range 1 + w.pick(2, "items") {
		if w.pick(4, "of the row") == 0 {
			items = append(items, Item{Steps: []Step{{If: w.bool(deep-1, 0)}}, Value: w.num(deep-1, 0)})
			continue
		}
		steps := []Step{{Loop: Loop{Var: 1}}, {If: w.bool(deep-1, 1)}}
		if w.pick(2, "before") == 1 {
			steps = append([]Step{{If: w.bool(deep-1, 0)}}, steps...)
		}
		items = append(items, Item{Steps: steps, Value: w.num(deep-1, 1)})
	}
	return items
}

func (w *world) bool(deep, loop int) Bool {
	kind := w.pick(8, "bool")
	if deep == 0 {
		kind %= 4
	}
	switch kind {
	case 0:
		return &Test{Table: w.table(loop)}
	case 1:
		return &Known{Num: w.num(deep, loop)}
	case 2:
		return &Cmp{Op: Op(w.pick(6, "op")), L: w.num(deep, loop), R: w.num(deep, loop)}
	case 3:
		return &Some{}
	case 4:
		return And(w.bool(deep-1, loop), w.bool(deep-1, loop))
	case 5:
		return Or(w.bool(deep-1, loop), w.bool(deep-1, loop))
	case 6:
		return Not(w.bool(deep-1, loop))
	}
	if loop > 0 {
		return Lit(w.pick(2, "lit") == 1)
	}
	return &Exists{Loop: Loop{Var: 1}, If: w.bool(deep-1, 1)}
}

// heard remembers numbers by row.
type heard map[int][]int64

func (t heard) Tell(places Bits, rows []uint32, numbers [][]int64) {
	for n := range places.All {
		row := n
		if rows != nil {
			row = int(rows[n])
		}
		t[row] = append(t[row], numbers[0][n])
	}
}

// one asks the machine about one row.
type one struct {
	*Machine
	num  Num
	ways int
	got  []int64
}

func (o *one) Visit() bool {
	o.ways++
	if v, ok := o.num.Value(o.Machine); ok {
		o.got = append(o.got, v)
	}
	return true
}

// Whatever is asked of many rows at once is what the machine says of each: which
// rows there is a way for, and the numbers at its ends. Where it can't tell it says
// so, and it says so of no row in which nothing is hard.
func TestManyRowsAtOnceAreAsOneByOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := draw(t)
		var steps []Step
		if w.pick(2, "before") == 1 {
			steps = append(steps, Step{If: w.bool(2, 0)})
		}
		loop := w.pick(2, "loop")
		if loop == 1 {
			steps = append(steps, Step{Loop: Loop{Var: 1}})
		}
		steps = append(steps, Step{If: w.bool(3, loop)})
		num := w.num(2, loop)
		v := NewVector(&Machine{Columns: w.columns, Now: 42})
		only := NewBits(w.columns.Rows)
		for row := range w.columns.Rows {
			if w.pick(4, "asked") > 0 {
				only.Set(row)
			}
		}
		way, told := v.End(steps, nil, false), v.End(steps, []Num{num}, false)
		v.End(steps, nil, false) // one more that comes by makes it worth to copy a few together
		for range 2 {            // what is remembered is the same
			v.Rows(0, w.columns.Rows, only)
			rows, numbers := NewBits(w.columns.Rows), heard{}
			v.Each(way, Lead{Rows: rows.Join})
			v.Each(told, Lead{Tell: numbers})
			for row := range w.columns.Rows {
				m := &one{Machine: &Machine{Columns: w.columns, Now: 42, epoch: uint32(row) + 1}, num: num}
				m.Row(row)
				m.Each(steps, m)
				if !only.Has(row) {
					if rows.Has(row) || numbers[row] != nil {
						t.Fatalf("row %d is answered, about whom nobody asked", row)
					}
					continue
				}
				if m.Hard || v.Hard.Has(row) {
					if m.Hard && !v.Hard.Has(row) {
						t.Fatalf("row %d is hard, and answered\n%s; %s", row, stepsKey(steps), num.Key())
					}
					continue
				}
				if rows.Has(row) != (m.ways > 0) || !slices.Equal(numbers[row], m.got) {
					t.Fatalf("row %d: %t with %v, one by one %v\n%s; %s", row, rows.Has(row), numbers[row], m.got, stepsKey(steps), num.Key())
				}
			}
		}
	})
}
