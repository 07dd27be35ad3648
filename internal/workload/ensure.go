package workload

import (
	"context"
	"errors"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// replaced is written onto what is stopped to make room.
const replaced = "the campaign's spec has changed"

// Ensure makes the Job or CronJob of spec.workload, suspended, under the
// campaign's name. One of an older spec gives way first: it is stopped, then
// deleted, and the new one comes at a later look, when the old one is gone. A
// Job that was released already and is gone is not made again. Errors that are
// ErrRefused need a person.
func (k *Keeper) Ensure(ctx context.Context, c *v1alpha1.Campaign) error {
	if c.Spec.Workload == nil {
		return nil
	}
	o, err := k.Observe(ctx, c)
	if err != nil {
		return err
	}
	if gone, err := k.retire(ctx, c, o); err != nil || !gone {
		return err
	}
	helper, err := k.helper(ctx, c)
	if err != nil {
		return err
	}
	want, err := workloadOf(c, helper)
	if err != nil {
		return err
	}
	if there(o, want) || ranAlready(c) {
		return nil
	}
	return k.create(ctx, c, want)
}

// retire stops and then deletes what was made from an older spec, and says
// whether nothing of it is left.
func (k *Keeper) retire(ctx context.Context, c *v1alpha1.Campaign, o Observation) (bool, error) {
	var errs []error
	gone := true
	for i := range o.Crons {
		if cron := &o.Crons[i]; cron.owned && cron.Outdated != "" {
			gone = false
			errs = append(errs, k.retireCron(ctx, c, o, cron))
		}
	}
	for i := range o.Runs {
		run := &o.Runs[i]
		if !run.owned || run.Outdated == "" || run.cron != "" {
			continue // Jobs of a CronJob go with it
		}
		gone = false
		switch run.State {
		case v1alpha1.WorkloadQueued, v1alpha1.WorkloadRunning:
			errs = append(errs, k.stopJob(ctx, c.Namespace, run, replaced))
		case v1alpha1.WorkloadStopping: // its end wakes us
		default:
			job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: run.Name}}
			errs = append(errs, k.remove(ctx, job, "Job", run.UID, run.version))
		}
	}
	return gone, errors.Join(errs...)
}

func (k *Keeper) retireCron(ctx context.Context, c *v1alpha1.Campaign, o Observation, cron *Cron) error {
	var errs []error
	if !cron.Suspended {
		errs = append(errs, k.stopCron(ctx, c.Namespace, cron, replaced))
	}
	quiet := cron.Suspended
	for i := range o.Runs {
		run := &o.Runs[i]
		if run.cron != cron.UID {
			continue
		}
		switch run.State {
		case v1alpha1.WorkloadQueued, v1alpha1.WorkloadRunning:
			quiet = false
			errs = append(errs, k.stopJob(ctx, c.Namespace, run, replaced))
		case v1alpha1.WorkloadStopping:
			quiet = false
		}
	}
	if quiet {
		job := &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: cron.Name}}
		errs = append(errs, k.remove(ctx, job, "CronJob", cron.UID, cron.version))
	}
	return errors.Join(errs...)
}

// there says that the campaign's own workload exists already.
func there(o Observation, want client.Object) bool {
	if _, ok := want.(*batchv1.CronJob); ok {
		for _, cron := range o.Crons {
			if cron.owned && cron.Name == want.GetName() {
				return true
			}
		}
		return false
	}
	for _, run := range o.Runs {
		if run.owned && run.Name == want.GetName() {
			return true
		}
	}
	return false
}

// ranAlready says that this very run was released before. A CronJob may come
// back: it makes new Jobs only, each of which is released by itself.
func ranAlready(c *v1alpha1.Campaign) bool {
	return c.Spec.Workload.CronJob == nil && c.Status.Released != nil && c.Status.Released.Run == RunHash(&c.Spec)
}

func (k *Keeper) create(ctx context.Context, c *v1alpha1.Campaign, want client.Object) error {
	kind := "Job"
	if _, ok := want.(*batchv1.CronJob); ok {
		kind = "CronJob"
	}
	key := client.ObjectKeyFromObject(want)
	err := k.Client.Create(ctx, want, client.FieldOwner(v1alpha1.FieldOwner))
	switch {
	case apierrors.IsInvalid(err):
		return fmt.Errorf("%w: make %s %s: %w", ErrRefused, kind, key, err)
	case !apierrors.IsAlreadyExists(err):
		if err != nil {
			return fmt.Errorf("make %s %s: %w", kind, key, err)
		}
		return nil
	}
	if err := k.live().Get(ctx, key, want); err != nil {
		return fmt.Errorf("look at the %s %s that is there already: %w", kind, key, err)
	}
	if !metav1.IsControlledBy(want, c) {
		return fmt.Errorf("%w: there is a %s %s that the campaign did not make: delete it, or rename the campaign", ErrRefused, kind, key)
	}
	return nil // made a moment ago: the cache will show it
}
