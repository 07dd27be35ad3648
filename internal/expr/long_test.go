package expr

import (
	"fmt"
	"testing"
)

// tells is a table that answers for ids with what a function says.
func tells(label string, f func(ids []uint32) int64, refs ...Ref) *Table {
	return &Table{Label: label, Refs: refs, Ask: func(ids []uint32) Cell { return Cell{State: Defined, Value: f(ids)} }}
}

// hards is a table that nobody can ask about some ids, none: about any.
func hards(label string, not uint32, refs ...Ref) *Table {
	return &Table{Label: label, Refs: refs, Ask: func(ids []uint32) Cell {
		if len(ids) == 0 || ids[0] == not {
			return Cell{State: Hard}
		}
		return Cell{State: Defined, Value: 1}
	}}
}

func mixed(ids []uint32) int64 {
	n := int64(7)
	for _, id := range ids {
		n = n*5 + int64(id)
	}
	return n % 3
}

var (
	loop     = Step{Loop: Loop{Var: 1}}
	second   = Step{Loop: Loop{Var: 2, Array: 1}}
	number   = Col{Var: 1, Column: 2} // of the element
	byte1    = Ref{Column: 1}
	byte2    = Ref{Var: 1, Column: 2}
	few      = &Test{Table: tells("few", func(ids []uint32) int64 { return int64(ids[0]) / 300 }, Ref{})}
	positive = &Cmp{Op: GE, L: number, R: Const(0)}
	place    = &Lookup{Table: tells("place", func(ids []uint32) int64 { return int64(ids[0]) }, byte1)}
)

func if1(b Bool) Step { return Step{If: b} }

func joined(of ...Bool) Bool { return &AndOf{Terms: of, key: keys("and", of)} }

func count(of ...Step) *Count { return &Count{Items: []Item{{Steps: of, Value: Const(1)}}} }

func lastOf(place Num, of ...Step) *Last {
	return &Last{Items: []Item{{Steps: of, Value: number}}, Place: place}
}

func most(l *Last) *Last {
	l.Most = AtMost(l.Items)
	return l
}

// at is a number of the element that a loop is at, not all of which are known.
func at(loop int) *Sum {
	return &Sum{A: Const(-1), B: &Best{Least: true, Of: []Num{Col{Var: loop, Column: 2}, Const(50)}}}
}

// slow has no kernel.
func slow(n Num) Bool { return &In{Num: n, Values: []int64{0, 1, 2, 42}} }

