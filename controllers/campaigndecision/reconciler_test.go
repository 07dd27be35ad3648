package campaigndecision_test

import (
	"context"
	"errors"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/controllers/campaigndecision"
)

var noon = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

func TestRetention(t *testing.T) {
	const year = 365 * 24 * time.Hour
	tests := map[string]struct {
		retention time.Duration
		age       time.Duration
		current   bool // the campaign's status names it
		clock     error
		wantGone  bool
		wantAgain time.Duration
	}{
		"ASecondBefore":         {retention: year, age: year - time.Second, wantAgain: time.Second},
		"AtItsEnd":              {retention: year, age: year, wantGone: true},
		"ByAClockThatIsOff":     {retention: year, age: 2 * year, clock: errors.New("this machine's clock is ahead")},
		"TheCampaignStandsOnIt": {retention: year, age: 2 * year, current: true, wantAgain: year},
		"ForEver":               {age: 10 * year},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s := runtime.NewScheme()
			if err := v1alpha1.AddToScheme(s); err != nil {
				t.Fatal(err)
			}
			d := &v1alpha1.CampaignDecision{
				ObjectMeta: metav1.ObjectMeta{Namespace: "acme", Name: "spring-1"},
				Spec: v1alpha1.CampaignDecisionSpec{
					Campaign: v1alpha1.CampaignReference{Name: "spring"}, DecidedAt: metav1.NewTime(noon.Add(-tc.age)),
				},
			}
			objects := []client.Object{d}
			if tc.current {
				objects = append(objects, &v1alpha1.Campaign{
					ObjectMeta: metav1.ObjectMeta{Namespace: "acme", Name: "spring"}, Status: v1alpha1.CampaignStatus{Decision: d.Name},
				})
			}
			c := fake.NewClientBuilder().WithScheme(s).WithObjects(objects...).Build()
			r := &campaigndecision.Reconciler{
				Client: c, Clock: clocktesting.NewFakeClock(noon), Retention: tc.retention,
				OnTime: func(context.Context) error { return tc.clock },
			}
			res, err := r.Reconcile(context.Background(), d)
			if !errors.Is(err, tc.clock) {
				t.Fatal(err)
			}
			err = c.Get(context.Background(), client.ObjectKeyFromObject(d), d)
			if gone := apierrors.IsNotFound(err); gone != tc.wantGone {
				t.Errorf("gone = %t (%v), want %t", gone, err, tc.wantGone)
			}
			if res.RequeueAfter != tc.wantAgain {
				t.Errorf("looks again after %s, want %s", res.RequeueAfter, tc.wantAgain)
			}
		})
	}
}
