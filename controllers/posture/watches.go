package posture

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// SetupWithManager registers the detector: it looks when it starts, again and
// again from then on, and whenever a namespace leaves enforcement.
func (d *Detector) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("posture").
		Watches(&corev1.Namespace{}, leaving()).
		WatchesRawSource(source.Func(func(_ context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
			q.Add(reconcile.Request{})
			return nil
		})).
		Complete(d)
}

// leaving wakes the detector when a namespace loses its label or goes.
func leaving() handler.EventHandler {
	gated := func(o client.Object) bool { return o.GetLabels()[v1alpha1.LabelEnforce] == v1alpha1.EnforceTrue }
	wake := func(q workqueue.TypedRateLimitingInterface[reconcile.Request], o client.Object) {
		q.Add(reconcile.Request{NamespacedName: types.NamespacedName{Name: o.GetName()}})
	}
	return handler.Funcs{
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			if gated(e.ObjectOld) && !gated(e.ObjectNew) {
				wake(q, e.ObjectNew)
			}
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			if gated(e.Object) {
				wake(q, e.Object)
			}
		},
	}
}
