package workload_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/workload"
)

func TestAJobIsBornSuspendedRunsOnceAndStops(t *testing.T) {
	s := newScene(t, nil)
	if got := s.observe().State; got != v1alpha1.WorkloadNone {
		t.Fatalf("before: %s, want None", got)
	}
	s.ensure()
	s.settled("spring")
	if o := s.observe(); o.State != v1alpha1.WorkloadSuspended || !o.Releasable() || len(s.pods()) != 0 {
		t.Fatalf("after Ensure: %+v with %d pods, want Suspended with none", o, len(s.pods()))
	}

	s.silent("a second look", func() {
		s.ensure()
		s.hold(v1alpha1.OnWithdrawalSuspend)
	})

	if diff := cmp.Diff([]string{"spring"}, s.release()); diff != "" {
		t.Errorf("released (-want +got):\n%s", diff)
	}
	j := s.job("spring")
	got := workload.Evidence{
		Decision:        j.Annotations[v1alpha1.AnnotationDecision],
		PolicyDigest:    j.Annotations[v1alpha1.AnnotationPolicyDigest],
		ConsentRevision: j.Annotations[v1alpha1.AnnotationConsentRevision],
	}
	if diff := cmp.Diff(proof, got); diff != "" || ptr.Deref(j.Spec.Suspend, true) {
		t.Errorf("a released Job: suspend %v, evidence (-want +got):\n%s", j.Spec.Suspend, diff)
	}
	pod := s.podStarts()
	if o := s.observe(); o.State != v1alpha1.WorkloadRunning || o.Releasable() {
		t.Errorf("released: %+v, want Running, and nothing more to release", o)
	}

	s.hold(v1alpha1.OnWithdrawalSuspend)
	s.until("the pod is asked to end", func(context.Context) (bool, error) {
		pods := s.pods()
		return len(pods) == 1 && pods[0].DeletionTimestamp != nil, nil
	})
	if got := s.observe().State; got != v1alpha1.WorkloadStopping {
		t.Errorf("while the pod ends: %s, want Stopping", got)
	}
	if grace := ptr.Deref(s.pods()[0].DeletionGracePeriodSeconds, 0); grace != 10 {
		t.Errorf("the pod has %d seconds to end, want 10", grace)
	}
	s.podEnds(pod)
	s.untilState(v1alpha1.WorkloadSuspended)

	if why := s.job("spring").Annotations[v1alpha1.AnnotationStopped]; why != "ConsentWithdrawn" {
		t.Errorf("stopped because of %q, want ConsentWithdrawn", why)
	}
	s.silent("a look at a stopped Job", func() {
		s.hold(v1alpha1.OnWithdrawalSuspend)
		if names := s.release(); names != nil {
			t.Errorf("released again: %v", names)
		}
		s.ranOnce()
		s.ensure()
	})
}

func TestFinishLetsReleasedJobsEnd(t *testing.T) {
	s := newScene(t, func(spec *v1alpha1.CampaignSpec) { spec.Workload = nil })
	s.existing("mail")
	s.settled("mail")
	s.release()
	s.hold(v1alpha1.OnWithdrawalFinish)
	if ptr.Deref(s.job("mail").Spec.Suspend, false) {
		t.Error("Finish stopped a Job that was released")
	}
	s.hold(v1alpha1.OnWithdrawalSuspend)
	if !ptr.Deref(s.job("mail").Spec.Suspend, false) {
		t.Error("Suspend let a Job run on")
	}
}

