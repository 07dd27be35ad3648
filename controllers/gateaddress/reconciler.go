// Package gateaddress keeps what pods need to find and to believe the gate in
// every namespace where campaigns run: a pod can mount a ConfigMap of its own
// namespace only. It knows nothing of campaigns, and speaks to no gate.
package gateaddress

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// Name is the ConfigMap's: the gate publishes it in codb's own namespace, with
// the keys url and ca.crt.
const Name = "codb-gate"

// Reconciler looks at one namespace at a time.
type Reconciler struct {
	// Client reads ConfigMaps of this name and no others.
	Client client.Client
}

// Reconcile copies the gate's address into the namespace. Where there is no gate
// yet, its first word wakes us.
func (r *Reconciler) Reconcile(ctx context.Context, ns *corev1.Namespace) (ctrl.Result, error) {
	if !enforced(ns) || !ns.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	var published, there corev1.ConfigMap
	err := r.Client.Get(ctx, types.NamespacedName{Namespace: v1alpha1.SystemNamespace, Name: Name}, &published)
	if apierrors.IsNotFound(err) {
		return ctrl.Result{}, nil
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("find the gate's address: %w", err)
	}
	err = r.Client.Get(ctx, types.NamespacedName{Namespace: ns.Name, Name: Name}, &there)
	switch {
	case apierrors.IsNotFound(err):
		there = corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns.Name, Name: Name, Labels: map[string]string{"app.kubernetes.io/part-of": "codb"}},
			Data:       maps.Clone(published.Data),
		}
		err = r.Client.Create(ctx, &there, client.FieldOwner(v1alpha1.FieldOwner))
	case err == nil && !equality.Semantic.DeepEqual(there.Data, published.Data):
		changed := there.DeepCopy() // what is read belongs to the cache
		changed.Data = maps.Clone(published.Data)
		err = r.Client.Update(ctx, changed, client.FieldOwner(v1alpha1.FieldOwner))
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("tell namespace %s where the gate is: %w", ns.Name, err)
	}
	return ctrl.Result{}, nil
}

func enforced(o client.Object) bool {
	return o.GetLabels()[v1alpha1.LabelEnforce] == v1alpha1.EnforceTrue
}

// SetupWithManager registers the reconciler and what wakes it: a namespace that
// comes into force, the gate's own word, and a copy that somebody changed.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("gateaddress").
		For(&corev1.Namespace{}, builder.WithPredicates(predicate.NewPredicateFuncs(enforced))).
		Watches(&corev1.ConfigMap{}, handler.EnqueueRequestsFromMapFunc(r.concerns)).
		Complete(reconcile.AsReconciler[*corev1.Namespace](r.Client, r))
}

// concerns says which namespaces a ConfigMap of the name is about: its own, or
// all where it is the gate's.
func (r *Reconciler) concerns(ctx context.Context, o client.Object) []reconcile.Request {
	if o.GetNamespace() != v1alpha1.SystemNamespace {
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: o.GetNamespace()}}}
	}
	var all corev1.NamespaceList
	if err := r.Client.List(ctx, &all, client.MatchingLabels{v1alpha1.LabelEnforce: v1alpha1.EnforceTrue}); err != nil {
		log.FromContext(ctx).Error(err, "list the namespaces of brands")
		return nil
	}
	requests := make([]reconcile.Request, len(all.Items))
	for i := range all.Items {
		requests[i].Name = all.Items[i].Name
	}
	return requests
}

// Cached is what the manager's cache is to hold of ConfigMaps: the operator may
// read no others.
var Cached = cache.ByObject{Field: fields.OneTermEqualSelector("metadata.name", Name)}
