// Package customerconsent says in each consent's status what it amounts to
// now. It knows no campaigns and no policies, and announces nothing: an event
// about one customer would be one too many.
package customerconsent

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consent"
)

// Reconciler looks at one consent at a time.
type Reconciler struct {
	Client client.Client
	Clock  clock.PassiveClock
	// Workers is how many consents are looked at side by side; less than 1
	// means 1. An import of many thousands waits for as many status writes.
	Workers int
}

// SetupWithManager registers the reconciler and what wakes it: a consent whose
// spec has changed. A status write doesn't, nor does the fence.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("customerconsent").
		For(&v1alpha1.CustomerConsent{}, builder.WithPredicates(
			predicate.GenerationChangedPredicate{},
			predicate.NewPredicateFuncs(func(o client.Object) bool { return !isFence(o) }),
		)).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: max(1, r.Workers),
			// The usual one names the object, which is a person.
			LogConstructor: func(*reconcile.Request) logr.Logger {
				return mgr.GetLogger().WithValues("controller", "customerconsent")
			},
		}).
		Complete(r)
}

// Reconcile writes the status, if it is another one, and plans the look at the
// instant at which it changes by itself.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	ctx = log.IntoContext(ctx, logr.Discard()) // a verbose client would log the whole person
	c := &v1alpha1.CustomerConsent{}
	if err := r.Client.Get(ctx, req.NamespacedName, c); err != nil {
		return ctrl.Result{}, nameless("read a consent", client.IgnoreNotFound(err))
	}
	if isFence(c) || !c.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	now := r.Clock.Now()
	before := c.DeepCopy()
	standing := consent.StandingAt(&c.Spec, now)
	consent.Report(c, standing, now)
	if err := r.patchStatus(ctx, before, c); err != nil {
		return ctrl.Result{}, err
	}
	return next(standing, now), nil
}

// isFence tells the object that proves caches current from a person's.
func isFence(o client.Object) bool {
	return o.GetName() == v1alpha1.FenceName || o.GetLabels()[v1alpha1.LabelClass] == v1alpha1.ClassFence
}

func (r *Reconciler) patchStatus(ctx context.Context, before, c *v1alpha1.CustomerConsent) error {
	if equality.Semantic.DeepEqual(before.Status, c.Status) {
		return nil
	}
	lock := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	return nameless("write a consent's status", client.IgnoreNotFound(r.Client.Status().Patch(ctx, c, lock)))
}

func next(s consent.Standing, now time.Time) ctrl.Result {
	if s.NextChange.IsZero() {
		return ctrl.Result{}
	}
	return ctrl.Result{RequeueAfter: max(s.NextChange.Sub(now), time.Second)}
}
