package policy

import (
	"context"
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
)

// engine answers natively and has OPA answer what it can't: customers whom
// columns can't hold, rules that are not compiled, and policies' own Rego, which
// nobody but a worker process evaluates. It has OPA confirm some of what it says,
// and leaves to OPA the rules for which that differs.
type engine struct {
	sandbox  *Sandbox
	policies []Policy
	opa      decision.Judge // all of the policies
	metrics  *nativeMetrics

	mu    sync.Mutex // of the interpreter
	asked *Interpreter

	standMu   sync.Mutex
	standings map[decision.Campaign]*standing
	alone     bool // nobody confirms what it says: for measuring

	judging, sweeping programs
	looks, changes    together
	last              atomic.Pointer[asked] // of a sweep
	few               nowAndThen
}

// standing is what an engine knows of one campaign.
type standing struct {
	doubts *doubts // that it was found out with
	once   sync.Once
	native bool           // false: OPA answers
	rest   decision.Judge // of what the plan leaves out; nil: it is complete
	trust  trust          // of the rest
	err    error
}

// programs are those that nobody uses. Who comes while as many as there are
// processors are at work waits: a new one would have everything to compile and to
// ask OPA again.
type programs struct {
	working chan struct{}
	mu      sync.Mutex
	idle    []*program
}

func newPrograms() programs { return programs{working: make(chan struct{}, runtime.GOMAXPROCS(0))} }

// take lends a program that has some doubts, the one that was used last; give
// takes it back.
func (e *engine) take(from *programs, d *doubts) *program {
	from.working <- struct{}{}
	from.mu.Lock()
	defer from.mu.Unlock()
	for last := len(from.idle) - 1; last >= 0; last-- {
		p := from.idle[last]
		from.idle = from.idle[:last]
		if p.doubts == d {
			return p
		}
	}
	p := newProgram(e.asked, &e.mu)
	p.certain, p.doubts = &e.sandbox.certain, d
	return p
}

// give takes nil for one that is not to be used any more.
func (e *engine) give(to *programs, p *program) {
	to.mu.Lock()
	defer to.mu.Unlock()
	if p != nil && len(p.plans) <= maxPlans && p.columns.Values() <= maxValues {
		to.idle = append(to.idle, p)
	}
	<-to.working
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
		sandbox: s, policies: ps, opa: opa, metrics: s.native, asked: i, standings: map[decision.Campaign]*standing{},
		judging: newPrograms(), sweeping: newPrograms(),
	}
}

// Digest implements decision.Judge.
func (e *engine) Digest() string { return e.opa.Digest() }

// Judge implements decision.Judge.
func (e *engine) Judge(ctx context.Context, q decision.Question) ([]decision.Answer, error) {
	if denied, ok := offClock(&q); ok {
		return denied, nil
	}
	for {
		d := e.sandbox.certain.now()
		out, err := e.judge(ctx, d, &q)
		if e.sandbox.certain.now() == d {
			return out, err
		} // what was answered with fewer doubts does not count
	}
}

func (e *engine) judge(ctx context.Context, d *doubts, q *decision.Question) ([]decision.Answer, error) {
	s := e.standing(q.Campaign, d)
	if err := e.prepare(ctx, s, &e.judging, &q.Campaign); err != nil {
		return nil, err
	}
	if !s.native {
		e.metrics.opa(len(q.Subjects))
		return e.opa.Judge(ctx, *q)
	}
	rate := e.rate(len(q.Subjects), len(q.Subjects))
	out := make([]decision.Answer, 0, len(q.Subjects))
	for lo := 0; lo < len(q.Subjects); lo += expr.Chunk {
		part := *q
		part.Subjects = q.Subjects[lo:min(lo+expr.Chunk, len(q.Subjects))]
		answers, err := e.part(ctx, s, part, rate)
		if err != nil {
			return nil, err
		}
		out = append(out, answers...)
	}
	return out, nil
}

