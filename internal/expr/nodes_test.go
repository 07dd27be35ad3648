package expr

import (
	"math"
	"slices"
	"testing"
)

// failing and not, and depending on the element that a loop is at.
var (
	sure    = &Table{Label: "sure", Refs: []Ref{{Var: 1}}}
	unsure  = &Table{Label: "unsure", Refs: []Ref{{Var: 1}}, Fails: true}
	outside = &Table{Label: "outside", Refs: []Ref{{}}, Fails: true}
	element = Loop{Var: 1}
)

func itemOf(value Num, conds ...Bool) []Item {
	steps := []Step{{Loop: element}}
	for _, b := range conds {
		steps = append(steps, Step{If: b})
	}
	return []Item{{Steps: steps, Value: value}}
}

// Nobody may leave out to look at what may fail.
func TestWhatMayFailIsKnown(t *testing.T) {
	fails := &Lookup{Table: unsure}
	fine := &Lookup{Table: sure}
	for name, tc := range map[string]struct {
		items []Item
		fails bool
	}{
		"AColumn":              {itemOf(Col{Var: 1}), false},
		"NoItems":              {nil, false},
		"ATable":               {itemOf(fine), false},
		"AFailingTable":        {itemOf(fails), true},
		"AFailingCondition":    {itemOf(Col{Var: 1}, &Some{}, &Test{Table: unsure}), true},
		"OneOfTwo":             {append(itemOf(Now{}), itemOf(fails)...), true},
		"WhatWasLookedAtThere": {itemOf(&Lookup{Table: outside}), false},
		"OneOfASum":            {itemOf(&Sum{A: Const(1), B: fails}), true},
		"ASum":                 {itemOf(&Sum{A: fine, B: &Len{}}), false},
		"AFunction":            {itemOf(&Func{Arg: Const(1)}), true},
		"AConjunction":         {itemOf(Const(1), &AndOf{Terms: []Bool{Lit(true), &Test{Table: unsure}}}), true},
		"FineConjunction":      {itemOf(Const(1), &AndOf{Terms: []Bool{Lit(true), &Test{Table: sure}}}), false},
		"ADisjunction":         {itemOf(Const(1), &OrOf{Terms: []Bool{&Same{A: 1, B: 1}, &Known{Num: fails}}}), true},
		"FineDisjunction":      {itemOf(Const(1), &OrOf{Terms: []Bool{&Same{A: 1, B: 1}, &Known{Num: fine}}}), false},
		"AnOpposite":           {itemOf(Const(1), &NotOf{Term: &Test{Table: unsure}}), true},
		"FineOpposite":         {itemOf(Const(1), &NotOf{Term: &Test{Table: sure}}), false},
		"LeftOfAComparison":    {itemOf(Const(1), &Cmp{L: fails, R: Const(1)}), true},
		"RightOfAComparison":   {itemOf(Const(1), &Cmp{L: Const(1), R: fails}), true},
		"FineComparison":       {itemOf(Const(1), &Cmp{L: fine, R: Now{}}), false},
		"OneOfMany":            {itemOf(Const(1), &In{Num: fails}), true},
		"FineOneOfMany":        {itemOf(Const(1), &In{Num: fine}), false},
		"InALoopWithin":        {itemOf(Const(1), &Exists{Loop: Loop{Var: 2}, If: &Test{Table: unsure}}), true},
		"FineLoopWithin":       {itemOf(Const(1), &Exists{Loop: Loop{Var: 2}, If: &Test{Table: sure}}), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := !Unfailing(tc.items); got != tc.fails {
				t.Errorf("the items may fail: %t", got)
			}
			for _, n := range []Num{
				&Count{Items: tc.items}, &Extreme{Items: tc.items}, &Total{Items: tc.items}, &Different{Items: tc.items},
				&Last{Items: tc.items, Place: Const(1)}, &Memo{Num: &Count{Items: tc.items}},
			} {
				if got := failing(n); got != tc.fails {
					t.Errorf("%s may fail: %t", n.Key(), got)
				}
				if got := !Unfailing([]Item{{Value: &Memo{Num: n}}}); got != tc.fails {
					t.Errorf("what is remembered of %s may fail: %t", n.Key(), got)
				}
				if _, ok := n.(*Count); !ok {
					continue
				}
				if got := !defines(&Cmp{Op: GE, L: &Memo{Num: n}, R: Const(1)}); got != tc.fails {
					t.Errorf("a comparison with %s must be looked at: %t", n.Key(), got)
				}
			}
		})
	}
	for _, n := range []Num{
		fails, &Func{Arg: Const(1)}, &Rest{A: Const(1), B: Const(1)}, &Last{Place: fails}, &Sum{A: fails, B: fine}, &Sum{A: fine, B: fails},
		&Product{A: fails, B: fine}, &Product{A: fine, B: fails}, &Best{Of: []Num{fine, fails}}, &Otherwise{Num: fails, Else: fine}, &Otherwise{Num: fine, Else: fails},
	} {
		if !failing(n) || defines(&Known{Num: n}) {
			t.Errorf("%s may fail", n.Key())
		}
	}
	for _, n := range []Num{
		fine, Const(1), Now{}, Col{}, &Len{}, &Last{Place: fine}, &Sum{A: fine, B: fine}, &Product{A: fine, B: fine},
		&Best{Of: []Num{fine}}, &Otherwise{Num: fine, Else: fine},
	} {
		if failing(n) || !defines(&Known{Num: n}) {
			t.Errorf("%s can't fail", n.Key())
		}
	}
}

