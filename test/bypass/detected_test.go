package bypass_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/controllers/posture"
)

// detected does what Kubernetes can't refuse to those who may, and waits for
// codb to say so.
func (w *world) detected(t *testing.T) {
	t.Run("ANamespaceLeaves", func(t *testing.T) {
		ns := namespace(t)
		if err := patch(ns, "{'metadata':{'labels':{'consent.codb.dev/enforce':null}}}")(t, root.client(t)); err != nil {
			t.Fatal(err)
		}
		reported(t, posture.NamespaceUngated, ns.Name)
		gatedAgain(t, ns.Name)
	})
	t.Run("ANamespaceIsMadeAnew", func(t *testing.T) {
		ns := namespace(t)
		if err := root.client(t).Delete(t.Context(), ns); err != nil {
			t.Fatal(err)
		}
		await(t, "the namespace to be gone", func(ctx context.Context) string {
			if err := env.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns.Name}}); err != nil {
				return err.Error()
			}
			return ""
		})
		reported(t, posture.NamespaceUngated, ns.Name)
		gatedAgain(t, ns.Name)
	})
	t.Run("PodsFromBeforeEnforcement", func(t *testing.T) {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "acme-old"}}
		store(t, ns, &corev1.Pod{ObjectMeta: meta(ns.Name, "sender"), Spec: podSpec()})
		if err := patch(ns, "{'metadata':{'labels':{'consent.codb.dev/enforce':'true'}}}")(t, root.client(t)); err != nil {
			t.Fatal(err)
		}
		reported(t, posture.PodsOutOfHand, ns.Name)
	})
	const name = "campaign-pods.consent.codb.dev"
	binding := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{}
	if err := env.Client.Get(t.Context(), types.NamespacedName{Name: name}, binding); err != nil {
		t.Fatal(err)
	}
	t.Run("APolicyIsNarrowed", func(t *testing.T) {
		narrow := "{'spec':{'matchResources':{'namespaceSelector':{'matchLabels':{'team':'x'}}}}}"
		if err := patch(binding, narrow)(t, root.client(t)); err != nil {
			t.Fatal(err)
		}
		reported(t, posture.PolicyChanged, name)
		nothingIsReleased(t)
		if err := patch(binding, "{'spec':{'matchResources':null}}")(t, root.client(t)); err != nil {
			t.Fatal(err)
		}
		readyAgain(t)
	})
	t.Run("APolicyIsDeleted", func(t *testing.T) {
		if err := root.client(t).Delete(t.Context(), binding.DeepCopy()); err != nil {
			t.Fatal(err)
		}
		reported(t, posture.PolicyGone, name)
		nothingIsReleased(t)
		store(t, &admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: binding.Spec})
		readyAgain(t)
	})
}

// namespace makes one that a brand of its own lists.
func namespace(t *testing.T) *corev1.Namespace {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "acme-" + strings.ToLower(t.Name()[strings.LastIndex(t.Name(), "/")+1:])}}
	b := &v1alpha1.Brand{}
	if err := env.Client.Get(t.Context(), types.NamespacedName{Name: "acme"}, b); err != nil {
		t.Fatal(err)
	}
	store(t, ns, &v1alpha1.Brand{ObjectMeta: metav1.ObjectMeta{Name: ns.Name}, Spec: v1alpha1.BrandSpec{
		DisplayName: "Acme", Namespaces: []string{ns.Name}, Purposes: b.Spec.Purposes,
	}})
	gatedAgain(t, ns.Name)
	return ns
}

func gatedAgain(t *testing.T, name string) {
	t.Helper()
	await(t, "namespace "+name+" to be gated", func(ctx context.Context) string {
		ns := &corev1.Namespace{}
		if err := env.Client.Get(ctx, types.NamespacedName{Name: name}, ns); err != nil {
			return err.Error()
		}
		if ns.Labels[v1alpha1.LabelEnforce] != v1alpha1.EnforceTrue || !ns.DeletionTimestamp.IsZero() {
			return fmt.Sprint(ns.Labels)
		}
		return ""
	})
}

// reported waits for a Warning about something.
func reported(t *testing.T, kind, about string) {
	t.Helper()
	await(t, "a Warning "+kind, func(ctx context.Context) string {
		var list eventsv1.EventList
		if err := env.Client.List(ctx, &list); err != nil {
			return err.Error()
		}
		for _, e := range list.Items {
			related := e.Related != nil && e.Related.Name == about
			if e.Type == corev1.EventTypeWarning && e.Reason == kind && (e.Regarding.Name == about || related) {
				return ""
			}
		}
		return fmt.Sprint(len(list.Items), " other events")
	})
}

// nothingIsReleased waits until codb says that it is not ready, and then shows
// it a campaign that everybody allows.
func nothingIsReleased(t *testing.T) {
	t.Helper()
	await(t, "codb to be not ready", func(ctx context.Context) string {
		if codb.Ready(ctx) == nil {
			return "it is ready"
		}
		return ""
	})
	name := "while-" + strings.ToLower(t.Name()[strings.LastIndex(t.Name(), "/")+1:])
	c, j := campaign(name, "agreed"), plainJob(marketing, name, name)
	store(t, c, j)
	await(t, "codb to have tried", func(ctx context.Context) string {
		if err := env.Client.Get(ctx, client.ObjectKeyFromObject(c), c); err != nil {
			return err.Error()
		}
		if ready := apimeta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionReady); ready == nil || !strings.Contains(ready.Message, "admission") {
			return fmt.Sprint(c.Status)
		}
		return ""
	})
	if !*get[batchv1.Job](t, name).Spec.Suspend {
		t.Error("a Job was released while admission was not in force")
	}
	for _, o := range []client.Object{c, j} {
		if err := env.Client.Delete(t.Context(), o, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
			t.Fatal(err)
		}
	}
}

func readyAgain(t *testing.T) {
	t.Helper()
	await(t, "codb to be ready", func(ctx context.Context) string {
		if err := codb.Ready(ctx); err != nil {
			return err.Error()
		}
		return ""
	})
}
