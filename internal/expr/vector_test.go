package expr

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A world is columns of chance: three ids and two numbers of each row, two arrays
// whose elements have one of each.
type world struct {
	*rapid.T
	columns *Columns
	tables  int
	hard    bool // tables may be
}

var edges = []int64{Missing, Missing + 1, math.MaxInt64, math.MaxInt64 - 1, 0, -1, 1, 41, 42, 43}

func draw(t *rapid.T) *world {
	rows := rapid.SampledFrom([]int{1, 2, 63, 64, 65, 130, 400, 1500}).Draw(t, "rows")
	most := rapid.SampledFrom([]int{3, 3, 1, 30}).Draw(t, "elements")
	c := chance(rows, most, rapid.Uint64().Draw(t, "seed"))
	if rapid.Bool().Draw(t, "narrow") {
		c = c.Narrow()
	}
	return &world{T: t, columns: c, hard: rapid.Bool().Draw(t, "hard")}
}

// chance makes columns whose arrays have so many elements a row at most.
func chance(rows, most int, seed uint64) *Columns {
	r := rand.New(rand.NewPCG(seed, 0))
	c := NewColumns(5, 4, 2)
	c.Rows = rows
	id := func(col int, of ...uint32) { c.IDs[col].Append(of[r.IntN(len(of))]) }
	number := func(col int) { c.Ints[col].Append(edges[r.IntN(len(edges))]) }
	for range rows {
		id(0, Absent, 1, 2, 3, 300)
		id(1, Absent, 1, 2, 3)
		id(4, Absent, 1, 2, 70000)
		number(0)
		number(1)
		for array := range c.Arrays {
			for range r.IntN(most + 1) {
				id(2+array, Absent, 1, 2)
				number(2 + array)
			}
			c.Arrays[array].Append(uint32(len(c.IDs[2+array].U32)))
		}
	}
	return c
}

func (w *world) pick(n int, what string) int { return rapid.IntRange(0, n-1).Draw(w.T, what) }

// table answers at random, and for some ids not at all.
func (w *world) table(loop int) *Table {
	w.tables++
	t := &Table{Label: fmt.Sprint(w.tables), Refs: []Ref{{Column: []int{0, 1, 4}[w.pick(3, "column")]}}}
	switch {
	case loop > 0:
		t.Refs = append(t.Refs, Ref{Var: 1, Column: 2})[w.pick(2, "refs"):]
	case w.pick(2, "pair") == 1:
		t.Refs = append(t.Refs, Ref{Column: w.pick(2, "column")})
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
			if w.hard {
				return Cell{State: Hard}
			}
		}
		return Cell{State: Defined, Value: int64(n%3) * 21}
	}
	return t
}

func (w *world) num(deep, loop int) Num {
	kind := w.pick(15, "num")
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
	if loop > 0 && w.pick(2, "of the row") == 0 {
		return &Memo{Num: w.num(deep-1, loop), Depth: 1}
	}
	items := w.items(deep) // a loop may be gone through within itself: what has a name was found before
	switch kind {
	case 8:
		return &Extreme{Least: w.pick(2, "least") == 1, Items: items}
	case 9:
		return &Memo{Num: &Count{Items: items}}
	case 10:
		return &Total{Items: items, Distinct: w.pick(2, "distinct") == 1}
	case 11:
		return &Different{Items: items}
	case 12:
		return &Product{A: w.num(deep-1, 0), B: w.num(deep-1, loop)}
	case 13:
		return &Rest{A: w.num(deep-1, loop), B: w.num(deep-1, 0)}
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
	kind := w.pick(10, "bool")
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
	case 7:
		return &In{Num: w.num(deep-1, loop), Values: []int64{0, 21, 42}}
	case 8:
		if loop > 0 { // pairs of elements, of two arrays or of one
			array := w.pick(2, "array")
			return &Exists{Loop: Loop{Var: 2, Array: array}, If: &Cmp{Op: Op(w.pick(6, "op")), L: Col{Var: 2, Column: 2 + array}, R: w.num(deep-1, 1)}}
		}
	}
	if loop > 0 {
		return Lit(w.pick(2, "lit") == 1)
	}
	return &Exists{Loop: Loop{Var: 1}, If: w.bool(deep-1, 1)}
}

// question is which rows steps lead somewhere for, and a number there.
type question struct {
	steps []Step
	num   Num
	sure  bool // no row is hard that isn't one by one
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
		asked := rapid.SampledFrom([]uint64{^uint64(0), 0xf7f1f3f5f7f9fbfe, 1 << 17}).Draw(t, "asked")
		cut := w.pick(words(w.columns.Rows)+1, "cut") << 6
		question{steps: steps, num: num}.compare(t, w.columns, min(cut, w.columns.Rows), asked)
	})
}

// failer is a test, or a part of one.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// compare asks it of many rows at once, in two chunks with a cut between, of which
// some are asked about, and of one row after the other.
func (q question) compare(t failer, c *Columns, cut int, asked uint64) {
	t.Helper()
	v := NewVector(&Machine{Columns: c, Now: 42})
	way, told := v.End(q.steps, nil, false), v.End(q.steps, []Num{q.num}, false)
	v.End(q.steps, nil, false) // one more that comes by makes it worth to copy a few together
	for range 2 {              // what is remembered is the same
		for _, chunk := range [][2]int{{0, cut}, {cut, c.Rows}} {
			lo, n := chunk[0], chunk[1]-chunk[0]
			only := NewBits(n)
			only.first(n)
			for w := range only {
				only[w] &= asked
			}
			v.Rows(lo, lo+n, only)
			rows, numbers := NewBits(n), heard{}
			v.Each(way, Lead{Rows: rows.Join})
			if Flat(q.steps) {
				v.Each(told, Lead{Tell: numbers})
			}
			for row := range n {
				m := &one{Machine: &Machine{Columns: c, Now: 42, epoch: uint32(lo+row) + 1}, num: q.num}
				if m.Row(lo + row); only.Has(row) {
					m.Each(q.steps, m)
				}
				switch {
				case m.Hard && !v.Hard.Has(row):
					t.Fatalf("row %d is hard, and answered\n%s; %s", lo+row, stepsKey(q.steps), q.num.Key())
				case v.Hard.Has(row) && (!only.Has(row) || q.sure && !m.Hard):
					t.Fatalf("row %d is hard, and need not be\n%s; %s", lo+row, stepsKey(q.steps), q.num.Key())
				case v.Hard.Has(row):
				case rows.Has(row) != (m.ways > 0), Flat(q.steps) && !slices.Equal(numbers[row], m.got):
					t.Fatalf("row %d: %t with %v, one by one %d with %v\n%s; %s",
						lo+row, rows.Has(row), numbers[row], m.ways, m.got, stepsKey(q.steps), q.num.Key())
				}
			}
		}
	}
}
