package policy

import (
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
)

// answer is what the uses say of the customer in a row; not ok: the row is hard.
func (p *plan) answer(row int) (a decision.Answer, ok bool) {
	m := &p.machine
	m.Row(row)
	p.gathered = gathered{asked: p.clock.asked}
	for _, u := range p.units {
		if !p.runUnit(u) {
			return decision.Answer{}, false
		}
	}
	return p.gathered.answer(), true
}

func (p *plan) runUnit(u *unit) bool {
	m := &p.machine
	if u.tooMuch(m) {
		return false
	}
	if u.whole != nil {
		n, ok := m.Number(u.whole)
		if !ok {
			return false
		}
		out := &p.sayings[n]
		p.gathered.sooner(out.staleAt)
		for i := range out.reasons {
			p.say(u, out.reasons[i])
		}
		return true
	}
	if u.uses[0].untimed {
		p.gathered.sooner(p.clock.asked.now.Add(again))
	}
	if u.hard.True(m) || m.Hard {
		return false
	}
	p.unit, p.said, p.wakes = u, 0, 0
	set := ""
	for _, c := range u.clauses {
		if c.set != set {
			set, p.said = c.set, 0
		}
		p.clause = c
		m.Each(c.steps, p)
		if m.Hard || p.said > maxReasons || p.wakes > maxWakes {
			return false
		}
	}
	return true
}

// say adds a reason for each use of a unit.
func (p *plan) say(u *unit, r decision.Reason) {
	for _, use := range u.uses {
		r.Policy, r.Rule, r.Mode = use.policy, use.rule, use.mode
		p.gathered.reasons = append(p.gathered.reasons, r)
	}
}

// Visit implements expr.Visitor: the clause has led to something.
func (p *plan) Visit() bool {
	c := p.clause
	n, ns, ok := p.arrive(c)
	switch {
	case !ok:
		return !p.machine.Hard
	case c.wake != nil:
		if ns > p.machine.Now {
			p.wakes++
			p.gathered.sooner(time.Unix(0, ns).UTC())
		}
		return true
	}
	r := p.reasons[n]
	if ns != expr.Missing {
		r.Until = time.Unix(0, ns).UTC()
		p.gathered.sooner(r.Until)
	}
	p.said++
	p.say(p.unit, r)
	return true
}

// arrive is what a clause says where its steps have led to: the number of a
// reason and until when it holds, or when to wake; Missing: never. Not ok: it
// says nothing, or is hard.
func (p *program) arrive(c *clause) (reason, ns int64, ok bool) {
	m := &p.machine
	if c.wake != nil {
		ns, ok = c.wake.Value(m)
		return 0, ns, ok && !m.Hard
	}
	reason = int64(c.fixed)
	if c.head != nil {
		if reason, ok = m.Number(c.head); !ok {
			return 0, 0, false
		}
	}
	if c.until == nil {
		return reason, expr.Missing, true
	}
	ns, ok = c.until.Value(m)
	switch {
	case m.Hard, ok && (ns <= m.Now || p.reasons[reason].Verdict != v1alpha1.VerdictHold):
		m.Hard = true // whatever is wrong with it, OPA says
		return 0, 0, false
	case ok:
		return reason, ns, true
	}
	return reason, expr.Missing, c.open
}
