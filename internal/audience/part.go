package audience

import "github.com/codb-dev/codb/internal/expr"

// part is what of a row belongs together: columns of the rows, and arrays with
// the columns of their elements, the first of which is one of ids.
type part struct {
	ids, ints []int
	arrays    []array
}

type array struct {
	number    int
	ids, ints []int
}

// The parts of a row. The bucket is in none: it is another campaign's each.
var (
	// personal is the same for all brands.
	personal = part{ids: from(timeZone, depth), ints: from(optOutSince, bucket)}
	// branded is with regard to one brand.
	branded = part{ids: from(depth, capOf), arrays: []array{
		{caps, from(capOf, objectionPurpose), nil},
		{objections, from(objectionPurpose, grantPurpose), from(objectionSince, grantCaptured)},
		{grants, from(grantPurpose, sentBrand), from(grantCaptured, sentAt)},
	}}
	// history is what the ledger says.
	history = part{arrays: []array{
		{sent, from(sentBrand, eventType), from(sentAt, eventAt)},
		{events, from(eventType, ids), from(eventAt, ints)},
	}}
	// filed is what tables keep besides what policies see.
	filed = part{ids: []int{traits}, ints: []int{generation}}
	// based is all that there is once for a row.
	based = []*part{&personal, &history, &filed}
)

// The columns that only tables have.
const (
	traits     = ids
	generation = ints
)

// from lists the columns from first on, before end.
func from(first, end int) []int {
	var out []int
	for c := first; c < end; c++ {
		out = append(out, c)
	}
	return out
}

// end closes the arrays of a part for the row.
func (c *Columns) end(p *part) {
	for i := range p.arrays {
		p.arrays[i].end(&c.Columns)
	}
}

func (a *array) end(c *expr.Columns) {
	c.Arrays[a.number].Append(uint32(len(c.IDs[a.ids[0]].U32)))
}

// span are the elements of a row.
func (a *array) span(c *expr.Columns, row int) (lo, hi int) {
	return int(c.Arrays[a.number].At(row)), int(c.Arrays[a.number].At(row + 1))
}

// copy appends a row of other columns.
func (p *part) copy(to, of *expr.Columns, row int) {
	put(to, of, p.ids, p.ints, row)
	for i := range p.arrays {
		a := &p.arrays[i]
		lo, hi := a.span(of, row)
		for e := lo; e < hi; e++ {
			put(to, of, a.ids, a.ints, e)
		}
		a.end(to)
	}
}

func put(to, of *expr.Columns, ids, ints []int, at int) {
	for _, c := range ids {
		to.IDs[c].Append(of.IDs[c].At(at))
	}
	for _, c := range ints {
		to.Ints[c].Append(of.Ints[c].At(at))
	}
}

// same says whether two rows are.
func (p *part) same(a *expr.Columns, i int, b *expr.Columns, j int) bool {
	if !alike(a, b, p.ids, p.ints, i, j) {
		return false
	}
	for n := range p.arrays {
		x := &p.arrays[n]
		lo, hi := x.span(a, i)
		other, end := x.span(b, j)
		if hi-lo != end-other {
			return false
		}
		for e := lo; e < hi; e++ {
			if !alike(a, b, x.ids, x.ints, e, other+e-lo) {
				return false
			}
		}
	}
	return true
}

func alike(a, b *expr.Columns, ids, ints []int, i, j int) bool {
	for _, c := range ids {
		if a.IDs[c].At(i) != b.IDs[c].At(j) {
			return false
		}
	}
	for _, c := range ints {
		if a.Ints[c].At(i) != b.Ints[c].At(j) {
			return false
		}
	}
	return true
}

// cut takes out the rows from one on. Who reads a fixed part of the columns does
// not notice: that lies before.
func (p *part) cut(c *expr.Columns, rows int) {
	shorten(c, p.ids, p.ints, rows)
	for i := range p.arrays {
		a := &p.arrays[i]
		offsets := c.Arrays[a.number]
		shorten(c, a.ids, a.ints, int(offsets.U32[rows]))
		offsets.U32 = offsets.U32[:rows+1]
	}
}

func shorten(c *expr.Columns, ids, ints []int, n int) {
	for _, col := range ids {
		c.IDs[col].U32 = c.IDs[col].U32[:n]
	}
	for _, col := range ints {
		c.Ints[col].I64 = c.Ints[col].I64[:n]
	}
}

// fix puts the part as it is now, with so many rows, into other columns: in
// little space, or at no cost.
func (p *part) fix(to, of *expr.Columns, narrow bool) {
	to.Rows = of.Rows
	fixed(to, of, p.ids, p.ints, narrow)
	for i := range p.arrays {
		a := &p.arrays[i]
		fixed(to, of, a.ids, a.ints, narrow)
		to.Arrays[a.number] = fixedIDs(of.Arrays[a.number], narrow)
	}
}

func fixed(to, of *expr.Columns, ids, ints []int, narrow bool) {
	for _, c := range ids {
		to.IDs[c] = fixedIDs(of.IDs[c], narrow)
	}
	for _, c := range ints {
		if v := of.Ints[c].I64; narrow {
			to.Ints[c] = expr.NarrowInts(v)
		} else {
			to.Ints[c] = &expr.Ints{I64: v[:len(v):len(v)]}
		}
	}
}

func fixedIDs(of *expr.IDs, narrow bool) *expr.IDs {
	if v := of.U32; !narrow {
		return &expr.IDs{U32: v[:len(v):len(v)]}
	}
	return expr.NarrowIDs(of.U32)
}

// share lets other columns have the part, too.
func (p *part) share(to, of *expr.Columns) {
	lend(to, of, p.ids, p.ints)
	for i := range p.arrays {
		a := &p.arrays[i]
		lend(to, of, a.ids, a.ints)
		to.Arrays[a.number] = of.Arrays[a.number]
	}
}

func lend(to, of *expr.Columns, ids, ints []int) {
	for _, c := range ids {
		to.IDs[c] = of.IDs[c]
	}
	for _, c := range ints {
		to.Ints[c] = of.Ints[c]
	}
}

// blank are columns of the table's shape that are not there.
func blank(more int) *expr.Columns {
	return &expr.Columns{IDs: make([]*expr.IDs, ids+more), Ints: make([]*expr.Ints, ints+more), Arrays: make([]*expr.IDs, arrays)}
}
