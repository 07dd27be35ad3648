package workload

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/codb-dev/codb/api/v1alpha1"
)

var noon = metav1.NewTime(time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC))

func TestJobState(t *testing.T) {
	held := func(status batchv1.JobStatus) batchv1.Job {
		return batchv1.Job{Spec: batchv1.JobSpec{Suspend: ptr.To(true)}, Status: status}
	}
	conditions := func(of ...batchv1.JobConditionType) []batchv1.JobCondition {
		var out []batchv1.JobCondition
		for _, t := range of {
			out = append(out, batchv1.JobCondition{Type: t, Status: corev1.ConditionTrue})
		}
		return out
	}
	tests := map[string]struct {
		job   batchv1.Job
		alive bool
		want  v1alpha1.WorkloadState
	}{
		"BornSuspended":                   {job: held(batchv1.JobStatus{}), want: v1alpha1.WorkloadSuspended},
		"SuspendedAndTheControllerSaysSo": {job: held(batchv1.JobStatus{Conditions: conditions(batchv1.JobSuspended)}), want: v1alpha1.WorkloadSuspended},
		"NotSuspendedWithoutPodsYetRuns":  {job: batchv1.Job{}, want: v1alpha1.WorkloadRunning},
		"SuspendedWithActivePodsStops":    {job: held(batchv1.JobStatus{Active: 1, StartTime: &noon}), want: v1alpha1.WorkloadStopping},
		"SuspendedWithTerminatingPodsStops": {
			job:  held(batchv1.JobStatus{Terminating: ptr.To[int32](1), Conditions: conditions(batchv1.JobSuspended)}),
			want: v1alpha1.WorkloadStopping,
		},
		"SuspendedBeforeTheControllerLookedStops": {job: held(batchv1.JobStatus{StartTime: &noon}), want: v1alpha1.WorkloadStopping},
		"SuspendedWithAPodThatTheStatusMissesStops": {
			job: held(batchv1.JobStatus{Conditions: conditions(batchv1.JobSuspended)}), alive: true, want: v1alpha1.WorkloadStopping,
		},
		"SuccessIsKnownButPodsEnd":   {job: batchv1.Job{Status: batchv1.JobStatus{Conditions: conditions(batchv1.JobSuccessCriteriaMet)}}, want: v1alpha1.WorkloadStopping},
		"FailureIsKnownButPodsEnd":   {job: batchv1.Job{Status: batchv1.JobStatus{Conditions: conditions(batchv1.JobFailureTarget)}}, want: v1alpha1.WorkloadStopping},
		"CompleteBeatsItsInterim":    {job: batchv1.Job{Status: batchv1.JobStatus{Conditions: conditions(batchv1.JobSuccessCriteriaMet, batchv1.JobComplete)}}, want: v1alpha1.WorkloadComplete},
		"FailedBeatsItsInterim":      {job: batchv1.Job{Status: batchv1.JobStatus{Conditions: conditions(batchv1.JobFailureTarget, batchv1.JobFailed)}}, want: v1alpha1.WorkloadFailed},
		"CompleteAndSuspendedIsDone": {job: held(batchv1.JobStatus{Conditions: conditions(batchv1.JobComplete)}), want: v1alpha1.WorkloadComplete},
		"AConditionThatIsFalseIsNot": {
			job:  batchv1.Job{Status: batchv1.JobStatus{Conditions: []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionFalse}}}},
			want: v1alpha1.WorkloadRunning,
		},
		"BeingDeletedStops": {job: batchv1.Job{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &noon}}, want: v1alpha1.WorkloadStopping},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := jobState(&tc.job, tc.alive); got != tc.want {
				t.Errorf("jobState: %s, want %s", got, tc.want)
			}
		})
	}
}