func TestAReleaseNeedsTheJobAsItWasSeen(t *testing.T) {
	s := newScene(t, nil)
	s.ensure()
	s.settled("spring")
	seen := s.observe()
	j := s.job("spring")
	before := j.DeepCopy()
	j.Annotations["example.com/note"] = "changed meanwhile"
	if err := env.Client.Patch(t.Context(), j, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	runs, err := s.keeper.Release(t.Context(), s.campaign, seen, proof)
	if !apierrors.IsConflict(err) || len(runs) != 0 {
		t.Errorf("release of a changed Job: %v, %v; want a conflict", runs, err)
	}
	if !ptr.Deref(s.job("spring").Spec.Suspend, false) {
		t.Error("the Job was released")
	}
}

func TestAReleaseNeedsEvidence(t *testing.T) {
	s := newScene(t, nil)
	s.ensure()
	for _, e := range []workload.Evidence{
		{},
		{PolicyDigest: "p", ConsentRevision: "r"},
		{Decision: "d", ConsentRevision: "r"},
		{Decision: "d", PolicyDigest: "p"},
	} {
		s.silent("a release without evidence", func() { // admission would refuse it too, later
			if _, err := s.keeper.Release(t.Context(), s.campaign, s.observe(), e); err == nil {
				t.Errorf("released with %+v", e)
			}
		})
	}
	if !ptr.Deref(s.job("spring").Spec.Suspend, false) {
		t.Error("the Job was released")
	}
}

// Stopping right after a release is the race in which the Job's status knows
// nothing of pods that are there: what is called Suspended has none.
func TestWhatIsSuspendedHasNoPods(t *testing.T) {
	s := newScene(t, func(spec *v1alpha1.CampaignSpec) { spec.Workload = nil })
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		s.existing(name)
	}
	s.release()
	s.hold(v1alpha1.OnWithdrawalSuspend)
	s.until("all is suspended", func(context.Context) (bool, error) {
		before := s.observe()
		if before.State != v1alpha1.WorkloadSuspended {
			return false, nil
		}
		if pods := s.pods(); len(pods) != 0 {
			t.Errorf("Suspended, but there are %d pods", len(pods))
		}
		return true, nil
	})
}

func TestAJobThatEndsIsNotMadeAgain(t *testing.T) {
	for phase, want := range map[corev1.PodPhase]v1alpha1.WorkloadState{
		corev1.PodSucceeded: v1alpha1.WorkloadComplete,
		corev1.PodFailed:    v1alpha1.WorkloadFailed,
	} {
		t.Run(string(phase), func(t *testing.T) {
			s := newScene(t, nil)
			s.ensure()
			s.release()
			s.podSays(s.podStarts(), phase)
			s.untilState(want)

			s.ranOnce()
			s.silent("a look at what has ended", func() {
				s.ensure()
				s.hold(v1alpha1.OnWithdrawalSuspend)
			})
			if err := env.Client.Delete(t.Context(), s.job("spring"), client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
				t.Fatal(err)
			}
			s.change(func(spec *v1alpha1.CampaignSpec) { spec.Hold = &v1alpha1.HoldRequest{Reason: "recall"} })
			s.ranOnce()
			s.ensure()
			if o := s.observe(); len(o.Runs) != 0 {
				t.Errorf("a run that was released before came back: %+v", o)
			}

			s.change(func(spec *v1alpha1.CampaignSpec) { spec.Workload.Job.Image = "example.com/mailer:2" })
			s.ensure()
			if o := s.observe(); len(o.Runs) != 1 || o.Runs[0].Released || !o.Runs[0].Suspended {
				t.Errorf("after a change: %+v, want one new Job, suspended", o)
			}
		})
	}
}

func TestANewSpecReplacesTheJob(t *testing.T) {
	s := newScene(t, nil)
	s.ensure()
	first := s.settled("spring").UID
	s.change(func(spec *v1alpha1.CampaignSpec) { spec.Topic = "Garden" })
	if o := s.observe(); o.Releasable() {
		t.Errorf("a Job of an older spec could be released: %+v", o)
	}
	s.until("the held Job gave way", func(context.Context) (bool, error) {
		s.ensure()
		o := s.observe()
		return len(o.Runs) == 1 && o.Runs[0].UID != first, nil
	})

	s.release()
	pod := s.podStarts()
	second := s.job("spring").UID
	s.change(func(spec *v1alpha1.CampaignSpec) { spec.Topic = "Kitchen" })
	s.ensure()
	s.until("the pod is asked to end", func(context.Context) (bool, error) {
		return s.pods()[0].DeletionTimestamp != nil, nil
	})
	s.ensure()
	if j := s.job("spring"); j.UID != second {
		t.Error("the running Job was replaced before its pods had ended")
	}
	s.podEnds(pod)
	s.until("the stopped Job gave way", func(context.Context) (bool, error) {
		s.ensure()
		o := s.observe()
		return len(o.Runs) == 1 && o.Runs[0].UID != second && !o.Runs[0].Released, nil
	})
}

