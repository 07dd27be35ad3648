package workload_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/workload"
)

func everyMinute(spec *v1alpha1.CampaignSpec) {
	spec.Workload = &v1alpha1.Workload{CronJob: sender()}
	spec.Schedule = &v1alpha1.Schedule{Cron: "* * * * *"}
}

// tick lets the CronJob controller believe that it missed a minute, so that it
// makes the Job at once.
func (s *scene) tick(name string) {
	s.Helper()
	j := s.cronJob(name)
	before := j.DeepCopy()
	j.Status.LastScheduleTime = ptr.To(metav1.NewTime(time.Now().Add(-2 * time.Minute)))
	if err := s.as(cronController).Status().Patch(s.Context(), j, client.MergeFrom(before)); err != nil {
		s.Fatal(err)
	}
	s.until("the CronJob made a Job", func(context.Context) (bool, error) { return len(s.observe().Runs) > 0, nil })
}

func TestACronJobMakesHeldJobsThatAreReleasedOneByOne(t *testing.T) {
	s := newScene(t, everyMinute)
	s.ensure()
	born := s.cronJob("spring")
	got := map[string]any{
		"suspend": *born.Spec.Suspend, "child": *born.Spec.JobTemplate.Spec.Suspend, "policy": born.Spec.ConcurrencyPolicy,
		"zone": *born.Spec.TimeZone, "late": *born.Spec.StartingDeadlineSeconds,
		"label": born.Spec.JobTemplate.Labels[v1alpha1.LabelCampaign], "ttl": born.Spec.JobTemplate.Spec.TTLSecondsAfterFinished,
	}
	want := map[string]any{
		"suspend": true, "child": true, "policy": batchv1.ForbidConcurrent,
		"zone": "Etc/UTC", "late": int64(300), "label": "spring", "ttl": (*int32)(nil),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the CronJob (-want +got):\n%s", diff)
	}
	s.silent("a second look", func() {
		s.ensure()
		s.hold(v1alpha1.OnWithdrawalSuspend)
	})

	if names := s.release(); names != nil {
		t.Errorf("released Jobs %v, but there are none yet", names)
	}
	if o := s.observe(); o.State != v1alpha1.WorkloadRunning || !o.Crons[0].Released || o.Warnings != nil {
		t.Errorf("after the release: %+v, want Running and no warning", o)
	}
	s.tick("spring")
	child := s.observe().Runs[0]
	s.settled(child.Name)
	if child.Released || !child.Suspended || len(s.pods()) != 0 {
		t.Fatalf("the CronJob's Job: %+v with %d pods, want it held", child, len(s.pods()))
	}
	if diff := cmp.Diff([]string{child.Name}, s.release()); diff != "" {
		t.Errorf("released (-want +got):\n%s", diff)
	}
	pod := s.podStarts()

	s.hold(v1alpha1.OnWithdrawalSuspend)
	if !*s.cronJob("spring").Spec.Suspend || !*s.job(child.Name).Spec.Suspend {
		t.Error("a hold must stop the CronJob and its Job")
	}
	s.podEnds(pod)
	s.untilState(v1alpha1.WorkloadSuspended)
	if names := s.release(); names != nil {
		t.Errorf("released a second time: %v", names)
	}
	let := s.cronJob("spring")
	if _, ok := let.Annotations[v1alpha1.AnnotationStopped]; ok || *let.Spec.Suspend {
		t.Errorf("after the second release: suspend %t, annotations %v", *let.Spec.Suspend, let.Annotations)
	}
}

