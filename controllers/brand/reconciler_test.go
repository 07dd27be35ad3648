package brand_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/controllers/brand"
	"github.com/codb-dev/codb/internal/admission"
	"github.com/codb-dev/codb/test/apiserver"
)

// The reconciler runs under the operator's own account, rights and admission.
var env *apiserver.Env

func TestMain(m *testing.M) {
	os.Exit(apiserver.Run(m, apiserver.Options{Admission: true}, func(e *apiserver.Env) { env = e }))
}

func newBrand(t *testing.T, name string, namespaces ...string) *v1alpha1.Brand {
	t.Helper()
	b := &v1alpha1.Brand{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.BrandSpec{
			DisplayName: name, Namespaces: namespaces,
			Purposes: []v1alpha1.BrandPurpose{{Name: "DirectMarketing", Class: v1alpha1.ClassMarketing, Notice: "We write to you.", NoticeVersion: "1"}},
		},
	}
	if err := env.Client.Create(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.Client.Delete(context.Background(), b); err != nil {
			t.Error(err)
		}
	})
	return b
}

func operator(t *testing.T) (*brand.Reconciler, *events.FakeRecorder) {
	recorder := events.NewFakeRecorder(100)
	return &brand.Reconciler{Client: env.As(t, v1alpha1.OperatorUsername), Events: recorder, Gates: gated}, recorder
}

func gated(context.Context, string) error { return nil }

// The apiserver sees a label some moments after it was written: until then a
// Job would run unasked, and the brand must not say that it is Ready.
func TestABrandIsReadyOnceItsNamespacesAreSeenToBeGated(t *testing.T) {
	there := env.Namespace(t, nil)
	newBrand(t, "acme-fresh", there)
	r, recorder := operator(t)
	r.Gates = func(context.Context, string) error { return fmt.Errorf("%w: a Job would run", admission.ErrNotInForce) }
	if ready, _ := look(t, r, recorder, "acme-fresh"); ready.Status != metav1.ConditionFalse || ready.Reason != v1alpha1.ReasonNotAdmitted || !strings.HasSuffix(ready.Message, ": "+there) {
		t.Errorf("Ready: %+v", ready)
	}
	result, err := r.Reconcile(t.Context(), read(t, "acme-fresh"))
	if err != nil || result.RequeueAfter <= 0 {
		t.Errorf("%+v, %v: want another look soon", result, err)
	}

	r.Gates = func(ctx context.Context, namespace string) error { return admission.Gates(ctx, r.Client, namespace) }
	var ready metav1.Condition
	err = wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		ready, _ = look(t, r, recorder, "acme-fresh")
		return ready.Status == metav1.ConditionTrue, nil
	})
	if err != nil {
		t.Fatalf("%v: %+v", err, ready)
	}
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "any", Namespace: there}, Spec: batchv1.JobSpec{
		Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "any", Image: "any"}}}}}}
	if err := env.Client.Create(t.Context(), job); err == nil || !strings.Contains(err.Error(), "a Job without a campaign") {
		t.Errorf("the brand is Ready, and a Job without a campaign is answered: %v", err)
	}
}

