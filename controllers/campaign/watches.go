package campaign

import (
	"context"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// settle is how long changes are gathered before every campaign looks again:
// a load of many consents is then some looks and not as many as consents.
const settle = 50 * time.Millisecond

// brandIndex finds the campaigns of a brand.
const brandIndex = "spec.brand"

// SetupWithManager registers the reconciler and what wakes it.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	err := mgr.GetFieldIndexer().IndexField(context.Background(), &v1alpha1.Campaign{}, brandIndex, func(o client.Object) []string {
		return []string{o.(*v1alpha1.Campaign).Spec.Brand}
	})
	if err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("campaign").
		For(&v1alpha1.Campaign{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&batchv1.Job{}, handler.EnqueueRequestsFromMapFunc(byLabel)).
		Watches(&batchv1.CronJob{}, handler.EnqueueRequestsFromMapFunc(byLabel)).
		Watches(&v1alpha1.Brand{}, handler.EnqueueRequestsFromMapFunc(r.byBrand)).
		WatchesRawSource(source.Func(r.follow)).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: max(1, r.Workers),
			// What fails is tried again soon enough to matter to a campaign.
			RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](5*time.Millisecond, 30*time.Second),
		}).
		Complete(r)
}

// byLabel maps a workload to the campaign that it names.
func byLabel(_ context.Context, o client.Object) []reconcile.Request {
	name := o.GetLabels()[v1alpha1.LabelCampaign]
	if name == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: name}}}
}

func (r *Reconciler) byBrand(ctx context.Context, o client.Object) []reconcile.Request {
	return r.list(ctx, client.MatchingFields{brandIndex: o.GetName()})
}

// list names campaigns; when it can't, the next change or resync repairs it.
func (r *Reconciler) list(ctx context.Context, opts ...client.ListOption) []reconcile.Request {
	var campaigns v1alpha1.CampaignList
	if err := r.Client.List(ctx, &campaigns, append(opts, client.UnsafeDisableDeepCopy)...); err != nil {
		log.FromContext(ctx).Error(err, "list campaigns")
		return nil
	}
	out := make([]reconcile.Request, 0, len(campaigns.Items))
	for i := range campaigns.Items {
		out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&campaigns.Items[i])})
	}
	return out
}

// follow wakes every campaign when consents, policies or contacts change; each
// then asks only about the customers whom the change concerns.
func (r *Reconciler) follow(ctx context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	go func() {
		for {
			consents, policies, contacts := r.Consents.Changed(), r.Policies.Changed(), r.Contacts.Changed()
			for _, req := range r.list(ctx) {
				q.Add(req)
			}
			select {
			case <-ctx.Done():
				return
			case <-consents:
			case <-policies:
			case <-contacts:
			}
			select {
			case <-ctx.Done():
				return
			case <-r.Clock.After(settle):
			}
		}
	}()
	return nil
}
