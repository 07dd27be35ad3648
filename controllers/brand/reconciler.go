// Package brand puts codb's admission policies in force in the namespaces that
// a Brand lists. It never takes a namespace out of force, and knows nothing of
// campaigns.
package brand

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/admission"
)

// Reconciler looks at one brand at a time.
type Reconciler struct {
	Client client.Client
	Events events.EventRecorder
	// Reserved are namespaces that are never enforced, besides those that the
	// API refuses by name: codb and the customers live there, where the
	// installation chose other names.
	Reserved []string
	// Gates returns nil once the apiserver is seen to gate a namespace.
	Gates func(ctx context.Context, namespace string) error
}

// soon is when a brand is looked at again whose namespaces are not gated yet,
// or whose status somebody else was faster to write.
const soon = 500 * time.Millisecond

// Reconcile enforces, reports and announces, in that order.
func (r *Reconciler) Reconcile(ctx context.Context, b *v1alpha1.Brand) (ctrl.Result, error) {
	if !b.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil // its namespaces stay in force
	}
	before := b.DeepCopy()
	found, err := r.enforce(ctx, b)
	b.Status.ObservedGeneration = b.Generation
	meta.SetStatusCondition(&b.Status.Conditions, ready(b, found))
	perr := r.patchStatus(ctx, before, b)
	if apierrors.IsConflict(perr) {
		return ctrl.Result{RequeueAfter: soon}, err // changes of labels and status, our own too, wake nobody
	}
	if perr != nil {
		return ctrl.Result{}, errors.Join(err, perr)
	}
	r.announce(ctx, before, b)
	if err == nil && len(found.open) > 0 {
		return ctrl.Result{RequeueAfter: soon}, nil
	}
	return ctrl.Result{}, err
}

// found is what became of a brand's namespaces.
type found struct {
	gated    int
	open     []string // labelled, and the apiserver doesn't gate them yet
	missing  []string
	reserved []string
	failed   []string
}

// enforce labels the namespaces that exist. One that is going away is missing:
// nothing can start in it any more.
func (r *Reconciler) enforce(ctx context.Context, b *v1alpha1.Brand) (found, error) {
	var f found
	var errs []error
	for _, name := range slices.Sorted(slices.Values(b.Spec.Namespaces)) {
		if slices.Contains(r.Reserved, name) {
			f.reserved = append(f.reserved, name)
			continue
		}
		var ns corev1.Namespace
		err := r.Client.Get(ctx, client.ObjectKey{Name: name}, &ns)
		if err == nil && ns.DeletionTimestamp.IsZero() {
			err = r.label(ctx, b, &ns)
		} else if err == nil {
			f.missing = append(f.missing, name)
			continue
		}
		if err == nil {
			err = r.Gates(ctx, name)
		}
		switch {
		case errors.Is(err, admission.ErrNotInForce):
			f.open = append(f.open, name)
		case apierrors.IsNotFound(err):
			f.missing = append(f.missing, name)
		case err != nil:
			f.failed = append(f.failed, name)
			errs = append(errs, fmt.Errorf("enforce namespace %s: %w", name, err))
		default:
			f.gated++
		}
	}
	return f, errors.Join(errs...)
}

func (r *Reconciler) label(ctx context.Context, b *v1alpha1.Brand, ns *corev1.Namespace) error {
	if ns.Labels[v1alpha1.LabelEnforce] == v1alpha1.EnforceTrue {
		return nil
	}
	before := ns.DeepCopy()
	if ns.Labels == nil {
		ns.Labels = map[string]string{}
	}
	ns.Labels[v1alpha1.LabelEnforce] = v1alpha1.EnforceTrue
	if err := r.Client.Patch(ctx, ns, client.MergeFrom(before), client.FieldOwner(v1alpha1.FieldOwner)); err != nil {
		return err
	}
	r.Events.Eventf(b, ns, corev1.EventTypeNormal, "NamespaceEnforced", "Enforce", "campaigns in namespace %s are gated from now on", ns.Name)
	return nil
}

// ready says how many namespaces are gated, or what a person must repair.
func ready(b *v1alpha1.Brand, f found) metav1.Condition {
	c := metav1.Condition{
		Type:               v1alpha1.ConditionReady,
		ObservedGeneration: b.Generation,
	}
	switch {
	case len(f.failed) > 0:
		c.Status, c.Reason = metav1.ConditionUnknown, v1alpha1.ReasonStalled
		c.Message = "could not look after some namespaces and goes on trying, see codb's log: " + some(f.failed)
	case len(f.reserved) > 0:
		c.Status, c.Reason = metav1.ConditionFalse, v1alpha1.ReasonNamespaceReserved
		c.Message = "can't gate what codb itself lives in, take it off the list: " + some(f.reserved)
	case len(f.missing) > 0:
		c.Status, c.Reason = metav1.ConditionFalse, v1alpha1.ReasonNamespaceMissing
		c.Message = "no such namespace, make it or take it off the list: " + some(f.missing)
	case len(f.open) > 0:
		c.Status, c.Reason = metav1.ConditionFalse, v1alpha1.ReasonNotAdmitted
		c.Message = "codb's admission policies are not in force, a Job would run unasked; wait, or apply config/admission: " + some(f.open)
	default:
		c.Status, c.Reason = metav1.ConditionTrue, v1alpha1.ReasonReady
		c.Message = gates(f.gated)
	}
	return c
}

func gates(n int) string {
	switch n {
	case 0:
		return "gates no namespaces: nobody can act for the brand"
	case 1:
		return "gates 1 namespace"
	}
	return fmt.Sprintf("gates %d namespaces", n)
}

// some names at most five, sorted already.
func some(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

func (r *Reconciler) patchStatus(ctx context.Context, before, b *v1alpha1.Brand) error {
	if equality.Semantic.DeepEqual(before.Status, b.Status) {
		return nil
	}
	lock := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := client.IgnoreNotFound(r.Client.Status().Patch(ctx, b, lock)); err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	return nil
}

// announce tells people of a condition that changed, once.
func (r *Reconciler) announce(ctx context.Context, before, b *v1alpha1.Brand) {
	was := meta.FindStatusCondition(before.Status.Conditions, v1alpha1.ConditionReady)
	is := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionReady)
	if was != nil && was.Status == is.Status && was.Reason == is.Reason {
		return
	}
	kind := corev1.EventTypeNormal
	if is.Status != metav1.ConditionTrue {
		kind = corev1.EventTypeWarning
	}
	log.FromContext(ctx).Info("Brand changed", "reason", is.Reason)
	r.Events.Eventf(b, nil, kind, is.Reason, "Enforce", "%s", is.Message)
}
