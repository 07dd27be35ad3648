package decision

import (
	"slices"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consent"
)

// noes are the codes of somebody's own no. Unlike a window that closed or a cap
// that is reached they stop pods that run.
var noes = []string{"OptedOut", "ConsentWithdrawn", "ConsentRefused", "Objected", v1alpha1.CodeNoConsent}

// SaidNo says whether the customer refuses the campaign in so many words. It is
// for when no policy can be asked: a no must stop a run even then. It never
// stands in for a policy to let anything run.
func SaidNo(p *consent.Person, c *Campaign) bool {
	marketing := c.PurposeClass != string(v1alpha1.ClassService)
	if p.OptOut != nil && marketing {
		return true
	}
	if p.Relationship == nil {
		return false
	}
	return slices.ContainsFunc(p.Relationship.Objections, func(o consent.Objection) bool {
		return o.Purpose == c.Purpose || marketing && (o.Purpose == "Marketing" || o.Purpose == "DirectMarketing")
	}) || slices.ContainsFunc(p.Relationship.Grants, func(g consent.Grant) bool {
		return g.Purpose == c.Purpose && g.Channel == c.Channel && slices.Contains(refusals, v1alpha1.ConsentStatus(g.Status))
	})
}

var refusals = []v1alpha1.ConsentStatus{
	v1alpha1.ConsentRefused, v1alpha1.ConsentWithdrawn, v1alpha1.ConsentRevoked, v1alpha1.ConsentInvalidated,
}
