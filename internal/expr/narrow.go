package expr

import "math"

// IDs is a column of ids, in as few bytes each as they need. One of the slices is
// set; none: every row has Same.
type IDs struct {
	U8   []uint8
	U16  []uint16
	U32  []uint32
	Same uint32
}

// At is the id of a row or element.
func (c *IDs) At(i int) uint32 {
	switch {
	case c.U8 != nil:
		return uint32(c.U8[i])
	case c.U16 != nil:
		return uint32(c.U16[i])
	case c.U32 != nil:
		return c.U32[i]
	}
	return c.Same
}

// Append adds an id to a column that was not narrowed.
func (c *IDs) Append(id uint32) { c.U32 = append(c.U32, id) }

// Bytes is what the ids take.
func (c *IDs) Bytes() int64 { return int64(len(c.U8)) + 2*int64(len(c.U16)) + 4*int64(len(c.U32)) }

// Ints is a column of numbers, in as few bytes each as they need. One of the
// slices is set; none: every row has Same. Those of codes say Base + Unit * code,
// or for the code 0, Missing.
type Ints struct {
	U8         []uint8
	U16        []uint16
	U32        []uint32
	I64        []int64
	Unit, Base int64
	Same       int64
}

// At is the number of a row or element; Missing where there is none.
func (c *Ints) At(i int) int64 {
	var code int64
	switch {
	case c.I64 != nil:
		return c.I64[i]
	case c.U8 != nil:
		code = int64(c.U8[i])
	case c.U16 != nil:
		code = int64(c.U16[i])
	case c.U32 != nil:
		code = int64(c.U32[i])
	default:
		return c.Same
	}
	if code == 0 {
		return Missing
	}
	return c.Base + c.Unit*code
}

// Append adds a number to a column that was not narrowed.
func (c *Ints) Append(v int64) { c.I64 = append(c.I64, v) }

// Bytes is what the numbers take.
func (c *Ints) Bytes() int64 {
	return int64(len(c.U8)) + 2*int64(len(c.U16)) + 4*int64(len(c.U32)) + 8*int64(len(c.I64))
}

// Narrow is the same columns in little space, not to be appended to.
func (c *Columns) Narrow() *Columns {
	out := &Columns{Rows: c.Rows, IDs: make([]*IDs, len(c.IDs)), Ints: make([]*Ints, len(c.Ints)), Arrays: make([]*IDs, len(c.Arrays))}
	for i, col := range c.IDs {
		out.IDs[i] = NarrowIDs(col.U32)
	}
	for i, col := range c.Ints {
		out.Ints[i] = NarrowInts(col.I64)
	}
	for i, col := range c.Arrays {
		out.Arrays[i] = NarrowIDs(col.U32)
	}
	return out
}

// NarrowIDs is a column of the ids.
func NarrowIDs(ids []uint32) *IDs {
	var least, most uint32 = math.MaxUint32, 0
	for _, id := range ids {
		least, most = min(least, id), max(most, id)
	}
	switch {
	case len(ids) == 0, least == most:
		return &IDs{Same: most}
	case most <= math.MaxUint8:
		return &IDs{U8: cast[uint8](ids)}
	case most <= math.MaxUint16:
		return &IDs{U16: cast[uint16](ids)}
	}
	return &IDs{U32: append(make([]uint32, 0, len(ids)), ids...)}
}

func cast[T uint8 | uint16](ids []uint32) []T {
	out := make([]T, len(ids))
	for i, id := range ids {
		out[i] = T(id)
	}
	return out
}

