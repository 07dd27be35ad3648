package posture

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/admission"
)

// stage is a detector with a cluster of its own.
type stage struct {
	*Detector
	admission error
	said      *events.FakeRecorder
	gauges    *prometheus.Registry
}

func newStage(t *testing.T, objects ...client.Object) *stage {
	t.Helper()
	s := runtime.NewScheme()
	if err := errors.Join(scheme.AddToScheme(s), v1alpha1.AddToScheme(s)); err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(s).WithObjects(objects...).
		WithIndex(&corev1.Pod{}, "status.phase", func(o client.Object) []string { return []string{string(o.(*corev1.Pod).Status.Phase)} }).Build()
	st := &stage{said: events.NewFakeRecorder(64), gauges: prometheus.NewRegistry()}
	st.Detector = &Detector{
		Client: c, Live: anyPhase{c}, Admission: func(context.Context) error { return st.admission },
		Events: st.said, Metrics: NewMetrics(st.gauges),
	}
	return st
}

// anyPhase is a reader that, like the fake client, knows no selector with !=.
type anyPhase struct{ client.Reader }

func (r anyPhase) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	opts = slices.DeleteFunc(opts, func(o client.ListOption) bool {
		f, ok := o.(client.MatchingFieldsSelector)
		return ok && f.Selector.String() == fields.ParseSelectorOrDie("status.phase!=Succeeded,status.phase!=Failed").String()
	})
	return r.Reader.List(ctx, list, opts...)
}

// look is one look, and what was said for the first time.
func (s *stage) look(t *testing.T, namespace string) []string {
	t.Helper()
	if _, err := s.Reconcile(t.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Name: namespace}}); err != nil {
		t.Fatal(err)
	}
	var said []string
	for {
		select {
		case e := <-s.said.Events:
			said = append(said, strings.Join(strings.Fields(e)[:2], " "))
		default:
			slices.Sort(said)
			return said
		}
	}
}

func (s *stage) gauge(t *testing.T, name, kind string) float64 {
	t.Helper()
	families, err := s.gauges.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			if f.GetName() == name && m.Label[0].GetValue() == kind {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no metric %s{kind=%q}", name, kind)
	return 0
}

func namespace(name string, gated bool) *corev1.Namespace {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if gated {
		ns.Labels = map[string]string{v1alpha1.LabelEnforce: v1alpha1.EnforceTrue}
	}
	return ns
}

func brand(namespaces ...string) *v1alpha1.Brand {
	return &v1alpha1.Brand{ObjectMeta: metav1.ObjectMeta{Name: "acme"}, Spec: v1alpha1.BrandSpec{Namespaces: namespaces}}
}

func meta(ns string, notes map[string]string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: ns, Name: "spring", UID: "job", Labels: map[string]string{v1alpha1.LabelCampaign: "spring"}, Annotations: notes}
}

func job(ns string, suspended bool, notes map[string]string) *batchv1.Job {
	return &batchv1.Job{ObjectMeta: meta(ns, notes), Spec: batchv1.JobSpec{Suspend: ptr.To(suspended)}}
}

func pod(ns, owner string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "spring-x", UID: "pod"}}
	if owner != "" {
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: "spring", UID: types.UID(owner), Controller: ptr.To(true)}}
	}
	return p
}

var released = map[string]string{v1alpha1.AnnotationDecision: "spring-1"}

