package policy

import (
	"slices"
	"sync"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/decision"
)

// Engines says of each rule of a policy by what it is evaluated, for a campaign
// of the usual kind, as its check found out.
func Engines(p Policy, r Report) []v1alpha1.RuleEngine {
	var out []v1alpha1.RuleEngine
	for _, u := range p.Rules {
		out = append(out, engineOf(u.Name, r))
	}
	if p.Rego != "" {
		out = append(out, engineOf(OwnRule, r))
	}
	return out
}

// WhyDoubted says of a rule why OPA evaluates it although it is native.
const WhyDoubted = "OPA answered otherwise than the native engine, and answers alone until codb restarts: report it, with the policy"

// Doubted are engines of which one rule's was found wrong.
func Doubted(engines []v1alpha1.RuleEngine, rule string) []v1alpha1.RuleEngine {
	for i := range engines {
		if e := &engines[i]; e.Rule == rule {
			e.Engine, e.Why = v1alpha1.EngineOPA, WhyDoubted
		}
	}
	return engines
}

func engineOf(rule string, r Report) v1alpha1.RuleEngine {
	of := func(refused []Refused) string {
		if at := slices.IndexFunc(refused, func(r Refused) bool { return r.Rule == rule }); at >= 0 {
			return refused[at].Why
		}
		return ""
	}
	why, unplanned := of(r.NotNative), of(r.Unplanned)
	if why == "" {
		return v1alpha1.RuleEngine{Rule: rule, Engine: v1alpha1.EngineNative}
	}
	e := v1alpha1.RuleEngine{Rule: rule, Engine: v1alpha1.EnginePlan, Why: clip(oneLine(why), 250) + "; docs/policies.md says what to write instead"}
	if unplanned != "" {
		e.Engine = v1alpha1.EngineOPA
		e.Why += "; OPA has no plan for it: " + clip(oneLine(unplanned), 150)
	}
	return e
}

// notNative are the uses of an interpreter that can't be compiled for columns, and
// why. A process that may be killed finds out.
func (i *Interpreter) notNative() []Refused {
	_, refused := newPlan(i, new(sync.Mutex), &usualCampaign)
	return refused
}

var usualCampaign = decision.Campaign{
	Name: "campaign", Namespace: "namespace", Brand: "brand", Purpose: "Marketing", PurposeClass: string(v1alpha1.ClassMarketing),
	Channel: string(v1alpha1.ChannelEmail), Depth: string(v1alpha1.DepthBasic),
}
