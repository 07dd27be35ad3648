package audience

import (
	"bytes"
	"encoding/hex"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/codb-dev/codb/internal/consent"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
)

// chunk is a part of a table. It never changes, except for the one that a table
// is appending to, which nobody else sees.
type chunk struct {
	serial uint64 // tells apart what comes to lie in the same place
	rows   int
	base   *expr.Columns
	brands []section // the first is what a customer is to brands that are not among them
	odd    []int     // rows that are so for every brand
	over   map[string][]int
	kept   map[int]*entry // all of the odd rows
	marks  []consent.Mark
	names  string
	ends   *expr.IDs // of the names; row r has [ends[r], ends[r+1])
	uids   [][16]byte
	others map[int]types.UID // those that are no UUID
}

// section has what regards one brand.
type section struct {
	brand   string
	columns *expr.Columns
	odd     []int
}

// maxBrands is how many brands have a section in a chunk. What customers are to
// others is asked of their entries.
const maxBrands = 64

// entry is all of a customer in a row that columns can't hold exactly.
type entry struct {
	persons map[string]consent.Person // by brand; "": to any other
	past    decision.Contacts
}

// name is a part of all names, and takes no room of its own.
func (c *chunk) name(row int) string { return c.names[c.ends.At(row):c.ends.At(row+1)] }

func (c *chunk) has(row int, mark consent.Mark, name string) bool {
	return c.marks[row] == mark && c.name(row) == name
}

