package policy

import (
	"slices"

	"github.com/codb-dev/codb/internal/decision"
)

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
// same campaigns. Those that ask by themselves come by turns, and each has its own.
func (s *sweeping) teamOf(p *program) *team {
	campaigns := s.Campaigns
	if len(campaigns) == 1 {
		t := p.single[s.stands[0]]
		if t == nil {
			if len(p.single) >= maxPlans {
				clear(p.single)
			}
			t = s.newTeam(p)
			p.single[s.stands[0]] = t
		}
		return t
	}
	if p.team == nil || !slices.Equal(p.team.campaigns, campaigns) {
		p.team = s.newTeam(p)
	}
	return p.team
}

func (s *sweeping) newTeam(p *program) *team {
	campaigns := s.Campaigns
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
	return t
}
