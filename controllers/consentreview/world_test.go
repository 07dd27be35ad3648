package consentreview_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/controllers/consentreview"
	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/policy"
	"github.com/codb-dev/codb/internal/workload"
	"github.com/codb-dev/codb/policies"
)

var (
	noon    = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)
	errDown = errors.New("it is down")
)

const customer = "c-7f3a9c1e"

// floor is the real one: questions are answered as campaigns are.
var floor = sync.OnceValues(func() (*policy.Library, *policy.Interpreter) {
	lib, err := policy.LoadLibrary(policies.FS)
	if err != nil {
		panic(err)
	}
	i, err := policy.NewInterpreter(lib, []policy.Policy{lib.Floor()})
	if err != nil {
		panic(err)
	}
	return lib, i
})

// world is a question about one customer and one campaign, and all that its
// answer comes from.
type world struct {
	*testing.T
	client.WithWatch
	*consentreview.Reconciler
	clock    *clocktesting.FakeClock
	customer *v1alpha1.CustomerConsent // nil: there is none
	book     *policy.Book
	asked    int
	writes   int

	unsynced                       bool
	fence, ledger, engine, refusal error
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s := runtime.NewScheme()
	if err := errors.Join(batchv1.AddToScheme(s), v1alpha1.AddToScheme(s)); err != nil {
		t.Fatal(err)
	}
	lib, _ := floor()
	w := &world{T: t, clock: clocktesting.NewFakeClock(noon), book: policy.NewBook(lib, nil), customer: &v1alpha1.CustomerConsent{
		ObjectMeta: metav1.ObjectMeta{Name: customer},
		Spec: v1alpha1.CustomerConsentSpec{Relationships: []v1alpha1.Relationship{{Brand: "acme", Grants: []v1alpha1.Grant{{
			Purpose: "Marketing", Channel: v1alpha1.ChannelEmail, Status: v1alpha1.ConsentGiven, CaptureDate: metav1.NewTime(noon.Add(-time.Hour)),
		}}}}},
	}}
	real := fake.NewClientBuilder().WithScheme(s).WithStatusSubresource(&v1alpha1.ConsentReview{}).WithObjects(
		&v1alpha1.Brand{ObjectMeta: metav1.ObjectMeta{Name: "acme"}, Spec: v1alpha1.BrandSpec{
			Namespaces: []string{"acme-marketing"}, Purposes: []v1alpha1.BrandPurpose{{Name: "Marketing", Class: v1alpha1.ClassMarketing}},
		}},
		&v1alpha1.Campaign{ObjectMeta: metav1.ObjectMeta{Namespace: "acme-marketing", Name: "spring"}, Spec: v1alpha1.CampaignSpec{
			Brand: "acme", Purpose: "Marketing", Channel: v1alpha1.ChannelEmail, Audience: v1alpha1.Audience{Everyone: &v1alpha1.Everyone{}},
		}},
		&v1alpha1.CampaignPolicy{ObjectMeta: metav1.ObjectMeta{Name: "baseline", Generation: 1}},
		&v1alpha1.ConsentReview{
			ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.CustomersNamespace, Name: "why-" + customer, UID: "first", CreationTimestamp: metav1.NewTime(noon)},
			Spec:       v1alpha1.ConsentReviewSpec{Customer: customer, Campaign: v1alpha1.NamespacedReference{Namespace: "acme-marketing", Name: "spring"}},
		},
	).Build()
	w.WithWatch = interceptor.NewClient(real, interceptor.Funcs{
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			w.writes++
			if w.refusal != nil {
				return w.refusal
			}
			return c.SubResource(sub).Patch(ctx, o, p, opts...)
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			if w.refusal != nil {
				return w.refusal
			}
			// The client in memory doesn't heed preconditions; an apiserver does.
			there := o.DeepCopyObject().(client.Object)
			asked := (&client.DeleteOptions{}).ApplyOptions(opts).Preconditions
			if err := c.Get(ctx, client.ObjectKeyFromObject(o), there); err == nil && asked != nil && *asked.UID != there.GetUID() {
				return apierrors.NewConflict(schema.GroupResource{Resource: "consentreviews"}, o.GetName(), errors.New("another uid"))
			}
			return c.Delete(ctx, o, opts...)
		},
	})
	w.inForce(1)
	w.Reconciler = &consentreview.Reconciler{
		Client: w, Consents: people{w}, Policies: rules{w.book, w}, Contacts: past{w}, Keeper: &workload.Keeper{Client: w}, Clock: w.clock,
	}
	return w
}

// inForce puts the baseline into the book, in this generation.
func (w *world) inForce(generation int64) {
	w.book.Put(&v1alpha1.CampaignPolicy{ObjectMeta: metav1.ObjectMeta{Name: "baseline", Generation: generation}},
		&policy.InForce{Policy: policy.Policy{Name: "baseline", Generation: generation}, Digest: "sha256:x"})
}

// people are the one customer.
type people struct{ w *world }

func (p people) Synced() bool                          { return !p.w.unsynced }
func (p people) Fence(context.Context) (string, error) { return "cr-1", p.w.fence }

func (p people) Customers() *audience.Table {
	t := audience.NewTable()
	if p.w.customer != nil {
		t.Put(p.w.customer.Name, p.w.customer, time.Time{})
	}
	return t
}

// rules are the book's, judged by the floor in this process.
type rules struct {
	*policy.Book
	w *world
}

func (r rules) Judge(context.Context, []policy.InForce) (decision.Judge, error) { return judge(r), nil }

type judge rules

func (j judge) Digest() string { _, i := floor(); return i.Digest() }

func (j judge) Judge(ctx context.Context, q decision.Question) ([]decision.Answer, error) {
	j.w.asked++
	if j.w.engine != nil {
		return nil, j.w.engine
	}
	_, i := floor()
	return i.Judge(ctx, q)
}

type past struct{ w *world }

func (p past) Current(context.Context) error { return p.w.ledger }
func (p past) View(types.UID, []types.UID) audience.Ledger {
	return contacts.NewProjection(contacts.LookBack).View(p.w.clock.Now())
}

// question is what the apiserver has of it; nil: nothing.
func (w *world) question() *v1alpha1.ConsentReview {
	w.Helper()
	q := &v1alpha1.ConsentReview{}
	err := w.WithWatch.Get(w.Context(), client.ObjectKey{Namespace: v1alpha1.CustomersNamespace, Name: "why-" + customer}, q)
	if apierrors.IsNotFound(err) {
		return nil
	} else if err != nil {
		w.Fatal(err)
	}
	return q
}

func (w *world) look() (reconcile.Result, error) {
	w.Helper()
	return w.Reconcile(w.Context(), w.question())
}

func condition(q *v1alpha1.ConsentReview) metav1.Condition {
	if c := meta.FindStatusCondition(q.Status.Conditions, v1alpha1.ConditionReady); c != nil {
		return *c
	}
	return metav1.Condition{}
}

// edit changes an object of the cluster.
func edit[T client.Object](w *world, o T, namespace, name string, f func(T)) {
	w.Helper()
	err := w.WithWatch.Get(w.Context(), client.ObjectKey{Namespace: namespace, Name: name}, o)
	if err == nil {
		f(o)
		err = w.Update(w.Context(), o)
	}
	if err != nil {
		w.Fatal(err)
	}
}