func TestWhatIsFound(t *testing.T) {
	policy := &unstructured.Unstructured{Object: map[string]any{"kind": "ValidatingAdmissionPolicy", "metadata": map[string]any{"name": "campaign-pods"}}}
	finished := job("free", false, nil)
	finished.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}
	cron := &batchv1.CronJob{ObjectMeta: meta("acme", nil), Spec: batchv1.CronJobSpec{Suspend: ptr.To(false)}}
	for name, c := range map[string]struct {
		admission error
		objects   []client.Object
		want      []string
	}{
		"NothingWrong": {
			objects: []client.Object{namespace("acme", true), namespace("free", false), brand("acme"), job("acme", false, released), pod("acme", "job")},
		},
		"AHeldJob":        {objects: []client.Object{namespace("acme", true), job("acme", true, nil)}},
		"AMissingOne":     {objects: []client.Object{brand("acme")}},
		"AFinishedOne":    {objects: []client.Object{namespace("free", false), finished}},
		"PodsElsewhere":   {objects: []client.Object{namespace("free", false), pod("free", "")}},
		"AnUngatedOne":    {objects: []client.Object{namespace("acme", false), brand("acme")}, want: []string{"Warning NamespaceUngated"}},
		"AJobOutside":     {objects: []client.Object{namespace("free", false), job("free", true, released)}, want: []string{"Warning WorkloadOutside"}},
		"AJobThatRuns":    {objects: []client.Object{namespace("acme", true), job("acme", false, nil)}, want: []string{"Warning WorkloadUnproven"}},
		"ACronJobTicks":   {objects: []client.Object{namespace("acme", true), cron}, want: []string{"Warning WorkloadUnproven"}},
		"ABarePod":        {objects: []client.Object{namespace("acme", true), pod("acme", "")}, want: []string{"Warning PodsOutOfHand"}},
		"AnOrphan":        {objects: []client.Object{namespace("acme", true), job("acme", true, nil), pod("acme", "gone")}, want: []string{"Warning PodsOutOfHand"}},
		"NotInForce":      {admission: fmt.Errorf("%w: x", admission.ErrNotInForce), want: []string{"Warning AdmissionNotInForce"}},
		"AChangedPolicy":  {admission: admission.DriftError{{Object: policy, Path: "spec"}}, want: []string{"Warning PolicyChanged"}},
		"APolicyThatWent": {admission: errors.Join(admission.DriftError{{Object: policy, Gone: true}}, admission.ErrNotInForce), want: []string{"Warning PolicyGone"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, c.objects...)
			s.admission = c.admission
			got := append(s.look(t, ""), s.look(t, "")...) // pods are believed the second time
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("said (-want +got):\n%s", diff)
			}
			for _, w := range c.want {
				if kind := strings.Fields(w)[1]; s.gauge(t, "consent_posture_violations", kind) != 1 {
					t.Errorf("the metric does not count %s", kind)
				}
			}
			if again := s.look(t, ""); len(again) > 0 {
				t.Errorf("said again: %q", again)
			}
		})
	}
}

func TestWhatIsOverIsCountedNoMore(t *testing.T) {
	s := newStage(t)
	s.admission = admission.ErrNotInForce
	s.look(t, "")
	s.admission = nil
	s.look(t, "")
	if now, ever := s.gauge(t, "consent_posture_violations", AdmissionNotInForce), s.gauge(t, "consent_posture_violations_seen_total", AdmissionNotInForce); now != 0 || ever != 1 {
		t.Errorf("%v now and %v ever, want 0 and 1", now, ever)
	}
	s.admission = admission.ErrNotInForce
	if said := s.look(t, ""); len(said) != 1 {
		t.Errorf("its return is not said: %q", said)
	}
}

func TestAQuestionThatCantBeAskedIsNoViolation(t *testing.T) {
	s := newStage(t)
	s.admission = errors.New("the apiserver is away")
	if _, err := s.Reconcile(t.Context(), reconcile.Request{}); err == nil {
		t.Error("no error")
	}
	if len(s.said.Events) > 0 {
		t.Error("a violation was reported")
	}
}

func TestANamespaceThatLeft(t *testing.T) {
	s := newStage(t, brand("acme"))
	if diff := cmp.Diff([]string{"Warning NamespaceUngated"}, s.look(t, "acme")); diff != "" {
		t.Errorf("a brand's namespace (-want +got):\n%s", diff)
	}
	if said := s.look(t, "another"); len(said) > 0 {
		t.Errorf("of a namespace that no brand lists: %q", said)
	}
}
