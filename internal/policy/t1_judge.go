package policy

import (
	"context"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
)

// maxPlans is how many campaigns an engine keeps plans for, and maxValues how
// many different values of attributes a plan remembers.
const (
	maxPlans  = 1024
	maxValues = 1 << 18
	// worthwhile is how many customers a campaign asks about before it gets a
	// plan: OPA answers for these in the time that it takes to make one.
	worthwhile = 32
)

// engine answers natively and has OPA answer what it can't: customers whom
// columns can't hold, rules that are not compiled, and policies' own Rego, which
// nobody but a worker process evaluates. It asks OPA about some customers all the
// same, and stops to answer for a campaign when OPA differs.
type engine struct {
	sandbox  *Sandbox
	policies []Policy
	opa      decision.Judge // all of the policies
	metrics  *nativeMetrics

	mu    sync.Mutex // of the interpreter
	asked *Interpreter

	standMu   sync.Mutex
	standings map[decision.Campaign]*standing
	turns     int // of standings: counted where one is given up
	differs   bool
	worth     int  // see worthwhile
	alone     bool // nobody confirms what it says: for measuring

	judging, sweeping programs
	last              atomic.Pointer[asked] // of a sweep
}

// standing is what an engine knows of one campaign.
type standing struct {
	asked  int  // customers until now
	wrong  bool // OPA differed: it alone answers for good
	once   sync.Once
	native bool           // false: OPA answers
	rest   decision.Judge // of what the plan leaves out; nil: it is complete
	err    error

	mu    sync.Mutex
	seen  map[uint64]uint8 // by set of reasons: how often OPA confirmed it
	quick [64]uint64       // sets, by themselves, that were confirmed often enough
	since int              // answers since seen was begun
	rate  float64          // of those that are chosen evenly
	dice  *rand.Rand
}

// programs are those that nobody uses.
type programs struct {
	mu   sync.Mutex
	idle []*program
}

// take lends a program that nobody else uses; give takes it back.
func (e *engine) take(from *programs) *program {
	from.mu.Lock()
	defer from.mu.Unlock()
	if last := len(from.idle) - 1; last >= 0 {
		p := from.idle[last]
		from.idle = from.idle[:last]
		return p
	}
	return newProgram(e.asked, &e.mu)
}

func (e *engine) give(to *programs, p *program) {
	to.mu.Lock()
	defer to.mu.Unlock()
	if len(p.plans) <= maxPlans && p.columns.Values() <= maxValues && len(to.idle) < runtime.GOMAXPROCS(0) {
		to.idle = append(to.idle, p)
	}
}

// newEngine makes an engine in front of OPA, whose workers have accepted the
// policies. Only then does this process compile a policy's own Rego: what OPA's
// compiler took of a worker's time and memory is what it takes here, since the
// text and the compiler are the same, and nothing is evaluated by that. What
// evaluating takes has no such bound; see native.evaluator. Where the policies
// can't be compiled in this process at all, OPA it is.
func newEngine(s *Sandbox, ps []Policy, opa decision.Judge) decision.Judge {
	mine := slices.Clone(ps)
	for i := range mine {
		if mine[i].Rego != "" && len(s.lib.lintOwn(mine[i].Rego)) > 0 { // its limits are what bounds the compiler's time
			mine[i].Rego = ""
		}
	}
	i, err := NewInterpreter(s.lib, mine)
	if err != nil {
		return opa
	}
	i.elsewhere = &oracle{judge: s.judgeOf(ps, false)}
	return &engine{
		sandbox: s, policies: ps, opa: opa, metrics: s.native, asked: i, standings: map[decision.Campaign]*standing{}, worth: worthwhile,
	}
}

// Digest implements decision.Judge.
func (e *engine) Digest() string { return e.opa.Digest() }

// Differs says whether OPA answered differently than a plan of this engine.
func (e *engine) Differs() bool {
	e.standMu.Lock()
	defer e.standMu.Unlock()
	return e.differs
}

// Judge implements decision.Judge.
func (e *engine) Judge(ctx context.Context, q decision.Question) ([]decision.Answer, error) {
	if denied, ok := offClock(&q); ok {
		return denied, nil
	}
	s, few := e.standing(q.Campaign, len(q.Subjects))
	if !few {
		if err := e.prepare(ctx, s, &q.Campaign); err != nil {
			return nil, err
		}
	}
	if few || !s.native {
		e.metrics.opa(len(q.Subjects))
		return e.opa.Judge(ctx, q)
	}
	s.begin(len(q.Subjects))
	out := make([]decision.Answer, 0, len(q.Subjects))
	for lo := 0; lo < len(q.Subjects); lo += expr.Chunk {
		part := q
		part.Subjects = q.Subjects[lo:min(lo+expr.Chunk, len(q.Subjects))]
		answers, ok, err := e.part(ctx, s, part)
		if err != nil {
			return nil, err
		}
		if !ok { // nothing that the plan said counts
			e.quarantine(q.Campaign)
			return e.opa.Judge(ctx, q)
		}
		out = append(out, answers...)
	}
	return out, nil
}

