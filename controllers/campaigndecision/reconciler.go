// Package campaigndecision forgets decisions whose time is over. It never
// writes one, and knows nothing of what they say.
package campaigndecision

import (
	"context"
	"fmt"
	"time"

	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// Reconciler looks at one decision at a time.
type Reconciler struct {
	Client client.Client
	Clock  clock.Clock
	// OnTime is nil while the clock is right: what is deleted by a wrong one is
	// gone.
	OnTime func(context.Context) error
	// Retention is how long a decision is kept after it was made, however its
	// campaign fares. Zero: for ever.
	Retention time.Duration
}

// Reconcile deletes the decision once its time is over, and not before. The one
// that a campaign stands on is kept: it is still the answer.
func (r *Reconciler) Reconcile(ctx context.Context, d *v1alpha1.CampaignDecision) (reconcile.Result, error) {
	if r.Retention == 0 || !d.DeletionTimestamp.IsZero() {
		return reconcile.Result{}, nil
	}
	if left := d.Spec.DecidedAt.Add(r.Retention).Sub(r.Clock.Now()); left > 0 {
		return reconcile.Result{RequeueAfter: left}, nil
	}
	c := &v1alpha1.Campaign{}
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: d.Namespace, Name: d.Spec.Campaign.Name}, c)
	if client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, fmt.Errorf("read the decision's campaign: %w", err)
	}
	if err == nil && c.Status.Decision == d.Name {
		return reconcile.Result{RequeueAfter: r.Retention}, nil
	}
	if err := r.OnTime(ctx); err != nil {
		return reconcile.Result{}, fmt.Errorf("delete a decision whose time is over: %w", err)
	}
	return reconcile.Result{}, client.IgnoreNotFound(r.Client.Delete(ctx, d))
}

// SetupWithManager registers the reconciler.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("campaigndecision").
		For(&v1alpha1.CampaignDecision{}).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}
