package workload

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apilabels "k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// runOf says what one Job of the campaign does. alive says that a pod of it
// has not ended, whatever the Job's status says.
func (k *Keeper) runOf(c *v1alpha1.Campaign, j *batchv1.Job, crons []Cron, alive bool) Run {
	_, stopped := j.Annotations[v1alpha1.AnnotationStopped]
	_, start := j.Annotations[v1alpha1.AnnotationStart]
	r := Run{
		Kind:      "Job",
		Name:      j.Name,
		UID:       j.UID,
		State:     jobState(j, alive),
		Released:  evidence(j.Annotations),
		Suspended: ptr.Deref(j.Spec.Suspend, false) && !waits(j),
		version:   j.ResourceVersion,
		owned:     owns(c, j),
		stopped:   stopped,
		start:     start,
	}
	if queued(&j.ObjectMeta) {
		r.ungate = ungate(j)
	}
	if r.State == v1alpha1.WorkloadComplete || r.State == v1alpha1.WorkloadFailed {
		r.Outdated = outdated(c, r.owned, j.Annotations)
		return r // what has ended can't be unsafe
	}
	r.Unsafe = k.unsafeJob(j, r)
	if r.Unsafe == "" && c.Spec.DrawsPermits() && !getsToken(&j.Spec.Template.Spec) {
		r.Unsafe = noToken
	}
	r.Outdated = outdated(c, r.owned, j.Annotations)

	owner := metav1.GetControllerOf(j)
	switch {
	case r.owned:
	case owner == nil:
		if c.Spec.Workload != nil {
			r.Unsafe = makesItsOwn
		}
	case owner.Kind == "CronJob" && owner.APIVersion == batchv1.SchemeGroupVersion.String():
		child(&r, c, j, owner, crons)
	default:
		r.Unsafe = fmt.Sprintf("it belongs to %s %s, which may start it", owner.Kind, owner.Name)
	}
	return r
}

// owns says that codb made an object for the campaign. One that only says so,
// under another name or where the campaign makes none, belongs to an owner
// that may start it, as any foreign one.
func owns(c *v1alpha1.Campaign, obj metav1.Object) bool {
	return c.Spec.Workload != nil && obj.GetName() == c.Name && metav1.IsControlledBy(obj, c)
}

// makesItsOwn is about a labelled workload of a campaign with spec.workload.
const makesItsOwn = "the campaign makes its own workload (spec.workload): take this one away, or make a Campaign without workload for it"

// child completes what is known of a Job that a CronJob made.
func child(r *Run, c *v1alpha1.Campaign, j *batchv1.Job, owner *metav1.OwnerReference, crons []Cron) {
	r.cron = owner.UID
	for i := range crons {
		if cron := &crons[i]; cron.UID == owner.UID {
			r.owned = cron.owned
			r.Outdated = outdated(c, r.owned, j.Annotations)
			if cron.Unsafe != "" && r.Unsafe == "" {
				r.Unsafe = fmt.Sprintf("it belongs to CronJob %s: %s", cron.Name, cron.Unsafe)
			}
			return
		}
	}
	// Not unsafe: the CronJob may just not have come by in the cache yet.
	r.Outdated = fmt.Sprintf("there is no CronJob %s of the campaign that made it", owner.Name)
}

// unsafeJob says why a Job that has not ended can't be held or released.
func (k *Keeper) unsafeJob(j *batchv1.Job, r Run) string {
	if by := ptr.Deref(j.Spec.ManagedBy, batchv1.JobControllerName); by != batchv1.JobControllerName {
		return "spec.managedBy is " + by + ", which need not heed suspend: take it off"
	}
	switch {
	case r.Released:
		return ""
	case !r.Suspended:
		return "it runs without having been released: delete it and make it anew, suspended"
	case r.stopped:
		return "it ran without having been released, and was stopped: it may have contacted people; delete it"
	}
	return k.unsafeQueue(&j.ObjectMeta)
}

// jobState reads a Job's conditions. Suspended is only what has no pod left.
func jobState(j *batchv1.Job, alive bool) v1alpha1.WorkloadState {
	switch {
	case is(j, batchv1.JobComplete):
		return v1alpha1.WorkloadComplete
	case is(j, batchv1.JobFailed):
		return v1alpha1.WorkloadFailed
	case is(j, batchv1.JobSuccessCriteriaMet), is(j, batchv1.JobFailureTarget), j.DeletionTimestamp != nil:
		return v1alpha1.WorkloadStopping // it is ending, and no pod will start
	case !ptr.Deref(j.Spec.Suspend, false):
		return v1alpha1.WorkloadRunning
	case waits(j):
		return v1alpha1.WorkloadQueued
	case alive, j.Status.Active > 0, ptr.Deref(j.Status.Terminating, 0) > 0:
		return v1alpha1.WorkloadStopping
	case j.Status.StartTime != nil && !is(j, batchv1.JobSuspended):
		return v1alpha1.WorkloadStopping // the Job controller has not looked yet
	}
	return v1alpha1.WorkloadSuspended
}

func is(j *batchv1.Job, t batchv1.JobConditionType) bool {
	for _, c := range j.Status.Conditions {
		if c.Type == t {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// alive finds the stopped Jobs that have a pod which has not ended, though
// their status says that all is quiet. That happens when a Job is stopped
// right after its release: its pods are there before its status counts them.
// Only Jobs that were let run or stopped are asked about, and past the cache,
// so that codb needs no cache of pods.
func (k *Keeper) alive(ctx context.Context, namespace string, jobs []batchv1.Job) (map[types.UID]bool, error) {
	var asked []string
	for i := range jobs {
		j := &jobs[i]
		_, stopped := j.Annotations[v1alpha1.AnnotationStopped]
		if (stopped || evidence(j.Annotations)) && jobState(j, false) == v1alpha1.WorkloadSuspended {
			asked = append(asked, string(j.UID))
		}
	}
	if len(asked) == 0 {
		return nil, nil
	}
	these, err := apilabels.NewRequirement(batchv1.ControllerUidLabel, selection.In, asked)
	if err != nil {
		return nil, fmt.Errorf("select the pods of stopped Jobs: %w", err)
	}
	var pods corev1.PodList
	err = k.live().List(ctx, &pods, client.InNamespace(namespace),
		client.MatchingLabelsSelector{Selector: apilabels.NewSelector().Add(*these)})
	if err != nil {
		return nil, fmt.Errorf("list the pods of stopped Jobs: %w", err)
	}
	out := map[types.UID]bool{}
	for i := range pods.Items {
		p := &pods.Items[i]
		if p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed {
			out[types.UID(p.Labels[batchv1.ControllerUidLabel])] = true
		}
	}
	return out, nil
}
