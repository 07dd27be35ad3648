package policy

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"time"
	"weak"

	"golang.org/x/sync/errgroup"

	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
)

// errDiffers ends a sweep that OPA disagrees with. Who asks again is answered by
// OPA.
var errDiffers = errors.New("OPA answers otherwise than the native engine; from now on it answers alone")

// sweeping is one sweep of an engine.
type sweeping struct {
	*decision.Sweep
	engine *engine
	asked  *asked
	stands []*standing
	next   atomic.Int64
}

// Sweep implements decision.Sweeper.
func (e *engine) Sweep(ctx context.Context, of decision.Sweep) error {
	if _, off := offClock(&decision.Question{Now: of.Now}); off {
		return decision.Singly{Judge: e}.Sweep(ctx, of)
	}
	s := &sweeping{Sweep: &of, engine: e, asked: e.askedAt(of.Now), stands: make([]*standing, len(of.Campaigns))}
	chunks := len(of.Chunks)
	if of.Chunks == nil {
		chunks = of.Source.Chunks()
	}
	for i := range of.Campaigns {
		c := &of.Campaigns[i]
		s.stands[i], _ = e.standing(*c, worthwhile)
		if err := e.prepare(ctx, s.stands[i], c); err != nil {
			return fmt.Errorf("prepare policies for a sweep: %w", err)
		}
		s.stands[i].begin(s.customers(i, chunks))
	}
	if chunks == 1 {
		return s.work(ctx, chunks)
	}
	group, ctx := errgroup.WithContext(ctx)
	for range min(runtime.GOMAXPROCS(0), chunks) {
		group.Go(func() error { return s.work(ctx, chunks) })
	}
	return group.Wait()
}

// askedAt is the instant as policies see it, the same for all who ask at it one
// after the other.
func (e *engine) askedAt(now time.Time) *asked {
	if last := e.last.Load(); last != nil && last.now.Equal(now) {
		return last
	}
	a := newAsked(&decision.Question{Now: now})
	e.last.Store(a)
	return a
}

// customers is how many a campaign asks about, at most.
func (s *sweeping) customers(campaign, chunks int) int {
	if s.Rows == nil || s.Chunks == nil {
		return chunks * expr.Chunk
	}
	n := 0
	for _, chunk := range s.Chunks {
		rows := s.Rows(campaign, chunk)
		if rows == nil {
			n += expr.Chunk
		}
		n += rows.Count()
	}
	return n
}

// work answers for chunks until there is none left.
func (s *sweeping) work(ctx context.Context, chunks int) error {
	p := s.engine.take(&s.engine.sweeping)
	defer func() {
		if p != nil {
			s.engine.give(&s.engine.sweeping, p)
		}
	}()
	p.at(s.asked)
	for ctx.Err() == nil {
		n := int(s.next.Add(1)) - 1
		if n >= chunks {
			return nil
		}
		if s.Chunks != nil {
			n = s.Chunks[n]
		}
		if err := s.chunk(ctx, p, n); err != nil {
			p = nil // whatever is wrong with it
			return err
		}
	}
	return ctx.Err()
}

// chunk answers for one, brand by brand.
func (s *sweeping) chunk(ctx context.Context, p *program, n int) error {
	t := s.teamOf(p)
	for _, b := range t.brands {
		c := s.Source.Chunk(n, b.name)
		if !s.look(p, b, n, &c) {
			continue
		}
		for i, campaign := range b.campaigns {
			rows := p.room
			if s.Rows != nil {
				if rows = s.Rows(campaign, n); rows == nil {
					rows = c.Live
				}
				if rows.Count() == 0 {
					continue
				}
			}
			if err := s.campaign(ctx, p, b.plans[i], part{campaign, n}, rows, &c); err != nil {
				return err
			}
		}
	}
	return nil
}

// look sets the rows of a chunk that any campaign of a brand asks about; false:
// there are none.
func (s *sweeping) look(p *program, b *brand, n int, c *decision.Chunk) bool {
	all := p.room
	copy(all, c.Live)
	clear(all[len(c.Live):])
	if s.Rows != nil {
		clear(all)
		for _, campaign := range b.campaigns {
			rows := s.Rows(campaign, n)
			if rows == nil {
				rows = c.Live
			}
			all.Join(rows)
		}
	}
	lo, hi := 0, len(all)
	for lo < hi && all[lo] == 0 {
		lo++
	}
	for hi > lo && all[hi-1] == 0 {
		hi--
	}
	if lo == hi {
		return false
	}
	s.see(p, seen{chunk: n, brand: b.name, lo: lo << 6, hi: min(hi<<6, c.Columns.Rows), rows: all}, c)
	return true
}

// seen is what a program has looked at for a sweep: what its units say of that
// stays true for other campaigns that ask about the same.
type seen struct {
	source     weak.Pointer[audience.Snapshot]
	chunk      int
	brand      string
	ns         int64
	most       int
	lo, hi     int
	rows, kept expr.Bits // kept: the space for rows
}

func (s *seen) same(o *seen) bool {
	return s.source == o.source && s.source != (weak.Pointer[audience.Snapshot]{}) && s.chunk == o.chunk && s.brand == o.brand &&
		s.ns == o.ns && s.most == o.most && s.lo == o.lo && s.hi == o.hi && slices.Equal(s.rows, o.rows)
}

