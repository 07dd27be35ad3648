package policy

import (
	"time"

	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
)

// sweep answers for all rows of a plan's columns at once.
type sweep struct {
	plan   *plan
	vector *expr.Vector
	bulk   *decision.Bulk
	sets   []map[int64]expr.Bits // by unit and reason: who has it
	limits []int                 // by array: more elements than that are left to plan.answer

	// What is being visited.
	unit   int
	clause *clause
	lo     int // first row of the chunk
}

// bulk answers for all rows. Rows that are left are for answer.
func (p *plan) bulk() *decision.Bulk {
	s := p.sweeping
	if s == nil {
		s = &sweep{plan: p, vector: expr.NewVector(&p.machine), limits: p.limits()}
		p.sweeping = s
	}
	n := p.columns.Rows
	s.bulk = &decision.Bulk{Customers: n, Left: expr.NewBits(n), StaleAt: make([]int64, n)}
	for i := range s.bulk.StaleAt {
		s.bulk.StaleAt[i] = decision.Never
	}
	s.sets = make([]map[int64]expr.Bits, len(p.units))
	for i := range s.sets {
		s.sets[i] = map[int64]expr.Bits{}
	}
	for lo := 0; lo < n; lo += expr.Chunk {
		s.chunk(lo, min(lo+expr.Chunk, n))
	}
	for _, row := range p.columns.Odd() {
		s.bulk.Left.Set(row)
	}
	s.collect()
	return s.bulk
}

// limits are how many elements of an array a row may have so that no set of its
// reasons can be larger than allowed.
func (p *plan) limits() []int {
	out := make([]int, len(p.columns.Arrays))
	for i := range out {
		out[i] = maxReasons
	}
	for _, u := range p.units {
		for i := range out {
			out[i] = min(out[i], u.most)
		}
		ways := map[string]int{}
		for _, c := range u.clauses {
			ways[c.set]++
		}
		for _, c := range u.clauses {
			loops := 0
			for _, s := range c.steps {
				if s.Loop.Var != 0 {
					loops++
				}
			}
			most := maxReasons / ways[c.set]
			if loops > 1 {
				most = min(most, 3)
			}
			for _, s := range c.steps {
				if s.Loop.Var != 0 {
					out[s.Loop.Array] = min(out[s.Loop.Array], most)
				}
			}
		}
	}
	return out
}

func (s *sweep) chunk(lo, hi int) {
	s.lo = lo
	v := s.vector
	v.Rows(lo, hi)
	for a, offsets := range s.plan.columns.Arrays {
		for row := lo; row < hi; row++ {
			if int(offsets.At(row+1)-offsets.At(row)) > s.limits[a] {
				v.Hard.Set(row - lo)
			}
		}
	}
	for i, u := range s.plan.units {
		s.unit = i
		if u.whole != nil {
			s.wholes(u, lo, hi)
			continue
		}
		if u.uses[0].untimed {
			s.soonerAll(lo, hi, s.plan.clock.asked.now.Add(again).UnixNano())
		}
		if u.hard != expr.Lit(false) {
			v.Each([]expr.Step{{If: u.hard}}, expr.Lead{Rows: func(rows expr.Bits) { v.Hard.Join(rows) }})
		}
		for _, c := range u.clauses {
			s.clause = c
			if c.head == nil && c.until == nil && c.wake == nil {
				v.Each(c.steps, expr.Lead{Rows: s.rows})
			} else {
				v.Each(c.steps, expr.Lead{Visit: s})
			}
		}
	}
	for n := range v.Hard.All {
		s.bulk.Left.Set(lo + n)
	}
}

// rows have the reason of a clause.
func (s *sweep) rows(rows expr.Bits) {
	s.who(int64(s.clause.fixed))[s.lo>>6:].Join(rows)
}

func (s *sweep) who(reason int64) expr.Bits {
	b := s.sets[s.unit][reason]
	if b == nil {
		b = expr.NewBits(s.bulk.Customers)
		s.sets[s.unit][reason] = b
	}
	return b
}

func (s *sweep) sooner(row int, ns int64) {
	if at := &s.bulk.StaleAt[row]; *at == decision.Never || ns < *at {
		*at = ns
	}
}

func (s *sweep) soonerAll(lo, hi int, ns int64) {
	for row := lo; row < hi; row++ {
		s.sooner(row, ns)
	}
}

// Visit implements expr.Visitor.
func (s *sweep) Visit() bool {
	p := s.plan
	n, ns, ok := p.arrive(s.clause)
	if !ok {
		return !p.machine.Hard
	}
	row := p.machine.At()
	if ns > p.machine.Now {
		s.sooner(row, ns)
	}
	if s.clause.wake == nil {
		s.who(n).Set(row)
	}
	return true
}

// wholes asks the table of a unit for each row.
func (s *sweep) wholes(u *unit, lo, hi int) {
	p := s.plan
	for row := lo; row < hi; row++ {
		p.machine.Row(row)
		n, ok := p.machine.Number(u.whole)
		if !ok {
			s.vector.Hard.Set(row - lo)
			continue
		}
		said := &p.sayings[n]
		if !said.staleAt.IsZero() {
			s.sooner(row, said.staleAt.UnixNano())
		}
		for _, reason := range said.numbers {
			s.who(reason).Set(row)
		}
	}
}

// collect names the reasons that were found, for each use.
func (s *sweep) collect() {
	for i, u := range s.plan.units {
		for n := range s.plan.reasons {
			who := s.sets[i][int64(n)]
			if who == nil {
				continue
			}
			who.Drop(s.bulk.Left)
			if who.Count() == 0 {
				continue
			}
			for _, use := range u.uses {
				r := s.plan.reasons[n]
				r.Policy, r.Rule, r.Mode = use.policy, use.rule, use.mode
				s.bulk.Reasons = append(s.bulk.Reasons, decision.BulkReason{Reason: r, Who: who})
			}
		}
	}
}

// stale is when an answer of Bulk's is stale.
func stale(ns int64) time.Time {
	if ns == decision.Never {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}
