package expr

import (
	"testing"

	"pgregory.net/rapid"
)

// What is done to a range of a set is what is done to each in it, also where the
// range begins or ends within a word, or goes on over several.
func TestRangesOfASetAreAsOneByOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const n = 300
		at := rapid.OneOf(rapid.IntRange(0, n), rapid.SampledFrom([]int{0, 63, 64, 65, 127, 128, 192, n}))
		lo, hi := at.Draw(t, "lo"), at.Draw(t, "hi")
		set, with, without := NewBits(n), NewBits(n), NewBits(n)
		for w := range set {
			set[w] = rapid.Uint64().Draw(t, "word")
		}
		copy(with, set)
		copy(without, set)
		with.span(lo, hi)
		without.drop(lo, hi)
		many := 0
		for i := range n {
			inside := lo <= i && i < hi
			if set.Has(i) && inside {
				many++
			}
			if with.Has(i) != (set.Has(i) || inside) || without.Has(i) != (set.Has(i) && !inside) {
				t.Fatalf("%d of [%d, %d): %t, with it %t, without it %t", i, lo, hi, set.Has(i), with.Has(i), without.Has(i))
			}
		}
		if got := set.among(lo, hi); got != int64(many) {
			t.Fatalf("%d of [%d, %d) are in the set, want %d", got, lo, hi, many)
		}
	})
}
