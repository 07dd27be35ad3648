package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/gate"
)

// maxRivals bounds what one draw may cost: the campaigns beyond these go on
// without being waited for.
const maxRivals = 16

// ahead finds the campaigns that go before c. They are read from the cache: who
// goes first is a matter of order, and whoever is contacted is decided on anew.
func (w *permitWorld) ahead(c *v1alpha1.Campaign, revision string) func(context.Context) ([]gate.Rival, error) {
	uid, brand, priority := c.UID, c.Spec.Brand, c.Spec.Priority
	return func(ctx context.Context) ([]gate.Rival, error) {
		var all v1alpha1.CampaignList
		if err := w.cached.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil {
			return nil, fmt.Errorf("list campaigns: %w", err)
		}
		var before []*v1alpha1.Campaign
		for i := range all.Items {
			if o := &all.Items[i]; o.UID != uid && o.Spec.Priority > priority && contacting(o) {
				before = append(before, o)
			}
		}
		slices.SortFunc(before, func(a, b *v1alpha1.Campaign) int {
			return cmp.Or(cmp.Compare(b.Spec.Priority, a.Spec.Priority), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
		})
		var out []gate.Rival
		for _, o := range before[:min(len(before), maxRivals)] {
			r, err := w.rival(ctx, o, revision, brand, priority)
			if err != nil {
				return nil, err
			}
			if r.Refusal == nil {
				out = append(out, *r)
			}
		}
		return out, nil
	}
}

// contacting says that the campaign gives out permits, as far as its status
// knows.
func contacting(c *v1alpha1.Campaign) bool {
	return c.Spec.DrawsPermits() && c.DeletionTimestamp == nil && c.Status.Workload == v1alpha1.WorkloadRunning && c.Status.Released != nil
}

func (w *permitWorld) rival(ctx context.Context, c *v1alpha1.Campaign, revision, toldTo string, over int32) (*gate.Rival, error) {
	brand := &v1alpha1.Brand{}
	err := w.cached.Get(ctx, types.NamespacedName{Name: c.Spec.Brand}, brand)
	if apierrors.IsNotFound(err) {
		brand, err = nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read brand %s: %w", c.Spec.Brand, err)
	}
	decided, err := w.decided(ctx, gate.Holder{}, c, brand, revision)
	if err != nil {
		return nil, err
	}
	told := "a campaign of another brand"
	if c.Spec.Brand == toldTo {
		told = "campaign " + c.Name
	}
	return &gate.Rival{
		Case: decided, Released: c.Status.Released.At.Time, Told: fmt.Sprintf("%s (priority %d over %d)", told, c.Spec.Priority, over),
	}, nil
}
