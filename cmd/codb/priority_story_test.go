package main

import (
	"testing"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/permit"
)

func first(s *v1alpha1.CampaignSpec) { s.Priority = 10 }

// Two campaigns run, and the customer takes one letter a week.
func TestTheCampaignOfHigherPriorityGoesFirst(t *testing.T) {
	w := newWorld(t)
	free := w.customer(1).Name
	low, high := w.campaign("autumn", draws), w.campaign("spring", draws, first)
	w.becomes(low, v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
	w.becomes(high, v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
	a, b := w.podOf("autumn"), w.podOf("spring")
	id := w.customer(0, atMostOneAWeek).Name // who comes when both are known to run

	drawn, d := a.draw(10, "0s")
	if len(drawn) != 1 || drawn[free] == "" || d.Held != 1 || d.Exhausted || d.Next == nil {
		t.Fatalf("the lower draws %+v", d)
	}
	drawn, d = b.draw(10, "20s")
	if drawn[id] == "" {
		t.Fatalf("the higher draws %+v", d)
	}
	if r := b.redeem(drawn[id])[drawn[id]]; r.State != permit.Redeemed {
		t.Errorf("the higher redeems: %+v", r)
	}
}