func (c *chunk) uid(row int) types.UID {
	if u, ok := c.others[row]; ok {
		return u
	}
	if c.uids[row] == ([16]byte{}) {
		return ""
	}
	h := hex.AppendEncode(nil, c.uids[row][:])
	return types.UID(bytes.Join([][]byte{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, []byte("-")))
}

// binary16 is a UUID as it takes the least space; not ok: it is none, or is written
// in another way.
func binary16(u types.UID) (out [16]byte, ok bool) {
	if u == "" {
		return out, true
	}
	if len(u) != 36 || u[8] != '-' || u[13] != '-' || u[18] != '-' || u[23] != '-' {
		return out, false
	}
	digits := string(u[:8] + u[9:13] + u[14:18] + u[19:23] + u[24:])
	if n, err := hex.Decode(out[:], []byte(digits)); err != nil || n != 16 || out == ([16]byte{}) {
		return out, false
	}
	return out, hex.EncodeToString(out[:]) == digits
}

// with is the section of a brand, or the one for all others.
func (c *chunk) with(brand string) *section {
	for i := 1; i < len(c.brands); i++ {
		if c.brands[i].brand == brand {
			return &c.brands[i]
		}
	}
	return &c.brands[0]
}

// strange are the rows that columns can't hold exactly with regard to a brand.
func (c *chunk) strange(brand string) []int {
	more := c.over[brand]
	if s := c.with(brand); s.brand == brand {
		more = s.odd
	}
	if len(more) == 0 {
		return c.odd
	}
	out := slices.Concat(c.odd, more)
	slices.Sort(out)
	return slices.Compact(out)
}

// view is the chunk with regard to a brand.
func (c *chunk) view(brand string) *expr.Columns {
	out := blank(0)
	out.Rows = c.rows
	personal.share(out, c.base)
	history.share(out, c.base)
	branded.share(out, c.with(brand).columns)
	out.Ints[bucket] = &nowhere
	return out
}

var nowhere = expr.Ints{Same: expr.Missing}

// tail is the chunk that a table appends to.
type tail struct {
	chunk
	columns  *Columns
	sections []*Columns
	text     strings.Builder // of the names
}

func newTail(serial uint64, dicts []*expr.Dict) *tail {
	t := &tail{columns: &Columns{Columns: *expr.NewColumns(ids+1, ints+1, arrays), Dicts: dicts}}
	t.serial, t.base, t.ends = serial, &t.columns.Columns, &expr.IDs{U32: []uint32{0}}
	t.begin("")
	return t
}

// begin makes a section for a brand.
func (t *tail) begin(brand string) *Columns {
	c := &Columns{Columns: *expr.NewColumns(ids, ints, arrays), Dicts: t.columns.Dicts}
	t.sections = append(t.sections, c)
	t.brands = append(t.brands, section{brand: brand, columns: &c.Columns})
	for row := range t.rows {
		t.without(c, row)
	}
	return c
}

// without says in a section that the row has nothing to do with its brand.
func (t *tail) without(c *Columns, row int) {
	branded.copy(&c.Columns, &t.sections[0].Columns, row)
	c.Rows++
}

// forBrand is the section to write a brand into; nil: there is no room for it.
func (t *tail) forBrand(brand string) *Columns {
	for i := range t.brands {
		if t.brands[i].brand == brand {
			return t.sections[i]
		}
	}
	if len(t.brands) > maxBrands {
		return nil
	}
	return t.begin(brand)
}

// enter appends an entry to the row that is being written; it keeps one that
// columns can't hold.
func (t *tail) enter(e *entry) {
	row, base := t.rows, t.columns
	odds := len(base.odd)
	p := e.persons[""]
	base.person(&p)
	base.past(&e.past)
	t.sections[0].relationship(&p)
	odd := len(base.odd) > odds
	for _, brand := range slices.Sorted(maps.Keys(e.persons)) {
		if brand == "" {
			continue
		}
		s := t.forBrand(brand)
		if s == nil {
			if t.over = maps.Clone(t.over); t.over == nil {
				t.over = map[string][]int{}
			}
			t.over[brand] = append(slices.Clip(t.over[brand]), row)
			odd = true
			continue
		}
		odds, p := len(s.odd), e.persons[brand]
		s.relationship(&p)
		odd = odd || len(s.odd) > odds
	}
	if odd {
		t.keep(e)
	}
}

// keep keeps the row that is being written as it is. Snapshots have the map as it
// was.
func (t *tail) keep(e *entry) {
	if t.kept = maps.Clone(t.kept); t.kept == nil {
		t.kept = map[int]*entry{}
	}
	t.kept[t.rows] = e
}

// take appends a row of another chunk, without its past, to the row that is
// being written; false: there is no room for one of its brands.
func (t *tail) take(c *chunk, row int) bool {
	for i := range c.brands {
		if s := &c.brands[i]; i > 0 && s.columns.IDs[depth].At(row) != expr.Absent && t.forBrand(s.brand) == nil {
			return false
		}
	}
	personal.copy(t.base, c.base, row)
	branded.copy(&t.sections[0].Columns, c.brands[0].columns, row)
	for i := range c.brands {
		if s := &c.brands[i]; i > 0 && s.columns.IDs[depth].At(row) != expr.Absent {
			branded.copy(&t.forBrand(s.brand).Columns, s.columns, row)
		}
	}
	return true
}

// done ends the row that was written.
func (t *tail) done() {
	row := t.rows
	t.rows++
	t.base.Rows = t.rows
	t.sections[0].Rows = t.rows
	for _, s := range t.sections[1:] {
		if len(s.IDs[depth].U32) == row {
			t.without(s, row)
		}
		s.Rows = t.rows
	}
}

// who is a customer besides what is in the columns.
type who struct {
	name string
	mark consent.Mark
	uid  types.UID
}

func (c *chunk) who(row int) who { return who{c.name(row), c.marks[row], c.uid(row)} }

// identify says who is in the latest row. Names that were read stay as they are:
// text is only added.
func (t *tail) identify(w who) {
	t.marks = append(t.marks, w.mark)
	t.text.WriteString(w.name)
	t.names = t.text.String()
	t.ends.Append(uint32(len(t.names)))
	short, ok := binary16(w.uid)
	if !ok {
		if t.others = maps.Clone(t.others); t.others == nil {
			t.others = map[int]types.UID{}
		}
		t.others[t.rows-1] = w.uid
	}
	t.uids = append(t.uids, short)
}

// undo takes out the latest row, of which nobody has said yet who is in it.
func (t *tail) undo() {
	t.rows--
	row := t.rows
	for _, p := range based {
		p.cut(t.base, row)
	}
	t.columns.Rows, t.columns.odd = row, before(t.columns.odd, row)
	for _, s := range t.sections {
		branded.cut(&s.Columns, row)
		s.Rows, s.odd = row, before(s.odd, row)
	}
	if _, ok := t.kept[row]; ok {
		t.kept = maps.Clone(t.kept)
		delete(t.kept, row)
	}
	for brand, rows := range t.over {
		if len(before(rows, row)) < len(rows) {
			t.over = maps.Clone(t.over)
			t.over[brand] = slices.Clip(before(rows, row))
		}
	}
}

func before(rows []int, row int) []int {
	for len(rows) > 0 && rows[len(rows)-1] >= row {
		rows = rows[:len(rows)-1]
	}
	return rows
}

// fix is the chunk as it is now: in little space, or at no cost.
func (t *tail) fix(narrow bool) *chunk {
	c := t.chunk
	c.base = blank(1)
	for _, p := range based {
		p.fix(c.base, t.base, narrow)
	}
	c.odd = slices.Clip(t.columns.odd)
	c.brands = make([]section, len(t.sections))
	for i, s := range t.sections {
		c.brands[i] = section{brand: t.brands[i].brand, columns: blank(0), odd: slices.Clip(s.odd)}
		branded.fix(c.brands[i].columns, &s.Columns, narrow)
	}
	c.ends = fixedIDs(t.ends, narrow)
	c.marks, c.uids = slices.Clip(t.marks), slices.Clip(t.uids)
	if narrow {
		c.names, c.marks, c.uids = strings.Clone(c.names), slices.Clone(c.marks), slices.Clone(c.uids)
	}
	return &c
}

// same says whether two rows say the same of one person.
func (c *chunk) same(row int, other *chunk, at int) bool {
	if kept, now := c.kept[row], other.kept[at]; kept != nil || now != nil {
		return filed.same(c.base, row, other.base, at) && reflect.DeepEqual(kept, now)
	}
	for _, p := range based {
		if !p.same(c.base, row, other.base, at) {
			return false
		}
	}
	for _, list := range [][]section{c.brands, other.brands} {
		for i := range list {
			b := list[i].brand
			if !branded.same(c.with(b).columns, row, other.with(b).columns, at) {
				return false
			}
		}
	}
	return true
}

// bytes is what the chunk takes.
func (c *chunk) bytes() int64 {
	n := int64(len(c.names)+8*len(c.marks)+16*len(c.uids)) + c.ends.Bytes() + size(c.base)
	for i := range c.brands {
		n += size(c.brands[i].columns)
	}
	return n
}

func size(c *expr.Columns) (n int64) {
	for _, col := range slices.Concat(c.IDs, c.Arrays) {
		if col != nil {
			n += col.Bytes()
		}
	}
	for _, col := range c.Ints {
		if col != nil {
			n += col.Bytes()
		}
	}
	return n
}