// What a condition depends on are its row and the loops around it, not those that
// it goes through itself.
func TestVarsAreThoseAround(t *testing.T) {
	own := itemOf(&Sum{A: Col{Var: 1}, B: Col{Var: 2}}, &Cmp{L: Col{Var: 3}, R: &Lookup{Table: sure}})
	pair := &Table{Refs: []Ref{{Var: 1}, {Var: 3}}}
	for name, tc := range map[string]struct {
		num  Num
		vars uint8
	}{
		"Now":       {Now{}, 0},
		"Element":   {Col{Var: 2}, 1 << 2},
		"Length":    {&Len{}, 1},
		"Pair":      {&Lookup{Table: pair}, 1<<1 | 1<<3},
		"Function":  {&Func{Arg: Col{Var: 2}, Refs: pair.Refs}, 1<<1 | 1<<2 | 1<<3},
		"Sum":       {&Sum{A: Col{Var: 1}, B: Col{Var: 2}}, 1<<1 | 1<<2},
		"Product":   {&Product{A: Col{Var: 1}, B: Col{Var: 2}}, 1<<1 | 1<<2},
		"Rest":      {&Rest{A: Col{Var: 1}, B: Col{Var: 2}}, 1<<1 | 1<<2},
		"Otherwise": {&Otherwise{Num: Col{Var: 1}, Else: Col{Var: 2}}, 1<<1 | 1<<2},
		"Best":      {&Best{Of: []Num{Col{Var: 1}, Col{Var: 2}}}, 1<<1 | 1<<2},
		"Memo":      {&Memo{Num: Col{}, Depth: 2}, 1 | 1<<2},
		"Count":     {&Count{Items: own}, 1 | 1<<2 | 1<<3},
		"Extreme":   {&Extreme{Items: own}, 1 | 1<<2 | 1<<3},
		"Total":     {&Total{Items: own}, 1 | 1<<2 | 1<<3},
		"Different": {&Different{Items: own}, 1 | 1<<2 | 1<<3},
		"Last":      {&Last{Items: own, Place: Col{Var: 4}}, 1 | 1<<2 | 1<<3 | 1<<4},
	} {
		for _, b := range []Bool{
			&Known{Num: tc.num}, &In{Num: tc.num}, &Cmp{L: tc.num, R: Const(1)}, &Cmp{L: Const(1), R: tc.num}, Not(&Known{Num: tc.num}),
			&AndOf{Terms: []Bool{Lit(true), &Known{Num: tc.num}}}, &OrOf{Terms: []Bool{Lit(true), &Known{Num: tc.num}}},
		} {
			if got := vars(b); got != tc.vars {
				t.Errorf("%s depends on %b in %T, want %b", name, got, b, tc.vars)
			}
		}
		inside := vars(&Exists{Loop: Loop{Var: 2}, If: &Known{Num: tc.num}})
		if want := (tc.vars | 1) &^ (1 << 2); inside != want {
			t.Errorf("%s depends on %b in a loop, want %b", name, inside, want)
		}
	}
	if got := vars(&Same{A: 1, B: 3}); got != 1<<1|1<<3 {
		t.Errorf("whether two loops are at the same element depends on %b", got)
	}
}