// ofRows are what kernels have a way of their own for, where there are rows and
// elements enough.
func ofRows() map[string]Bool {
	pairs := &Test{Table: tells("pairs", mixed, byte1, Ref{Column: 5})}
	odd := &Cmp{Op: EQ, L: Const(1), R: &Lookup{Table: hards("nobody knows", 0)}}
	unlike := &Cmp{Op: LT, L: Col{}, R: &Lookup{Table: hards("nobody knows either", 0)}}
	one, two := &Test{Table: tells("one", mixed, byte1)}, &Test{Table: tells("two", func(ids []uint32) int64 { return int64(ids[0] / 2) }, byte1)}
	small := &Test{Table: tells("small", func(ids []uint32) int64 { return int64(3 - ids[0]) }, byte1)}
	far := &Test{Table: tells("far", mixed, Ref{})}
	return map[string]Bool{
		"Pair":              pairs,
		"PairOfFew":         joined(few, pairs),
		"NotPair":           Not(pairs),
		"HardForFew":        Or(And(few, odd), slow(Col{Column: 1})),
		"HardNextToAColumn": Or(joined(few, &Known{Num: Col{}}, unlike), slow(Col{Column: 1})),
		"HardOnce":          Or(And(few, odd), cmp(Col{Column: 1}, GE, Const(0))),
		"HardInRange":       Or(joined(few, &Known{Num: Col{}}, unlike), cmp(Col{Column: 1}, GE, Const(0))),
		"TwoOfAnID":         joined(one, two),
		"OneOfTwoOfAnID":    Or(one, Not(two)),
		"NeitherOfTwo":      Not(Or(one, And(two, Not(small)))),
		"TwoOfTwoIDs":       Or(joined(one, two, far), joined(small, far), Not(Or(two, far))),
		"HardOfAnID":        joined(&Test{Table: hards("two", 2, byte1)}, one, Not(small)),
		"HardOfMany":        Not(Or(far, &Test{Table: hards("far", 300, Ref{})})),
		"PairIs":            cmp(&Lookup{Table: tells("pair is", mixed, byte1, Ref{Column: 5})}, EQ, Const(1)),
		"PairIsOtherwise":   cmp(&Lookup{Table: tells("pair is otherwise", mixed, Ref{Column: 5}, byte1)}, EQ, Const(1)),
		"PairOfTheSame":     &Test{Table: tells("pair of the same", mixed, Ref{Column: 6}, byte1)},
		"OfTheSame":         Or(&Test{Table: tells("the same", mixed, Ref{Column: 6})}, cmp(Col{Column: 5}, GT, Col{Column: 4})),
		"CloseIs":           cmp(&Lookup{Table: tells("close is", mixed, Ref{Column: 8}, Ref{Column: 9})}, EQ, Const(1)),
		"AllHard":           &Test{Table: &Table{Label: "all", Refs: []Ref{byte1}, Ask: func([]uint32) Cell { return Cell{State: Hard} }}},
		"IDIs":              cmp(&Lookup{Table: tells("id is", mixed, Ref{Column: 5})}, EQ, Const(1)),
		"ManyIDs":           &Test{Table: tells("many", mixed, Ref{Column: 4})},
		"ManyPairs":         &Test{Table: tells("many pairs", mixed, Ref{Column: 4}, Ref{})},
		"Triples":           &Test{Table: tells("triples", mixed, Ref{Column: 4}, Ref{}, byte1)},
		"Some":              And(&Some{Array: 1}, Not(&Some{})),
		"Length":            &Cmp{Op: EQ, L: &Len{Arrays: []int{0}}, R: Const(3)},
		"Lengths":           &Cmp{Op: GT, L: &Len{Arrays: []int{0, 1}}, R: Const(3)},
		"LastButTwo":        &Cmp{Op: GE, L: lastOf(Const(3), loop), R: Const(0)},
		"LastOfSome":        &Cmp{Op: GE, L: lastOf(Const(2), loop, if1(positive)), R: Const(41)},
		"LastByPlace":       &Cmp{Op: LE, L: most(lastOf(place, loop, if1(positive))), R: Const(43)},
		"LastOfFew":         joined(few, &Known{Num: lastOf(place, loop)}),
		"LastOfSums":        &Known{Num: &Last{Items: []Item{{Steps: []Step{loop}, Value: at(1)}}, Place: Const(2)}},
		"LastOfTheRow":      &Known{Num: &Last{Items: []Item{{Steps: []Step{if1(few)}, Value: Col{}}}, Place: Const(1)}},
		"Extreme":           &Cmp{Op: LT, L: &Extreme{Items: []Item{{Steps: []Step{loop, if1(positive)}, Value: number}}}, R: Const(43)},
		"Counts":            &Cmp{Op: EQ, L: count(loop, if1(positive)), R: count(loop, if1(Not(positive)))},
		"CountOfPairs": &Cmp{Op: GE, L: count(loop, second, if1(&Cmp{Op: LT, L: Col{Var: 1, Column: 2}, R: Col{Var: 2, Column: 3}})),
			R: Const(2)},
	}
}