// look reconciles once and returns the Ready condition and the events.
func look(t *testing.T, r *brand.Reconciler, recorder *events.FakeRecorder, name string) (metav1.Condition, []string) {
	t.Helper()
	b := read(t, name)
	if _, err := r.Reconcile(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	var announced []string
	for len(recorder.Events) > 0 {
		announced = append(announced, <-recorder.Events)
	}
	ready := meta.FindStatusCondition(read(t, name).Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil {
		t.Fatalf("brand %s has no Ready condition", name)
	}
	return *ready, announced
}

func read(t *testing.T, name string) *v1alpha1.Brand {
	t.Helper()
	b := &v1alpha1.Brand{}
	if err := env.Client.Get(t.Context(), client.ObjectKey{Name: name}, b); err != nil {
		t.Fatal(err)
	}
	return b
}

func enforced(t *testing.T, namespace string) bool {
	t.Helper()
	ns := &corev1.Namespace{}
	if err := env.Client.Get(t.Context(), client.ObjectKey{Name: namespace}, ns); err != nil {
		t.Fatal(err)
	}
	return ns.Labels[v1alpha1.LabelEnforce] == v1alpha1.EnforceTrue
}

func TestListedNamespacesAreGatedAndStaySo(t *testing.T) {
	one, two := env.Namespace(t, nil), env.Namespace(t, map[string]string{"team": "crm"})
	newBrand(t, "acme", two, one)
	r, recorder := operator(t)

	ready, announced := look(t, r, recorder, "acme")
	if ready.Status != metav1.ConditionTrue || ready.Message != "gates 2 namespaces" {
		t.Errorf("Ready: %+v", ready)
	}
	if !enforced(t, one) || !enforced(t, two) {
		t.Error("a listed namespace is not enforced")
	}
	if len(announced) != 3 {
		t.Errorf("events: %q, want one for each namespace and one for Ready", announced)
	}

	before := read(t, "acme").ResourceVersion
	_, announced = look(t, r, recorder, "acme")
	if after := read(t, "acme").ResourceVersion; after != before || len(announced) != 0 {
		t.Errorf("a second look wrote (%s, then %s) or announced %q", before, after, announced)
	}

	b := read(t, "acme")
	b.Spec.Namespaces = []string{two}
	if err := env.Client.Update(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	ready, announced = look(t, r, recorder, "acme")
	if ready.Message != "gates 1 namespace" || ready.ObservedGeneration != b.Generation {
		t.Errorf("Ready: %+v", ready)
	}
	if !enforced(t, one) {
		t.Error("a namespace was taken out of force without a person")
	}
	if len(announced) != 0 {
		t.Errorf("announced %q, though Ready is as it was", announced)
	}
}

func TestABrandWithoutNamespacesIsReady(t *testing.T) {
	newBrand(t, "globex")
	r, recorder := operator(t)
	if ready, _ := look(t, r, recorder, "globex"); ready.Status != metav1.ConditionTrue || !strings.HasPrefix(ready.Message, "gates no namespaces") {
		t.Errorf("Ready: %+v", ready)
	}
}

func TestMissingNamespacesAreNamed(t *testing.T) {
	there := env.Namespace(t, nil)
	names := []string{"zz-nowhere", there, "aa-nowhere"}
	for i := range 6 {
		names = append(names, fmt.Sprintf("mm-%d", i))
	}
	newBrand(t, "acme-missing", names...)
	r, recorder := operator(t)
	ready, announced := look(t, r, recorder, "acme-missing")
	if ready.Status != metav1.ConditionFalse || ready.Reason != v1alpha1.ReasonNamespaceMissing ||
		!strings.HasSuffix(ready.Message, ": aa-nowhere, mm-0, mm-1, mm-2, mm-3 and 3 more") {
		t.Errorf("Ready: %+v", ready)
	}
	if !enforced(t, there) {
		t.Error("one that is missing kept another from being enforced")
	}
	if len(announced) != 2 || !strings.Contains(announced[1], "Warning NamespaceMissing") {
		t.Errorf("events: %q", announced)
	}
}

func TestReservedNamespacesAreNotGated(t *testing.T) {
	there, own := env.Namespace(t, nil), env.Namespace(t, nil)
	newBrand(t, "acme-reserved", own, there)
	r, recorder := operator(t)
	r.Reserved = []string{own}
	ready, _ := look(t, r, recorder, "acme-reserved")
	if ready.Status != metav1.ConditionFalse || ready.Reason != v1alpha1.ReasonNamespaceReserved || !strings.HasSuffix(ready.Message, ": "+own) {
		t.Errorf("Ready: %+v", ready)
	}
	if enforced(t, own) || !enforced(t, there) {
		t.Error("exactly the one that is not reserved should be enforced")
	}
}

// A look at an outdated copy writes nothing, and nobody wakes the brand again
// for what was written meanwhile: it wakes itself.
func TestAnOutdatedLookIsTakenAgain(t *testing.T) {
	newBrand(t, "acme-outdated", "nowhere")
	r, recorder := operator(t)
	outdated := read(t, "acme-outdated")
	look(t, r, recorder, "acme-outdated")
	if result, err := r.Reconcile(t.Context(), outdated); err != nil || result.RequeueAfter <= 0 {
		t.Errorf("%+v, %v: want another look", result, err)
	}
}

// One that can't be labelled leaves the answer open, and is tried again.
func TestFailuresAreSaidAndReturned(t *testing.T) {
	there := env.Namespace(t, nil)
	newBrand(t, "acme-failing", there)
	r := &brand.Reconciler{Client: readOnly{env.Client}, Events: events.NewFakeRecorder(9), Gates: gated}
	if _, err := r.Reconcile(t.Context(), read(t, "acme-failing")); err == nil || !strings.Contains(err.Error(), there) {
		t.Errorf("Reconcile: %v, want an error about %s", err, there)
	}
	ready := meta.FindStatusCondition(read(t, "acme-failing").Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.Status != metav1.ConditionUnknown || ready.Reason != v1alpha1.ReasonStalled {
		t.Errorf("Ready: %+v", ready)
	}
}

// readOnly can't patch objects, only their status.
type readOnly struct{ client.Client }

func (readOnly) Patch(context.Context, client.Object, client.Patch, ...client.PatchOption) error {
	return fmt.Errorf("no")
}

func TestNamespacesWakeTheirBrand(t *testing.T) {
	startManager(t)
	newBrand(t, "acme-late", "late")
	waitForReady(t, "acme-late", metav1.ConditionFalse)

	late := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "late"}}
	if err := env.Client.Create(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	waitForReady(t, "acme-late", metav1.ConditionTrue)

	// A person who may exempt takes the label off, though the brand lists it.
	free := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"metadata":{"labels":{%q:null}}}`, v1alpha1.LabelEnforce))
	if err := env.Client.Patch(t.Context(), late, free); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the namespace is enforced again", func() bool { return enforced(t, "late") })
}

func startManager(t *testing.T) {
	t.Helper()
	mgr, err := ctrl.NewManager(env.ConfigAs(v1alpha1.OperatorUsername), ctrl.Options{
		Scheme: env.Scheme, Metrics: metricsserver.Options{BindAddress: "0"}, Logger: logr.Discard(),
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &brand.Reconciler{Client: mgr.GetClient(), Events: mgr.GetEventRecorder("codb"), Gates: gated}
	if err := r.SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the manager ended: %v", err)
		}
	})
}

func waitForReady(t *testing.T, name string, want metav1.ConditionStatus) {
	t.Helper()
	eventually(t, fmt.Sprintf("brand %s is Ready=%s", name, want), func() bool {
		ready := meta.FindStatusCondition(read(t, name).Status.Conditions, v1alpha1.ConditionReady)
		return ready != nil && ready.Status == want
	})
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 30*time.Second, true,
		func(context.Context) (bool, error) { return f(), nil })
	if err != nil {
		t.Fatalf("wait until %s: %v", what, err)
	}
}
