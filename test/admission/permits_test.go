package admission_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	consentv1 "github.com/codb-dev/codb/api/v1alpha1"
)

// withPermits says that a Job's people come from the gate.
func withPermits(j *batchv1.Job) {
	j.Labels[consentv1.LabelRecipients] = string(consentv1.RecipientsPermits)
	j.Spec.Template.Spec.Containers[0].Command = []string{"/mailer"}
	j.Spec.Template.Spec.Containers[0].Args = []string{"--template=spring"}
}

func TestJobsThatDrawPermitsNeedACommandAndNoOtherToken(t *testing.T) {
	ns := env.EnforcedNamespace(t)
	token := func(audience string) attempt {
		return create(job(ns, "new", func(j *batchv1.Job) {
			j.Spec.Template.Spec.Volumes = []corev1.Volume{{Name: "t", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
				Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: audience, Path: "token"}}},
			}}}}
		}))
	}
	runTrials(t, map[string]trial{
		"TokenForTheGate":       {root, token("codb-gate"), "", ""},
		"TokenForTheApiserver":  {root, token(""), "templates", "spec.template.spec.volumes: a token for anything but the audience codb-gate would let a campaign act as somebody else"},
		"TokenForSomethingElse": {root, token("vault"), "templates", "a token for anything but the audience codb-gate"},
		"WithACommand":          {root, create(job(ns, "new", withPermits)), "", ""},
		"WithoutACommand": {root, create(job(ns, "new", withPermits, func(j *batchv1.Job) {
			j.Spec.Template.Spec.Containers[0].Command = nil
		})), "templates", "spec.template.spec.containers[0].command: codb-run is put in front of the sender, so its command must be said"},
	})
}

// made is what the apiserver makes of a Job in a dry run.
func made(t *testing.T, j *batchv1.Job) corev1.PodSpec {
	t.Helper()
	j = j.DeepCopy()
	if err := root.client(t).Create(t.Context(), j, client.DryRunAll); err != nil {
		t.Fatal(err)
	}
	return j.Spec.Template.Spec
}

// injected waits until the policy's parameters have come by in the apiserver.
func injected(t *testing.T, j *batchv1.Job) corev1.PodSpec {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		pod := made(t, j)
		if len(pod.InitContainers) > 0 {
			return pod
		}
		if time.Now().After(deadline) {
			t.Fatal("codb-run is not put in front of the sender")
		}
		<-time.After(50 * time.Millisecond)
	}
}

