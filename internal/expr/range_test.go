package expr

import (
	"math"
	"testing"
)

// Every comparison of a column with a number, either way round, holds for many rows
// at once where it does one by one: at the numbers that are there, beside them, and
// at both ends of what there is; in a wide column, in narrow ones of each width and
// in one that is the same everywhere.
func TestColumnsAreComparedAsOneByOne(t *testing.T) {
	for name, vs := range map[string][]int64{
		"Ends":   {Missing, Missing + 1, math.MaxInt64, math.MaxInt64 - 1, 0, -1, 1, 41, 42, 43},
		"Bytes":  {Missing, 40, 41, 42, 43, 100},
		"Words":  {Missing, 0, 42, 43, 60000},
		"Longer": {Missing, 0, 42, 43, 1 << 30},
		"Days":   {Missing, 100, 110, 90, 150},
		"Same":   {42, 42, 42},
		"Nobody": {Missing, Missing},
	} {
		t.Run(name, func(t *testing.T) {
			wide := NewColumns(0, 1, 0)
			wide.Rows = len(vs) * again
			others := []int64{Missing, Missing + 1, math.MaxInt64, 7}
			for n := range wide.Rows {
				wide.Ints[0].Append(vs[n%len(vs)])
			}
			for _, x := range vs {
				others = append(others, max(x, Missing+1), max(x, Missing+2)-1, min(x, math.MaxInt64-1)+1, max(x, Missing+11)-10)
			}
			for _, k := range others {
				for op := EQ; op <= GE; op++ {
					for _, cond := range []Bool{
						&Cmp{Op: op, L: Col{}, R: Const(k)}, &Cmp{Op: op, L: Const(k), R: Col{}}, Not(&Cmp{Op: op, L: Col{}, R: Const(k)}),
						&Cmp{Op: op, L: Col{}, R: Now{}}, &Cmp{Op: op, L: Now{}, R: Col{}}, &Known{Num: Col{}},
					} {
						for _, c := range []*Columns{wide, wide.Narrow()} {
							compareRows(t, c, k, cond, nil)
							few := NewBits(c.Rows)
							for n := range vs {
								few.Set(n * again)
							}
							compareRows(t, c, k, cond, few)
						}
					}
				}
			}
		})
	}
}

// again is how often the numbers are there: who asks about a few asks otherwise.
const again = 41

// compareRows asks about some rows at once, nil: all, and about one after the
// other.
func compareRows(t *testing.T, c *Columns, now int64, cond Bool, some Bits) {
	t.Helper()
	v := NewVector(&Machine{Columns: c, Now: now})
	v.Rows(0, c.Rows, some)
	got := NewBits(c.Rows)
	v.Each(v.End([]Step{{If: cond}}, nil, false), Lead{Rows: got.Join})
	m := &Machine{Columns: c, Now: now}
	for row := range c.Rows {
		m.Row(row)
		want := cond.True(m) && (some == nil || some.Has(row))
		if got.Has(row) != want || v.Hard.Has(row) {
			t.Fatalf("%s of %d at %d: %t, one by one %t", cond.Key(), c.Ints[0].At(row), now, got.Has(row), want)
		}
	}
}
