package expr

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// aRow has two numbers, one of them absent, and the elements 5, 7, nothing and 5;
// its other array is empty.
func aRow() *Columns {
	c := NewColumns(1, 3, 2)
	c.Rows = 1
	c.IDs[0].Append(2)
	c.Ints[0].Append(6)
	c.Ints[1].Append(Missing)
	for _, n := range []int64{5, 7, Missing, 5} {
		c.Ints[2].Append(n)
	}
	c.Arrays[0].Append(4)
	c.Arrays[1].Append(0)
	return c
}

func cmp(l Num, op Op, r Num) Bool { return &Cmp{Op: op, L: l, R: r} }

// What predicates and numbers mean is said here by itself, not by asking in another
// way.
func TestPredicatesMeanWhatRegoMeans(t *testing.T) {
	known, absent, first, other := Col{}, Col{Column: 1}, Col{Var: 1, Column: 2}, Col{Var: 2, Column: 2}
	each := func(v Num, conds ...Step) []Item { return []Item{{Steps: append([]Step{loop}, conds...), Value: v}} }
	exists := func(of Bool) Bool { return &Exists{Loop: Loop{Var: 1}, If: of} }
	twice := func(of Bool) Bool { return exists(&Exists{Loop: Loop{Var: 2}, If: of}) }
	answer := func(s State, v int64) *Table {
		return &Table{Label: fmt.Sprint(s, v), Refs: []Ref{{}}, Ask: func([]uint32) Cell { return Cell{State: s, Value: v} }}
	}
	for name, tc := range map[string]struct {
		of   Bool
		want bool
	}{
		"Less": {cmp(known, LT, Const(7)), true}, "NotLess": {cmp(known, LT, Const(6)), false},
		"AtMost": {cmp(known, LE, Const(6)), true}, "NotAtMost": {cmp(known, LE, Const(5)), false},
		"More": {cmp(known, GT, Const(5)), true}, "NotMore": {cmp(known, GT, Const(6)), false},
		"AtLeast": {cmp(known, GE, Const(6)), true}, "NotAtLeast": {cmp(known, GE, Const(7)), false},
		"Is": {cmp(known, EQ, Const(6)), true}, "IsNot": {cmp(known, NE, Const(6)), false}, "IsAnother": {cmp(known, NE, Const(5)), true},
		"AbsentIs": {cmp(absent, EQ, absent), false}, "AbsentIsNot": {cmp(known, NE, absent), false}, "NotAbsent": {Not(cmp(absent, NE, known)), true},
		"Now":   {cmp(Now{}, EQ, Const(42)), true},
		"Known": {&Known{Num: known}, true}, "Unknown": {&Known{Num: absent}, false},
		"True": {Lit(true), true}, "False": {Lit(false), false}, "NotFalse": {Not(Lit(false)), true},
		"Some": {&Some{}, true}, "None": {&Some{Array: 1}, false},
		"Test": {&Test{Table: answer(Defined, 3)}, true}, "TestOfNothing": {&Test{Table: answer(Undefined, 3)}, false},
		"TestOfFalse": {&Test{Table: answer(Defined, 0)}, false}, "TestIsHard": {&Test{Table: answer(Hard, 1)}, false},
		"Exists": {exists(cmp(first, EQ, Const(7))), true}, "NotExists": {exists(cmp(first, EQ, Const(6))), false},
		"Twins":     {twice(And(Not(&Same{A: 1, B: 2}), cmp(first, EQ, other))), true},
		"NoTwins":   {twice(And(Not(&Same{A: 1, B: 2}), cmp(first, EQ, other), cmp(first, EQ, Const(7)))), false},
		"SameTwice": {twice(And(&Same{A: 1, B: 2}, cmp(first, NE, other))), false},
		"In":        {&In{Num: known, Values: []int64{5, 6}}, true}, "NotIn": {&In{Num: known, Values: []int64{5, 7}}, false},
		"AbsentIn":    {&In{Num: absent, Values: []int64{0, Missing}}, false},
		"Count":       {cmp(&Count{Items: each(first)}, EQ, Const(3)), true},
		"CountOfAll":  {cmp(&Count{Items: each(Const(1))}, EQ, Const(4)), true},
		"CountOfSome": {cmp(&Count{Items: each(first, if1(cmp(first, EQ, Const(5))))}, EQ, Const(2)), true},
		"Least":       {cmp(&Extreme{Least: true, Items: each(first)}, EQ, Const(5)), true},
		"Greatest":    {cmp(&Extreme{Items: each(first)}, EQ, Const(7)), true},
		"BestOfNone":  {&Known{Num: &Extreme{Items: each(absent)}}, false},
		"Second":      {cmp(&Last{Items: each(first), Place: Const(2)}, EQ, Const(5)), true},
		"Latest":      {cmp(&Last{Items: each(first), Place: Const(1), Most: Const(1)}, EQ, Const(7)), true},
		"TooFew":      {&Known{Num: &Last{Items: each(first), Place: Const(2), Most: Const(1)}}, false},
		"NoPlace":     {&Known{Num: &Last{Items: each(first), Place: absent}}, false},
		"Total":       {cmp(&Total{Items: each(first)}, EQ, Const(17)), true},
		"Distinct":    {cmp(&Total{Items: each(first), Distinct: true}, EQ, Const(12)), true},
		"Different":   {cmp(&Different{Items: each(first)}, EQ, Const(2)), true},
		"Length":      {cmp(&Len{Arrays: []int{0, 1}}, EQ, Const(4)), true},
		"Sum":         {cmp(&Sum{A: known, B: Const(3)}, EQ, Const(9)), true},
		"Difference":  {cmp(&Sum{A: known, B: Const(8), Minus: true}, EQ, Const(-2)), true},
		"Larger":      {cmp(&Best{Of: []Num{Const(5), known, Const(4)}}, EQ, Const(6)), true},
		"Smaller":     {cmp(&Best{Least: true, Of: []Num{Const(5), known, Const(4)}}, EQ, Const(4)), true},
		"Otherwise":   {cmp(&Otherwise{Num: absent, Else: known}, EQ, Const(6)), true},
		"NoNeed":      {cmp(&Otherwise{Num: known, Else: absent}, EQ, Const(6)), true},
		"Function":    {cmp(&Func{Arg: known, Refs: []Ref{{}}, Ask: func(n int64, ids []uint32) Cell { return Cell{State: Defined, Value: n*10 + int64(ids[0])} }}, EQ, Const(62)), true},
		"OfAbsent":    {&Known{Num: &Func{Arg: absent, Ask: func(int64, []uint32) Cell { return Cell{State: Defined} }}}, false},
	} {
		for _, b := range []Bool{tc.of, Or(tc.of, Lit(false)), And(tc.of, Lit(true)), &OrOf{Terms: []Bool{Lit(false), tc.of}}, &AndOf{Terms: []Bool{tc.of, Lit(true)}}} {
			m := &Machine{Columns: aRow(), Now: 42}
			if got := b.True(m); got != tc.want || m.Hard != strings.Contains(name, "Hard") {
				t.Errorf("%s: %t in %T, hard %t", name, got, b, m.Hard)
			}
			if m.at != [MaxDepth + 1]uint32{} {
				t.Errorf("%s leaves the machine at %v", name, m.at)
			}
		}
	}
}