// Ids and numbers of every width are read as they are said one by one, also from
// the middle on, and take the space that they take.
func TestColumnsAreReadAsTheyAre(t *testing.T) {
	for _, tc := range []struct {
		most       uint32
		ids, codes int64 // bytes each
	}{{0, 0, 0}, {math.MaxUint8 - 1, 1, 1}, {math.MaxUint16 - 1, 2, 2}, {math.MaxUint32 - 1, 4, 4}} {
		c := NewColumns(1, 1, 1)
		for n := range 100 {
			c.IDs[0].Append(uint32(n%2) * (tc.most + min(tc.most, 1)))
			one := int64(min(tc.most, 1))
			number := -5 + int64(n%2)*(int64(tc.most)-one) + int64(n%3%2)*one
			if n == 50 && one > 0 {
				number = Missing
			}
			c.Ints[0].Append(number)
			c.Arrays[0].Append(0)
			c.Rows++
		}
		if got := c.Bytes(); got != 100*4+100*8+101*4 {
			t.Errorf("wide columns take %d bytes", got)
		}
		narrow := c.Narrow()
		if got, want := narrow.Bytes(), 100*(tc.ids+tc.codes); got != want {
			t.Errorf("columns up to %d take %d bytes, want %d", tc.most, got, want)
		}
		for _, c := range []*Columns{c, narrow} {
			ids, ints := make([]uint32, 40), make([]int64, 40)
			for n := range ids {
				ids[n], ints[n] = 77, 77
			}
			c.IDs[0].Read(31, ids)
			c.Ints[0].Read(31, ints)
			for n := range ids {
				if ids[n] != c.IDs[0].At(31+n) || ints[n] != c.Ints[0].At(31+n) {
					t.Fatalf("place %d up to %d: %d and %d, one by one %d and %d", 31+n, tc.most, ids[n], ints[n], c.IDs[0].At(31+n), c.Ints[0].At(31+n))
				}
			}
		}
	}
}