// NarrowInts is a column of the numbers.
func NarrowInts(vs []int64) *Ints {
	var least, most int64 = math.MaxInt64, Missing
	missing := false
	for _, v := range vs {
		if v == Missing {
			missing = true
			continue
		}
		least, most = min(least, v), max(most, v)
	}
	if most == Missing { // all of them
		return &Ints{Same: Missing}
	}
	if least == most && !missing {
		return &Ints{Same: least}
	}
	unit := step(vs, least)
	out := &Ints{Unit: int64(unit), Base: least - int64(unit)}
	// Code 1 is the least number, so that the base must not pass it.
	switch codes := (uint64(most)-uint64(least))/unit + 1; {
	case unit > math.MaxInt64 || out.Base >= least || codes > math.MaxUint32:
		return &Ints{I64: append(make([]int64, 0, len(vs)), vs...)}
	case codes <= math.MaxUint8:
		out.U8 = encode[uint8](vs, least, unit)
	case codes <= math.MaxUint16:
		out.U16 = encode[uint16](vs, least, unit)
	default:
		out.U32 = encode[uint32](vs, least, unit)
	}
	return out
}

// step is the greatest number that all distances from the least are multiples of.
func step(vs []int64, least int64) uint64 {
	var unit uint64
	for _, v := range vs {
		if v == Missing {
			continue
		}
		d := uint64(v) - uint64(least)
		if unit != 0 && d%unit == 0 {
			continue
		}
		for d != 0 {
			unit, d = d, unit%d
		}
		if unit == 1 {
			break
		}
	}
	return max(unit, 1)
}

func encode[T uint8 | uint16 | uint32](vs []int64, least int64, unit uint64) []T {
	out := make([]T, len(vs))
	for i, v := range vs {
		if v != Missing {
			out[i] = T((uint64(v)-uint64(least))/unit + 1)
		}
	}
	return out
}

// part are the ids of places from one on to another.
func (c *IDs) part(from, to int) IDs {
	out := IDs{Same: c.Same}
	switch {
	case c.U8 != nil:
		out.U8 = c.U8[from:to]
	case c.U16 != nil:
		out.U16 = c.U16[from:to]
	case c.U32 != nil:
		out.U32 = c.U32[from:to]
	}
	return out
}

// part are the numbers of places from one on to another.
func (c *Ints) part(from, to int) Ints {
	out := Ints{Unit: c.Unit, Base: c.Base, Same: c.Same}
	switch {
	case c.U8 != nil:
		out.U8 = c.U8[from:to]
	case c.U16 != nil:
		out.U16 = c.U16[from:to]
	case c.U32 != nil:
		out.U32 = c.U32[from:to]
	case c.I64 != nil:
		out.I64 = c.I64[from:to]
	}
	return out
}

// codes are those of the numbers in [lo, hi] of a narrowed column, from first on;
// not any: there is none of them.
func (c *Ints) codes(lo, hi int64) (first, last uint64, any bool) {
	base, unit := uint64(c.Base), uint64(c.Unit)
	if hi <= c.Base {
		return 0, 0, false
	}
	first, last = 1, (uint64(hi)-base)/unit
	if lo > c.Base {
		first = max(1, (uint64(lo)-base-1)/unit+1)
	}
	return first, last, first <= last
}

// Read puts the ids from a place on into a slice.
func (c *IDs) Read(from int, into []uint32) {
	switch to := from + len(into); {
	case c.U8 != nil:
		read(c.U8[from:to], into)
	case c.U16 != nil:
		read(c.U16[from:to], into)
	case c.U32 != nil:
		copy(into, c.U32[from:to])
	default:
		for i := range into {
			into[i] = c.Same
		}
	}
}

func read[T uint8 | uint16](from []T, into []uint32) {
	for i, id := range from {
		into[i] = uint32(id)
	}
}

// Read puts the numbers from a place on into a slice.
func (c *Ints) Read(from int, into []int64) {
	switch to := from + len(into); {
	case c.I64 != nil:
		copy(into, c.I64[from:to])
	case c.U8 != nil:
		decode(c, c.U8[from:to], into)
	case c.U16 != nil:
		decode(c, c.U16[from:to], into)
	case c.U32 != nil:
		decode(c, c.U32[from:to], into)
	default:
		for i := range into {
			into[i] = c.Same
		}
	}
}

func decode[T uint8 | uint16 | uint32](c *Ints, codes []T, into []int64) {
	for i, code := range codes {
		if into[i] = c.Base + c.Unit*int64(code); code == 0 {
			into[i] = Missing
		}
	}
}
