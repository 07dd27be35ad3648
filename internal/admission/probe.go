// Package admission proves by dry run that the apiserver itself holds campaign
// workloads. It knows what must be refused, not how the policies say it, and
// leaves nothing behind.
package admission

import (
	"context"
	"errors"
	"fmt"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// Namespace is an empty, enforced namespace for dry runs.
const Namespace = "codb-selftest"

// ErrNotInForce says that something which must be refused would be admitted,
// or that the operator is not who the policies say it is. Nothing may be
// released then.
var ErrNotInForce = errors.New("admission is not in force")

// Probe returns nil when every admission policy of codb is in force and knows
// the caller as codb's operator. It writes in dry runs only; c must not answer
// from a cache. An error that is not ErrNotInForce means that the question
// could not be asked.
func Probe(ctx context.Context, c client.Client) error {
	for _, obj := range []client.Object{operatorsJob(), operatorsCronJob()} {
		if err := bornSuspended(ctx, c, obj); err != nil {
			return err
		}
	}
	if err := knowsOperator(ctx, c, decision()); err != nil {
		return err
	}
	for _, r := range refusals {
		if err := r.try(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// Gates returns nil when the apiserver refuses in this namespace what codb
// refuses in an enforced one, to the operator too. A namespace that has just
// been labelled is gated some moments later.
func Gates(ctx context.Context, c client.Client, namespace string) error {
	r := withoutCampaign
	r.object = func() client.Object {
		j := job(nil)
		j.Namespace = namespace
		return j
	}
	return r.try(ctx, c)
}

// refusal is something that a policy must refuse, even to the operator, and
// that no other policy objects to.
type refusal struct {
	policy string
	what   string
	object func() client.Object
	patch  string // instead of creating the object
}

func (r refusal) try(ctx context.Context, c client.Client) error {
	obj := r.object()
	var err error
	if r.patch != "" {
		err = c.Patch(ctx, obj, client.RawPatch(mergePatch, []byte(r.patch)), client.DryRunAll)
	} else {
		err = c.Create(ctx, obj, client.DryRunAll)
	}
	switch {
	case err == nil:
		return fmt.Errorf("%w: %s would be admitted; apply config/admission and see: kubectl get validatingadmissionpolicy %s", ErrNotInForce, r.what, r.policy)
	case strings.Contains(err.Error(), r.policy):
		return nil
	}
	return fmt.Errorf("try in a dry run whether %s is refused: %w", r.what, err)
}

// bornSuspended tries a workload that only the operator may make, because of
// its annotations, and that is not suspended. The mutating policies suspend
// it; where they are not served, a validating one refuses it.
func bornSuspended(ctx context.Context, c client.Client, obj client.Object) error {
	err := c.Create(ctx, obj, client.DryRunAll)
	switch {
	case err == nil && suspended(obj):
		return nil
	case err == nil:
		return fmt.Errorf("%w: a campaign's %s would run at once; apply config/admission", ErrNotInForce, kindOf(obj))
	case !strings.Contains(err.Error(), workloads):
		return fmt.Errorf("try in a dry run whether a %s is born suspended: %w", kindOf(obj), err)
	}
	suspend(obj)
	return knowsOperator(ctx, c, obj)
}

// knowsOperator tries what is refused to everybody else.
func knowsOperator(ctx context.Context, c client.Client, obj client.Object) error {
	err := c.Create(ctx, obj, client.DryRunAll)
	if err == nil {
		return nil
	}
	if strings.Contains(err.Error(), "ValidatingAdmissionPolicy") {
		return fmt.Errorf("%w: the policies take another user for codb's operator: render config/admission with the operator's username: %w", ErrNotInForce, err)
	}
	return fmt.Errorf("try in a dry run whether the operator may make a %s: %w", kindOf(obj), err)
}

func suspended(obj client.Object) bool {
	switch o := obj.(type) {
	case *batchv1.Job:
		return ptr.Deref(o.Spec.Suspend, false)
	case *batchv1.CronJob:
		return ptr.Deref(o.Spec.Suspend, false)
	}
	return false
}

func suspend(obj client.Object) {
	switch o := obj.(type) {
	case *batchv1.Job:
		o.Spec.Suspend = ptr.To(true)
		o.Spec.Template.Labels = campaign
	case *batchv1.CronJob:
		o.Spec.Suspend = ptr.To(true)
		o.Spec.JobTemplate.Labels = campaign
		o.Spec.JobTemplate.Spec.Template.Labels = campaign
	}
}

func kindOf(obj client.Object) string {
	switch obj.(type) {
	case *batchv1.Job:
		return "Job"
	case *batchv1.CronJob:
		return "CronJob"
	case *corev1.Pod:
		return "Pod"
	case *v1alpha1.CampaignDecision:
		return "CampaignDecision"
	}
	return fmt.Sprintf("%T", obj)
}