func TestCodbRunIsPutInFrontOfTheSender(t *testing.T) {
	ns := env.EnforcedNamespace(t)
	full := func(j *batchv1.Job) {
		withPermits(j)
		p := &j.Spec.Template.Spec
		p.InitContainers = []corev1.Container{{Name: "first", Image: "example.com/first"}}
		p.Volumes = []corev1.Volume{{Name: "work", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
		p.Containers[0].Env = []corev1.EnvVar{{Name: "TEMPLATE", Value: "spring"}}
		p.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "work", MountPath: "/work"}}
		p.Containers = append(p.Containers, corev1.Container{Name: "beside", Image: "example.com/beside", Command: []string{"/beside"}})
	}
	for name, tc := range map[string]struct {
		job                   *batchv1.Job
		inits, volumes, names []string
		mounts                []string
	}{
		"Plain": {
			job(ns, "new", withPermits), []string{"codb-run"}, []string{"codb-run", "codb-gate"},
			[]string{"CODB_GATE", "CODB_GATE_CA", "CODB_GATE_TOKEN"}, []string{"/codb", "/var/run/codb"},
		},
		"BesideWhatIsThere": {
			job(ns, "new", full), []string{"codb-run", "first"}, []string{"work", "codb-run", "codb-gate"},
			[]string{"TEMPLATE", "CODB_GATE", "CODB_GATE_CA", "CODB_GATE_TOKEN"}, []string{"/work", "/codb", "/var/run/codb"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			pod := injected(t, tc.job)
			sender := pod.Containers[0]
			if diff := cmp.Diff([]string{"/codb/codb-run", "--", "/mailer"}, sender.Command); diff != "" {
				t.Errorf("command (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{"--template=spring"}, sender.Args); diff != "" {
				t.Errorf("args (-want +got):\n%s", diff)
			}
			inits := names(pod.InitContainers, func(c corev1.Container) string { return c.Name })
			volumes := names(pod.Volumes, func(v corev1.Volume) string { return v.Name })
			variables := names(sender.Env, func(e corev1.EnvVar) string { return e.Name })
			mounts := names(sender.VolumeMounts, func(m corev1.VolumeMount) string { return m.MountPath })
			if diff := cmp.Diff([][]string{tc.inits, tc.volumes, tc.names, tc.mounts}, [][]string{inits, volumes, variables, mounts}); diff != "" {
				t.Errorf("init containers, volumes, variables, mounts (-want +got):\n%s", diff)
			}
			for _, other := range pod.Containers[1:] {
				if other.Command[0] != "/beside" || len(other.VolumeMounts) > 0 {
					t.Errorf("container %s was changed: %v, %v", other.Name, other.Command, other.VolumeMounts)
				}
			}
			if ptr.Deref(pod.AutomountServiceAccountToken, true) {
				t.Error("the pod gets a token for the apiserver too")
			}
			gate := pod.Volumes[slices.Index(volumes, "codb-gate")].Projected.Sources
			if len(gate) != 2 || gate[0].ServiceAccountToken.Audience != "codb-gate" || gate[1].ConfigMap.Name != "codb-gate" {
				t.Errorf("what the pod gets of the gate: %+v", gate)
			}
			again := tc.job.DeepCopy()
			again.Spec.Template.Spec = pod
			if diff := cmp.Diff(pod, made(t, again)); diff != "" {
				t.Errorf("a Job that has it all is changed (-is +becomes):\n%s", diff)
			}
		})
	}
}

func names[T any](list []T, name func(T) string) []string {
	var out []string
	for _, e := range list {
		out = append(out, name(e))
	}
	return out
}

func TestJobsWithoutPermitsAreLeftAlone(t *testing.T) {
	ns := env.EnforcedNamespace(t)
	injected(t, job(ns, "new", withPermits)) // the policy is in force
	pod := made(t, job(ns, "new", withPermits, func(j *batchv1.Job) { delete(j.Labels, consentv1.LabelRecipients) }))
	if len(pod.InitContainers)+len(pod.Volumes) > 0 || pod.Containers[0].Command[0] != "/mailer" {
		t.Errorf("got %+v", pod)
	}
}

// A CronJob that is applied again names its own command, and so takes codb-run
// away from it.
func TestCodbRunComesBackWhenACronJobIsAppliedAgain(t *testing.T) {
	ns := env.EnforcedNamespace(t)
	injected(t, job(ns, "new", withPermits))
	template := job(ns, "new", withPermits)
	cron := cronJob(ns, "weekly", func(j *batchv1.CronJob) {
		j.Labels[consentv1.LabelRecipients] = string(consentv1.RecipientsPermits)
		j.Spec.JobTemplate.Spec.Template.Spec = template.Spec.Template.Spec
	})
	store(t, root, cron)
	sender := func() corev1.Container { return cron.Spec.JobTemplate.Spec.Template.Spec.Containers[0] }
	if got := sender().Command; !slices.Equal(got, []string{"/codb/codb-run", "--", "/mailer"}) {
		t.Fatalf("command %q", got)
	}
	cron.Spec.JobTemplate.Spec.Template.Spec.Containers[0].Command = []string{"/mailer", "-v"}
	cron.Spec.JobTemplate.Spec.Template.Spec.Containers[0].Env = nil
	cron.ResourceVersion = "" // as a tool that keeps manifests would
	if err := root.client(t).Update(t.Context(), cron); err != nil {
		t.Fatal(err)
	}
	if got := sender().Command; !slices.Equal(got, []string{"/codb/codb-run", "--", "/mailer", "-v"}) || len(sender().Env) != 3 {
		t.Errorf("command %q, %d variables", got, len(sender().Env))
	}
}
