package audience

import (
	"math/bits"
	"slices"

	"github.com/codb-dev/codb/internal/expr"
)

// some are rows of a chunk: the words of the set from one on, so that what
// regards a few rows does not go over all of the chunk.
type some struct {
	first  int
	words  expr.Bits
	shared bool // words are somebody else's, too
}

// among are the rows of a set that are not in another, which may have less room.
func among(b, not expr.Bits) some {
	first, end := len(b), 0
	left := func(i int) uint64 {
		if i < len(not) {
			return b[i] &^ not[i]
		}
		return b[i]
	}
	for i := range b {
		if left(i) != 0 {
			first, end = min(first, i), i+1
		}
	}
	if end == 0 {
		return some{}
	}
	out := some{first: first, words: make(expr.Bits, end-first)}
	for i := range out.words {
		out.words[i] = left(first + i)
	}
	return out
}

// of are the words of a set that has room for the rows, or for some.
func (s *some) of(b expr.Bits) expr.Bits {
	first := min(s.first, len(b))
	return b[first:min(first+len(s.words), len(b))]
}

// drop takes the rows out of a set, and says how many were in it.
func (s *some) drop(from expr.Bits) (n int64) {
	from = s.of(from)
	for i, w := range from {
		n += int64(bits.OnesCount64(w & s.words[i]))
		from[i] = w &^ s.words[i]
	}
	return n
}

// join puts those of the rows into a set who are in another of the chunk, and says
// how many are new there.
func (s *some) join(to, who expr.Bits) (n int64) {
	to, who = s.of(to), s.of(who)
	for i, w := range who {
		n += int64(bits.OnesCount64(w & s.words[i] &^ to[i]))
		to[i] |= w & s.words[i]
	}
	return n
}

// without takes those of the rows out of a set who are in another of the chunk, and
// says how many were in both.
func (s *some) without(from, other expr.Bits) (n int64) {
	from, other = s.of(from), s.of(other)
	for i, w := range other {
		w &= s.words[i]
		n += int64(bits.OnesCount64(from[i] & w))
		from[i] &^= w
	}
	return n
}

func (s *some) unset(row int) {
	if s.shared {
		s.words, s.shared = slices.Clone(s.words), false
	}
	s.words.Unset(row - s.first<<6)
}

// set is the rows as a set with room for so many words.
func (s *some) set(room int) expr.Bits {
	out := make(expr.Bits, room)
	copy(s.of(out), s.words)
	return out
}

func (s *some) empty() bool { return empty(s.words) }

// All calls yield for each row, ascending.
func (s *some) All(yield func(row int) bool) {
	for row := range s.words.All {
		if !yield(row + s.first<<6) {
			return
		}
	}
}
