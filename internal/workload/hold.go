package workload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// maxReason bounds what is written onto a workload.
const maxReason = 256

// Hold keeps the campaign's workloads from running. In every mode CronJobs and
// Jobs that nobody released are suspended; mode Finish lets Jobs that were
// released run on, any other mode stops them. One that was released and still
// waits for Kueue has nothing to finish. The reason, which must name no
// person, is written onto what is stopped. A second Hold writes nothing.
// Everything is tried, whatever fails before.
func (k *Keeper) Hold(ctx context.Context, c *v1alpha1.Campaign, o Observation, mode, reason string) error {
	var errs []error
	for i := range o.Crons { // first, so that no tick comes between
		if cron := &o.Crons[i]; !cron.Suspended {
			errs = append(errs, k.stopCron(ctx, c.Namespace, cron, reason))
		}
	}
	for i := range o.Runs {
		run := &o.Runs[i]
		finishes := mode == v1alpha1.OnWithdrawalFinish && run.Released && run.Unsafe == ""
		if run.State == v1alpha1.WorkloadQueued || (run.State == v1alpha1.WorkloadRunning && !finishes) {
			errs = append(errs, k.stopJob(ctx, c.Namespace, run, reason))
		}
	}
	errs = append(errs, k.trim(ctx, c, o))
	return errors.Join(errs...)
}

// Release lets run what waits: Jobs that are suspended and never were
// released, and suspended CronJobs. Suspend, or codb's gate where Kueue starts
// the Job, and evidence change in one patch,
// and only if the object still is what the observation showed; a conflict is
// an error, and the caller looks again. The Jobs that were released are
// returned even with an error: they contact people, each of them once, while a
// CronJob only makes more Jobs.
func (k *Keeper) Release(ctx context.Context, c *v1alpha1.Campaign, o Observation, e Evidence) ([]Run, error) {
	if e.Decision == "" || e.PolicyDigest == "" || e.ConsentRevision == "" {
		return nil, fmt.Errorf("release campaign %s/%s: the evidence is incomplete: %+v", c.Namespace, c.Name, e)
	}
	var released []Run
	var errs []error
	for i := range o.Runs {
		run := o.Runs[i]
		if !run.releasable() {
			continue
		}
		job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: run.Name}}
		allowed := change{uid: run.UID, version: run.version, suspend: ptr.To(false), annotations: e.annotations()}
		state := v1alpha1.WorkloadRunning
		if run.ungate != nil {
			allowed.suspend, state = nil, v1alpha1.WorkloadQueued
			maps.Copy(allowed.annotations, run.ungate)
		}
		if err := k.patch(ctx, job, allowed); err != nil {
			errs = append(errs, fmt.Errorf("release Job %s/%s: %w", c.Namespace, run.Name, err))
			continue
		}
		run.Released, run.Suspended, run.State = true, false, state
		released = append(released, run)
	}
	for i := range o.Crons {
		cron := &o.Crons[i]
		if !cron.releasable() {
			continue
		}
		job := &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: cron.Name}}
		notes := e.annotations()
		if err := k.patch(ctx, job, change{uid: cron.UID, version: cron.version, suspend: ptr.To(false), annotations: notes}); err != nil {
			errs = append(errs, fmt.Errorf("release CronJob %s/%s: %w", c.Namespace, cron.Name, err))
		}
	}
	errs = append(errs, k.trim(ctx, c, o))
	return released, errors.Join(errs...)
}

func (e Evidence) annotations() map[string]any {
	return map[string]any{
		v1alpha1.AnnotationDecision:        e.Decision,
		v1alpha1.AnnotationPolicyDigest:    e.PolicyDigest,
		v1alpha1.AnnotationConsentRevision: e.ConsentRevision,
		v1alpha1.AnnotationStopped:         nil, // CronJobs and what resumes
	}
}

func (k *Keeper) stopJob(ctx context.Context, namespace string, run *Run, reason string) error {
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: run.Name}}
	err := k.stop(ctx, job, "Job", run.UID, reason)
	if err == nil || apierrors.IsConflict(err) {
		return err
	}
	return errors.Join(err, k.cut(ctx, namespace, run))
}