// A predicate is as simple as what it is made of allows.
func TestPredicatesAreSimple(t *testing.T) {
	a, b, c := cmp(Col{}, LT, Const(1)), cmp(Now{}, LT, Const(2)), &Some{}
	d := &Known{Num: Col{}}
	for name, tc := range map[string]struct{ got, want Bool }{
		"NothingElse": {And(a, Lit(true)), a}, "Decided": {And(a, Lit(false), b), Lit(false)}, "OfNothing": {And(), Lit(true)},
		"Twice": {And(a, a), a}, "Contradiction": {And(a, b, Not(a)), Lit(false)}, "Flat": {And(And(a, b), And(b, c)), And(a, b, c)},
		"OrNothingElse": {Or(a, Lit(false)), a}, "OrDecided": {Or(a, Lit(true), b), Lit(true)}, "OrOfNothing": {Or(), Lit(false)},
		"OrTwice": {Or(a, a), a}, "Always": {Or(a, b, Not(a)), Lit(true)}, "OrFlat": {Or(Or(a, b), Or(b, c)), Or(a, b, c)},
		"NotNot": {Not(Not(a)), a}, "NotTrue": {Not(Lit(true)), Lit(false)},
		"KnownBefore": {And(d, a), a}, "KnownAfter": {And(a, d), a}, "Needed": {And(&Known{Num: Col{Column: 1}}, a), &AndOf{Terms: []Bool{&Known{Num: Col{Column: 1}}, a}, key: "and(known($0.1)," + a.Key() + ")"}},
	} {
		if got, want := tc.got.Key(), tc.want.Key(); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if three, ok := And(And(a, b), c).(*AndOf); !ok || len(three.Terms) != 3 {
		t.Error("a conjunction within another is one")
	}
	if three, ok := Or(Or(a, b), c).(*OrOf); !ok || len(three.Terms) != 3 {
		t.Error("a disjunction within another is one")
	}
}

// Steps are left out that others imply, and no others.
func TestStepsAreTidy(t *testing.T) {
	fine := &Table{Label: "t", Of: "x", Needs: map[string]bool{"y": true}}
	there := func(of string) Bool { return &Test{Table: &Table{Label: "there " + of, Of: of, Defines: true}} }
	tests := &Test{Table: fine}
	last := lastOf(Const(2), loop)
	for name, tc := range map[string]struct {
		steps  []Step
		behind []Num
		want   []int // of the steps
	}{
		"Twice":              {[]Step{if1(tests), if1(tests)}, nil, []int{0}},
		"Loop":               {[]Step{loop, if1(&Some{})}, nil, []int{0}},
		"BeforeALoop":        {[]Step{if1(&Some{}), loop}, nil, []int{1}},
		"AnotherLoop":        {[]Step{if1(&Some{Array: 1}), loop}, nil, []int{0, 1}},
		"BeforeOneOf":        {[]Step{if1(&Some{}), if1(&Exists{Loop: Loop{Var: 1}, If: Lit(true)})}, nil, []int{1}},
		"TableOf":            {[]Step{if1(there("x")), if1(tests)}, nil, []int{1}},
		"TableNeeds":         {[]Step{if1(there("y")), if1(tests)}, nil, []int{1}},
		"TableNeedsNot":      {[]Step{if1(there("z")), if1(tests)}, nil, []int{0, 1}},
		"TableAfter":         {[]Step{if1(tests), if1(there("x"))}, nil, []int{0}},
		"TestBeforeOthers":   {[]Step{if1(tests), if1(cmp(&Lookup{Table: fine}, EQ, Const(1)))}, nil, []int{0, 1}},
		"Behind":             {[]Step{if1(&Known{Num: Col{}}), if1(&Known{Num: Col{Column: 1}})}, []Num{nil, &Sum{A: Const(1), B: Col{}}}, []int{1}},
		"BehindLeft":         {[]Step{if1(&Known{Num: Col{}})}, []Num{&Sum{A: Col{}, B: Const(1)}}, nil},
		"BehindProduct":      {[]Step{if1(&Known{Num: Col{}}), if1(&Known{Num: Col{Column: 1}})}, []Num{&Product{A: Col{}, B: Col{Column: 1}}}, nil},
		"BehindRest":         {[]Step{if1(&Known{Num: Col{}}), if1(&Known{Num: Col{Column: 1}})}, []Num{&Rest{A: Col{}, B: Col{Column: 1}}}, nil},
		"BehindBest":         {[]Step{if1(&Known{Num: Col{}})}, []Num{&Best{Of: []Num{Now{}, Col{}}}}, nil},
		"BehindMemo":         {[]Step{if1(&Known{Num: Col{}})}, []Num{&Memo{Num: Col{}}}, nil},
		"BehindFunction":     {[]Step{if1(&Known{Num: Col{}})}, []Num{&Func{Arg: Col{}}}, nil},
		"BehindLookup":       {[]Step{if1(there("x"))}, []Num{&Lookup{Table: fine}}, nil},
		"BehindOtherwise":    {[]Step{if1(&Known{Num: Col{}})}, []Num{&Otherwise{Num: Col{}, Else: Now{}}}, []int{0}},
		"BehindIn":           {[]Step{if1(&Known{Num: Col{}}), if1(&In{Num: Col{}})}, nil, []int{1}},
		"BehindRight":        {[]Step{if1(&Known{Num: Col{}}), if1(cmp(Now{}, LT, Col{}))}, nil, []int{1}},
		"BehindLast":         {[]Step{if1(cmp(&Len{Arrays: []int{0}}, GE, Const(2)))}, []Num{most(last)}, nil},
		"BehindLastOfCount":  {[]Step{if1(cmp(&Memo{Num: &Count{Items: last.Items}}, GE, Const(2)))}, []Num{last}, nil},
		"BehindPlace":        {[]Step{if1(&Known{Num: Col{}})}, []Num{lastOf(Col{}, loop)}, nil},
		"Conjunction":        {[]Step{if1(joined(&Known{Num: Col{}}, &Some{})), if1(cmp(Col{}, EQ, Now{})), loop}, nil, []int{1, 2}},
		"NotAllOf":           {[]Step{if1(joined(&Known{Num: Col{}}, tests)), if1(cmp(Col{}, EQ, Now{}))}, nil, []int{0, 1}},
		"ConjunctionBefore":  {[]Step{if1(joined(tests, &Some{})), if1(tests), if1(&Some{})}, nil, []int{0}},
		"ConjunctionImplied": {[]Step{if1(tests), loop, if1(joined(tests, &Some{}))}, nil, []int{0, 1}},
		"NotAllImplied":      {[]Step{if1(tests), if1(joined(tests, &Some{}))}, nil, []int{0, 1}},
		"MayFail":            {[]Step{if1(&Known{Num: &Lookup{Table: unsure}})}, []Num{&Lookup{Table: unsure}}, []int{0}},
		"FailingDefinition":  {[]Step{if1(&Test{Table: &Table{Of: "x", Defines: true, Fails: true}}), if1(tests)}, nil, []int{0, 1}},
	} {
		got := Tidy(tc.steps, tc.behind...)
		var want []Step
		for _, n := range tc.want {
			want = append(want, tc.steps[n])
		}
		if stepsKey(got) != stepsKey(want) {
			t.Errorf("%s: %s, want %s", name, stepsKey(got), stepsKey(want))
		}
	}
}

// Different predicates have different keys, and dictionaries give each value one id.
func TestValuesHaveOneID(t *testing.T) {
	d := NewDict()
	var ids []uint32
	for _, s := range []string{"a", "b", "a", "c", "b"} {
		ids = append(ids, d.Text(s))
	}
	for range 2 {
		ids = append(ids, d.ID([]byte{0}, func() any { return 7 }))
	}
	if want := []uint32{1, 2, 1, 3, 2, 4, 4}; !slices.Equal(ids, want) {
		t.Errorf("ids are %v, want %v", ids, want)
	}
	if d.Len() != 5 || d.Value(2) != "b" || d.Value(4) != 7 || d.Value(Absent) != nil {
		t.Errorf("%d values, %v, %v and %v", d.Len(), d.Value(2), d.Value(4), d.Value(Absent))
	}
}

// Columns that were emptied are as new ones.
func TestEmptiedColumnsAreAsNew(t *testing.T) {
	c := aRow()
	c.Reset()
	if c.Rows != 0 || c.Bytes() != NewColumns(1, 3, 2).Bytes() || c.Arrays[0].At(0) != 0 {
		t.Errorf("%d rows in %d bytes, the first array from %d on", c.Rows, c.Bytes(), c.Arrays[0].At(0))
	}
}

// A machine that was asked about a row it could not tell of can tell of the next,
// and remembers of none what others are: not of one that is as many further on as it
// remembers, nor of one that is at the same element, nor what was hard before.
func TestRowsAreApart(t *testing.T) {
	c := NewColumns(1, 1, 0)
	c.Rows = 2 * Chunk
	for n := range uint32(2 * Chunk) {
		c.IDs[0].Append(n)
		c.Ints[0].Append(int64(n))
	}
	m := &Machine{Columns: c}
	for depth := range 2 {
		memo := &Memo{Depth: depth, Num: &Sum{A: &Sum{A: &Lookup{Table: hards("one", 1, Ref{})}, B: Col{}}, B: Now{}}}
		for now := range int64(3) {
			m.Now = now
			m.Renew()
			for _, row := range []int{0, Chunk, 1, 1, 2, 1, 0, 0, Chunk + 1, Chunk, Chunk} {
				m.Row(row)
				m.Hard = row == 2
				got, ok := memo.Value(m)
				if m.Hard != (row == 1 || row == 2) || ok != (row != 1) || ok && got != 1+int64(row)+now || m.At() != row {
					t.Errorf("row %d at %d: %d, %t and hard %t", row, now, got, ok, m.Hard)
				}
				if row != 2 {
					continue
				}
				if m.Row(row); m.Hard {
					t.Error("a row is hard before it was asked about")
				}
				if _, ok := memo.Value(m); m.Hard || !ok {
					t.Error("what was hard before is remembered of a number")
				}
			}
		}
	}
}
