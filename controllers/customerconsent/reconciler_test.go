package customerconsent_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/controllers/customerconsent"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// expiring allows acme one e-mail newsletter until an hour after noon.
func expiring(name string) *v1alpha1.CustomerConsent {
	return &v1alpha1.CustomerConsent{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: v1alpha1.CustomersNamespace, Generation: 3},
		Spec: v1alpha1.CustomerConsentSpec{Relationships: []v1alpha1.Relationship{{
			Brand: "acme",
			Grants: []v1alpha1.Grant{{
				Purpose: "DirectMarketing", Channel: v1alpha1.ChannelEmail, Status: v1alpha1.ConsentGiven,
				CaptureDate: metav1.NewTime(noon.AddDate(0, -1, 0)), EffectiveTo: &metav1.Time{Time: noon.Add(time.Hour)},
			}},
		}}},
	}
}

// world is the reconciler over a fake apiserver that counts status writes.
type world struct {
	*customerconsent.Reconciler
	clock  *clocktesting.FakeClock
	writes int
	fails  error
}

func newWorld(objects ...client.Object) *world {
	scheme := runtime.NewScheme()
	_ = v1alpha1.AddToScheme(scheme)
	w := &world{clock: clocktesting.NewFakeClock(noon)}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(objects...).
		WithInterceptorFuncs(interceptor.Funcs{
			SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
				w.writes++
				if w.fails != nil {
					return w.fails
				}
				return c.SubResource(sub).Patch(ctx, o, p, opts...)
			},
		}).Build()
	w.Reconciler = &customerconsent.Reconciler{Client: c, Clock: w.clock}
	return w
}

func (w *world) look(t *testing.T, name string) ctrl.Result {
	t.Helper()
	result, err := w.Reconcile(t.Context(), request(name))
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func request(name string) ctrl.Request {
	return ctrl.Request{NamespacedName: client.ObjectKey{Namespace: v1alpha1.CustomersNamespace, Name: name}}
}

func TestTheStatusFollowsTheAnswersAndTime(t *testing.T) {
	w := newWorld(expiring("c1"))
	tests := []struct {
		name   string
		at     time.Time
		want   v1alpha1.CustomerConsentStatus
		writes int
		next   time.Duration
	}{
		{
			name: "given", at: noon, writes: 1, next: time.Hour,
			want: v1alpha1.CustomerConsentStatus{
				Summary: "Given", BrandsGiven: ptr.To[int32](1), NextChange: &metav1.Time{Time: noon.Add(time.Hour)},
				Brands: []v1alpha1.BrandStanding{{
					Brand: "acme", State: "Given", Channels: []v1alpha1.Channel{v1alpha1.ChannelEmail}, Until: &metav1.Time{Time: noon.Add(time.Hour)},
				}},
			},
		},
		{
			name: "still given: nothing is written", at: noon.Add(time.Hour - time.Nanosecond), writes: 1, next: time.Second,
			want: v1alpha1.CustomerConsentStatus{
				Summary: "Given", BrandsGiven: ptr.To[int32](1), NextChange: &metav1.Time{Time: noon.Add(time.Hour)},
				Brands: []v1alpha1.BrandStanding{{
					Brand: "acme", State: "Given", Channels: []v1alpha1.Channel{v1alpha1.ChannelEmail}, Until: &metav1.Time{Time: noon.Add(time.Hour)},
				}},
			},
		},
		{
			name: "expired, for good", at: noon.Add(time.Hour), writes: 2,
			want: v1alpha1.CustomerConsentStatus{
				Summary: "None", BrandsGiven: ptr.To[int32](0), Brands: []v1alpha1.BrandStanding{{Brand: "acme", State: "Expired"}},
			},
		},
		{
			name: "nothing changes any more", at: noon.AddDate(9, 0, 0), writes: 2,
			want: v1alpha1.CustomerConsentStatus{
				Summary: "None", BrandsGiven: ptr.To[int32](0), Brands: []v1alpha1.BrandStanding{{Brand: "acme", State: "Expired"}},
			},
		},
	}
	for _, tc := range tests { // in this order: time only goes forward
		w.clock.SetTime(tc.at)
		result := w.look(t, "c1")
		var got v1alpha1.CustomerConsent
		if err := w.Client.Get(t.Context(), request("c1").NamespacedName, &got); err != nil {
			t.Fatal(err)
		}
		tc.want.ObservedGeneration = 3
		tc.want.Conditions = []metav1.Condition{{
			Type: "Ready", Status: metav1.ConditionTrue, Reason: "Ready", ObservedGeneration: 3,
			Message: "the status speaks of the latest answers", LastTransitionTime: metav1.NewTime(noon),
		}}
		if diff := cmp.Diff(tc.want, got.Status); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
		if w.writes != tc.writes || result.RequeueAfter != tc.next {
			t.Errorf("%s: %d writes so far, next look after %s; want %d and %s", tc.name, w.writes, result.RequeueAfter, tc.writes, tc.next)
		}
	}
}

func TestWhatIsNoCustomerIsLeftAlone(t *testing.T) {
	fence := expiring(v1alpha1.FenceName)
	labelled := expiring("other-fence")
	labelled.Labels = map[string]string{v1alpha1.LabelClass: v1alpha1.ClassFence}
	w := newWorld(fence, labelled)
	for _, name := range []string{fence.Name, labelled.Name, "forgotten"} {
		if result := w.look(t, name); result.RequeueAfter != 0 {
			t.Errorf("%s is looked at again after %s", name, result.RequeueAfter)
		}
	}
	if w.writes != 0 {
		t.Errorf("%d writes, want none", w.writes)
	}
}

func TestErrorsNameNobody(t *testing.T) {
	resource := schema.GroupResource{Group: v1alpha1.Group, Resource: "customerconsents"}
	tests := map[string]struct {
		err  error
		says string
	}{
		"AConflict":     {err: apierrors.NewConflict(resource, "c1", errors.New("c1 has changed")), says: "Conflict"},
		"NoNetwork":     {err: &url.Error{Op: "Patch", URL: "https://127.0.0.1/c1", Err: errors.New("connection refused")}, says: "connection refused"},
		"OutOfTime":     {err: &url.Error{Op: "Patch", URL: "https://127.0.0.1/c1", Err: context.DeadlineExceeded}, says: "out of time"},
		"SomethingElse": {err: errors.New("c1 is strange"), says: "*errors.errorString"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(expiring("c1"))
			w.fails = tc.err
			_, err := w.Reconcile(t.Context(), request("c1"))
			if !errors.Is(err, tc.err) {
				t.Fatalf("error: %v, want it to be %v", err, tc.err)
			}
			if strings.Contains(err.Error(), "c1") || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error: %q, want %q in it and no name", err, tc.says)
			}
		})
	}
}

func TestOneWhoIsForgottenMeanwhileIsNoError(t *testing.T) {
	w := newWorld(expiring("c1"))
	w.fails = apierrors.NewNotFound(schema.GroupResource{}, "c1")
	w.look(t, "c1")
}