func TestSum(t *testing.T) {
	run := func(s v1alpha1.WorkloadState) Run { return Run{State: s} }
	old := func(s v1alpha1.WorkloadState) Run { return Run{State: s, Outdated: overtaken} }
	tests := map[string]struct {
		o    Observation
		want v1alpha1.WorkloadState
	}{
		"NothingIsNone":                  {want: v1alpha1.WorkloadNone},
		"OneThatRunsMakesAllRun":         {o: Observation{Runs: []Run{run("Suspended"), run("Stopping"), run("Running"), run("Failed")}}, want: "Running"},
		"StoppingComesBeforeSuspended":   {o: Observation{Runs: []Run{run("Suspended"), run("Stopping")}}, want: "Stopping"},
		"WaitingComesBeforeDone":         {o: Observation{Runs: []Run{run("Complete"), run("Suspended")}}, want: "Suspended"},
		"OneFailureMakesAllFail":         {o: Observation{Runs: []Run{run("Complete"), run("Failed")}}, want: "Failed"},
		"ALetCronJobRuns":                {o: Observation{Crons: []Cron{{}}, Runs: []Run{run("Complete")}}, want: "Running"},
		"AHeldCronJobIsSuspended":        {o: Observation{Crons: []Cron{{Suspended: true}}, Runs: []Run{run("Complete")}}, want: "Suspended"},
		"WhatIsOvertakenDoesNotCount":    {o: Observation{Runs: []Run{old("Suspended"), run("Complete")}}, want: "Complete"},
		"WhatIsOutdatedButRunsDoesCount": {o: Observation{Runs: []Run{old("Stopping"), run("Complete")}}, want: "Stopping"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := sum(tc.o); got != tc.want {
				t.Errorf("sum: %s, want %s", got, tc.want)
			}
		})
	}
}

func TestRunHashTellsRunsApart(t *testing.T) {
	base := campaign("spring")
	tests := map[string]struct {
		change func(*v1alpha1.CampaignSpec)
		same   bool
	}{
		"AHoldIsNoNewRun":         {change: func(s *v1alpha1.CampaignSpec) { s.Hold = &v1alpha1.HoldRequest{Reason: "recall"} }, same: true},
		"OnWithdrawalIsNoNewRun":  {change: func(s *v1alpha1.CampaignSpec) { s.OnWithdrawal = v1alpha1.OnWithdrawalFinish }, same: true},
		"APaceIsNoNewRun":         {change: func(s *v1alpha1.CampaignSpec) { s.Pace = &v1alpha1.Pace{PerMinute: 60} }, same: true},
		"APriorityIsNoNewRun":     {change: func(s *v1alpha1.CampaignSpec) { s.Priority = 10 }, same: true},
		"OwnListIsTheDefault":     {change: func(s *v1alpha1.CampaignSpec) { s.Recipients = v1alpha1.RecipientsOwnList }, same: true},
		"PermitsAreANewRun":       {change: func(s *v1alpha1.CampaignSpec) { s.Recipients = v1alpha1.RecipientsPermits }},
		"AnotherTopicIsANewRun":   {change: func(s *v1alpha1.CampaignSpec) { s.Topic = "Garden" }},
		"AnotherImageIsANewRun":   {change: func(s *v1alpha1.CampaignSpec) { s.Workload.Job.Image = "example.com/mailer:2" }},
		"AnotherHoldoutIsANewRun": {change: func(s *v1alpha1.CampaignSpec) { s.Holdout = &v1alpha1.Holdout{Percent: 5} }},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			spec := base.Spec.DeepCopy()
			tc.change(spec)
			if got := RunHash(spec) == RunHash(&base.Spec); got != tc.same {
				t.Errorf("same run: %t, want %t", got, tc.same)
			}
		})
	}
	if h := RunHash(&base.Spec); !strings.HasPrefix(h, "sha256:") || len(h) != 71 {
		t.Errorf("RunHash: %q is no digest", h)
	}
}

// campaign is a campaign with a Job of its own.
func campaign(name string) *v1alpha1.Campaign {
	return &v1alpha1.Campaign{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "acme", UID: "campaign-uid", Generation: 1},
		Spec: v1alpha1.CampaignSpec{
			Brand: "acme", Purpose: "DirectMarketing", Channel: v1alpha1.ChannelEmail, Depth: v1alpha1.DepthBasic, Owner: "crm-team",
			Audience: v1alpha1.Audience{Everyone: &v1alpha1.Everyone{}},
			Workload: &v1alpha1.Workload{Job: &v1alpha1.JobTemplate{Image: "example.com/mailer:1", Command: []string{"/send"}}},
		},
	}
}

