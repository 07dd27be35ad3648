package workload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
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
// released run on, any other mode stops them. The reason, which must name no
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
		if run.State != v1alpha1.WorkloadRunning {
			continue
		}
		if mode == v1alpha1.OnWithdrawalFinish && run.Released && run.Unsafe == "" {
			continue
		}
		errs = append(errs, k.stopJob(ctx, c.Namespace, run, reason))
	}
	errs = append(errs, k.trim(ctx, c, o))
	return errors.Join(errs...)
}

// Release lets run what waits: Jobs that are suspended and never were
// released, and suspended CronJobs. Suspend and evidence change in one patch,
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
		if err := k.patch(ctx, job, run.UID, run.version, false, e.annotations()); err != nil {
			errs = append(errs, fmt.Errorf("release Job %s/%s: %w", c.Namespace, run.Name, err))
			continue
		}
		run.Released, run.Suspended, run.State = true, false, v1alpha1.WorkloadRunning
		released = append(released, run)
	}
	for i := range o.Crons {
		cron := &o.Crons[i]
		if !cron.releasable() {
			continue
		}
		job := &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: cron.Name}}
		notes := e.annotations()
		notes[v1alpha1.AnnotationStopped] = nil
		if err := k.patch(ctx, job, cron.UID, cron.version, false, notes); err != nil {
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
	}
}

func (k *Keeper) stopJob(ctx context.Context, namespace string, run *Run, reason string) error {
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: run.Name}}
	return k.stop(ctx, job, "Job", run.UID, reason)
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
	err := k.patch(ctx, obj, uid, "", true, map[string]any{v1alpha1.AnnotationStopped: reason})
	if err == nil || apierrors.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf("suspend %s %s/%s: %w", kind, obj.GetNamespace(), obj.GetName(), err)
}

// patch sets suspend and annotations in one request, on the object with this
// uid and, unless empty, this version.
func (k *Keeper) patch(ctx context.Context, obj client.Object, uid types.UID, version string, suspend bool, annotations map[string]any) error {
	meta := map[string]any{"uid": uid, "annotations": annotations}
	if version != "" {
		meta["resourceVersion"] = version
	}
	b, err := json.Marshal(map[string]any{"metadata": meta, "spec": map[string]any{"suspend": suspend}})
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
