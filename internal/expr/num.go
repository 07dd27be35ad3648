package expr

import (
	"fmt"
	"slices"
	"strings"
)

// Const is a known integer.
type Const int64

// Value implements Num.
func (c Const) Value(*Machine) (int64, bool) { return int64(c), true }

// Key implements Num.
func (c Const) Key() string { return fmt.Sprint(int64(c)) }

// Now is the instant that is asked about.
type Now struct{}

// Value implements Num.
func (Now) Value(m *Machine) (int64, bool) { return m.Now, true }

// Key implements Num.
func (Now) Key() string { return "now" }

// Col is an integer of the row or an element.
type Col Ref

// Value implements Num.
func (c Col) Value(m *Machine) (int64, bool) {
	v := m.Columns.Ints[c.Column].At(int(m.at[c.Var]))
	return v, v != Missing
}

// Key implements Num.
func (c Col) Key() string { return fmt.Sprintf("$%d.%d", c.Var, c.Column) }

// Lookup is what a table answers.
type Lookup struct{ Table *Table }

// Value implements Num.
func (l *Lookup) Value(m *Machine) (int64, bool) { return m.number(l.Table.cell(m)) }

// Key implements Num.
func (l *Lookup) Key() string { return "lookup(" + l.Table.Label + ")" }

// Sum is A + B, or A - B.
type Sum struct {
	A, B  Num
	Minus bool
}

// Value implements Num.
func (s *Sum) Value(m *Machine) (int64, bool) {
	a, ok := s.A.Value(m)
	if !ok {
		return 0, false
	}
	b, ok := s.B.Value(m)
	if !ok {
		return 0, false
	}
	if s.Minus {
		return m.difference(a, b)
	}
	return m.sum(a, b)
}

// Key implements Num.
func (s *Sum) Key() string { return fmt.Sprintf("sum(%s,%s,%t)", s.A.Key(), s.B.Key(), s.Minus) }

// Otherwise is Num, or Else where that is undefined.
type Otherwise struct{ Num, Else Num }

// Value implements Num.
func (o *Otherwise) Value(m *Machine) (int64, bool) {
	if v, ok := o.Num.Value(m); ok || m.Hard {
		return v, ok
	}
	return o.Else.Value(m)
}

// Key implements Num.
func (o *Otherwise) Key() string { return fmt.Sprintf("else(%s,%s)", o.Num.Key(), o.Else.Key()) }

// Best is the greatest (or least) of some integers, all of which must be
// defined.
type Best struct {
	Least bool
	Of    []Num
}

// Value implements Num.
func (b *Best) Value(m *Machine) (int64, bool) {
	var best int64
	for i, n := range b.Of {
		v, ok := n.Value(m)
		if !ok {
			return 0, false
		}
		if i == 0 || (v < best) == b.Least {
			best = v
		}
	}
	return best, len(b.Of) > 0
}

// Key implements Num.
func (b *Best) Key() string {
	parts := make([]string, len(b.Of))
	for i, n := range b.Of {
		parts[i] = n.Key()
	}
	return fmt.Sprintf("best(%t,%s)", b.Least, strings.Join(parts, ","))
}

// Step is a loop or, where it has none, a condition.
type Step struct {
	Loop Loop // Var 0: none
	If   Bool
}

// Item is a value for every way through its steps, where it is defined.
type Item struct {
	Steps []Step
	Value Num
}

// Visitor is told of every way through steps; it says whether to go on.
type Visitor interface{ Visit() bool }

// Each goes through the steps and tells of every way through them. It reports
// whether it was to go on to the end.
func (m *Machine) Each(steps []Step, v Visitor) bool {
	for i := range steps {
		s := &steps[i]
		if s.Loop.Var == 0 {
			if !s.If.True(m) {
				return true
			}
			continue
		}
		lo, hi := m.bounds(s.Loop.Array)
		was, on := m.at[s.Loop.Var], true
		for e := lo; e < hi && on; e++ {
			m.at[s.Loop.Var] = e
			on = m.Each(steps[i+1:], v)
		}
		m.at[s.Loop.Var] = was
		return on
	}
	return v.Visit()
}

func stepsKey(steps []Step) string {
	var b strings.Builder
	for _, s := range steps {
		if s.Loop.Var != 0 {
			fmt.Fprintf(&b, "%d:%d;", s.Loop.Var, s.Loop.Array)
		} else {
			b.WriteString(s.If.Key() + ";")
		}
	}
	return b.String()
}

func itemsKey(items []Item) string {
	var b strings.Builder
	for _, it := range items {
		b.WriteString("[" + stepsKey(it.Steps) + it.Value.Key() + "]")
	}
	return b.String()
}

// scan goes through the values of items.
type scan struct {
	m     *Machine
	value Num
	least bool
	best  int64
	n     int64
	keep  bool
	room  []int64
}

