package expr

import "math/bits"

// Bits is a set of rows or elements, 64 of them a word.
type Bits []uint64

func words(n int) int { return (n + 63) / 64 }

// Has says whether n is in the set.
func (b Bits) Has(n int) bool { return b[n>>6]>>(n&63)&1 != 0 }

// Set puts n into the set.
func (b Bits) Set(n int) { b[n>>6] |= 1 << (n & 63) }

// Count is how many there are.
func (b Bits) Count() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

func (b Bits) empty() bool {
	for _, w := range b {
		if w != 0 {
			return false
		}
	}
	return true
}

// All calls yield for each in the set, ascending.
func (b Bits) All(yield func(n int) bool) {
	for i, w := range b {
		for ; w != 0; w &= w - 1 {
			if !yield(i<<6 + bits.TrailingZeros64(w)) {
				return
			}
		}
	}
}

// first puts the first n into an empty set.
func (b Bits) first(n int) {
	for i := range b {
		b[i] = ^uint64(0)
	}
	if n&63 != 0 && len(b) > 0 {
		b[len(b)-1] = 1<<(n&63) - 1
	}
}

// span puts [lo, hi) into the set.
func (b Bits) span(lo, hi int) {
	for lo < hi {
		w, from := lo>>6, lo&63
		n := min(hi-lo, 64-from)
		b[w] |= (1<<n - 1) << from
		lo += n
	}
}

// among is how many of [lo, hi) are in the set.
func (b Bits) among(lo, hi int) (n int64) {
	for lo < hi {
		w, from := lo>>6, lo&63
		some := min(hi-lo, 64-from)
		n += int64(bits.OnesCount64(b[w] >> from << (64 - some)))
		lo += some
	}
	return n
}

// drop takes [lo, hi) out of the set.
func (b Bits) drop(lo, hi int) {
	for lo < hi {
		w, from := lo>>6, lo&63
		n := min(hi-lo, 64-from)
		b[w] &^= (1<<n - 1) << from
		lo += n
	}
}

// NewBits is an empty set for n.
func NewBits(n int) Bits { return make(Bits, words(n)) }

// Join puts all of other into the set.
func (b Bits) Join(other Bits) {
	for i, w := range other {
		b[i] |= w
	}
}

// Drop takes all of other out of the set.
func (b Bits) Drop(other Bits) {
	for i, w := range other {
		b[i] &^= w
	}
}

// Unset takes n out of the set.
func (b Bits) Unset(n int) { b[n>>6] &^= 1 << (n & 63) }

// only leaves what is in the other, too.
func (b Bits) only(other Bits) {
	for i := range b {
		b[i] &= other[i]
	}
}
