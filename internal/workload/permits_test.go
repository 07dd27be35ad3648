package workload_test

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
)

func permits(spec *v1alpha1.CampaignSpec) {
	spec.Recipients = v1alpha1.RecipientsPermits
	spec.Workload.Job.Env = []v1alpha1.EnvLiteral{{Name: "SEASON", Value: "spring"}}
	spec.Workload.Job.Args = []string{"-v"}
}

func TestASenderThatDrawsPermitsHasTheHelperInFront(t *testing.T) {
	s := newScene(t, permits)
	s.ensure()
	j := s.settled("spring")
	pod, sender := j.Spec.Template.Spec, j.Spec.Template.Spec.Containers[0]
	if diff := cmp.Diff([]string{"/codb/codb-run", "--", "/send"}, sender.Command); diff != "" {
		t.Errorf("command (-want +got):\n%s", diff)
	}
	if len(sender.Args) != 1 || *j.Spec.BackoffLimit != 6 || *pod.AutomountServiceAccountToken {
		t.Errorf("args %v, %d retries, a token for the apiserver: %v", sender.Args, *j.Spec.BackoffLimit, *pod.AutomountServiceAccountToken)
	}
	if rules := j.Spec.PodFailurePolicy.Rules; len(rules) != 1 || rules[0].Action != batchv1.PodFailurePolicyActionFailJob || !slices.Equal(rules[0].OnExitCodes.Values, []int32{2}) {
		t.Errorf("what fails at once: %+v", rules)
	}
	s.release() // into a namespace that enforces the restricted Pod Security Standard
	s.until("its pod is admitted", func(context.Context) (bool, error) { return len(s.pods()) == 1, nil })
}

// The helper is put into people's own Jobs by admission, and into codb's own by
// codb: config/sender says the same thing twice.
func TestTheHelperIsTheSameWhoeverPutsItThere(t *testing.T) {
	s := newScene(t, permits)
	s.ensure()
	ours := s.settled("spring").Spec.Template.Spec
	bare := ours.DeepCopy()
	bare.InitContainers, bare.Volumes = nil, nil
	sender := &bare.Containers[0]
	sender.Command, sender.VolumeMounts, sender.Env = []string{"/send"}, nil, sender.Env[:1]
	theirs := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.campaign.Namespace, Name: "own", Labels: map[string]string{
			v1alpha1.LabelCampaign: "spring", v1alpha1.LabelRecipients: string(v1alpha1.RecipientsPermits),
		}},
		Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: *bare}},
	}
	s.until("admission puts the helper in", func(ctx context.Context) (bool, error) {
		made := theirs.DeepCopy()
		if err := env.Client.Create(ctx, made, client.DryRunAll); err != nil {
			return false, err
		}
		if len(made.Spec.Template.Spec.InitContainers) == 0 {
			return false, nil // not in force yet
		}
		if diff := cmp.Diff(ours, made.Spec.Template.Spec, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("the pod (-codb's +admission's):\n%s", diff)
		}
		return true, nil
	})
}

func TestAJobThatCannotDrawPermitsIsNotReleased(t *testing.T) {
	s := newScene(t, func(spec *v1alpha1.CampaignSpec) {
		spec.Recipients, spec.Workload = v1alpha1.RecipientsPermits, nil
	})
	s.existing("spring")
	if o := s.observe(); o.Releasable() || len(o.Unsafe()) != 1 {
		t.Errorf("releasable %v, unsafe %v", o.Releasable(), o.Unsafe())
	}
	job := s.legacyJob("able")
	job.Labels[v1alpha1.LabelRecipients] = string(v1alpha1.RecipientsPermits)
	job.Spec.Template.Spec.Containers[0].Command = []string{"/send"}
	s.until("admission puts the helper in", func(ctx context.Context) (bool, error) {
		made := job.DeepCopy()
		err := env.Client.Create(ctx, made, client.DryRunAll)
		return len(made.Spec.Template.Spec.InitContainers) > 0, err
	})
	s.create(env.Client, job)
	for _, run := range s.observe().Runs {
		if run.Name == "able" && run.Unsafe != "" {
			t.Errorf("a Job that draws permits: %s", run.Unsafe)
		}
	}
}

func TestCronJobsDrawPermitsToo(t *testing.T) {
	s := newScene(t, func(spec *v1alpha1.CampaignSpec) {
		permits(spec)
		everyMinute(spec)
	})
	s.ensure()
	pod := s.cronJob("spring").Spec.JobTemplate.Spec.Template.Spec
	if !slices.Equal(pod.Containers[0].Command[:2], []string{"/codb/codb-run", "--"}) {
		t.Errorf("command %v", pod.Containers[0].Command)
	}
	if o := s.observe(); len(o.Unsafe()) > 0 {
		t.Errorf("unsafe: %v", o.Unsafe())
	}
}
