// Package customerconsent says in each consent's status what it amounts to
// now. It knows no campaigns and no policies, and announces nothing: an event
// about one customer would be one too many.
package customerconsent

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/consent"
)

// Reconciler looks at one consent at a time.
type Reconciler struct {
	// Client must not answer from a cache: that would keep an object for each
	// customer.
	Client client.Client
	// Consents say whose have changed.
	Consents Consents
	// Namespace that they are in.
	Namespace string
	Clock     clock.Clock
	// Workers is how many consents are looked at side by side; less than 1
	// means 1. An import of many thousands waits for as many status writes.
	Workers int
}

// Consents are all customers' consents.
type Consents interface {
	Customers() *audience.Table
	Changed() <-chan struct{}
}

// SetupWithManager registers the reconciler and what wakes it: a consent that has
// changed. A status write doesn't, nor does the fence.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("customerconsent").
		WatchesRawSource(source.Func(func(ctx context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
			go func() {
				select {
				case <-mgr.Elected(): // until then another one writes
					r.follow(ctx, q)
				case <-ctx.Done():
				}
			}()
			return nil
		})).
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
// instant at which it changes by itself, unless that is far away.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	ctx = log.IntoContext(ctx, logr.Discard()) // a verbose client would log the whole person
	c := &v1alpha1.CustomerConsent{}
	if err := r.Client.Get(ctx, req.NamespacedName, c); err != nil {
		return ctrl.Result{}, nameless("read a consent", client.IgnoreNotFound(err))
	}
	if isFence(c) || !c.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	before := c.DeepCopy()
	differs, again := r.report(c)
	if !differs {
		return ctrl.Result{RequeueAfter: again}, nil
	}
	lock := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	err := client.IgnoreNotFound(r.Client.Status().Patch(ctx, c, lock))
	return ctrl.Result{RequeueAfter: again}, nameless("write a consent's status", err)
}

// report brings the status up to now, and says whether it differs from what it
// was, and when to look again.
func (r *Reconciler) report(c *v1alpha1.CustomerConsent) (differs bool, again time.Duration) {
	now, before := r.Clock.Now(), c.Status.DeepCopy()
	standing := consent.StandingAt(&c.Spec, now)
	consent.Report(c, standing, now)
	return !equality.Semantic.DeepEqual(*before, c.Status), next(standing, now)
}

// isFence tells the object that proves caches current from a person's.
func isFence(o client.Object) bool {
	return o.GetName() == v1alpha1.FenceName || o.GetLabels()[v1alpha1.LabelClass] == v1alpha1.ClassFence
}

// next is when to look again; zero: not before everybody is looked at.
func next(s consent.Standing, now time.Time) time.Duration {
	if s.NextChange.IsZero() || s.NextChange.Sub(now) > 2*rounds {
		return 0
	}
	return max(s.NextChange.Sub(now), time.Second)
}
