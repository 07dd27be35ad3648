package consent

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// Report says in a consent's status what it amounts to; since is when that
// became known, if it was not before.
func Report(c *v1alpha1.CustomerConsent, s Standing, since time.Time) {
	given := s.BrandsGiven()
	c.Status.ObservedGeneration = c.Generation
	c.Status.Summary = s.Summary
	c.Status.BrandsGiven = &given
	c.Status.Brands = s.Brands
	c.Status.NextChange = nil
	if !s.NextChange.IsZero() {
		c.Status.NextChange = &metav1.Time{Time: s.NextChange}
	}
	meta.SetStatusCondition(&c.Status.Conditions, metav1.Condition{
		Type:               v1alpha1.ConditionReady,
		Status:             metav1.ConditionTrue,
		Reason:             v1alpha1.ReasonReady,
		Message:            "the status speaks of the latest answers",
		ObservedGeneration: c.Generation,
		LastTransitionTime: metav1.NewTime(since),
	})
}
