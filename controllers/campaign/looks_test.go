package campaign_test

import (
	"testing"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// A run that was released goes on or is stopped by what happens next.
func TestWhatStopsARun(t *testing.T) {
	tests := map[string]struct {
		finish  bool // onWithdrawal
		happens func(*world)
		runs    bool
	}{
		"Nothing":                         {happens: func(*world) {}, runs: true},
		"AnOptOut":                        {finish: true, happens: func(w *world) { w.says("a", optedOut) }},
		"ErasureIsANoToo":                 {finish: true, happens: func(w *world) { w.erase("a") }},
		"AnOptOutWithABrokenEngine":       {happens: func(w *world) { w.policies.fails = errDown; w.says("a", optedOut) }},
		"AnythingElseWithABrokenEngine":   {happens: func(w *world) { w.policies.fails = errDown; w.says("a", capped) }, runs: true},
		"AnOptOutWhilePoliciesAreRead":    {happens: func(w *world) { w.policies.knows = false; w.says("a", optedOut) }},
		"AnOptOutWithTheGateDown":         {happens: func(w *world) { w.ledger.down = errDown; w.says("a", optedOut) }},
		"TheGateDown":                     {happens: func(w *world) { w.ledger.down = errDown }, runs: true},
		"ConsentsThatCantBeRead":          {happens: func(w *world) { w.consents.silent = errDown }, runs: true},
		"APauseThatBegins":                {happens: func(w *world) { w.says("a", paused(noon, noon.Add(time.Hour))) }},
		"APauseThatBeginsWhereRunsFinish": {finish: true, happens: func(w *world) { w.says("a", paused(noon, noon.Add(time.Hour))) }, runs: true},
		"AHoldWhilePoliciesAreRead":       {finish: true, happens: func(w *world) { w.policies.knows = false; w.change(holdIt) }},
		"AThresholdThatIsMissed": {happens: func(w *world) {
			three := int64(3)
			w.minimum = &v1alpha1.Thresholds{MinAllowed: &three}
			w.revision = "2"
		}},
		"NobodyIsAllowedByAnyPolicyAnyMore": {happens: func(w *world) { w.none = true }},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "a", "b")
			w.campaign(func(s *v1alpha1.CampaignSpec) {
				if tc.finish {
					s.OnWithdrawal = v1alpha1.OnWithdrawalFinish
				}
			})
			r := w.codb(nil)
			w.settle(r)
			if !w.runs("spring") {
				t.Fatalf("it was not released: %+v", w.status().Status)
			}
			tc.happens(w)
			for range 3 {
				_, _ = w.look(r) // a broken engine is an error each time
			}
			if got := w.runs("spring"); got != tc.runs {
				t.Errorf("runs = %t, want %t: %+v", got, tc.runs, w.status().Status)
			}
		})
	}
}

func holdIt(c *v1alpha1.Campaign) { c.Spec.Hold = &v1alpha1.HoldRequest{Reason: "typo"} }
