package customerconsent

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/codb-dev/codb/api/v1alpha1"
)

const (
	// rounds are how often everybody is looked at, so that nobody has to be
	// remembered whose status changes by itself much later.
	rounds = time.Hour
	// retry is how soon, when that failed.
	retry = 10 * time.Second
	// pageOf is how many consents are read at once.
	pageOf = 500
)

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// follow asks for a look at who has changed, and now and then for everybody whose
// status says something else than it should, or soon will.
func (r *Reconciler) follow(ctx context.Context, q queue) {
	_, mark, _ := r.Consents.Customers().Since(0) // before the first round: that may see more, never less
	everybody := r.Clock.NewTimer(0)
	defer everybody.Stop()
	for {
		changed := r.Consents.Changed()
		names, now, all := r.Consents.Customers().Since(mark)
		if mark = now; all {
			everybody.Reset(0)
		} else {
			for _, name := range names {
				q.Add(r.request(name))
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
			continue
		case <-everybody.C():
		}
		everybody.Reset(rounds)
		if err := r.round(ctx, q); err != nil && ctx.Err() == nil {
			ctrl.Log.WithName("customerconsent").Error(nameless("look at all consents", err), "some have no status yet")
			everybody.Reset(retry)
		}
	}
}

// round looks at everybody, a page at a time.
func (r *Reconciler) round(ctx context.Context, q queue) error {
	var page v1alpha1.CustomerConsentList
	for {
		err := r.Client.List(ctx, &page, client.InNamespace(r.Namespace), client.Limit(pageOf), client.Continue(page.Continue))
		if err != nil {
			return err
		}
		for i := range page.Items {
			c := &page.Items[i]
			if isFence(c) || !c.DeletionTimestamp.IsZero() {
				continue
			}
			switch differs, again := r.report(c); {
			case differs:
				q.Add(r.request(c.Name))
			case again > 0:
				q.AddAfter(r.request(c.Name), again)
			}
		}
		if page.Continue == "" {
			return nil
		}
	}
}

func (r *Reconciler) request(name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: r.Namespace, Name: name}}
}