// ofElements are the same of the elements of an array.
func ofElements() map[string]Bool {
	return map[string]Bool{
		"PairWithRow":  &Test{Table: tells("with row", mixed, byte1, byte2)},
		"SamePairs":    &Test{Table: tells("same", mixed, byte1, Ref{Var: 1, Column: 7})},
		"PairsOfSame":  &Test{Table: tells("of same", mixed, Ref{Column: 6}, byte2)},
		"AllSame":      &Test{Table: tells("all same", mixed, Ref{Var: 1, Column: 7})},
		"Widths":       Or(cmp(Col{Column: 4}, LT, Col{Var: 1, Column: 7}), cmp(Col{Column: 5}, LT, Col{Var: 1, Column: 8}), cmp(Col{Column: 6}, LT, Col{Var: 1, Column: 9})),
		"SameNumber":   cmp(Col{Var: 1, Column: 7}, LT, Col{Var: 1, Column: 10}),
		"InBytes":      cmp(Col{Column: 4}, LT, Now{}),
		"InWords":      cmp(Col{Var: 1, Column: 8}, GE, Const(20000)),
		"InLonger":     cmp(Col{Var: 1, Column: 9}, NE, Const(0)),
		"FewPairs":     joined(few, &Test{Table: tells("few with row", mixed, byte2, byte1)}),
		"OfTheRow":     slow(&Sum{A: Col{Column: 1}, B: Const(1)}),
		"Equal":        &Exists{Loop: Loop{Var: 2}, If: And(Not(&Same{A: 1, B: 2}), &Cmp{Op: EQ, L: number, R: Col{Var: 2, Column: 2}})},
		"WithinItself": &Cmp{Op: LT, L: &Count{Items: []Item{{Steps: []Step{loop, if1(positive)}, Value: number}}}, R: at(1)},
		"FoundBefore":  And(&Exists{Loop: Loop{Var: 1, Array: 1}, If: &Cmp{Op: GE, L: Col{Var: 1, Column: 3}, R: Const(42)}}, slow(number)),
		"ThreeDeep": &Cmp{Op: GE, R: Const(1), L: count(second, if1(&Exists{Loop: Loop{Var: 3}, If: And(
			&Cmp{Op: LT, L: at(1), R: Const(41)}, &Cmp{Op: LE, L: Col{Var: 2, Column: 3}, R: at(3)})}))},
		"NumberOfAround": &Cmp{Op: EQ, R: Const(1), L: count(second, if1(
			&Cmp{Op: LE, L: &Sum{A: at(1), B: &Lookup{Table: tells("value", mixed, byte2)}}, R: Col{Var: 2, Column: 3}}))},
		"LastOfPairs": &Known{Num: &Last{Items: []Item{{Steps: []Step{second, if1(&Cmp{Op: LE, L: number, R: Col{Var: 2, Column: 3}})},
			Value: Col{Var: 2, Column: 3}}}, Place: Const(3)}},
	}
}

// longQuestions ask them of all rows and of a few.
func longQuestions() map[string]question {
	out := map[string]question{}
	of := ofRows()
	for op := EQ; op <= GE; op++ {
		for _, best := range []Num{
			&Best{Of: []Num{Col{}, Col{Column: 1}}}, &Best{Least: true, Of: []Num{Col{}, Col{Column: 1}}}, &Best{Of: []Num{Col{}, Const(42), Now{}}},
			&Otherwise{Num: Col{}, Else: Col{Column: 1}}, &Best{Least: true, Of: []Num{Col{}, &Len{Arrays: []int{1}}}},
		} {
			of["Left"+cmp(best, op, Const(42)).Key()] = cmp(best, op, Const(42))
			of["Right"+cmp(Now{}, op, best).Key()] = cmp(Now{}, op, best)
		}
	}
	for name, b := range of {
		out[name] = question{steps: []Step{if1(b)}, num: &Otherwise{Num: Col{}, Else: Now{}}, sure: true}
		out[name+"OfFew"] = question{steps: []Step{if1(&Cmp{Op: EQ, L: Col{Column: 1}, R: Const(41)}), if1(b)}, num: Const(1), sure: true}
	}
	for name, b := range ofElements() {
		out[name] = question{steps: []Step{loop, if1(b)}, num: number, sure: true}
		out[name+"OfFew"] = question{steps: []Step{if1(&Cmp{Op: EQ, L: Col{Column: 1}, R: Const(41)}), loop, if1(b)}, num: number, sure: true}
		out[name+"Left"] = question{steps: []Step{loop, if1(cmp(number, EQ, Const(42))), if1(b)}, num: &Sum{A: at(1), B: Const(1)}, sure: true}
		out[name+"NotSome"] = question{steps: []Step{if1(&Some{}), loop, if1(positive), if1(Not(b))}, num: at(1), sure: true}
	}
	out["Loops"] = question{steps: []Step{loop, if1(positive), second, if1(&Cmp{Op: LT, L: Col{Var: 2, Column: 3}, R: number})}, num: number, sure: true}
	out["Other"] = question{steps: []Step{{Loop: Loop{Var: 1, Array: 1}}, if1(slow(Col{Var: 1, Column: 3}))}, num: &Sum{A: Col{Var: 1, Column: 3}, B: lastOf(place, loop)}}
	return out
}

// widths adds columns of each width: ids, 5 of bytes, 6 and 7 that are the same for
// all rows and elements, 8 and 9 close to each other, and numbers: 4 to 6 of rows, 7 to 9 of elements, 10 that
// are the same.
func widths(c *Columns) {
	for range 5 {
		c.IDs = append(c.IDs, &IDs{})
	}
	for range 7 {
		c.Ints = append(c.Ints, &Ints{})
	}
	numbers := func(first, n int) {
		for width, most := range []int64{90, 60000, 1 << 31} {
			number := Missing
			if n%5 > 0 {
				number = int64(n*n%7) * most / 7
			}
			c.Ints[first+width].Append(number)
		}
	}
	for row := range c.Rows {
		c.IDs[5].Append(uint32(row*row%11) * 16)
		c.IDs[6].Append(2)
		c.IDs[8].Append(uint32(row * row % 16))
		c.IDs[9].Append(uint32(row * 7 / 3 % 17))
		numbers(4, row)
	}
	for n := range c.IDs[2].U32 {
		c.IDs[7].Append(3)
		c.Ints[10].Append(42)
		numbers(7, n)
	}
}

