package workload_test

import (
	"context"
	"testing"

	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
)

const (
	kueueUser   = "system:serviceaccount:kueue-system:kueue-controller-manager"
	queueLabel  = "kueue.x-k8s.io/queue-name"
	queueGates  = "kueue.x-k8s.io/admission-gated-by"
	anotherGate = "acme.example/budget"
)

// queuedScene has an existing Job in a queue of Kueue's; what Kueue does to it,
// the tests do. test/kueue has Kueue itself.
func queuedScene(t *testing.T) *scene {
	s := newScene(t, func(spec *v1alpha1.CampaignSpec) { spec.Workload = nil })
	s.keeper.Kueue = true
	j := s.legacyJob("mail")
	j.Labels[queueLabel] = "mail"
	j.Annotations = map[string]string{queueGates: anotherGate}
	s.create(env.Client, j)
	s.settled("mail")
	return s
}

func (s *scene) kueueSays(suspend string) {
	s.Helper()
	p := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"suspend":`+suspend+`}}`))
	if err := s.as(kueueUser).Patch(s.Context(), s.job("mail"), p); err != nil {
		s.Fatal(err)
	}
}

func TestAReleaseTakesTheGateOffAndLeavesTheStartToKueue(t *testing.T) {
	s := queuedScene(t)
	if names := s.release(); len(names) != 1 {
		t.Fatalf("released %v, want mail", names)
	}
	j := s.job("mail")
	if !ptr.Deref(j.Spec.Suspend, false) || j.Annotations[queueGates] != anotherGate || j.Annotations[v1alpha1.AnnotationDecision] != proof.Decision {
		t.Errorf("suspend %v, annotations %v: want it suspended, with evidence and the other's gate alone", j.Spec.Suspend, j.Annotations)
	}
	o := s.observe()
	if o.State != v1alpha1.WorkloadQueued || len(o.Active()) != 1 || len(o.Open()) != 1 || o.Releasable() || o.Runs[0].Suspended {
		t.Errorf("%+v: want one active run that waits for Kueue", o)
	}
	s.silent("a look at a Job that waits for Kueue", func() { s.release() })
	s.kueueSays("false")
	s.untilState(v1alpha1.WorkloadRunning)
	s.hold(v1alpha1.OnWithdrawalFinish)
	s.untilState(v1alpha1.WorkloadRunning)
	s.hold(v1alpha1.OnWithdrawalSuspend)
	s.untilState(v1alpha1.WorkloadSuspended)
	s.silent("a look at a Job that was stopped", func() {
		if names := s.release(); names != nil {
			t.Errorf("released again: %v", names)
		}
	})
}

// A Job that waits has no pod that could finish: a hold stops it in every mode.
func TestAHoldStopsWhatWaitsForKueue(t *testing.T) {
	for _, mode := range []string{v1alpha1.OnWithdrawalFinish, v1alpha1.OnWithdrawalSuspend} {
		t.Run(mode, func(t *testing.T) {
			s := queuedScene(t)
			s.release()
			s.hold(mode)
			s.untilState(v1alpha1.WorkloadSuspended)
			if why := s.job("mail").Annotations[v1alpha1.AnnotationStopped]; why != "ConsentWithdrawn" {
				t.Errorf("stopped because of %q", why)
			}
			p := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"suspend":false}}`))
			if err := s.as(kueueUser).Patch(s.Context(), s.job("mail"), p); err == nil {
				t.Error("Kueue could start it all the same")
			}
		})
	}
}

func TestWhatKueueTookBackWaitsNoMore(t *testing.T) {
	s := queuedScene(t)
	s.release()
	s.kueueSays("false")
	s.kueueSays("true")
	s.until("over", func(context.Context) (bool, error) { // the Job controller may still make a pod and take it back
		o := s.observe()
		return !o.Releasable() && len(o.Active()) == 0 && o.Runs[0].Suspended, nil
	})
	s.silent("giving up a queue without Kueue", func() {
		if err := s.keeper.Dequeue(t.Context(), s.campaign, s.observe()); err != nil {
			t.Error(err)
		}
	})
}