func TestUnsafeJobs(t *testing.T) {
	label := map[string]string{v1alpha1.LabelCampaign: "spring"}
	owner := func(kind, api, name string, uid types.UID) []metav1.OwnerReference {
		return []metav1.OwnerReference{{APIVersion: api, Kind: kind, Name: name, UID: uid, Controller: ptr.To(true)}}
	}
	tests := map[string]struct {
		kueue    bool
		own      bool // the campaign has spec.workload
		crons    []Cron
		change   func(*batchv1.Job)
		unsafe   string // part of it
		outdated string
	}{
		"ALabelledSuspendedJobIsFine": {change: func(*batchv1.Job) {}},
		"OneThatRunsWithoutEvidence":  {change: func(j *batchv1.Job) { j.Spec.Suspend = nil }, unsafe: "runs without having been released"},
		"OneThatRanWithoutEvidence": {
			change: func(j *batchv1.Job) { j.Annotations = map[string]string{v1alpha1.AnnotationStopped: "held"} },
			unsafe: "may have contacted people",
		},
		"OneThatWasReleasedAndStoppedIsFine": {change: func(j *batchv1.Job) {
			j.Annotations = map[string]string{v1alpha1.AnnotationStopped: "held", v1alpha1.AnnotationDecision: "d"}
		}},
		"OneOfAnotherJobController":     {change: func(j *batchv1.Job) { j.Spec.ManagedBy = ptr.To("example.com/other") }, unsafe: "example.com/other"},
		"OneThatNamesTheUsualOneIsFine": {change: func(j *batchv1.Job) { j.Spec.ManagedBy = ptr.To(batchv1.JobControllerName) }},
		"OneForAnUnknownKueue":          {change: func(j *batchv1.Job) { j.Labels[labelQueue] = "q" }, unsafe: "--kueue-user"},
		"OneThatKueueStartsUngated":     {kueue: true, change: func(j *batchv1.Job) { j.Labels[labelQueue] = "q" }, unsafe: "without consent.codb.dev/codb"},
		"OneThatKueueStartsIsFine": {kueue: true, change: func(j *batchv1.Job) {
			j.Labels[labelQueue], j.Annotations = "q", map[string]string{annotationGates: "acme.example/budget, " + v1alpha1.QueueGate}
		}},
		"OneOfAForeignOwner": {
			change: func(j *batchv1.Job) {
				j.OwnerReferences = owner("JobSet", "jobset.x-k8s.io/v1alpha2", "batch", "u")
			},
			unsafe: "JobSet batch",
		},
		"OneThatSaysTheCampaignMadeItThoughItMakesNone": {
			change: func(j *batchv1.Job) {
				j.OwnerReferences = owner("Campaign", v1alpha1.SchemeGroupVersion.String(), "spring", "campaign-uid")
			},
			unsafe: "belongs to Campaign spring",
		},
		"OneThatSaysSoUnderAnotherName": {
			own: true,
			change: func(j *batchv1.Job) {
				j.OwnerReferences = owner("Campaign", v1alpha1.SchemeGroupVersion.String(), "spring", "campaign-uid")
			},
			unsafe: "belongs to Campaign spring",
		},
		"AnExtraOneOfACampaignThatMakesItsOwn": {own: true, change: func(*batchv1.Job) {}, unsafe: "makes its own workload"},
		"OneOfACronJobIsFine": {
			crons:  []Cron{{Name: "weekly", UID: "cron"}},
			change: func(j *batchv1.Job) { j.OwnerReferences = owner("CronJob", "batch/v1", "weekly", "cron") },
		},
		"OneOfAnUnsafeCronJob": {
			crons:  []Cron{{Name: "weekly", UID: "cron", Unsafe: "because"}},
			change: func(j *batchv1.Job) { j.OwnerReferences = owner("CronJob", "batch/v1", "weekly", "cron") },
			unsafe: "CronJob weekly: because",
		},
		"OneOfAnUnknownCronJobWaits": {
			change:   func(j *batchv1.Job) { j.OwnerReferences = owner("CronJob", "batch/v1", "weekly", "cron") },
			outdated: "no CronJob weekly",
		},
		"OneThatHasEndedIsFine": {
			own: true,
			change: func(j *batchv1.Job) {
				j.Spec.Suspend = nil
				j.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := campaign("spring")
			if !tc.own {
				c.Spec.Workload = nil
			}
			j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "mail", Labels: map[string]string{}}, Spec: batchv1.JobSpec{Suspend: ptr.To(true)}}
			for k, v := range label {
				j.Labels[k] = v
			}
			tc.change(j)
			r := (&Keeper{Kueue: tc.kueue}).runOf(c, j, tc.crons, false)
			if (r.Unsafe == "") != (tc.unsafe == "") || !strings.Contains(r.Unsafe, tc.unsafe) {
				t.Errorf("Unsafe: %q, want %q in it", r.Unsafe, tc.unsafe)
			}
			if (r.Outdated == "") != (tc.outdated == "") || !strings.Contains(r.Outdated, tc.outdated) {
				t.Errorf("Outdated: %q, want %q in it", r.Outdated, tc.outdated)
			}
			if unfit := tc.unsafe != "" || tc.outdated != ""; unfit && r.releasable() {
				t.Error("it would be released")
			}
		})
	}
}

