package campaign_test

import (
	"testing"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/controllers/campaign"
)

// Nothing is let go while anything that a release rests on is not proven, and
// it is let go as soon as it is.
func TestWhatKeepsARunFromItsRelease(t *testing.T) {
	tests := map[string]struct{ breaks, mends func(*world) }{
		"AFenceThatFails": {
			breaks: func(w *world) { w.onFence = func() error { return errDown } },
			mends:  func(w *world) { w.onFence = nil },
		},
		"AWithdrawalThatTheFenceBrings": {
			breaks: func(w *world) { w.onFence = func() error { w.says("b", optedOut); return nil } },
			mends:  func(w *world) { w.onFence = nil; w.says("b", nil) },
		},
		"PoliciesThatAreStillRead": {
			breaks: func(w *world) { w.knows = false },
			mends:  func(w *world) { w.knows = true },
		},
		"ConsentsThatAreStillRead": {
			breaks: func(w *world) { w.synced = false },
			mends:  func(w *world) { w.synced = true },
		},
		"ConsentsThatCantBeRead": {
			breaks: func(w *world) { w.silent = errDown },
			mends:  func(w *world) { w.silent = nil },
		},
		"ABrokenEngine": {
			breaks: func(w *world) { w.fails = errDown },
			mends:  func(w *world) { w.fails = nil },
		},
		"AGateThatIsDown": {
			breaks: func(w *world) { w.down = errDown },
			mends:  func(w *world) { w.down = nil },
		},
		"ALedgerThatTakesNothing": {
			breaks: func(w *world) { w.onRecord = func() error { return errDown } },
			mends:  func(w *world) { w.onRecord = nil },
		},
		"ALedgerThatHasNews": {
			breaks: func(w *world) { w.onRecord = func() error { return campaign.ErrMoved } },
			mends:  func(w *world) { w.onRecord = nil },
		},
		"AdmissionThatIsNotInForce": {
			breaks: func(w *world) { w.admitted = errDown },
			mends:  func(w *world) { w.admitted = nil },
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "a", "b")
			w.campaign()
			tc.breaks(w)
			r := w.codb(nil)
			for range 4 {
				_, _ = w.look(r)
			}
			for _, j := range w.jobs() {
				if !*j.Spec.Suspend || j.Annotations[v1alpha1.AnnotationDecision] != "" {
					t.Errorf("it was released: %+v", w.status().Status)
				}
			}
			tc.mends(w)
			w.settle(r)
			if !w.runs("spring") {
				t.Errorf("it was forgotten: %+v", w.status().Status)
			}
		})
	}
}
