package brand

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// namespaceIndex finds the brands that list a namespace.
const namespaceIndex = "spec.namespaces"

// SetupWithManager registers the reconciler, its index and what wakes it.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	err := mgr.GetFieldIndexer().IndexField(context.Background(), &v1alpha1.Brand{}, namespaceIndex, listed)
	if err != nil {
		return fmt.Errorf("index brands by namespace: %w", err)
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("brand").
		For(&v1alpha1.Brand{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(r.byNamespace), builder.WithPredicates(scopeChanged())).
		Complete(reconcile.AsReconciler[*v1alpha1.Brand](r.Client, r))
}

func listed(o client.Object) []string { return o.(*v1alpha1.Brand).Spec.Namespaces }

// byNamespace finds the brands that list a namespace; when it can't, the next
// change or resync repairs it.
func (r *Reconciler) byNamespace(ctx context.Context, ns client.Object) []reconcile.Request {
	var brands v1alpha1.BrandList
	if err := r.Client.List(ctx, &brands, client.MatchingFields{namespaceIndex: ns.GetName()}); err != nil {
		log.FromContext(ctx).Error(err, "list brands of a namespace", "namespace", ns.GetName())
		return nil
	}
	var out []reconcile.Request
	for i := range brands.Items {
		out = append(out, reconcile.Request{NamespacedName: types.NamespacedName{Name: brands.Items[i].Name}})
	}
	return out
}

// scopeChanged passes what matters: a namespace comes, goes, or loses its label.
func scopeChanged() predicate.Predicate {
	return predicate.Funcs{
		UpdateFunc: func(e event.UpdateEvent) bool {
			return e.ObjectOld.GetLabels()[v1alpha1.LabelEnforce] != e.ObjectNew.GetLabels()[v1alpha1.LabelEnforce] ||
				e.ObjectOld.GetDeletionTimestamp().IsZero() != e.ObjectNew.GetDeletionTimestamp().IsZero()
		},
	}
}