func TestUnsafeCronJobs(t *testing.T) {
	tests := map[string]struct {
		own     bool
		change  func(*batchv1.CronJob)
		unsafe  string
		warning string
	}{
		"ALabelledOneIsFine":         {change: func(*batchv1.CronJob) {}},
		"OneWhoseJobsAreNotLabelled": {change: func(j *batchv1.CronJob) { j.Spec.JobTemplate.Labels = nil }, unsafe: "would not be the campaign's"},
		"OneWhoseJobsLookReleased": {change: func(j *batchv1.CronJob) {
			j.Spec.JobTemplate.Annotations = map[string]string{v1alpha1.AnnotationDecision: "x"}
		}, unsafe: "look released"},
		"OneWhoseJobsAreManagedByOther": {change: func(j *batchv1.CronJob) { j.Spec.JobTemplate.Spec.ManagedBy = ptr.To("example.com/other") }, unsafe: "managedBy"},
		"OneWhoseJobsKueueStarts":       {change: func(j *batchv1.CronJob) { j.Spec.JobTemplate.Labels[labelQueue] = "q" }, unsafe: "--kueue-user"},
		"AnExtraOneOfACampaignThatMakesItsOwn": {
			own: true, change: func(*batchv1.CronJob) {}, unsafe: "makes its own workload",
		},
		"AllowPilesUp": {change: func(j *batchv1.CronJob) { j.Spec.ConcurrencyPolicy = batchv1.AllowConcurrent }, warning: "use Forbid"},
		"UnsetIsAllow": {change: func(j *batchv1.CronJob) { j.Spec.ConcurrencyPolicy = "" }, warning: "use Forbid"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := campaign("spring")
			if !tc.own {
				c.Spec.Workload = nil
			}
			j := &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Name: "weekly"}}
			j.Spec.ConcurrencyPolicy = batchv1.ForbidConcurrent
			j.Spec.JobTemplate.Labels = map[string]string{v1alpha1.LabelCampaign: "spring"}
			tc.change(j)
			cron := (&Keeper{}).cronOf(c, j)
			if (cron.Unsafe == "") != (tc.unsafe == "") || !strings.Contains(cron.Unsafe, tc.unsafe) {
				t.Errorf("Unsafe: %q, want %q in it", cron.Unsafe, tc.unsafe)
			}
			if (cron.Warning == "") != (tc.warning == "") || !strings.Contains(cron.Warning, tc.warning) {
				t.Errorf("Warning: %q, want %q in it", cron.Warning, tc.warning)
			}
		})
	}
}

// Overtaken Jobs stay held; the newest of each CronJob is the one to release.
func TestOvertake(t *testing.T) {
	waiting := func(name string, cron types.UID) Run {
		return Run{Name: name, State: v1alpha1.WorkloadSuspended, Suspended: true, cron: cron}
	}
	runs := []Run{waiting("a-1", "a"), waiting("b-1", "b"), waiting("a-2", "a"), waiting("single", ""), waiting("other", "")}
	overtake(runs)
	got := map[string]bool{}
	for i := range runs {
		got[runs[i].Name] = runs[i].releasable()
	}
	want := map[string]bool{"a-1": false, "a-2": true, "b-1": true, "single": true, "other": true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("releasable (-want +got):\n%s", diff)
	}
}