// cut deletes the pods of a Job that can't be suspended. A webhook of somebody
// else's on Jobs that is down, such as Kueue's, must not let them go on; the
// Job itself is suspended as soon as that can be done.
func (k *Keeper) cut(ctx context.Context, namespace string, run *Run) error {
	var pods corev1.PodList
	err := k.live().List(ctx, &pods, client.InNamespace(namespace), client.MatchingLabels{batchv1.ControllerUidLabel: string(run.UID)})
	if err != nil {
		return fmt.Errorf("list the pods of Job %s/%s: %w", namespace, run.Name, err)
	}
	var errs []error
	for i := range pods.Items {
		p := &pods.Items[i]
		if !p.DeletionTimestamp.IsZero() {
			continue
		}
		if err := k.Client.Delete(ctx, p, client.Preconditions{UID: &p.UID}); client.IgnoreNotFound(err) != nil {
			errs = append(errs, fmt.Errorf("delete pod %s/%s: %w", namespace, p.Name, err))
		}
	}
	return errors.Join(errs...)
}

func (k *Keeper) stopCron(ctx context.Context, namespace string, cron *Cron, reason string) error {
	job := &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: cron.Name}}
	return k.stop(ctx, job, "CronJob", cron.UID, reason)
}

// stop suspends, whatever else changed meanwhile: it is never too early. What
// is gone is stopped. A conflict says that another object has the name now, or
// that there was no getting through: the caller looks again.
func (k *Keeper) stop(ctx context.Context, obj client.Object, kind string, uid types.UID, reason string) error {
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "")
	}
	err := k.patch(ctx, obj, change{uid: uid, suspend: ptr.To(true), annotations: map[string]any{v1alpha1.AnnotationStopped: reason}})
	if err == nil || apierrors.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf("suspend %s %s/%s: %w", kind, obj.GetNamespace(), obj.GetName(), err)
}

// change is what one request changes of the object with this uid and, unless
// empty, this version. Without suspend it leaves that as it is.
type change struct {
	uid         types.UID
	version     string
	suspend     *bool
	annotations map[string]any
}

func (k *Keeper) patch(ctx context.Context, obj client.Object, to change) error {
	meta := map[string]any{"uid": to.uid, "annotations": to.annotations}
	if to.version != "" {
		meta["resourceVersion"] = to.version
	}
	body := map[string]any{"metadata": meta}
	if to.suspend != nil {
		body["spec"] = map[string]any{"suspend": *to.suspend}
	}
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return k.Client.Patch(ctx, obj, client.RawPatch(types.MergePatchType, b), client.FieldOwner(v1alpha1.FieldOwner))
}

// trim deletes Jobs that were overtaken before they were released, down to
// MaxHeld of each CronJob, the newest included. They never ran.
func (k *Keeper) trim(ctx context.Context, c *v1alpha1.Campaign, o Observation) error {
	var errs []error
	kept := map[types.UID]int{}
	for i := len(o.Runs) - 1; i >= 0; i-- {
		run := &o.Runs[i]
		if run.Outdated != overtaken {
			continue
		}
		if kept[run.cron]++; kept[run.cron] >= MaxHeld {
			job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: run.Name}}
			errs = append(errs, k.remove(ctx, job, "Job", run.UID, run.version))
		}
	}
	return errors.Join(errs...)
}

// remove deletes what an observation showed, in the background: its pods go
// with it. What has changed since is left for the next look.
func (k *Keeper) remove(ctx context.Context, obj client.Object, kind string, uid types.UID, version string) error {
	err := k.Client.Delete(ctx, obj, client.PropagationPolicy(metav1.DeletePropagationBackground),
		client.Preconditions{UID: ptr.To(uid), ResourceVersion: ptr.To(version)})
	if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return fmt.Errorf("delete %s %s/%s: %w", kind, obj.GetNamespace(), obj.GetName(), err)
}
