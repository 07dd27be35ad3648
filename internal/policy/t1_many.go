package policy

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
)

// sweeping is one sweep of an engine.
type sweeping struct {
	*decision.Sweep
	engine *engine
	doubts *doubts
	asked  *asked
	stands []*standing
	rate   float64 // of those who are chosen evenly
	next   atomic.Int64
}

// fewChunks is where a change ends and a look at everybody begins: the one does not
// wait for the other.
const fewChunks = 4

// Sweep implements decision.Sweeper.
func (e *engine) Sweep(ctx context.Context, of decision.Sweep) error {
	if _, off := offClock(&decision.Question{Now: of.Now}); off {
		return decision.Singly{Judge: e}.Sweep(ctx, of)
	}
	line := &e.changes
	if n := chunksOf(&of); n > fewChunks {
		line = &e.looks
	}
	return line.sweep(&of, func(of *decision.Sweep) error {
		d := e.sandbox.certain.now()
		if err := e.sweep(context.WithoutCancel(ctx), d, of); err != nil { // others may wait for it
			return err
		}
		if e.sandbox.certain.now() != d { // what was answered with fewer doubts does not count
			return errDiffers
		}
		return nil
	})
}

func chunksOf(of *decision.Sweep) int {
	if of.Chunks == nil {
		return of.Source.Chunks()
	}
	return len(of.Chunks)
}

func (e *engine) sweep(ctx context.Context, d *doubts, of *decision.Sweep) error {
	s := &sweeping{Sweep: of, engine: e, doubts: d, asked: e.askedAt(of.Now), stands: make([]*standing, len(of.Campaigns))}
	chunks := chunksOf(of)
	most, together := 0, 0
	for i := range of.Campaigns {
		c := &of.Campaigns[i]
		s.stands[i] = e.standing(*c, d)
		if err := e.prepare(ctx, s.stands[i], &e.sweeping, c); err != nil {
			return fmt.Errorf("prepare policies for a sweep: %w", err)
		}
		n := s.customers(i, chunks)
		most, together = max(most, n), together+n
	}
	if !e.alone {
		s.rate = e.rate(most, together)
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
	for ctx.Err() == nil {
		n := int(s.next.Add(1)) - 1
		if n >= chunks {
			return nil
		}
		if s.Chunks != nil {
			n = s.Chunks[n]
		}
		if err := s.one(ctx, n); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// one answers for a chunk, with a program that others get in between: a changed
// consent must not wait until everybody was asked about.
func (s *sweeping) one(ctx context.Context, n int) (err error) {
	p := s.engine.take(&s.engine.sweeping, s.doubts)
	defer func() {
		if err != nil {
			p = nil // whatever is wrong with it
		}
		s.engine.give(&s.engine.sweeping, p)
	}()
	p.at(s.asked)
	return s.chunk(ctx, p, n)
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
	source     uint64 // the number of a snapshot; 0: of something else
	chunk      int
	brand      string
	ns         int64
	most       int
	lo, hi     int
	rows, kept expr.Bits // kept: the space for rows
}

func (s *seen) same(o *seen) bool {
	return s.source == o.source && s.source != 0 && s.chunk == o.chunk && s.brand == o.brand &&
		s.ns == o.ns && s.most == o.most && s.lo == o.lo && s.hi == o.hi && slices.Equal(s.rows, o.rows)
}

// see has the program look at rows, unless that is what it looked at for the
// campaign before: a change is asked about by one campaign after the other.
func (s *sweeping) see(p *program, is seen, c *decision.Chunk) {
	if snapshot, ok := s.Source.(*audience.Snapshot); ok {
		is.source = snapshot.Number()
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
	e, st := s.engine, s.stands[at.campaign]
	b, err := s.native(p, pl, at, rows, c)
	if err != nil {
		e.distrustAll()
		return err
	}
	k := &p.picking
	k.begin()
	confirming := st.native && !e.alone
	if confirming {
		p.doubt(pl, b)
		k.some(b, s.rate)
	}
	if st.rest != nil {
		if err := s.rest(ctx, at, b, k); err != nil {
			return err
		}
	}
	left := len(b.left)
	ask := b.left
	if confirming {
		ask = k.rows(ask)
	}
	e.metrics.native(b.Customers-left, left)
	if len(ask) > 0 {
		answers, err := e.opa.Judge(ctx, s.question(at, ask))
		if err != nil {
			return err
		}
		if err := e.heed(b, ask, left, answers); err != nil {
			return err
		}
		confirmAll(k.claims)
	}
	return s.Answer(at.campaign, at.chunk, b.done())
}

// heed takes in what OPA says: of those who were left to it, and of others to
// confirm them.
func (e *engine) heed(b *bulk, rows []int, left int, answers []decision.Answer) error {
	for i, row := range rows {
		if i < left {
			b.StaleAt[row] = decision.Never
			b.add(row, &answers[i])
			continue
		}
		if !b.agrees(row, &answers[i]) {
			if stopped(&answers[i]) {
				return errStopped
			}
			e.distrust(b.reasonsOf(row), b.asBulk(&answers[i]))
			return errDiffers
		}
	}
	return nil
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
func (s *sweeping) rest(ctx context.Context, at part, b *bulk, k *picking) error {
	var rows []int
	for row := range b.rows.All {
		if !b.Left.Has(row) {
			rows = append(rows, row)
		}
	}
	st := s.stands[at.campaign]
	answers, err := st.rest.Judge(ctx, s.question(at, rows))
	if err != nil {
		return err
	}
	for i, row := range rows {
		b.add(row, &answers[i])
		st.doubt(&answers[i], row, k)
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

// ownUnits says whether any unit looks at buckets.
func (p *plan) ownUnits() bool {
	return slices.ContainsFunc(p.units, func(u *unit) bool { return u.own })
}
