package expr

import (
	"math/bits"
	"slices"
)

// simple says whether items have no loop within a loop.
func simple(items []Item) bool {
	for i := range items {
		if !Flat(items[i].Steps) {
			return false
		}
	}
	return true
}

// branch is a way from places of a span to values, through no or one loop.
type branch struct {
	before []cond
	at     *span // beyond the loop
	apart  bool  // it is filled for each question; else it has all elements
	within []cond
	enough func(rows, ends Bits) // of all elements: leaves those whose values matter; nil: all do
	value  num
}

// newBranch makes steps ready that have no loop within a loop.
func (v *Vector) newBranch(at *span, steps []Step) *branch {
	b := &branch{at: at}
	var conds []Bool
	for _, s := range steps {
		if s.Loop.Var == 0 {
			conds = append(conds, s.If)
			continue
		}
		b.before, conds = v.condsOf(at, fuse(conds)), nil
		if b.apart = at != &v.root; b.apart {
			b.at = newSpan(at, s.Loop)
		} else {
			b.at = v.all(s.Loop)
		}
	}
	b.within = v.condsOf(b.at, fuse(conds))
	return b
}

// enter is where places lead to, some of them at a time; more: there are others
// left, those in the mask.
func (b *branch) enter(v *Vector, at *span, left Bits) (ends Bits, more bool) {
	switch {
	case b.at == at:
		return v.copyOf(left), false
	case b.apart:
		v.expand(b.at, left, false)
		ends = v.take(b.at.n)
		ends.first(b.at.n)
		return ends, !left.empty()
	}
	v.all(b.at.loop)
	ends = v.take(b.at.n)
	v.elements(b.at, left, ends)
	return ends, false
}

// follow tells of all places that a branch leads to from others, and of their
// values, some at a time.
func (b *branch) follow(v *Vector, at *span, mask Bits, tell func(ends Bits, values []int64)) {
	left := v.copyOf(mask)
	for _, c := range b.before {
		c.keep(v, at, left)
	}
	for more := !left.empty(); more; {
		var ends Bits
		ends, more = b.enter(v, at, left)
		for _, c := range b.within {
			c.keep(v, b.at, ends)
		}
		if b.enough != nil && !b.apart && b.at != at {
			b.enough(left, ends)
		}
		var values []int64
		if b.value != nil {
			values = b.value.of(v, b.at, ends)
		}
		tell(ends, values)
		v.give(ends)
	}
	v.give(left)
}

// origin is where a place that a branch leads to comes from.
func (b *branch) origins(v *Vector, at *span) []uint32 {
	if b.at == at {
		return nil
	}
	return v.outOf(b.at)
}

func (v *Vector) branches(at *span, items []Item) []*branch {
	out := make([]*branch, len(items))
	for i, it := range items {
		out[i] = v.newBranch(at, it.Steps)
		out[i].value = v.num(out[i].at, it.Value)
	}
	return out
}

func origin(of []uint32, n int) int {
	if of == nil {
		return n
	}
	return int(of[n])
}

type extremes struct {
	least bool
	of    []*branch
}

func (x *extremes) find(v *Vector, at *span, mask Bits, values []int64) {
	got := v.take(at.n)
	for _, b := range x.of {
		b.follow(v, at, mask, func(ends Bits, of []int64) {
			from := b.origins(v, at)
			for n := range ends.All {
				if i := origin(from, n); !got.Has(i) || (of[n] < values[i]) == x.least {
					values[i] = of[n]
					got.Set(i)
				}
			}
		})
	}
	mask.only(got)
	v.give(got)
}

type counts struct{ of []*branch }

func (c *counts) find(v *Vector, at *span, mask Bits, values []int64) {
	for n := range mask.All {
		values[n] = 0
	}
	for _, b := range c.of {
		b.follow(v, at, mask, func(ends Bits, _ []int64) {
			from := b.origins(v, at)
			for n := range ends.All {
				values[origin(from, n)]++
			}
		})
	}
}

type last struct {
	place, most num
	places      []int64
	rows        Bits // that have enough
	of          *branch
	room        []int64
}

func (v *Vector) newLast(at *span, n *Last) *last {
	l := &last{place: v.num(at, n.Place), of: v.branches(at, n.Items)[0]}
	if n.Most != nil {
		l.most = v.num(at, n.Most)
	}
	if plain(n.Items[0].Value) { // others may be hard, which must be heard
		l.of.enough = func(rows, ends Bits) { l.enough(v, rows, ends) }
	}
	return l
}

// enough leaves the rows that have as many as it takes, and their elements.
func (l *last) enough(v *Vector, rows, ends Bits) {
	l.rows = rows
	switch a := v.Machine.Columns.Arrays[l.of.at.loop.Array]; {
	case a.U8 != nil:
		enough(a.U8[v.lo:v.lo+v.n+1], l.places, rows, ends)
	case a.U16 != nil:
		enough(a.U16[v.lo:v.lo+v.n+1], l.places, rows, ends)
	case a.U32 != nil:
		enough(a.U32[v.lo:v.lo+v.n+1], l.places, rows, ends)
	}
}

func enough[T width](offsets []T, places []int64, rows, ends Bits) {
	base := offsets[0]
	for row := range rows.All {
		lo, hi := int(offsets[row]-base), int(offsets[row+1]-base)
		if ends.among(lo, hi) < places[row] {
			ends.drop(lo, hi)
			rows.Unset(row)
		}
	}
}

func (l *last) find(v *Vector, at *span, mask Bits, values []int64) {
	place := l.place.of(v, at, mask)
	if l.most != nil {
		most := l.most.of(v, at, mask)
		for w, word := range mask {
			lo := w << 6
			for left := word; left != 0; left &= left - 1 {
				if n := lo + bits.TrailingZeros64(left); most[n] < place[n] {
					word &^= left & -left
				}
			}
			mask[w] = word
		}
	}
	l.places = place
	got := v.take(at.n)
	l.of.follow(v, at, mask, func(ends Bits, of []int64) {
		l.room = l.room[:0]
		if l.of.enough != nil && !l.of.apart && l.of.at != at {
			a := v.Machine.Columns.Arrays[l.of.at.loop.Array]
			for row := range l.rows.All { // they are few, and elements follow each other
				for e := int(a.At(v.lo+row)) - l.of.at.base; e < int(a.At(v.lo+row+1))-l.of.at.base; e++ {
					if ends.Has(e) {
						l.room = append(l.room, of[e])
					}
				}
				l.end(row, place, values, got)
			}
			return
		}
		from, is := l.of.origins(v, at), -1
		for n := range ends.All {
			if i := origin(from, n); i != is {
				l.end(is, place, values, got)
				is = i
			}
			l.room = append(l.room, of[n])
		}
		l.end(is, place, values, got)
	})
	mask.only(got)
	v.give(got)
}

// end picks the one that is asked for of a place's values.
func (l *last) end(n int, place, values []int64, got Bits) {
	if many := int64(len(l.room)); many > 0 && place[n] >= 1 && place[n] <= many {
		slices.Sort(l.room)
		values[n] = l.room[many-place[n]]
		got.Set(n)
	}
	l.room = l.room[:0]
}
