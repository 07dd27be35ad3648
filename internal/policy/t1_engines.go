package policy

import (
	"fmt"
	"slices"
	"sync"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/decision"
)

// Engines says of each rule of a policy by what it is evaluated, for a campaign
// of the usual kind. Only what codb's own library says is tried; a policy's own
// Rego is for workers.
func (l *Library) Engines(p Policy) ([]v1alpha1.RuleEngine, error) {
	own := p.Rego != ""
	p.Rego = ""
	var refused []Refused
	if len(p.Rules) > 0 {
		i, err := NewInterpreter(l, []Policy{p})
		if err != nil {
			return nil, fmt.Errorf("find the engines of policy %s: %w", p.Name, err)
		}
		_, refused = newPlan(i, new(sync.Mutex), &usualCampaign)
	}
	var out []v1alpha1.RuleEngine
	for _, u := range p.Rules {
		e := v1alpha1.RuleEngine{Rule: u.Name, Engine: v1alpha1.EngineNative}
		if at := slices.IndexFunc(refused, func(r Refused) bool { return r.Rule == u.Name }); at >= 0 {
			e.Engine, e.Why = v1alpha1.EngineOPA, clip(refused[at].Why, 400)+"; docs/policies.md says what can be compiled"
		}
		out = append(out, e)
	}
	if own {
		out = append(out, v1alpha1.RuleEngine{
			Rule: OwnRule, Engine: v1alpha1.EngineOPA,
			Why: "a policy's own Rego is evaluated by OPA in a process of its own; say with rules of the library what they can say",
		})
	}
	return out, nil
}

var usualCampaign = decision.Campaign{
	Name: "campaign", Namespace: "namespace", Brand: "brand", Purpose: "Marketing", PurposeClass: string(v1alpha1.ClassMarketing),
	Channel: string(v1alpha1.ChannelEmail), Depth: string(v1alpha1.DepthBasic),
}
