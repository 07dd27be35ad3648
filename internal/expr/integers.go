package expr

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// Product is A * B.
type Product struct{ A, B Num }

// Value implements Num.
func (p *Product) Value(m *Machine) (int64, bool) {
	a, b, ok := both(m, p.A, p.B)
	if !ok {
		return 0, false
	}
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	if hi != 0 || lo > math.MaxInt64 {
		m.Hard = true
		return 0, false
	}
	return a * b, true
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

func both(m *Machine, x, y Num) (a, b int64, ok bool) {
	if a, ok = x.Value(m); !ok {
		return 0, 0, false
	}
	b, ok = y.Value(m)
	return a, b, ok
}

// Key implements Num.
func (p *Product) Key() string { return fmt.Sprintf("product(%s,%s)", p.A.Key(), p.B.Key()) }

// Rest is what is left of A when it is divided by B, with the sign of A. To divide
// by 0 is Hard.
type Rest struct{ A, B Num }

// Value implements Num.
func (r *Rest) Value(m *Machine) (int64, bool) {
	a, b, ok := both(m, r.A, r.B)
	if ok && b == 0 {
		m.Hard = true
		return 0, false
	}
	if !ok {
		return 0, false
	}
	return a % b, true
}

// Key implements Num.
func (r *Rest) Key() string { return fmt.Sprintf("rest(%s,%s)", r.A.Key(), r.B.Key()) }

// Total is the sum of all items' values, 0 where there are none.
type Total struct {
	Items    []Item
	Distinct bool // of equal values only one counts
	scan     scan
}

// Value implements Num.
func (t *Total) Value(m *Machine) (int64, bool) {
	var sum int64
	for _, v := range t.scan.values(m, t.Items, t.Distinct) {
		var ok bool
		if sum, ok = m.sum(sum, v); !ok {
			return 0, false
		}
	}
	return sum, true
}

// Key implements Num.
func (t *Total) Key() string { return fmt.Sprintf("total(%t,%s)", t.Distinct, itemsKey(t.Items)) }

// Different is how many different values the items have.
type Different struct {
	Items []Item
	scan  scan
}

// Value implements Num.
func (d *Different) Value(m *Machine) (int64, bool) {
	return int64(len(d.scan.values(m, d.Items, true))), true
}

// Key implements Num.
func (d *Different) Key() string { return "different(" + itemsKey(d.Items) + ")" }

// values of items; valid until the next call.
func (s *scan) values(m *Machine, items []Item, distinct bool) []int64 {
	*s = scan{m: m, keep: true, room: s.room[:0]}
	s.all(items)
	if distinct {
		slices.Sort(s.room)
		s.room = slices.Compact(s.room)
	}
	return s.room
}

// In holds where an integer is one of many, which are in ascending order.
type In struct {
	Num    Num
	Values []int64
}

// True implements Bool.
func (i *In) True(m *Machine) bool {
	v, ok := i.Num.Value(m)
	if !ok {
		return false
	}
	_, found := slices.BinarySearch(i.Values, v)
	return found
}

// Key implements Bool.
func (i *In) Key() string { return fmt.Sprintf("in(%s,%v)", i.Num.Key(), i.Values) }