func (s *scan) all(items []Item) {
	for i := range items {
		s.value = items[i].Value
		s.m.Each(items[i].Steps, s)
	}
}

// Visit implements Visitor.
func (s *scan) Visit() bool {
	v, ok := s.value.Value(s.m)
	if !ok {
		return true
	}
	if s.n == 0 || (v < s.best) == s.least {
		s.best = v
	}
	s.n++
	if s.keep {
		s.room = append(s.room, v)
	}
	return true
}

// Extreme is the greatest (or least) of all items' values; undefined where there
// is none.
type Extreme struct {
	Least bool
	Items []Item
	scan  scan
}

// Value implements Num.
func (x *Extreme) Value(m *Machine) (int64, bool) {
	x.scan = scan{m: m, least: x.Least}
	x.scan.all(x.Items)
	return x.scan.best, x.scan.n > 0
}

// Key implements Num.
func (x *Extreme) Key() string { return fmt.Sprintf("extreme(%t,%s)", x.Least, itemsKey(x.Items)) }

// Count is how many values the items have; equal values are two.
type Count struct {
	Items []Item
	scan  scan
}

// Value implements Num.
func (c *Count) Value(m *Machine) (int64, bool) {
	c.scan = scan{m: m}
	c.scan.all(c.Items)
	return c.scan.n, true
}

// Key implements Num.
func (c *Count) Key() string { return "count(" + itemsKey(c.Items) + ")" }

// Len is how many elements some arrays of the row have together.
type Len struct{ Arrays []int }

// Value implements Num.
func (l *Len) Value(m *Machine) (int64, bool) {
	var n int64
	for _, a := range l.Arrays {
		lo, hi := m.bounds(a)
		n += int64(hi - lo)
	}
	return n, true
}

// Key implements Num.
func (l *Len) Key() string { return fmt.Sprintf("len%v", l.Arrays) }

// AtMost is a number that no count of the items exceeds; nil: there is none that
// is quicker to be had.
func AtMost(items []Item) Num {
	l := &Len{}
	if len(items) == 0 {
		return nil
	}
	for _, it := range items {
		loops := 0
		for _, s := range it.Steps {
			if s.Loop.Var != 0 {
				l.Arrays = append(l.Arrays, s.Loop.Array)
				loops++
			}
		}
		if loops != 1 {
			return nil
		}
	}
	return l
}

// Last is the value that so many values follow, itself included, where all of
// them are in ascending order: the greatest for 1. It is undefined where there is
// none.
type Last struct {
	Items []Item
	Place Num
	// Most is what the number of values never exceeds; nil: not known.
	Most Num
	scan scan
}

// Value implements Num.
func (n *Last) Value(m *Machine) (int64, bool) {
	place, ok := n.Place.Value(m)
	if !ok {
		return 0, false
	}
	if n.Most != nil {
		if most, _ := n.Most.Value(m); most < place {
			return 0, false
		}
	}
	s := &n.scan
	*s = scan{m: m, keep: true, room: s.room[:0]}
	s.all(n.Items)
	if place < 1 || place > s.n {
		return 0, false
	}
	slices.Sort(s.room)
	return s.room[s.n-place], true
}

// Key implements Num.
func (n *Last) Key() string { return fmt.Sprintf("last(%s,%s)", n.Place.Key(), itemsKey(n.Items)) }

// Func is a function of one integer and a table's answer, asked once for each
// pair of arguments.
type Func struct {
	Label string
	Arg   Num
	Refs  []Ref // ids that it depends on besides
	Ask   func(arg int64, ids []uint32) Cell

	known map[funcKey]Cell
	ids   [MaxRefs]uint32
}

type funcKey struct {
	arg int64
	ids [MaxRefs]uint32
}

// maxKnown is how many answers are kept.
const maxKnown = 1 << 18

// Value implements Num.
func (f *Func) Value(m *Machine) (int64, bool) {
	arg, ok := f.Arg.Value(m)
	if !ok {
		return 0, false
	}
	key := funcKey{arg: arg}
	for i, r := range f.Refs {
		key.ids[i] = m.Columns.IDs[r.Column].At(int(m.at[r.Var]))
	}
	c, ok := f.known[key]
	if !ok {
		if f.known == nil || len(f.known) >= maxKnown {
			f.known = map[funcKey]Cell{}
		}
		f.ids = key.ids
		c = f.Ask(arg, f.ids[:len(f.Refs)])
		f.known[key] = c
	}
	return m.number(c)
}

// Key implements Num.
func (f *Func) Key() string { return "func(" + f.Label + "," + f.Arg.Key() + ")" }

// Forget drops all answers.
func (f *Func) Forget() { clear(f.known) }