// part answers for as many customers as are put into columns at once.
func (e *engine) part(ctx context.Context, s *standing, q decision.Question, rate float64) (out []decision.Answer, err error) {
	out = make([]decision.Answer, len(q.Subjects))
	left, sample, claims, ok := e.answers(s, &q, out, rate)
	if !ok {
		e.distrustAll()
		return nil, errDiffers
	}
	if s.rest != nil {
		k := picking{claims: claims}
		if err := s.complete(ctx, q, out, left, &k); err != nil {
			return nil, err
		}
		for _, row := range sample {
			k.who.Set(row)
		}
		sample, claims = k.rows(nil), k.claims
	}
	e.metrics.native(len(out)-len(left), len(left))
	ask := slices.Concat(left, sample)
	if len(ask) == 0 {
		return out, nil
	}
	some := q
	some.Subjects = make([]decision.Subject, len(ask))
	for i, row := range ask {
		some.Subjects[i] = q.Subjects[row]
	}
	answers, err := e.opa.Judge(ctx, some)
	if err != nil {
		return nil, err
	}
	for i, row := range ask {
		if i >= len(left) && !sameAnswer(&answers[i], &out[row]) {
			if stopped(&answers[i]) {
				return nil, errStopped
			}
			e.distrust(out[row].Reasons, answers[i].Reasons)
			return nil, errDiffers
		}
		out[row] = answers[i]
	}
	confirmAll(claims)
	return out, nil
}

// answers has a program answer, and choose who is to be confirmed; not ok: the
// plan is wrong.
func (e *engine) answers(s *standing, q *decision.Question, out []decision.Answer, rate float64) (left, sample []int, claims []claim, ok bool) {
	p := e.take(&e.judging, s.doubts)
	defer func() {
		if recover() != nil { // a fault of the plan must not be one of the operator
			p, ok = nil, false
		}
		e.give(&e.judging, p)
	}()
	plan, _ := p.plan(&q.Campaign)
	left = plan.answers(q, out)
	if !e.alone {
		p.doubt(plan, &p.out)
		p.picking.some(&p.out, rate)
		sample, claims = p.picking.rows(nil), slices.Clone(p.picking.claims)
	}
	return left, sample, claims, true
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

// complete adds what the rest of the policies says, and chooses who is to be
// confirmed for that.
func (s *standing) complete(ctx context.Context, q decision.Question, out []decision.Answer, left []int, k *picking) error {
	answers, err := s.rest.Judge(ctx, q)
	if err != nil {
		return err
	}
	k.who = expr.NewBits(expr.Chunk)
	for i := range out {
		if !slices.Contains(left, i) {
			s.doubt(&answers[i], i, k)
		}
		g := gathered{reasons: append(out[i].Reasons, answers[i].Reasons...), staleAt: out[i].StaleAt}
		g.sooner(answers[i].StaleAt)
		out[i] = g.answer()
	}
	return nil
}

// doubt chooses a customer of whom the rest says what is not confirmed yet.
func (s *standing) doubt(a *decision.Answer, row int, k *picking) {
	set := uint64(0)
	for i := range a.Reasons {
		set += signatureOf(&a.Reasons[i])
	}
	if !a.StaleAt.IsZero() {
		set += wakeSignature
	}
	k.choose(&s.trust, set, row>>6, 1<<(row&63))
}

// prepare finds out, once, what the plan for a campaign leaves out, and who
// answers that.
func (e *engine) prepare(ctx context.Context, s *standing, in *programs, c *decision.Campaign) error {
	s.once.Do(func() {
		if s.doubts.wrong[e.everything()] {
			return
		}
		refused, ok := e.tryPlan(s, in, c)
		if s.native = ok; !ok {
			return
		}
		if rest := e.left(refused); len(rest) > 0 {
			planned := !slices.ContainsFunc(refused, func(r Refused) bool { return r.Why == WhyDoubted })
			s.rest, s.err = e.sandbox.load(ctx, rest, planned)
		}
	})
	if s.err != nil {
		e.forget(*c, s)
	}
	return s.err
}

func (e *engine) tryPlan(s *standing, in *programs, c *decision.Campaign) (refused []Refused, ok bool) {
	p := e.take(in, s.doubts)
	defer func() {
		if recover() != nil {
			p, refused, ok = nil, nil, false
		}
		e.give(in, p)
	}()
	_, refused = p.plan(c)
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

// standing finds what is known of a campaign.
func (e *engine) standing(c decision.Campaign, d *doubts) *standing {
	e.standMu.Lock()
	defer e.standMu.Unlock()
	s := e.standings[c]
	if s == nil || s.doubts != d {
		if len(e.standings) >= maxPlans {
			clear(e.standings)
		}
		s = &standing{doubts: d}
		e.standings[c] = s
	}
	return s
}

func (e *engine) forget(c decision.Campaign, s *standing) {
	e.standMu.Lock()
	defer e.standMu.Unlock()
	if e.standings[c] == s {
		delete(e.standings, c)
	}
}