// Where there are many rows, and long arrays, what is asked of all at once is still
// what is said of each: in all widths, in the second chunk as in the first, and of
// those alone that are asked about.
func TestManyRowsAndElementsAreAsOneByOne(t *testing.T) {
	for _, size := range []struct{ rows, most int }{{200, 2}, {150, 0}, {400, 13}, {1100, 1}} {
		wide := chance(size.rows, size.most, uint64(size.rows))
		widths(wide)
		for name, c := range map[string]*Columns{"Wide": wide, "Narrow": wide.Narrow()} {
			for asked, q := range longQuestions() {
				t.Run(fmt.Sprint(size.rows, name, asked), func(t *testing.T) {
					q.compare(t, c, size.rows/2&^63, ^uint64(0))
				})
			}
		}
	}
}

// What tables say by now counts, not what they said when others were asked.
func TestWhatWasForgottenIsAskedAgain(t *testing.T) {
	c := chance(600, 2, 1).Narrow()
	said := int64(0)
	table := func(label string, refs ...Ref) *Table {
		return tells(label, func(ids []uint32) int64 { return (mixed(ids)*int64(label[0]) + said) % 3 }, refs...)
	}
	tables := []*Table{table("a", byte1), table("b", byte1), table("c", Ref{}), table("d", byte1, byte1), table("e", byte1, Ref{}), table("f")}
	test := func(n int) Bool { return &Test{Table: tables[n]} }
	of := map[string]Bool{
		"One": test(0), "Not": Not(test(0)), "And": joined(test(0), Not(test(1))), "Or": Or(test(0), test(1)),
		"Words": test(2), "Bytes": test(3), "Pair": test(4), "Always": test(5),
		"Remembered": cmp(&Memo{Num: &Lookup{Table: tables[2]}}, EQ, Const(1)), "Compared": cmp(Col{}, GE, &Lookup{Table: tables[5]}),
		"Asked": slow(&Memo{Num: &Sum{A: &Lookup{Table: tables[0]}, B: Now{}}}),
	}
	for name, b := range of {
		m := &Machine{Columns: c, Now: 42}
		v := NewVector(m)
		end, one := v.End([]Step{{If: b}}, nil, false), &Machine{Columns: c, Now: 42}
		for turn := range 4 {
			said = int64(turn)
			m.Now, one.Now = -int64(turn), -int64(turn)
			one.Renew()
			for _, t := range tables {
				t.Forget()
			}
			v.Rows(0, c.Rows, nil)
			rows := NewBits(c.Rows)
			v.Each(end, Lead{Rows: rows.Join})
			for row := range c.Rows {
				one.Row(row)
				if got, want := rows.Has(row), b.True(one); got != want {
					t.Fatalf("%s: row %d in turn %d: %t, one by one %t", name, row, turn, got, want)
				}
			}
		}
	}
}

// Those who have very many elements are looked at whole, and counted in parts.
func TestNobodyHasTooManyElements(t *testing.T) {
	c := NewColumns(1, 3, 1)
	for row := range 700 {
		if row%64 == 3 {
			for n := range 4000 {
				c.Ints[2].Append(int64(n * n % 97))
			}
		}
		c.IDs[0].Append(uint32(row%64) / 3)
		c.Ints[0].Append(int64(row) % 90)
		c.Ints[1].Append(int64(row) % 64)
		c.Arrays[0].Append(uint32(len(c.Ints[2].I64)))
		c.Rows++
	}
	small := cmp(number, LT, &Sum{A: Col{}, B: Const(0)})
	for name, q := range map[string]question{
		"Way":   {steps: []Step{if1(cmp(Col{Column: 1}, EQ, Const(3))), loop, if1(small)}, num: number},
		"Count": {steps: []Step{if1(cmp(count(loop, if1(small)), GE, Const(1500)))}, num: &Extreme{Items: lastOf(nil, loop, if1(small)).Items}},
	} {
		t.Run(name, func(t *testing.T) { q.compare(t, c.Narrow(), 0, ^uint64(0)) })
	}
}