// part answers for as many customers as are put into columns at once; not ok:
// the plan is wrong.
func (e *engine) part(ctx context.Context, s *standing, q decision.Question) (out []decision.Answer, ok bool, err error) {
	out = make([]decision.Answer, len(q.Subjects))
	left, ok := e.answers(&q, out)
	if !ok {
		return nil, false, nil
	}
	if s.rest != nil {
		if err := s.complete(ctx, q, out); err != nil {
			return nil, false, err
		}
	}
	sample := s.sample(out, left)
	e.metrics.native(len(out)-len(left), len(left))
	ask := slices.Concat(left, sample)
	if len(ask) == 0 {
		return out, true, nil
	}
	some := q
	some.Subjects = make([]decision.Subject, len(ask))
	for i, row := range ask {
		some.Subjects[i] = q.Subjects[row]
	}
	answers, err := e.opa.Judge(ctx, some)
	if err != nil {
		return nil, false, err
	}
	for i, row := range ask {
		if i >= len(left) && !sameAnswer(&answers[i], &out[row]) {
			return nil, false, nil
		}
		out[row] = answers[i]
	}
	return out, true, nil
}

// answers has a program answer.
func (e *engine) answers(q *decision.Question, out []decision.Answer) (left []int, ok bool) {
	defer func() {
		if recover() != nil { // a fault of the plan must not be one of the operator
			ok = false
		}
	}()
	p := e.take(&e.judging)
	plan, _ := p.plan(&q.Campaign)
	left = plan.answers(q, out)
	e.give(&e.judging, p)
	return left, true
}

// answers asks the plan about customers. It returns those that are left to
// somebody else.
func (p *plan) answers(q *decision.Question, out []decision.Answer) (left []int) {
	p.columns.Reset()
	p.machine.Renew()
	p.at(newAsked(q))
	for i := range q.Subjects {
		p.columns.Add(&q.Subjects[i])
	}
	p.look(0, len(out), nil)
	p.lookAgain()
	bulk := p.bulk(p, p.all, p.columns.Odd())
	said := expr.NewBits(expr.Chunk)
	for i := range bulk.Reasons {
		said.Join(bulk.Reasons[i].Who)
	}
	odd := p.columns.Odd()
	for row := range out {
		switch {
		case len(odd) > 0 && odd[0] == row:
			odd, left = odd[1:], append(left, row)
		case !said.Has(row) && !bulk.Left.Has(row):
			out[row] = decision.Answer{StaleAt: stale(bulk.StaleAt[row])}
		default:
			var ok bool
			if out[row], ok = p.answer(row); !ok {
				left = append(left, row)
			}
		}
	}
	return left
}

// complete adds what the rest of the policies says.
func (s *standing) complete(ctx context.Context, q decision.Question, out []decision.Answer) error {
	answers, err := s.rest.Judge(ctx, q)
	if err != nil {
		return err
	}
	for i := range out {
		g := gathered{reasons: append(out[i].Reasons, answers[i].Reasons...), staleAt: out[i].StaleAt}
		g.sooner(answers[i].StaleAt)
		out[i] = g.answer()
	}
	return nil
}

// prepare finds out, once, what the plan for a campaign leaves out, and who
// answers that.
func (e *engine) prepare(ctx context.Context, s *standing, c *decision.Campaign) error {
	s.once.Do(func() {
		refused, ok := e.tryPlan(c)
		if s.native = ok; !ok {
			return
		}
		if rest := e.left(refused); len(rest) > 0 {
			s.rest, s.err = e.sandbox.LoadPlanned(ctx, rest)
		}
	})
	if s.err != nil {
		e.forget(*c, s)
	}
	return s.err
}

func (e *engine) tryPlan(c *decision.Campaign) (refused []Refused, ok bool) {
	defer func() {
		if recover() != nil {
			refused, ok = nil, false
		}
	}()
	p := e.take(&e.judging)
	_, refused = p.plan(c)
	e.give(&e.judging, p)
	return refused, true
}

// left are the parts of the policies that a plan leaves out.
func (e *engine) left(refused []Refused) []Policy {
	var out []Policy
	for _, p := range e.policies {
		is := func(rule string) bool {
			return slices.ContainsFunc(refused, func(r Refused) bool { return r.Policy == p.Name && r.Rule == rule })
		}
		p.Rules = slices.DeleteFunc(slices.Clone(p.Rules), func(u v1alpha1.RuleUse) bool { return !is(u.Name) })
		if !is(OwnRule) && e.asked.has(p.Name, OwnRule) {
			p.Rego = ""
		}
		if p.Rego != "" || len(p.Rules) > 0 {
			out = append(out, p)
		}
	}
	return out
}

// standing finds what is known of a campaign that asks about n more customers;
// few: too few were asked about to make a plan.
func (e *engine) standing(c decision.Campaign, n int) (s *standing, few bool) {
	e.standMu.Lock()
	defer e.standMu.Unlock()
	s = e.standings[c]
	if s == nil {
		if len(e.standings) >= maxPlans {
			maps.DeleteFunc(e.standings, func(_ decision.Campaign, s *standing) bool { return !s.wrong })
			e.turns++
		}
		s = &standing{seen: map[uint64]uint8{}, dice: rand.New(rand.NewPCG(1, uint64(len(e.standings))))}
		e.standings[c] = s
	}
	s.asked += n
	return s, s.asked < e.worth
}

func (e *engine) forget(c decision.Campaign, s *standing) {
	e.standMu.Lock()
	defer e.standMu.Unlock()
	if e.standings[c] == s {
		delete(e.standings, c)
		e.turns++
	}
}

// quarantine leaves a campaign to OPA from now on.
func (e *engine) quarantine(c decision.Campaign) {
	e.metrics.differences.Inc()
	e.standMu.Lock()
	defer e.standMu.Unlock()
	e.differs = true
	e.turns++
	s := &standing{wrong: true}
	s.once.Do(func() {})
	e.standings[c] = s
}
