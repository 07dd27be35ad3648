package policy

import (
	"math"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
)

// says is what a unit says of the rows that are looked at. Sets are of the whole
// chunk that they are in.
type says struct {
	chunk   int
	hard    expr.Bits  // rows that somebody else must answer for
	wakes   expr.Bits  // rows with a stale
	stale   []int64    // when what it says of a row can change by itself
	always  int64      // the same for all rows; decision.Never: nothing is
	reasons []*told    // that anybody has
	byID    []*told    // by number of the reason; nil: nobody has had it
	sure    int        // the chunk of which OPA has confirmed all that is said
	quick   [16]uint64 // sets of reasons, by themselves, that it has confirmed
}

// told is a reason of a unit, and who has it.
type told struct {
	id    int64
	chunk int
	who   expr.Bits
	until []int64   // of a hold, the latest; nil: nobody's end is known
	ends  expr.Bits // who has an until
	open  expr.Bits // who has none as well

	as    []decision.Reason // for each use
	sig   uint64            // of it, whosever it is
	last  latest            // of all who have it; those whom it is of are lasts
	lasts expr.Bits
}

// latest is until when a reason holds for some people.
type latest struct {
	chunk int
	ns    int64
	open  bool
}

// limit is how many elements of an array a row may have so that no set of its
// reasons can be larger than allowed, nor take too long.
type limit struct{ array, most int }

// finish adds to a compiled unit what asking about many rows takes.
func (u *unit) finish(p *program, n int) {
	reads := p.native.readsOfUse(n)
	u.own = (len(u.clauses) > 0 || u.whole != nil) && reads.paths["customer.bucket"]
	p.most = min(p.most, u.most)
	u.says = says{chunk: -1, sure: -1}
	v := p.vector
	if u.own {
		v = p.own
	}
	ways := map[string]int{}
	for _, cl := range u.clauses {
		ways[cl.set]++
	}
	if u.whole != nil {
		// Saying 0 is nothing.
		u.wholeEnd = v.End([]expr.Step{{If: &expr.Test{Table: u.whole}}}, []expr.Num{&expr.Lookup{Table: u.whole}}, false)
	}
	u.hardEnd = v.End([]expr.Step{{If: u.hard}}, nil, false)
	limits := map[int]int{}
	for _, cl := range u.clauses {
		if cl.head != nil {
			cl.numbers = append(cl.numbers, &expr.Lookup{Table: cl.head})
		}
		for _, n := range []expr.Num{cl.until, cl.wake} {
			if n != nil {
				cl.numbers = append(cl.numbers, n)
			}
		}
		cl.flat = expr.Flat(cl.steps)
		cl.end = v.End(cl.steps, cl.numbers, cl.open)
		most := maxReasons / ways[cl.set]
		if !cl.flat {
			most = min(most, 3)
		}
		for _, s := range cl.steps {
			if s.Loop.Var != 0 {
				had, ok := limits[s.Loop.Array]
				if !ok {
					had = maxReasons
				}
				limits[s.Loop.Array] = min(had, most)
			}
		}
	}
	for array, most := range limits {
		u.limits = append(u.limits, limit{array: array, most: most})
	}
}

// look sets what is asked about: rows [lo, hi) of the columns, where lo is a
// multiple of 64, of these those in only; nil: all.
func (p *program) look(lo, hi int, only expr.Bits) {
	p.chunk++
	if only == nil {
		only = p.everybody(lo, hi)
	}
	p.lo, p.hi, p.only = lo, hi, only
	clear(p.much)
	p.vector.Rows(lo, hi, only[lo>>6:])
	if p.most == math.MaxInt {
		return
	}
	for array := range p.machine.Columns.Arrays {
		p.vector.Longer(array, p.most, p.much[lo>>6:])
	}
	if p.much.Count() > 0 { // nobody in this process is to go through so much
		p.only = p.less
		copy(p.only, only)
		p.only.Drop(p.much)
		p.vector.Rows(lo, hi, p.only[lo>>6:])
	}
}