// What a machine says of numbers is what integers are, and where these end it says
// that it can't tell.
func TestNumbersAreExactOrHard(t *testing.T) {
	const most, least = math.MaxInt64, math.MinInt64
	items := func(vs ...int64) (out []Item) {
		for _, v := range vs {
			out = append(out, Item{Value: Const(v)})
		}
		return out
	}
	missing := &Lookup{Table: &Table{Label: "missing", Ask: func([]uint32) Cell { return Cell{State: Undefined} }}}
	for name, tc := range map[string]struct {
		num   Num
		want  int64
		ok    bool
		tells bool
	}{
		"Sum":                {&Sum{A: Const(most - 1), B: Const(1)}, most, true, true},
		"SumTooGreat":        {&Sum{A: Const(most), B: Const(1)}, 0, false, false},
		"SumTooLittle":       {&Sum{A: Const(least), B: Const(-1)}, 0, false, false},
		"SumOfNothing":       {&Sum{A: Const(least), B: Const(0)}, least, true, true},
		"Difference":         {&Sum{A: Const(least + 1), B: Const(1), Minus: true}, least, true, true},
		"DifferenceTooGreat": {&Sum{A: Const(0), B: Const(least), Minus: true}, 0, false, false},
		"SumWithoutOne":      {&Sum{A: missing, B: Const(1)}, 0, false, true},
		"SumWithoutOther":    {&Sum{A: Const(1), B: missing}, 0, false, true},
		"Product":            {&Product{A: Const(-3), B: Const(7)}, -21, true, true},
		"ProductTooGreat":    {&Product{A: Const(1 << 32), B: Const(1 << 31)}, 0, false, false},
		"ProductMuchTooMuch": {&Product{A: Const(1 << 40), B: Const(1 << 40)}, 0, false, false},
		"ProductOfMost":      {&Product{A: Const(-1), B: Const(most)}, -most, true, true},
		"ProductWithoutOne":  {&Product{A: missing, B: Const(1)}, 0, false, true},
		"Rest":               {&Rest{A: Const(-7), B: Const(3)}, -1, true, true},
		"RestOfNothing":      {&Rest{A: Const(7), B: Const(0)}, 0, false, false},
		"RestWithoutOne":     {&Rest{A: missing, B: Const(0)}, 0, false, true},
		"RestWithoutOther":   {&Rest{A: Const(7), B: missing}, 0, false, true},
		"Total":              {&Total{Items: items(3, 4, 3)}, 10, true, true},
		"TotalOfDistinct":    {&Total{Items: items(3, 4, 3), Distinct: true}, 7, true, true},
		"TotalTooGreat":      {&Total{Items: items(most, 1)}, 0, false, false},
		"TotalOfNone":        {&Total{}, 0, true, true},
		"Different":          {&Different{Items: items(3, 4, 3)}, 2, true, true},
		"Otherwise":          {&Otherwise{Num: missing, Else: Const(3)}, 3, true, true},
		"OtherwiseHard":      {&Otherwise{Num: &Rest{A: Const(1), B: Const(0)}, Else: Const(3)}, 0, false, false},
		"BestOfNone":         {&Best{}, 0, false, true},
		"LastButTwo":         {&Last{Items: items(3, 5, 4), Place: Const(3)}, 3, true, true},
		"LastOfTooFew":       {&Last{Items: items(3, 5, 4), Place: Const(4)}, 0, false, true},
		"LastOfNone":         {&Last{Items: items(3), Place: Const(0)}, 0, false, true},
	} {
		m := &Machine{}
		got, ok := tc.num.Value(m)
		if m.Hard == tc.tells || ok != tc.ok || ok && got != tc.want {
			t.Errorf("%s: %d, %t and hard %t", name, got, ok, m.Hard)
		}
		many := &In{Num: tc.num, Values: []int64{tc.want}}
		if m = new(Machine); tc.tells && many.True(m) != tc.ok {
			t.Errorf("%s is one of %v: %t", name, many.Values, !tc.ok)
		}
	}
}

// What tables have answered is known in order and once, until it is forgotten.
func TestTablesKnowWhatTheyAnswered(t *testing.T) {
	for refs := 1; refs <= 3; refs++ {
		asked := 0
		table := &Table{Refs: make([]Ref, refs), Ask: func(ids []uint32) Cell {
			asked++
			if ids[0] == 4 {
				return Cell{State: Undefined}
			}
			return Cell{State: Defined, Value: int64(ids[0]*3+ids[len(ids)-1]) % 7}
		}}
		for range 2 {
			for _, a := range []uint32{0, 16, 40, 1, 4, maxDense, maxDense - 1, 2} {
				for _, b := range []uint32{0, 3, 16, 90, maxDense, 17} {
					key := [MaxRefs]uint32{a}
					for i := 1; i < refs; i++ {
						key[i] = b
					}
					want := Cell{State: Undefined}
					if a != 4 {
						want = Cell{State: Defined, Value: int64(a*3+key[refs-1]) % 7}
					}
					if refs == 1 && a != 4 {
						want.Value = int64(a*4) % 7
					}
					if got := table.Answer(key); got != want {
						t.Fatalf("%v of %d ids: %v, want %v", key, refs, got, want)
					}
				}
			}
		}
		if want := []int{0, 8, 48, 48}[refs]; asked != want {
			t.Errorf("a table of %d ids was asked %d times, want %d", refs, asked, want)
		}
		known := table.Known()
		if !slices.IsSorted(known) || len(slices.Compact(slices.Clone(known))) != len(known) || len(known) < 3 {
			t.Errorf("a table of %d ids knows %v", refs, known)
		}
		if table.Forget(); len(table.Known()) > 0 {
			t.Errorf("a table of %d ids knows %v, which it was to forget", refs, table.Known())
		}
	}
}

