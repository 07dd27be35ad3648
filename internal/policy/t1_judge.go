package policy

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
)

// maxPlans is how many campaigns an engine keeps plans for, and maxValues how
// many different values of attributes a plan remembers.
const (
	maxPlans  = 256
	maxValues = 1 << 18
	chunk     = 4096 // customers that are in columns at once
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

	plansMu sync.Mutex
	plans   map[decision.Campaign]*campaignPlan
	differs bool
	worth   int // see worthwhile
}

// campaignPlan is what an engine has for one campaign.
type campaignPlan struct {
	asked int  // customers until now
	wrong bool // OPA differed: it alone answers for good
	once  sync.Once
	plan  *plan          // nil: OPA answers
	rest  decision.Judge // of what plan leaves out; nil: it is complete
	err   error

	seen  map[uint64]uint8 // by set of reasons: how often OPA confirmed it
	since int              // answers since seen was begun
	dice  *rand.Rand
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
		sandbox: s, policies: ps, opa: opa, metrics: s.native, asked: i, plans: map[decision.Campaign]*campaignPlan{}, worth: worthwhile,
	}
}

// Digest implements decision.Judge.
func (e *engine) Digest() string { return e.opa.Digest() }

// Differs says whether OPA answered differently than a plan of this engine.
func (e *engine) Differs() bool {
	e.plansMu.Lock()
	defer e.plansMu.Unlock()
	return e.differs
}

// Judge implements decision.Judge.
func (e *engine) Judge(ctx context.Context, q decision.Question) ([]decision.Answer, error) {
	if denied, ok := offClock(&q); ok {
		return denied, nil
	}
	p, few := e.planFor(q.Campaign, len(q.Subjects))
	if few {
		e.metrics.opa(len(q.Subjects))
		return e.opa.Judge(ctx, q)
	}
	p.once.Do(func() { e.compile(ctx, p, &q.Campaign) })
	if p.err != nil {
		e.forget(q.Campaign, p)
		return nil, p.err
	}
	if p.plan == nil {
		e.metrics.opa(len(q.Subjects))
		return e.opa.Judge(ctx, q)
	}
	p.begin(len(q.Subjects))
	out := make([]decision.Answer, 0, len(q.Subjects))
	for lo := 0; lo < len(q.Subjects); lo += chunk {
		part := q
		part.Subjects = q.Subjects[lo:min(lo+chunk, len(q.Subjects))]
		answers, ok, err := e.part(ctx, p, part)
		if err != nil {
			return nil, err
		}
		if !ok { // nothing that the plan said counts
			e.quarantine(q.Campaign)
			return e.opa.Judge(ctx, q)
		}
		out = append(out, answers...)
	}
	if p.plan.full() {
		e.forget(q.Campaign, p)
	}
	return out, nil
}

// part answers for as many customers as are put into columns at once; not ok:
// the plan is wrong.
func (e *engine) part(ctx context.Context, p *campaignPlan, q decision.Question) (out []decision.Answer, ok bool, err error) {
	p.plan.mu.Lock()
	defer p.plan.mu.Unlock()
	out = make([]decision.Answer, len(q.Subjects))
	left, ok := p.plan.answers(&q, out)
	if !ok {
		return nil, false, nil
	}
	if p.rest != nil {
		if err := p.complete(ctx, q, out); err != nil {
			return nil, false, err
		}
	}
	sample := p.sample(out, left)
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

// answers asks the plan about customers. It returns those that are left to
// somebody else; not ok: the plan broke.
func (p *plan) answers(q *decision.Question, out []decision.Answer) (left []int, ok bool) {
	defer func() {
		if recover() != nil { // a fault of the plan must not be one of the operator
			ok = false
		}
	}()
	p.columns.Reset()
	p.machine.Renew()
	p.at(newAsked(q))
	for i := range q.Subjects {
		p.columns.Add(&q.Subjects[i])
	}
	bulk := p.bulk()
	said := expr.NewBits(len(out))
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
			if out[row], ok = p.answer(row); !ok {
				left = append(left, row)
			}
		}
	}
	return left, true
}

// complete adds what the rest of the policies says.
func (p *campaignPlan) complete(ctx context.Context, q decision.Question, out []decision.Answer) error {
	answers, err := p.rest.Judge(ctx, q)
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

// compile makes the plan for a campaign.
func (e *engine) compile(ctx context.Context, p *campaignPlan, c *decision.Campaign) {
	plan, refused := e.tryPlan(c)
	rest := e.left(refused)
	if len(rest) > 0 {
		p.rest, p.err = e.sandbox.LoadPlanned(ctx, rest)
	}
	p.plan = plan
}

func (e *engine) tryPlan(c *decision.Campaign) (p *plan, refused []Refused) {
	defer func() {
		if recover() != nil {
			p, refused = nil, nil
		}
	}()
	return newPlan(e.asked, &e.mu, c)
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

// planFor finds what there is for a campaign that asks about n more customers;
// few: too few were asked about to make a plan.
func (e *engine) planFor(c decision.Campaign, n int) (p *campaignPlan, few bool) {
	e.plansMu.Lock()
	defer e.plansMu.Unlock()
	p = e.plans[c]
	if p == nil {
		if len(e.plans) >= maxPlans {
			maps.DeleteFunc(e.plans, func(_ decision.Campaign, p *campaignPlan) bool { return !p.wrong })
		}
		p = &campaignPlan{seen: map[uint64]uint8{}, dice: rand.New(rand.NewPCG(1, uint64(len(e.plans))))}
		e.plans[c] = p
	}
	p.asked += n
	return p, p.asked < e.worth
}

// full says whether a plan remembers more values than it should.
func (p *plan) full() bool {
	if !p.mu.TryLock() {
		return false // it is at work
	}
	defer p.mu.Unlock()
	return p.columns.Values() > maxValues
}

func (e *engine) forget(c decision.Campaign, p *campaignPlan) {
	e.plansMu.Lock()
	defer e.plansMu.Unlock()
	if e.plans[c] == p {
		delete(e.plans, c)
	}
}

// quarantine leaves a campaign to OPA from now on.
func (e *engine) quarantine(c decision.Campaign) {
	e.metrics.differences.Inc()
	e.plansMu.Lock()
	defer e.plansMu.Unlock()
	e.differs = true
	p := &campaignPlan{wrong: true}
	p.once.Do(func() {})
	e.plans[c] = p
}
