package expr

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// numbers of every width, with steps of every size, at both ends of what there
// is.
func numbers(t *rapid.T) []int64 {
	base := rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{Missing + 1, math.MaxInt64, 0, -1})).Draw(t, "base")
	unit := rapid.SampledFrom([]int64{0, 1, 1000, 86400e9, math.MaxInt64}).Draw(t, "unit")
	most := rapid.SampledFrom([]int64{1, 253, 254, 255, 256, 65534, 65535, 65536, math.MaxUint32, math.MaxInt64}).Draw(t, "most")
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) int64 {
		if rapid.IntRange(0, 9).Draw(t, "absent") == 0 {
			return Missing
		}
		return base + unit*rapid.OneOf(rapid.Int64Range(0, most), rapid.Just(most), rapid.Just(int64(0))).Draw(t, "steps")
	}), 1, 200).Draw(t, "numbers")
}

// A narrow column has every number of the wide one, whatever they are, and finds
// the same ones between any two.
func TestNarrowNumbersAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		vs := numbers(t)
		col := NarrowInts(vs)
		for i, v := range vs {
			if got := col.At(i); got != v {
				t.Fatalf("number %d of %+v is %d, want %d", i, col, got, v)
			}
		}
		edge := rapid.OneOf(rapid.SampledFrom(vs), rapid.SampledFrom([]int64{Missing + 1, math.MaxInt64}), rapid.Int64Range(Missing+1, math.MaxInt64))
		lo, hi := edge.Draw(t, "lo"), edge.Draw(t, "hi")
		near := rapid.SampledFrom([]int64{-1, 0, 1})
		lo, hi = nudged(lo, near.Draw(t, "beside lo")), nudged(hi, near.Draw(t, "beside hi"))
		holds := NewBits(len(vs))
		col.within(lo, hi, len(vs), holds)
		for i, x := range vs {
			if got, want := holds.Has(i), x != Missing && lo <= x && x <= hi; got != want {
				t.Fatalf("%d in [%d, %d] of %+v: %t", x, lo, hi, col, got)
			}
		}
	})
}

func TestNumbersTakeAsLittleSpaceAsTheyNeed(t *testing.T) {
	for name, tc := range map[string]struct {
		vs   []int64
		want string
	}{
		"Absent":          {[]int64{Missing, Missing}, "same"},
		"One":             {[]int64{7, 7}, "same"},
		"254Steps":        {[]int64{0, 254}, "8"},
		"255Steps":        {[]int64{0, 1, 255}, "16"},
		"DaysOfLong":      {[]int64{0, 86400e9, 30000 * 86400e9, Missing}, "16"},
		"65535Steps":      {[]int64{0, 1, 65535}, "32"},
		"SecondsOfLong":   {[]int64{0, 1e9, 1e9 * 3e9}, "32"},
		"Nanoseconds":     {[]int64{0, 1, math.MaxUint32}, "64"},
		"AllThatThereIs":  {[]int64{Missing + 1, math.MaxInt64}, "64"},
		"NoBaseBeforeOne": {[]int64{Missing + 1, Missing + 3, Missing}, "64"},
	} {
		if got := widthOf(NarrowInts(tc.vs)); got != tc.want {
			t.Errorf("%s: %v is kept in %s, want %s", name, tc.vs, got, tc.want)
		}
	}
}

func nudged(v, by int64) int64 {
	if v == math.MaxInt64 && by > 0 || v <= Missing+1 && by < 0 || v == Missing {
		return max(v, Missing+1)
	}
	return v + by
}

func widthOf(c *Ints) string {
	switch {
	case c.U8 != nil:
		return "8"
	case c.U16 != nil:
		return "16"
	case c.U32 != nil:
		return "32"
	case c.I64 != nil:
		return "64"
	}
	return "same"
}

// A predicate over narrow columns holds where it does over wide ones.
func TestKernelsReadEveryWidth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		wide := NewColumns(1, 1, 1)
		most := rapid.SampledFrom([]uint32{0, 1, 255, 256, 65535, 65536}).Draw(t, "most")
		rows := rapid.IntRange(1, 150).Draw(t, "rows")
		for range rows {
			for range rapid.IntRange(0, 4).Draw(t, "elements") {
				wide.IDs[0].Append(rapid.OneOf(rapid.Uint32Range(0, most), rapid.Just(most)).Draw(t, "id"))
				wide.Ints[0].Append(rapid.Int64Range(0, 3).Draw(t, "number"))
			}
			wide.Arrays[0].Append(uint32(len(wide.IDs[0].U32)))
			wide.Rows++
		}
		steps := func() []Step {
			odd := &Table{Label: "odd", Refs: []Ref{{Var: 1}}, Ask: func(ids []uint32) Cell {
				if ids[0]%7 == 3 {
					return Cell{State: Hard}
				}
				return Cell{State: Defined, Value: int64(ids[0] % 2)}
			}}
			return []Step{
				{If: &Some{}}, {If: &Cmp{Op: LE, L: &Len{Arrays: []int{0}}, R: Const(3)}},
				{Loop: Loop{Var: 1}}, {If: &Test{Table: odd}}, {If: &Cmp{Op: GT, L: Col{Var: 1}, R: Const(1)}},
			}
		}
		ask := func(c *Columns) (found, hard Bits) {
			v := NewVector(&Machine{Columns: c})
			v.Rows(0, c.Rows, nil)
			found = NewBits(c.Rows)
			v.Each(v.End(steps(), nil, false), Lead{Rows: found.Join})
			return found, v.Hard
		}
		found, hard := ask(wide)
		narrowFound, narrowHard := ask(wide.Narrow())
		for row := range rows {
			if found.Has(row) != narrowFound.Has(row) || hard.Has(row) != narrowHard.Has(row) {
				t.Fatalf("row %d: %t and hard %t over wide columns, %t and %t over narrow ones",
					row, found.Has(row), hard.Has(row), narrowFound.Has(row), narrowHard.Has(row))
			}
		}
	})
}
