package audience

import "github.com/codb-dev/codb/internal/consent"

// index finds places by the marks of who is in them, in 4 bytes a place and the
// room to grow. Several places may have one mark; its user tells them apart.
type index struct {
	places []uint32 // 1 + place; 0: free
	used   int
}

// at is where a mark is looked for first.
func (x *index) at(m consent.Mark) int { return int(uint64(m) & uint64(len(x.places)-1)) }

// find is the place that is right, among those with the mark.
func (x *index) find(m consent.Mark, right func(place int) bool) (place int, ok bool) {
	if len(x.places) == 0 {
		return 0, false
	}
	for i := x.at(m); x.places[i] != 0; i = (i + 1) & (len(x.places) - 1) {
		if place := int(x.places[i] - 1); right(place) {
			return place, true
		}
	}
	return 0, false
}

// set puts a place; mark says that of a place.
func (x *index) set(m consent.Mark, place int, mark func(place int) consent.Mark) {
	if x.used*8 >= len(x.places)*7 {
		old := x.places
		x.places, x.used = make([]uint32, max(16, 2*len(old))), 0
		for _, p := range old {
			if p != 0 {
				x.add(mark(int(p-1)), p)
			}
		}
	}
	x.add(m, uint32(place)+1)
}

func (x *index) add(m consent.Mark, p uint32) {
	i := x.at(m)
	for x.places[i] != 0 {
		i = (i + 1) & (len(x.places) - 1)
	}
	x.places[i] = p
	x.used++
}

// move says that who was in one place is in another.
func (x *index) move(m consent.Mark, from, to int) {
	for i := x.at(m); x.places[i] != 0; i = (i + 1) & (len(x.places) - 1) {
		if x.places[i] == uint32(from)+1 {
			x.places[i] = uint32(to) + 1
			return
		}
	}
}

// remove takes a place out and lets those behind it move up.
func (x *index) remove(m consent.Mark, place int, mark func(place int) consent.Mark) {
	mask := len(x.places) - 1
	i := x.at(m)
	for x.places[i] != uint32(place)+1 {
		if x.places[i] == 0 {
			return
		}
		i = (i + 1) & mask
	}
	x.used--
	for j := (i + 1) & mask; x.places[j] != 0; j = (j + 1) & mask {
		// Who lies at j may move to i unless its search begins between the two.
		if home := x.at(mark(int(x.places[j] - 1))); (j-home)&mask >= (j-i)&mask {
			x.places[i], i = x.places[j], j
		}
	}
	x.places[i] = 0
}
