package expr

import "math"

// What a look-up table of bytes says besides 0 and 1.
const (
	unasked = 2
	hard    = 4
)

// byID is a condition that depends on one column of ids, looked up in a table
// that is filled when an id is first met.
type byID struct {
	col    *idView
	b      Bool
	tables []*Table
	turns  int // of the tables, when lut was begun
	lut    []uint8

	epoch int
	holds Bits
	any   bool // somewhere it is hard
}

func newByID(at *span, b Bool, ref Ref) *byID {
	return &byID{col: at.idsAt(ref), b: b, tables: tablesOf(nil, b)}
}

func tablesOf(out []*Table, b Bool) []*Table {
	switch b := b.(type) {
	case *Test:
		return append(out, b.Table)
	case *NotOf:
		return tablesOf(out, b.Term)
	case *AndOf:
		for _, t := range b.Terms {
			out = tablesOf(out, t)
		}
	case *OrOf:
		for _, t := range b.Terms {
			out = tablesOf(out, t)
		}
	}
	return out
}

// begin empties lut where tables say something else by now, and gives it room for
// all ids of so many bits.
func (c *byID) begin(n int) {
	turns := 0
	for _, t := range c.tables {
		turns += t.turns
	}
	if turns != c.turns || len(c.lut) < n {
		c.turns, c.epoch = turns, 0
		c.lut = sized(c.lut[:0], max(n, len(c.lut)))
		for i := range c.lut {
			c.lut[i] = unasked
		}
	}
}

// look is what lut says of an id.
func (c *byID) look(id uint32) uint8 {
	if int(id) >= len(c.lut) {
		return judge(c.b, id)
	}
	if c.lut[id] == unasked {
		c.lut[id] = judge(c.b, id)
	}
	return c.lut[id]
}

// judge is whether a predicate holds for an id: 0, 1 or, where it is hard to say,
// hard and whichever.
func judge(b Bool, id uint32) (x uint8) {
	switch b := b.(type) {
	case *Test:
		switch c := b.Table.Answer([MaxRefs]uint32{id}); {
		case c.State == Hard:
			return hard
		case c.State == Defined && c.Value != 0:
			return 1
		}
	case *NotOf:
		return judge(b.Term, id) ^ 1
	case *AndOf:
		for _, t := range b.Terms {
			if x = x&^1 | judge(t, id); x&1 == 0 {
				return x
			}
		}
	case *OrOf:
		for _, t := range b.Terms {
			if x |= judge(t, id); x&1 != 0 {
				return x
			}
		}
	}
	return x
}

func (c *byID) keep(v *Vector, at *span, mask Bits) {
	col := c.col.get(v, at)
	switch {
	case col.U8 != nil:
		c.begin(1 << 8)
	case col.U16 != nil:
		c.begin(1 << 16)
	default:
		c.begin(0)
	}
	if c.epoch != at.epoch {
		if col.U8 == nil && col.U16 == nil || sparse(mask, at.n) {
			c.each(v, at, col, mask)
			return
		}
		c.epoch, c.any = at.epoch, false
		c.holds = empty(c.holds, at.n)
		if col.U8 != nil {
			c.any = lookup(c, (*[1 << 8]uint8)(c.lut), col.U8, c.holds)
		} else {
			c.any = lookup16(c, col.U16, c.holds)
		}
	}
	if c.any {
		for n := range mask.All {
			if c.look(col.At(n))&hard != 0 {
				v.cry(v.row(at, n))
			}
		}
	}
	mask.only(c.holds)
}

// each looks up place by place.
func (c *byID) each(v *Vector, at *span, col *IDs, mask Bits) {
	if col.U8 == nil && col.U16 == nil && col.U32 == nil {
		switch x := c.look(col.Same); {
		case x&hard != 0:
		case x&1 == 0:
			clear(mask)
			return
		default:
			return
		}
	}
	for n := range mask.All {
		x := c.look(col.At(n))
		if x&hard != 0 {
			v.cry(v.row(at, n))
		}
		if x&1 == 0 {
			mask.Unset(n)
		}
	}
}

// lookup fills a set with where the answer is yes; any: somewhere it is hard.
func lookup(c *byID, lut *[1 << 8]uint8, ids []uint8, holds Bits) (any bool) {
	whole := len(ids) >> 6
	for w := range whole {
		part := (*[64]uint8)(ids[w<<6:])
		var word, seen uint64
		for j := 0; j < 64; j += 8 {
			of := part[j : j+8 : j+8]
			x := uint64(lut[of[0]]) | uint64(lut[of[1]])<<8 | uint64(lut[of[2]])<<16 | uint64(lut[of[3]])<<24 |
				uint64(lut[of[4]])<<32 | uint64(lut[of[5]])<<40 | uint64(lut[of[6]])<<48 | uint64(lut[of[7]])<<56
			seen |= x
			word |= packed(x) << (j & 63)
		}
		if seen&^ones != 0 {
			word = lookSlowly(c, part[:], &any)
		}
		holds[w] = word
	}
	if rest := ids[whole<<6:]; len(rest) > 0 {
		holds[whole] = lookSlowly(c, rest, &any)
	}
	return any
}

// ones are eight bytes of 1, and packed their lowest bits side by side, of eight
// bytes that have no others.
const ones = 0x0101010101010101

func packed(x uint64) uint64 { return x * 0x0102040810204080 >> 56 }

// lookSlowly is a word of answers where some are missing or hard.
func lookSlowly[T uint8 | uint16](c *byID, ids []T, any *bool) (word uint64) {
	for j, id := range ids {
		x := c.look(uint32(id))
		word |= uint64(x&1) << (j & 63)
		*any = *any || x&hard != 0
	}
	return word
}

