package consent_test

import (
	"testing"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consent"
)

func TestStateAt(t *testing.T) {
	tests := map[string]struct {
		spec  v1alpha1.CustomerConsentSpec
		want  string
		until time.Time
	}{
		"Given":              {toAcme(yes()), consent.StateGiven, time.Time{}},
		"UntilItEnds":        {toAcme(yes(func(g *v1alpha1.Grant) { g.EffectiveTo = pstamp(noon.Add(tick)) })), consent.StateGiven, noon.Add(tick)},
		"EndedAtThisInstant": {toAcme(yes(func(g *v1alpha1.Grant) { g.EffectiveTo = pstamp(noon) })), consent.StateExpired, time.Time{}},
		"NotYet": {
			toAcme(yes(func(g *v1alpha1.Grant) {
				g.EffectiveFrom, g.EffectiveTo = pstamp(noon.Add(tick)), pstamp(noon.Add(2*tick))
			})), consent.StatePending, noon.Add(tick),
		},
		"OptedOut": {
			v1alpha1.CustomerConsentSpec{OptOut: &v1alpha1.OptOut{Since: stamp(noon)}, Relationships: toAcme(yes()).Relationships},
			consent.StateWithdrawn, time.Time{},
		},
		"ObjectedTo": {
			func() v1alpha1.CustomerConsentSpec {
				s := toAcme(yes())
				s.Relationships[0].Objections = []v1alpha1.Objection{{Purpose: "DirectMarketing", Since: stamp(noon)}}
				return s
			}(), consent.StateWithdrawn, time.Time{},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r := &tc.spec.Relationships[0]
			if got, until := consent.StateAt(&tc.spec, r, &r.Grants[0], noon); got != tc.want || !until.Equal(tc.until) {
				t.Errorf("StateAt = %s until %v, want %s until %v", got, until, tc.want, tc.until)
			}
		})
	}
}