// everybody is all rows of [lo, hi).
func (p *program) everybody(lo, hi int) expr.Bits {
	clear(p.all)
	for row := lo; row < hi; row++ {
		p.all.Set(row)
	}
	return p.all
}

// lookAgain is for units that look at buckets, when there are new ones.
func (p *program) lookAgain() {
	p.own.Rows(p.lo, p.hi, p.only[p.lo>>6:])
	p.machine.Renew()
}

// ask has a unit say what it has to say of the rows that are looked at, once.
func (p *program) ask(u *unit) {
	s, v := &u.says, p.vector
	if u.own {
		v = p.own
	} else if s.chunk == p.chunk {
		return
	}
	s.begin(p)
	was := v.Hard
	v.Hard = s.hard[p.lo>>6:]
	p.asking = asking{unit: u, vector: v, now: p.machine.Now}
	for _, l := range u.limits {
		v.Longer(l.array, l.most, v.Hard)
	}
	if u.whole != nil {
		v.Each(u.wholeEnd, expr.Lead{Tell: p})
	} else {
		p.clauses(u, v)
	}
	v.Hard = was
	for _, t := range s.reasons {
		t.who.Drop(s.hard)
	}
}

func (p *program) clauses(u *unit, v *expr.Vector) {
	s := &u.says
	if u.uses[0].untimed {
		s.always = p.clock.asked.now.Add(again).UnixNano()
	}
	if u.hard != expr.Lit(false) {
		v.Each(u.hardEnd, expr.Lead{Rows: p.hardFunc})
	}
	for _, c := range u.clauses {
		p.asking.clause = c
		switch {
		case len(c.numbers) == 0:
			v.Each(c.end, expr.Lead{Rows: p.rowsFunc})
		case c.flat:
			v.Each(c.end, expr.Lead{Tell: p})
		default:
			v.Each(c.end, expr.Lead{Visit: (*visiting)(p)})
		}
	}
}

// begin empties it for the rows that are looked at now.
func (s *says) begin(p *program) {
	s.chunk = p.chunk
	if s.hard == nil {
		s.hard, s.wakes, s.stale = expr.NewBits(expr.Chunk), expr.NewBits(expr.Chunk), make([]int64, expr.Chunk)
	}
	clear(s.hard)
	clear(s.wakes)
	s.always = decision.Never
	s.reasons = s.reasons[:0]
}

// asking is a unit being asked.
type asking struct {
	unit   *unit
	vector *expr.Vector
	clause *clause
	now    int64
	told   *told // of the latest reason
	id     int64 // its number
}

func (p *program) hardRows(rows expr.Bits) { p.asking.vector.Hard.Join(rows) }

// rowsSay: rows have the reason of a clause.
func (p *program) rowsSay(rows expr.Bits) {
	t := p.told(int64(p.asking.clause.fixed))
	t.who[p.lo>>6:].Join(rows)
	if p.reasons[t.id].Verdict == v1alpha1.VerdictHold {
		t.open[p.lo>>6:].Join(rows)
	}
}

// told is a reason that somebody has.
func (p *program) told(id int64) *told {
	if p.asking.told != nil && p.asking.id == id {
		return p.asking.told
	}
	u := p.asking.unit
	if int(id) >= len(u.says.byID) {
		u.says.byID = append(u.says.byID, make([]*told, len(p.reasons)-len(u.says.byID))...)
	}
	t := u.says.byID[id]
	if t == nil {
		t = u.newTold(id, p.reasons[id])
	}
	if t.chunk != p.chunk || u.own && !u.says.has(t) {
		t.chunk = p.chunk
		clear(t.who)
		clear(t.open)
		clear(t.ends)
		t.last.chunk = -1
		u.says.reasons = append(u.says.reasons, t)
	}
	p.asking.told, p.asking.id = t, id
	return t
}

