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
// Rego is for workers, which told what they can't plan.
func (l *Library) Engines(p Policy, unplanned []Refused) ([]v1alpha1.RuleEngine, error) {
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
		why := ""
		if at := slices.IndexFunc(refused, func(r Refused) bool { return r.Rule == u.Name }); at >= 0 {
			why = clip(refused[at].Why, 250) + "; docs/policies.md says what can be compiled"
		}
		out = append(out, engineOf(u.Name, why, unplanned))
	}
	if own {
		out = append(out, engineOf(OwnRule,
			"a policy's own Rego is evaluated in a process of its own; say with rules of the library what they can say", unplanned))
	}
	return out, nil
}

// engineOf is what evaluates a rule that is not native for some reason.
func engineOf(rule, why string, unplanned []Refused) v1alpha1.RuleEngine {
	e := v1alpha1.RuleEngine{Rule: rule, Engine: v1alpha1.EngineNative, Why: why}
	if why == "" {
		return e
	}
	e.Engine = v1alpha1.EnginePlan
	if at := slices.IndexFunc(unplanned, func(r Refused) bool { return r.Rule == rule }); at >= 0 {
		e.Engine, e.Why = v1alpha1.EngineOPA, why+"; OPA has no plan for it: "+clip(oneLine(unplanned[at].Why), 150)
	}
	return e
}

var usualCampaign = decision.Campaign{
	Name: "campaign", Namespace: "namespace", Brand: "brand", Purpose: "Marketing", PurposeClass: string(v1alpha1.ClassMarketing),
	Channel: string(v1alpha1.ChannelEmail), Depth: string(v1alpha1.DepthBasic),
}
