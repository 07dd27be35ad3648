package campaign_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/controllers/campaign"
	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/decision"
)

// nobody is a policy that denies by default, and that was loaded first.
func nobody(decision.Subject, time.Time) decision.Answer {
	return decision.Answer{Reasons: []decision.Reason{{Code: "Default", Verdict: v1alpha1.VerdictDeny, Policy: "first"}}}
}

// A codb that has just started knows a part of the world. What it knows first
// must not decide: a campaign that was released would be stopped for good, and
// one that waits would be denied on grounds that don't exist.
func TestWhatLoadsFirstDecidesNothing(t *testing.T) {
	partly := map[string]func(*world) (loaded func()){
		"APolicyThatDeniesByDefault": func(w *world) func() {
			w.knows, w.policies.judge, w.revision = false, nobody, "first"
			return func() { w.knows, w.policies.judge, w.revision = true, judge, "" }
		},
		"NoPolicyAtAll": func(w *world) func() {
			w.knows, w.none = false, true
			return func() { w.knows, w.none = true, false }
		},
		"NoConsents": func(w *world) func() {
			all := w.people
			w.people, w.synced = audience.NewTable(), false
			return func() { w.people, w.synced = all, true }
		},
		"ConsentsThatDontAllow": func(w *world) func() {
			all := w.people
			w.people, w.synced = audience.NewTable(), false
			w.says("b", capped)
			w.policies.judge = nobody
			return func() { w.people, w.synced, w.policies.judge = all, true, judge }
		},
	}
	for name, part := range partly {
		t.Run(name, func(t *testing.T) {
			t.Run("ACampaignThatRuns", func(t *testing.T) {
				w := newWorld(t, "a", "b")
				w.campaign()
				before := w.settle(w.codb(nil)).Status
				loaded := part(w)
				r := w.codb(nil)
				w.looksInVain(r)
				if !w.runs("spring") {
					t.Fatalf("it was stopped: %+v", w.status().Status)
				}
				loaded()
				after := w.settle(r).Status
				if !w.runs("spring") || after.Verdict != v1alpha1.CampaignAllowed || len(w.decisions()) != 1 {
					t.Errorf("runs = %t on %d decisions: %+v", w.runs("spring"), len(w.decisions()), after)
				}
				if diff := cmp.Diff(before.Released, after.Released); diff != "" {
					t.Errorf("its release (-before +after):\n%s", diff)
				}
			})
			t.Run("ACampaignThatWaits", func(t *testing.T) {
				w := newWorld(t, "a", "b")
				w.campaign()
				loaded := part(w)
				r := w.codb(nil)
				w.looksInVain(r)
				if c := w.status(); c.Status.Verdict != v1alpha1.CampaignPending || len(w.decisions()) > 0 || len(w.ledger.runs) > 0 {
					t.Errorf("decided on a part of the world: %+v", c.Status)
				}
				loaded()
				if w.settle(r); !w.runs("spring") {
					t.Errorf("it was forgotten: %+v", w.status().Status)
				}
			})
		})
	}
}

// looksInVain has codb look while it does not know the whole world; it must
// come back soon, since nothing may wake it.
func (w *world) looksInVain(r *campaign.Reconciler) {
	w.Helper()
	for range 3 {
		res, err := w.look(r)
		if err != nil || res.RequeueAfter == 0 || res.RequeueAfter > time.Second {
			w.Errorf("it looks again after %s, error %v", res.RequeueAfter, err)
		}
	}
}

// Two codbs share no memory. The one that led may have done anything up to its
// last write; the next one goes on from what the cluster has.
func TestTheNextLeaderGoesOn(t *testing.T) {
	lets := 0
	w := newWorld(t, "a", "b")
	w.campaign()
	first, second := w.codb((&life{lets: &lets}).client(t)), w.codb((&life{lets: &lets}).client(t))
	for range 4 { // both believe that they lead, and take turns
		for _, r := range []*campaign.Reconciler{first, second} {
			if _, err := w.look(r); err != nil {
				t.Error(err)
			}
		}
	}
	if lets != 1 || !w.runs("spring") {
		t.Fatalf("let go %d times, runs = %t: %+v", lets, w.runs("spring"), w.status().Status)
	}
	w.once("two leaders")
	w.says("b", optedOut)
	if _, err := w.look(second); err != nil || w.runs("spring") {
		t.Errorf("the second does not stop what the first let go: %v", err)
	}
	w.says("b", nil)
	w.clock.Step(time.Hour)
	for range 3 {
		_, _ = w.look(first)
		_, _ = w.look(second)
	}
	if lets != 1 || w.runs("spring") {
		t.Errorf("let go %d times, runs = %t", lets, w.runs("spring"))
	}
}