func TestANewSpecReplacesTheCronJob(t *testing.T) {
	s := newScene(t, everyMinute)
	s.ensure()
	first := s.cronJob("spring").UID
	s.release()
	s.tick("spring")
	s.change(func(spec *v1alpha1.CampaignSpec) { spec.Topic = "Garden" })
	if o := s.observe(); o.Releasable() {
		t.Errorf("a Job of an older spec could be released: %+v", o)
	}
	if names := s.release(); names != nil {
		t.Errorf("released %v, of an older spec", names)
	}
	s.until("the CronJob gave way, and its Job with it", func(context.Context) (bool, error) {
		s.ensure()
		o := s.observe()
		return len(o.Crons) == 1 && o.Crons[0].UID != first && o.Crons[0].Suspended && len(o.Runs) == 0, nil
	})
}

func TestAllowPilesUpNoFurther(t *testing.T) {
	s := newScene(t, func(spec *v1alpha1.CampaignSpec) { spec.Workload = nil })
	label := map[string]string{v1alpha1.LabelCampaign: "spring"}
	weekly := &batchv1.CronJob{
		ObjectMeta: metav1.ObjectMeta{Name: "weekly", Namespace: s.campaign.Namespace, Labels: label},
		Spec: batchv1.CronJobSpec{
			Schedule: "0 9 * * 1", Suspend: ptr.To(true),
			JobTemplate: batchv1.JobTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: label},
				Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{
					ObjectMeta: metav1.ObjectMeta{Labels: label}, Spec: legacyPod(),
				}},
			},
		},
	}
	if err := env.Client.Create(t.Context(), weekly); err != nil {
		t.Fatal(err)
	}
	// What the ticks of six weeks leave behind while codb is down.
	for week := range 6 {
		j := s.legacyJob(fmt.Sprintf("weekly-%d", week))
		j.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(weekly, batchv1.SchemeGroupVersion.WithKind("CronJob"))}
		s.create(s.as(cronController), j)
	}
	if o := s.observe(); len(o.Warnings) != 1 {
		t.Errorf("warnings: %q, want one about Allow", o.Warnings)
	}
	s.until("the pile is trimmed", func(context.Context) (bool, error) {
		s.hold(v1alpha1.OnWithdrawalSuspend)
		return len(s.observe().Runs) == workload.MaxHeld, nil
	})
	if diff := cmp.Diff([]string{"weekly-5"}, s.release()); diff != "" {
		t.Errorf("released (-want +got):\n%s", diff)
	}
	if names := s.release(); names != nil {
		t.Errorf("released %v: a tick that was missed is not made up for", names)
	}
	if got := len(s.observe().Runs); got != workload.MaxHeld {
		t.Errorf("%d Jobs are left, want %d", got, workload.MaxHeld)
	}
}

func TestBadCronJobsAreRefused(t *testing.T) {
	tests := map[string]func(*v1alpha1.Campaign){
		"NoSchedule":           func(c *v1alpha1.Campaign) { c.Spec.Schedule = nil },
		"NoCronExpression":     func(c *v1alpha1.Campaign) { c.Spec.Schedule.Cron = "every day" },
		"AZoneInTheExpression": func(c *v1alpha1.Campaign) { c.Spec.Schedule.Cron = "TZ=UTC 0 9 * * 1" },
		"AZoneThatIsNone":      func(c *v1alpha1.Campaign) { c.Spec.Schedule.TimeZone = "Europe/Atlantis" },
		"NumberedPodsWithALongName": func(c *v1alpha1.Campaign) {
			c.Name = "a-name-of-fifty-two-characters-is-the-longest-one-ok"
			c.Spec.Workload.CronJob.Completions = ptr.To[int32](10)
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, everyMinute)
			change(s.campaign) // past the CRD's own validation, which has its own tests
			if err := s.keeper.Ensure(t.Context(), s.campaign); !errors.Is(err, workload.ErrRefused) {
				t.Errorf("Ensure: %v, want ErrRefused", err)
			}
			var made batchv1.CronJobList
			if err := env.Client.List(t.Context(), &made, client.InNamespace(s.campaign.Namespace)); err != nil || len(made.Items) != 0 {
				t.Errorf("made %d CronJobs, %v", len(made.Items), err)
			}
		})
	}
}
