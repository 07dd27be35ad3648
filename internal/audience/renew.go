package audience

import (
	"time"

	"github.com/codb-dev/codb/internal/expr"
)

// idle is how many values of dictionaries may be nobody's.
const idle = 1 << 16

// renew begins new dictionaries when most values of the old ones are nobody's any
// more: they only grow, and people's words change for as long as the process runs.
// Tables look when they begin a chunk.
func (t *Table) renew() {
	if t.values() < 2*t.needed+idle {
		return
	}
	fresh := NewTable()
	fresh.serial += t.serial // no chunk is taken for an old one
	fresh.tail.serial = fresh.serial
	for i := range t.slots {
		for row := range t.slots[i].live.All {
			fresh.adopt(t, t.slots[i].chunk, row)
		}
	}
	t.dicts, t.slots, t.free, t.tail, t.end = fresh.dicts, fresh.slots, fresh.free, fresh.tail, fresh.end
	t.serial, t.places, t.alive = fresh.serial, fresh.places, fresh.alive
	t.needed = t.values()
	t.latest.Store(nil)
}

// adopt takes a row of another table.
func (t *Table) adopt(of *Table, c *chunk, row int) {
	t.room()
	e := c.kept[row]
	if e == nil {
		e = of.entry(c, row, nil)
	}
	t.tail.enter(e)
	v, _ := of.dicts[traits].Value(c.base.IDs[traits].At(row)).(*trait)
	t.tail.base.IDs[traits].Append(t.trait(v))
	t.tail.base.Ints[generation].Append(c.base.Ints[generation].At(row))
	t.settle(c.who(row), 0, false, time.Time{})
}

// trait is the id of a trait.
func (t *Table) trait(v *trait) uint32 {
	if v == nil {
		return expr.Absent
	}
	return t.dicts[traits].ID(v.key(), func() any { return v })
}

// values is how many the dictionaries have.
func (t *Table) values() int {
	n := 0
	for _, d := range t.dicts {
		n += d.Len()
	}
	return n
}
