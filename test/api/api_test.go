// Package api asks a real apiserver what the tests in api/v1alpha1 work out
// without one.
package api

import (
	"context"
	"os"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	consentv1 "github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/test/apiserver"
	"github.com/codb-dev/codb/test/crd"
)

var env *apiserver.Env

func TestMain(m *testing.M) {
	os.Exit(apiserver.Run(m, apiserver.Options{}, func(e *apiserver.Env) { env = e }))
}

// namespaces that the samples live in.
func namespaces(t *testing.T) {
	t.Helper()
	for _, name := range []string{consentv1.CustomersNamespace, "acme-marketing"} {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if err := client.IgnoreAlreadyExists(env.Client.Create(context.Background(), ns)); err != nil {
			t.Fatal(err)
		}
	}
}

func object(o crd.Object) *unstructured.Unstructured {
	return (&unstructured.Unstructured{Object: o}).DeepCopy()
}

// create makes an object with its status, and takes it away after the test.
func create(t *testing.T, o crd.Object) *unstructured.Unstructured {
	t.Helper()
	u := object(o)
	status, hasStatus := u.Object["status"]
	if err := env.Client.Create(t.Context(), u, client.FieldValidation(metav1.FieldValidationStrict)); err != nil {
		t.Fatalf("create: %v", err)
	}
	t.Cleanup(func() {
		if err := client.IgnoreNotFound(env.Client.Delete(context.Background(), u)); err != nil {
			t.Error(err)
		}
	})
	if hasStatus {
		u.Object["status"] = status
		if err := env.Client.Status().Update(t.Context(), u, client.FieldValidation(metav1.FieldValidationStrict)); err != nil {
			t.Fatalf("update the status: %v", err)
		}
	}
	return u
}

func TestKindsAreEstablished(t *testing.T) {
	all := &apiextensionsv1.CustomResourceDefinitionList{}
	if err := env.Client.List(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	if len(all.Items) != 6 {
		t.Errorf("%d CRDs, want 6", len(all.Items))
	}
	for _, c := range all.Items {
		for _, want := range []apiextensionsv1.CustomResourceDefinitionConditionType{apiextensionsv1.Established, apiextensionsv1.NamesAccepted} {
			is := slices.ContainsFunc(c.Status.Conditions, func(got apiextensionsv1.CustomResourceDefinitionCondition) bool {
				return got.Type == want && got.Status == apiextensionsv1.ConditionTrue
			})
			if !is {
				t.Errorf("%s is not %s: %v", c.Name, want, c.Status.Conditions)
			}
		}
		for _, got := range c.Status.Conditions {
			if got.Type == apiextensionsv1.NonStructuralSchema && got.Status == apiextensionsv1.ConditionTrue {
				t.Errorf("%s: %s", c.Name, got.Message)
			}
		}
	}
}
