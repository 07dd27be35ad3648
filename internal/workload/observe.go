package workload

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// Observe says what the campaign's workloads do: the Jobs and CronJobs of its
// namespace that carry its label.
func (k *Keeper) Observe(ctx context.Context, c *v1alpha1.Campaign) (Observation, error) {
	mine := []client.ListOption{client.InNamespace(c.Namespace), client.MatchingLabels(labels(c))}
	var crons batchv1.CronJobList
	if err := k.Client.List(ctx, &crons, mine...); err != nil {
		return Observation{}, fmt.Errorf("list the campaign's CronJobs: %w", err)
	}
	var jobs batchv1.JobList
	if err := k.Client.List(ctx, &jobs, mine...); err != nil {
		return Observation{}, fmt.Errorf("list the campaign's Jobs: %w", err)
	}
	alive, err := k.alive(ctx, c.Namespace, jobs.Items)
	if err != nil {
		return Observation{}, err
	}

	var o Observation
	for i := range crons.Items {
		o.Crons = append(o.Crons, k.cronOf(c, &crons.Items[i]))
	}
	slices.SortFunc(o.Crons, func(a, b Cron) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(jobs.Items, byAge)
	for i := range jobs.Items {
		run := k.runOf(c, &jobs.Items[i], o.Crons, alive[jobs.Items[i].UID])
		run.Resumes = c.Spec.DrawsPermits() && !queued(&jobs.Items[i].ObjectMeta) // what Kueue started it starts once
		o.Runs = append(o.Runs, run)
	}
	overtake(o.Runs)
	o.State = sum(o)
	for _, cron := range o.Crons {
		if cron.Warning != "" {
			o.Warnings = append(o.Warnings, fmt.Sprintf("CronJob %s: %s", cron.Name, cron.Warning))
		}
	}
	return o, nil
}

func byAge(a, b batchv1.Job) int {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
}

// overtake marks Jobs that wait for a release while their CronJob has made a
// later one: a tick that was missed is not made up for, or the end of a hold
// would send as many times as the hold had ticks.
func overtake(runs []Run) {
	newest := map[types.UID]int{}
	for i := range runs {
		if runs[i].cron != "" {
			newest[runs[i].cron] = i
		}
	}
	for i := range runs {
		if last, ok := newest[runs[i].cron]; ok && i != last && runs[i].releasable() {
			runs[i].Outdated = overtaken
		}
	}
}

const overtaken = "its CronJob has made a later Job meanwhile"

// sum is one word for all: what can reach people comes first. What is finished
// and outdated says nothing about the campaign as it is now.
func sum(o Observation) v1alpha1.WorkloadState {
	has := map[v1alpha1.WorkloadState]bool{}
	for _, cron := range o.Crons {
		if cron.Suspended {
			has[v1alpha1.WorkloadSuspended] = true
		} else {
			has[v1alpha1.WorkloadRunning] = true
		}
	}
	for _, run := range o.Runs {
		moving := run.State == v1alpha1.WorkloadRunning || run.State == v1alpha1.WorkloadStopping || run.State == v1alpha1.WorkloadQueued
		if moving || run.Outdated == "" {
			has[run.State] = true
		}
	}
	for _, s := range []v1alpha1.WorkloadState{
		v1alpha1.WorkloadRunning, v1alpha1.WorkloadQueued, v1alpha1.WorkloadStopping, v1alpha1.WorkloadSuspended,
		v1alpha1.WorkloadFailed, v1alpha1.WorkloadComplete,
	} {
		if has[s] {
			return s
		}
	}
	return v1alpha1.WorkloadNone
}

// evidence says whether an object carries any part of a release.
func evidence(annotations map[string]string) bool {
	for _, key := range []string{v1alpha1.AnnotationDecision, v1alpha1.AnnotationPolicyDigest, v1alpha1.AnnotationConsentRevision} {
		if _, ok := annotations[key]; ok {
			return true
		}
	}
	return false
}

// outdated says that codb made something from a spec that is no longer the
// campaign's.
func outdated(c *v1alpha1.Campaign, made bool, annotations map[string]string) string {
	if made && annotations[v1alpha1.AnnotationRun] != RunHash(&c.Spec) {
		return "it was made from an older spec of the campaign"
	}
	return ""
}
