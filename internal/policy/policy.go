package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	opaversion "github.com/open-policy-agent/opa/v1/version"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// Policy is one revision of a policy, as codb evaluates it.
type Policy struct {
	Name       string                `json:"name"`
	Generation int64                 `json:"generation,omitempty"`
	Mode       v1alpha1.PolicyMode   `json:"mode,omitempty"`
	Rules      []v1alpha1.RuleUse    `json:"rules,omitempty"`
	Rego       string                `json:"rego,omitempty"`
	Tests      []v1alpha1.PolicyTest `json:"tests,omitempty"`
}

// FromObject takes from a CampaignPolicy what its evaluation needs.
func FromObject(p *v1alpha1.CampaignPolicy) Policy {
	spec := p.Spec.DeepCopy()
	return Policy{
		Name: p.Name, Generation: p.Generation, Mode: spec.Mode,
		Rules: spec.Rules, Rego: spec.Rego, Tests: spec.Tests,
	}
}

// Floor is the built-in policy that applies to every campaign.
func (l *Library) Floor() Policy {
	p := Policy{Name: FloorName, Mode: v1alpha1.ModeEnforce}
	for _, name := range floorRules {
		p.Rules = append(p.Rules, v1alpha1.RuleUse{Name: name})
	}
	return p
}

// mode of a policy; whatever is not Audit enforces.
func (p *Policy) mode() v1alpha1.PolicyMode {
	if p.Mode == v1alpha1.ModeAudit {
		return v1alpha1.ModeAudit
	}
	return v1alpha1.ModeEnforce
}

func ruleName(u *v1alpha1.RuleUse) string {
	if u.Rule != "" {
		return u.Rule
	}
	return u.Name
}

func given(u *v1alpha1.RuleUse) []byte {
	if u.With == nil {
		return nil
	}
	return u.With.Raw
}

// canonical is what a policy's answers depend on.
type canonical struct {
	Format       int                 `json:"format"`
	OPA          string              `json:"opa"`
	Rego         string              `json:"regoVersion"`
	Capabilities []string            `json:"capabilities"`
	Policy       string              `json:"policy"` // reasons carry it
	Mode         v1alpha1.PolicyMode `json:"mode"`
	Own          string              `json:"own"`
	Rules        []canonicalUse      `json:"rules"`
	Library      map[string]string   `json:"library"`
}

type canonicalUse struct {
	Name       string         `json:"name"`
	Rule       string         `json:"rule"`
	Parameters map[string]any `json:"parameters"`
}

// Digest identifies everything that a policy's answers depend on: its Rego, its
// rules with their complete parameters, the library's texts that it uses, OPA
// and what OPA may do. Its tests are no part of it.
func (l *Library) Digest(p Policy) string {
	c := canonical{
		Format: 1, OPA: opaversion.Version, Rego: version.String(), Policy: p.Name, Mode: p.mode(),
		Own: p.Rego, Library: map[string]string{},
	}
	for _, b := range capabilities().Builtins {
		c.Capabilities = append(c.Capabilities, b.Name)
	}
	var topics []string
	for i := range p.Rules {
		u := &p.Rules[i]
		cu := canonicalUse{Name: u.Name, Rule: ruleName(u)}
		if r := l.rules[cu.Rule]; r != nil {
			cu.Parameters, _ = r.schema.complete("", given(u))
			c.Library[r.file] = l.files[r.file]
			topics = append(topics, r.topics...)
		}
		c.Rules = append(c.Rules, cu)
	}
	slices.SortFunc(c.Rules, func(a, b canonicalUse) int { return strings.Compare(a.Name, b.Name) })
	for _, t := range append(topics, l.ownTopics(p.Rego)...) {
		if lib := l.libs[t]; lib != nil {
			for file := range lib.modules {
				c.Library[file] = l.files[file]
			}
		}
	}
	return digest(c)
}

// ownTopics are the topics that a policy's own Rego needs.
func (l *Library) ownTopics(rego string) []string {
	if rego == "" {
		return nil
	}
	m, problems := parse(ownFile, rego)
	if len(problems) > 0 {
		return nil
	}
	return l.topicsFor(m)
}

// topicsFor are all topics that a module needs, directly or not; sorted.
func (l *Library) topicsFor(m *ast.Module) []string {
	all := map[string]bool{}
	for _, t := range topicsOf(m) {
		if lib := l.libs[t]; lib != nil {
			for _, needed := range lib.topics {
				all[needed] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// digest of a value that JSON writes the same way each time.
func digest(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		text = []byte(err.Error()) // no value of ours does this; the digest then fits nothing
	}
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}