// see has the program look at rows, unless that is what it looked at for the
// campaign before: a change is asked about by one campaign after the other.
func (s *sweeping) see(p *program, is seen, c *decision.Chunk) {
	if snapshot, ok := s.Source.(*audience.Snapshot); ok {
		is.source = weak.Make(snapshot)
	}
	is.ns, is.most = s.asked.ns, p.most
	if p.seen.same(&is) {
		return
	}
	kept := p.seen.kept[:0]
	p.seen = seen{}
	p.read(c.Columns, c.Dicts)
	p.look(is.lo, is.hi, is.rows)
	is.kept = append(kept, is.rows...)
	is.rows = is.kept
	p.seen = is
}

// part is a campaign, by its number, and a chunk.
type part struct{ campaign, chunk int }

// campaign answers for the rows of a chunk that it asks about.
func (s *sweeping) campaign(ctx context.Context, p *program, pl *plan, at part, rows expr.Bits, c *decision.Chunk) error {
	e, st, campaign := s.engine, s.stands[at.campaign], &s.Campaigns[at.campaign]
	b, err := s.native(p, pl, at, rows, c)
	if err != nil {
		e.quarantine(*campaign)
		return err
	}
	if st.rest != nil {
		if err := s.rest(ctx, at, b); err != nil {
			return err
		}
	}
	left := len(b.left)
	ask := b.left
	if st.native && !e.alone {
		ask = st.sampleOf(b, ask)
	}
	e.metrics.native(b.Customers-left, left)
	if len(ask) > 0 {
		answers, err := e.opa.Judge(ctx, s.question(at, ask))
		if err != nil {
			return err
		}
		for i, row := range ask {
			if i < left {
				b.StaleAt[row] = decision.Never
				b.add(row, &answers[i])
			} else if !b.agrees(row, &answers[i]) {
				e.quarantine(*campaign)
				return errDiffers
			}
		}
	}
	return s.Answer(at.campaign, at.chunk, b.done())
}

// native is what the plan says; without one, everybody is left.
func (s *sweeping) native(p *program, pl *plan, at part, rows expr.Bits, c *decision.Chunk) (b *bulk, err error) {
	defer func() {
		if recover() != nil { // a fault of the plan must not be one of the operator
			b, err = nil, errDiffers
		}
	}()
	if pl == nil || !s.stands[at.campaign].native {
		b = p.bulk(&plan{program: p}, rows, nil)
		copy(b.Left, b.rows)
		for row := range b.rows.All {
			b.left = append(b.left, row)
		}
		return b, nil
	}
	if !pl.ownUnits() {
		return p.bulk(pl, rows, c.Odd), nil
	}
	s.Source.Buckets(at.chunk, p.lo, p.hi, &s.Campaigns[at.campaign], p.buckets.I64)
	ints := p.placed.Ints[:0]
	p.placed = *c.Columns
	p.placed.Ints = append(ints, c.Columns.Ints...)
	p.placed.Ints[audience.Fields["customer.bucket"].Column] = &p.buckets
	p.machine.Columns = &p.placed
	defer func() { p.machine.Columns = c.Columns }()
	p.lookAgain()
	return p.bulk(pl, rows, c.Odd), nil
}

// rest adds what the rest of the policies says of whom the plan answers for.
func (s *sweeping) rest(ctx context.Context, at part, b *bulk) error {
	var rows []int
	for row := range b.rows.All {
		if !b.Left.Has(row) {
			rows = append(rows, row)
		}
	}
	answers, err := s.stands[at.campaign].rest.Judge(ctx, s.question(at, rows))
	if err != nil {
		return err
	}
	for i, row := range rows {
		b.add(row, &answers[i])
	}
	return nil
}

// question is about some rows of a chunk.
func (s *sweeping) question(at part, rows []int) decision.Question {
	c := &s.Campaigns[at.campaign]
	q := decision.Question{Now: s.Now, Campaign: *c, Subjects: make([]decision.Subject, len(rows))}
	for i, row := range rows {
		q.Subjects[i] = s.Source.Subject(at.chunk, row, c)
	}
	return q
}

// team is the campaigns of a sweep, brand by brand.
type team struct {
	campaigns []decision.Campaign
	brands    []*brand
}

type brand struct {
	name      string
	campaigns []int
	plans     []*plan
}

// teamOf has the plans for the campaigns that have some, the same as the last time if these were the
// same campaigns.
func (s *sweeping) teamOf(p *program) *team {
	campaigns := s.Campaigns
	if p.team != nil && slices.Equal(p.team.campaigns, campaigns) {
		return p.team
	}
	t := &team{campaigns: slices.Clone(campaigns)}
	for i := range campaigns {
		c := &campaigns[i]
		at := slices.IndexFunc(t.brands, func(b *brand) bool { return b.name == c.Brand })
		if at < 0 {
			at = len(t.brands)
			t.brands = append(t.brands, &brand{name: c.Brand})
		}
		var plan *plan
		if s.stands[i].native {
			plan, _ = p.plan(c)
		}
		t.brands[at].campaigns = append(t.brands[at].campaigns, i)
		t.brands[at].plans = append(t.brands[at].plans, plan)
	}
	p.team = t
	return t
}

// ownUnits says whether any unit looks at buckets.
func (p *plan) ownUnits() bool {
	return slices.ContainsFunc(p.units, func(u *unit) bool { return u.own })
}
