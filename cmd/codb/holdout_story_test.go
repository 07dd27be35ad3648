package main

import (
	"testing"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// A workload with a list of its own would reach those whom the campaign keeps
// un-contacted, whichever policies there are.
func TestAHoldoutKeepsAWorkloadWithAListOfItsOwn(t *testing.T) {
	w := newWorld(t)
	for i := range 40 {
		w.customer(i)
	}
	c := w.campaign("spring", func(s *v1alpha1.CampaignSpec) { s.Holdout = &v1alpha1.Holdout{Percent: 50} })
	w.becomes(c, v1alpha1.CampaignPartlyAllowed, v1alpha1.WorkloadSuspended)
	n := c.Status.Counts
	if n.HeldOut < 8 || n.HeldOut > 32 || n.Allowed+n.HeldOut != 40 || n.Denied != 0 {
		t.Errorf("counts = %+v, want about half of 40 held out", *n)
	}
}
