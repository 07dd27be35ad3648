// Package static_test starts an apiserver that loads codb's admission policies
// from its disk, and shows that nobody can take them away through its API.
package static_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/config"
	"github.com/codb-dev/codb/internal/admission"
	"github.com/codb-dev/codb/test/apiserver"
)

var env *apiserver.Env

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "codb-static-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	write := exec.Command("go", "run", "github.com/codb-dev/codb/cmd/codb", "install", "--static", dir)
	if out, err := write.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "codb install --static: %v: %s\n", err, out)
		return 1
	}
	return apiserver.Run(m, apiserver.Options{Controllers: true, Flags: map[string]string{
		"admission-control-config-file": filepath.Join(dir, "admission.yaml"),
	}}, func(e *apiserver.Env) { env = e })
}

func TestStaticPoliciesCantBeRemoved(t *testing.T) {
	ctx := t.Context()
	objects, err := config.Objects(config.Values{}, config.Namespaces, config.RBAC)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if err := env.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(o), client.FieldOwner("test")); err != nil {
			t.Fatalf("apply %s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
	masters := env.As(t, "root", "system:masters")
	// Everything that an administrator could delete, is deleted.
	for _, o := range []client.Object{
		&admissionregistrationv1.ValidatingAdmissionPolicy{}, &admissionregistrationv1.ValidatingAdmissionPolicyBinding{},
		&admissionregistrationv1.MutatingAdmissionPolicy{}, &admissionregistrationv1.MutatingAdmissionPolicyBinding{},
	} {
		if err := masters.DeleteAllOf(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	ns := env.EnforcedNamespace(t)
	t.Run("BornSuspended", func(t *testing.T) {
		j := job(ns, "held")
		if err := masters.Create(ctx, j); err != nil {
			t.Fatal(err)
		}
		if !ptr.Deref(j.Spec.Suspend, false) {
			t.Error("the Job runs at once")
		}
		err := masters.Patch(ctx, j, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"suspend":false}}`)))
		refused(t, err, "only codb releases campaign Jobs")
	})
	t.Run("RawPod", func(t *testing.T) {
		refused(t, masters.Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "x"}, Spec: job(ns, "x").Spec.Template.Spec}), "only Jobs make pods here")
	})
	t.Run("NobodyCanNameThem", func(t *testing.T) {
		fake := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "campaign-pods.consent.codb.dev.static.k8s.io"},
			Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
				PolicyName: "campaign-pods.consent.codb.dev.static.k8s.io", ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Audit},
			},
		}
		if err := masters.Create(ctx, fake); err == nil {
			refused(t, masters.Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "x"}, Spec: job(ns, "x").Spec.Template.Spec}), "only Jobs make pods here")
		}
	})
	t.Run("CodbKnowsThatTheyAreInForce", func(t *testing.T) { inForce(ctx, t) })
}

func inForce(ctx context.Context, t *testing.T) {
	want, err := config.Objects(config.Values{}, config.Admission, config.Mutation)
	if err != nil {
		t.Fatal(err)
	}
	clean := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{}
	if err := env.Client.DeleteAllOf(ctx, clean); err != nil {
		t.Fatal(err)
	}
	if err := admission.Check(ctx, env.As(t, v1alpha1.OperatorUsername), env.Client, want); err != nil {
		t.Error(err)
	}
}

func refused(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), ".static.k8s.io") {
		t.Errorf("%v, want a static policy to say %q", err, want)
	}
}

func job(ns, name string) *batchv1.Job {
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, Labels: map[string]string{v1alpha1.LabelCampaign: "spring"}},
		Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever,
			Containers:    []corev1.Container{{Name: "sender", Image: "sender"}},
		}}},
	}
}