func TestAJobOfSomebodyElseStandsInTheWay(t *testing.T) {
	s := newScene(t, nil)
	s.existing("spring")
	if err := s.keeper.Ensure(t.Context(), s.campaign); !errors.Is(err, workload.ErrRefused) {
		t.Errorf("Ensure: %v, want ErrRefused", err)
	}
	if names := s.release(); names != nil {
		t.Errorf("released %v, which the campaign did not make", names)
	}
}

func TestThePodIsNarrow(t *testing.T) {
	s := newScene(t, func(spec *v1alpha1.CampaignSpec) {
		spec.Workload.Job = &v1alpha1.JobTemplate{
			Image: "example.com/mailer:1", Command: []string{"/send"}, Args: []string{"-v"},
			Env:         []v1alpha1.EnvLiteral{{Name: "SEASON", Value: "spring"}},
			Resources:   &v1alpha1.Resources{CPU: "250m", Memory: "128Mi"},
			Parallelism: ptr.To[int32](2), Completions: ptr.To[int32](4),
			TerminationGracePeriodSeconds: ptr.To[int64](3),
		}
	})
	s.ensure()
	j := s.settled("spring")
	pod := j.Spec.Template.Spec
	got := map[string]any{
		"mode":        *j.Spec.CompletionMode,
		"parallelism": *j.Spec.Parallelism, "completions": *j.Spec.Completions,
		"backoffLimit": *j.Spec.BackoffLimit, "ttl": *j.Spec.TTLSecondsAfterFinished,
		"restart": pod.RestartPolicy, "account": pod.ServiceAccountName, "token": *pod.AutomountServiceAccountToken,
		"grace": *pod.TerminationGracePeriodSeconds, "cpu": pod.Containers[0].Resources.Requests.Cpu().String(),
		"memory": pod.Containers[0].Resources.Limits.Memory().String(), "args": pod.Containers[0].Args,
		"env": pod.Containers[0].Env, "label": j.Spec.Template.Labels[v1alpha1.LabelCampaign],
		"owner": *metav1.GetControllerOf(j).BlockOwnerDeletion, "generation": j.Annotations[v1alpha1.AnnotationGeneration],
		"finalizers": len(j.Finalizers),
	}
	want := map[string]any{
		"mode":        batchv1.IndexedCompletion,
		"parallelism": int32(2), "completions": int32(4),
		"backoffLimit": int32(0), "ttl": int32(86400),
		"restart": corev1.RestartPolicyNever, "account": "default", "token": false,
		"grace": int64(3), "cpu": "250m", "memory": "128Mi", "args": []string{"-v"},
		"env": []corev1.EnvVar{{Name: "SEASON", Value: "spring"}}, "label": "spring",
		"owner": false, "generation": "1", "finalizers": 0,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the Job (-want +got):\n%s", diff)
	}
	s.release() // into a namespace that enforces the restricted Pod Security Standard
	s.until("both pods are admitted", func(context.Context) (bool, error) { return len(s.pods()) == 2, nil })
}

func TestTheJobGoesWithItsCampaign(t *testing.T) {
	s := newScene(t, nil)
	s.ensure()
	if err := env.Client.Delete(t.Context(), s.campaign); err != nil {
		t.Fatal(err)
	}
	s.until("the Job is gone", func(context.Context) (bool, error) { return len(s.observe().Runs) == 0, nil })
}
