package audience

import (
	"context"
	"fmt"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/decision"
)

// contacted are those of whose past the campaign is told less than others: the
// runs that go on contact them. Each is asked about alone.
type contacted struct {
	people map[string]someone
	gone   map[string]bool // of whom there is no record any more
	due    []string
	tally  decision.Tally
}

type someone struct {
	at     located
	in     bool
	asked  bool
	answer decision.Answer
}

// gone is the answer for somebody who is being contacted and whose consent is
// no longer there.
var gone = decision.Answer{Reasons: []decision.Reason{{
	Code: v1alpha1.CodeNoConsent, Verdict: v1alpha1.VerdictDeny, Message: "there is no record of this customer any more",
}}}

func (c *contacted) empty() bool { return len(c.people) == 0 && len(c.gone) == 0 }

func (c *contacted) add(at located) {
	c.drop(at.name)
	if c.people == nil {
		c.people = map[string]someone{}
	}
	c.people[at.name] = someone{at: at}
	c.due = append(c.due, at.name)
}

func (c *contacted) drop(name string) {
	if p, ok := c.people[name]; ok {
		c.uncount(&p)
		delete(c.people, name)
	}
}

// lose says that somebody is gone who is being contacted.
func (c *contacted) lose(name string) {
	if c.gone == nil {
		c.gone = map[string]bool{}
	}
	c.gone[name] = true
}

func (c *contacted) count(p *someone) {
	if p.in {
		c.tally.Add(&p.answer)
	} else {
		c.tally.StaleAt = decision.Sooner(c.tally.StaleAt, p.answer.StaleAt)
	}
}

func (c *contacted) uncount(p *someone) {
	if p.asked && p.in {
		c.tally.Remove(&p.answer)
	}
}

// ask asks about those who were not asked about yet, or whose answer is stale.
func (c *contacted) ask(ctx context.Context, a *Asked, s *Snapshot, chosen *chosen) error {
	lost := len(c.gone)
	for name := range c.gone {
		if _, there := a.Table.Get(name); there || !a.contacts(name) {
			delete(c.gone, name)
		}
	}
	if stale := c.tally.StaleAt; !stale.IsZero() && !a.Now.Before(stale) {
		c.due = c.due[:0]
		for name := range c.people {
			c.due = append(c.due, name)
		}
	}
	var (
		who      []someone
		subjects []decision.Subject
	)
	for _, name := range c.due {
		p, ok := c.people[name]
		if !ok || p.asked && (p.answer.StaleAt.IsZero() || a.Now.Before(p.answer.StaleAt)) {
			continue
		}
		c.uncount(&p)
		in, staleAt := chosen.one(s.chunks[p.at.chunk], s.dicts, p.at.row, a.Now)
		p.in, p.asked, p.answer = in || a.contacts(name), true, decision.Answer{StaleAt: decision.Instant(staleAt)}
		c.people[name] = p
		if p.in {
			subject := s.Subject(p.at.chunk, p.at.row, &a.Campaign)
			subject.Contacts, _ = a.Ledger.Contacts(name)
			who, subjects = append(who, p), append(subjects, subject)
		}
	}
	torn := len(c.due) > 0 || c.tally.Torn() || lost > 0 || len(c.gone) > 0
	c.due = c.due[:0]
	if len(who) > 0 {
		answers, err := a.Judge.Judge(ctx, decision.Question{Now: a.Now, Campaign: a.Campaign, Subjects: subjects})
		if err != nil {
			return fmt.Errorf("judge %d customers: %w", len(who), err)
		}
		if len(answers) != len(who) {
			return fmt.Errorf("judge %d customers: got %d answers", len(who), len(answers))
		}
		for i, p := range who {
			answers[i].StaleAt = decision.Sooner(answers[i].StaleAt, p.answer.StaleAt)
			p.answer = answers[i]
			c.people[p.at.name] = p
		}
	}
	if torn {
		c.recount()
	}
	return nil
}

func (c *contacted) recount() {
	c.tally = decision.Tally{}
	for _, p := range c.people {
		c.count(&p)
	}
	for range c.gone {
		c.tally.Add(&gone)
	}
}

// targeted are those who are meant.
func (c *contacted) targeted() []located {
	var out []located
	for _, p := range c.people {
		if p.in {
			out = append(out, p.at)
		}
	}
	for name := range c.gone {
		out = append(out, located{name: name, chunk: -1})
	}
	return out
}