// A function is asked once about the same, until its answers are forgotten or too
// many.
func TestFunctionsAreAskedOnce(t *testing.T) {
	c := NewColumns(1, 1, 0)
	for n := range maxKnown + 10 {
		c.IDs[0].Append(uint32(n % 2))
		c.Ints[0].Append(int64(n / 2))
	}
	asked := 0
	f := &Func{Arg: Col{}, Refs: []Ref{{}}, Ask: func(n int64, ids []uint32) Cell {
		if asked++; n == 3 {
			return Cell{State: Hard}
		}
		return Cell{State: Defined, Value: n*2 + int64(ids[0])}
	}}
	m := &Machine{Columns: c}
	ask := func(rows int) {
		for row := range rows {
			m.Row(row)
			got, ok := f.Value(m)
			if hard := row/2 == 3; m.Hard != hard || ok == hard || ok && got != int64(row) {
				t.Fatalf("the function of row %d is %d, %t and hard %t", row, got, ok, m.Hard)
			}
			if len(f.known) > maxKnown {
				t.Fatalf("it knows %d answers", len(f.known))
			}
		}
	}
	for _, step := range []struct{ rows, asked int }{{20, 20}, {20, 20}, {maxKnown, maxKnown}, {maxKnown, maxKnown}, {maxKnown + 10, maxKnown + 10}} {
		if ask(step.rows); asked != step.asked {
			t.Errorf("it was asked %d times about %d rows, want %d", asked, step.rows, step.asked)
		}
	}
	if f.Forget(); len(f.known) > 0 {
		t.Error("it knows what it was to forget")
	}
}

// No count exceeds what AtMost says of it; of what has loops within loops, or none,
// that is not known.
func TestCountsHaveABound(t *testing.T) {
	other := Step{Loop: Loop{Var: 1, Array: 1}}
	for name, tc := range map[string]struct {
		items []Item
		want  string
	}{
		"None":        {nil, ""},
		"OfTheRow":    {count(if1(Lit(true))).Items, ""},
		"Loop":        {count(if1(Lit(true)), loop, if1(Lit(true))).Items, "len[0]"},
		"TwoLoops":    {append(count(loop).Items, count(other).Items...), "len[0 1]"},
		"LoopInALoop": {count(loop, second).Items, ""},
		"OneIsNot":    {append(count(loop).Items, count().Items...), ""},
	} {
		got := ""
		if n := AtMost(tc.items); n != nil {
			got = n.Key()
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

// A table of pairs that grew for the one id keeps what it has when it grows for the
// other.
func TestTablesGrowBothWays(t *testing.T) {
	table := tells("grows", func(ids []uint32) int64 { return int64(ids[0]*1000 + ids[1]) }, Ref{}, Ref{})
	for _, key := range [][MaxRefs]uint32{{3, 3}, {40, 2}, {1, 40}, {40, 2}, {16, 64}, {64, 16}, {40, 2}} {
		if got, want := table.Answer(key), int64(key[0]*1000+key[1]); got.State != Defined || got.Value != want {
			t.Errorf("%v: %v, want %d", key, got, want)
		}
	}
}