func lookup16(c *byID, ids []uint16, holds Bits) (any bool) {
	for w := range holds {
		holds[w] = lookSlowly(c, ids[w<<6:min(w<<6+64, len(ids))], &any)
	}
	return any
}

// byPair is the same of a table of two columns.
type byPair struct {
	table *Table
	a, b  *idView
	turns int
	lut   []uint8 // of two ids of eight bits each
}

func newByPair(at *span, t *Table) *byPair {
	return &byPair{table: t, a: at.idsAt(t.Refs[0]), b: at.idsAt(t.Refs[1])}
}

// look is what the table says of two ids.
func (c *byPair) look(a, b uint32) (x uint8) {
	switch cell := c.table.Answer([MaxRefs]uint32{a, b}); {
	case cell.State == Hard:
		return hard
	case cell.State == Defined && cell.Value != 0:
		return 1
	}
	return 0
}

func (c *byPair) keep(v *Vector, at *span, mask Bits) {
	a, b := c.a.bytes(v, at), c.b.bytes(v, at)
	if a == nil || b == nil {
		a, b := c.a.get(v, at), c.b.get(v, at)
		for n := range mask.All {
			c.put(v, at, mask, n, c.look(a.At(n), b.At(n)))
		}
		return
	}
	if c.turns != c.table.turns || c.lut == nil {
		c.turns = c.table.turns
		c.lut = sized(c.lut, 1<<16)
		for i := range c.lut {
			c.lut[i] = unasked
		}
	}
	lut := (*[1 << 16]uint8)(c.lut)
	if sparse(mask, at.n) {
		for n := range mask.All {
			key := uint16(a[n])<<8 | uint16(b[n])
			if lut[key] == unasked {
				lut[key] = c.look(uint32(a[n]), uint32(b[n]))
			}
			c.put(v, at, mask, n, lut[key])
		}
		return
	}
	for w, asked := range mask {
		lo := w << 6
		if asked == 0 {
			continue
		}
		if lo+64 <= at.n {
			if word, ok := pairs(lut, (*[64]uint8)(a[lo:]), (*[64]uint8)(b[lo:])); ok {
				mask[w] = asked & word
				continue
			}
		}
		for one := range (Bits{asked}).All {
			n := lo + one
			key := uint16(a[n])<<8 | uint16(b[n])
			if lut[key] == unasked {
				lut[key] = c.look(uint32(a[n]), uint32(b[n]))
			}
			c.put(v, at, mask, n, lut[key])
		}
	}
}

// pairs looks up a word; not ok: answers are missing or hard.
func pairs(lut *[1 << 16]uint8, a, b *[64]uint8) (word uint64, ok bool) {
	var seen uint64
	for j := 0; j < 64; j += 4 {
		x, y := a[j:j+4:j+4], b[j:j+4:j+4]
		z := uint64(lut[uint16(x[0])<<8|uint16(y[0])]) | uint64(lut[uint16(x[1])<<8|uint16(y[1])])<<8 |
			uint64(lut[uint16(x[2])<<8|uint16(y[2])])<<16 | uint64(lut[uint16(x[3])<<8|uint16(y[3])])<<24
		seen |= z
		word |= packed(z) << (j & 63)
	}
	return word, seen&^ones == 0
}

// put says what was looked up of a place.
func (c *byPair) put(v *Vector, at *span, mask Bits, n int, x uint8) {
	if x&hard != 0 {
		v.cry(v.row(at, n))
	}
	if x&1 == 0 {
		mask.Unset(n)
	}
}

// within fills a set with where a column's number is in [lo, hi].
func (c *Ints) within(lo, hi int64, n int, holds Bits) {
	if lo > hi {
		return
	}
	switch {
	case c.I64 != nil:
		between64(c.I64, lo, hi, holds)
		return
	case c.U8 == nil && c.U16 == nil && c.U32 == nil:
		if lo <= c.Same && c.Same <= hi {
			holds.first(n)
		}
		return
	}
	first, last, any := c.codes(lo, hi)
	switch {
	case !any:
	case c.U8 != nil:
		between(c.U8, first, min(last, math.MaxUint8), holds)
	case c.U16 != nil:
		between(c.U16, first, min(last, math.MaxUint16), holds)
	default:
		between(c.U32, first, min(last, math.MaxUint32), holds)
	}
}

// between fills a set with where a code is in [first, last].
func between[T uint8 | uint16 | uint32](codes []T, first, last uint64, holds Bits) {
	lo, more := T(first), T(last-first)
	if last < first {
		return
	}
	whole := len(codes) >> 6
	for w := range whole {
		part := (*[64]T)(codes[w<<6:])
		var word uint64
		for j := 0; j < 64; j += 4 {
			of := part[j : j+4 : j+4]
			word |= (bit(of[0]-lo <= more) | bit(of[1]-lo <= more)<<1 | bit(of[2]-lo <= more)<<2 | bit(of[3]-lo <= more)<<3) << (j & 63)
		}
		holds[w] = word
	}
	for i, code := range codes[whole<<6:] {
		holds[whole] |= bit(code-lo <= more) << i
	}
}

func bit(yes bool) uint64 {
	if yes {
		return 1
	}
	return 0
}

func between64(numbers []int64, lo, hi int64, holds Bits) {
	for i, n := range numbers {
		holds[i>>6] |= bit(lo <= n && n <= hi) << (i & 63)
	}
}