// newTold is what many people have of a reason. Two that differ in no more than
// the words of somebody's own Rego are one.
func (u *unit) newTold(id int64, r decision.Reason) *told {
	t := &told{id: id, chunk: -1, who: expr.NewBits(expr.Chunk), open: expr.NewBits(expr.Chunk), last: latest{chunk: -1}}
	for _, use := range u.uses {
		r.Policy, r.Rule, r.Mode = use.policy, use.rule, use.mode
		r = common(r)
		t.as = append(t.as, r)
	}
	r = t.as[0]
	r.Policy = ""
	t.sig = signatureOf(&r)
	if r.Verdict == v1alpha1.VerdictHold {
		t.lasts = expr.NewBits(expr.Chunk)
	}
	for _, had := range u.says.byID {
		if had != nil && had.as[0] == t.as[0] {
			t = had
		}
	}
	u.says.byID[id] = t
	return t
}

func (s *says) has(t *told) bool {
	for _, r := range s.reasons {
		if r == t {
			return true
		}
	}
	return false
}

// say that a row has a reason until an instant; expr.Missing: nobody knows.
func (p *program) say(row int, id, until int64) {
	t := p.told(id)
	t.who.Set(row)
	switch {
	case p.reasons[id].Verdict != v1alpha1.VerdictHold:
	case until == expr.Missing:
		t.open.Set(row)
	default:
		if t.until == nil {
			t.until, t.ends = make([]int64, expr.Chunk), expr.NewBits(expr.Chunk)
		}
		if !t.ends.Has(row) || t.until[row] < until {
			t.until[row] = until
		}
		t.ends.Set(row)
		p.sooner(row, until)
	}
}

func (p *program) sooner(row int, ns int64) {
	s := &p.asking.unit.says
	if !s.wakes.Has(row) {
		s.wakes.Set(row)
		s.stale[row] = ns
	} else if ns < s.stale[row] {
		s.stale[row] = ns
	}
}

// Tell implements expr.Teller.
func (p *program) Tell(places expr.Bits, rows []uint32, numbers [][]int64) {
	c := p.asking.clause
	for n := range places.All {
		row := p.lo + n
		if rows != nil {
			row = p.lo + int(rows[n])
		}
		switch {
		case c == nil:
			p.outcome(row, numbers[0][n])
		case c.wake == nil:
			p.reasonAt(c, row, n, numbers)
		case numbers[0][n] > p.asking.now:
			p.sooner(row, numbers[0][n])
		}
	}
}

// reasonAt is what a clause says at a place.
func (p *program) reasonAt(c *clause, row, n int, numbers [][]int64) {
	id, until := int64(c.fixed), expr.Missing
	if c.head != nil {
		id, numbers = numbers[0][n], numbers[1:]
	}
	if c.until != nil {
		until = numbers[0][n]
		if until == expr.Missing && c.open {
			p.say(row, id, until)
			return
		}
		if until <= p.asking.now || p.reasons[id].Verdict != v1alpha1.VerdictHold {
			p.asking.unit.says.hard.Set(row) // whatever is wrong with it, OPA says
			return
		}
	}
	p.say(row, id, until)
}

// outcome is what a whole unit says of a row.
func (p *program) outcome(row int, n int64) {
	said := &p.sayings[n]
	if said.stale != decision.Never {
		p.sooner(row, said.stale)
	}
	for i, id := range said.numbers {
		p.say(row, id, said.until[i])
	}
}

// visiting hears of places that the machine was led to.
type visiting program

// Visit implements expr.Visitor.
func (v *visiting) Visit() bool {
	p := (*program)(v)
	c, m := p.asking.clause, &p.machine
	id, ns, ok := p.arrive(c)
	if !ok {
		return !m.Hard
	}
	switch row := m.At(); {
	case c.wake == nil:
		p.say(row, id, ns)
	case ns > m.Now:
		p.sooner(row, ns)
	}
	return true
}

// far is an order of instants in which Never comes last.
func far(ns int64) uint64 { return uint64(ns) + math.MaxInt64 }
