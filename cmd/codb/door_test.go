package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consentstore"
	"github.com/codb-dev/codb/test/postgres"
)

// TestTheDoorOpensWithItsRightsAlone runs codb consents as its ServiceAccount,
// with the manifests of config/postgres/consents.
func TestTheDoorOpensWithItsRightsAlone(t *testing.T) {
	at := postgres.Place(t)
	d, err := openConsents(t.Context(), at, consentstore.DatabaseOptions{Admit: func(ctx context.Context, id string) error {
		return home{write: env.Client}.settle(ctx, "postgresql/"+id) // as the operator does
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	t.Cleanup(func() { forget(t, "v1", "ConfigMap", homeConfigMap) })
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	applyDoor(t, port)

	file := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(file, []byte(at), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		o := doorOptions{address: fmt.Sprintf("127.0.0.1:%d", port), secret: "codb-consents-tls"}
		o.consents.database.file = file
		ended <- runDoor(ctx, env.ConfigAs("system:serviceaccount:codb-system:codb-consents"), o)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})

	s := runtime.NewScheme()
	v1alpha1.AddConsentsToScheme(s, v1alpha1.StoreGroupVersion)
	c := &v1alpha1.CustomerConsent{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.CustomersNamespace, Name: "door-1"}}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) { // it is coming up; there is nothing to watch yet
		clerk, err := client.New(env.Config, client.Options{Scheme: s})
		if err == nil {
			err = clerk.Create(t.Context(), c.DeepCopy())
		}
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	if got, err := d.Now(t.Context(), "door-1"); err != nil || got.Generation != 1 {
		t.Errorf("the database has %v, %v", got, err)
	}
}

// TestTheDoorKnowsItsDatabase: in another one a withdrawal would not be heard.
func TestTheDoorKnowsItsDatabase(t *testing.T) {
	h := home{read: env.Client, write: env.Client}
	if err := h.isThis(t.Context(), "one"); err == nil || !strings.Contains(err.Error(), "the same --consents") {
		t.Errorf("before the operator has settled: %v", err)
	}
	if err := h.settle(t.Context(), "postgresql/one"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { forget(t, "v1", "ConfigMap", homeConfigMap) })
	if err := h.isThis(t.Context(), "one"); err != nil {
		t.Error(err)
	}
	if err := h.isThis(t.Context(), "two"); err == nil {
		t.Error("another database is taken for this one")
	}
}

// applyDoor applies the manifests, with this machine for the pods.
func applyDoor(t *testing.T, port int) {
	t.Helper()
	for _, name := range []string{"rbac.yaml", "door.yaml"} {
		raw, err := os.ReadFile(filepath.Join("../../config/postgres/consents", name))
		if err != nil {
			t.Fatal(err)
		}
		decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(raw), 4096)
		for {
			u := &unstructured.Unstructured{}
			if err := decoder.Decode(u); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			switch u.GetKind() {
			case "Deployment", "PodDisruptionBudget", "NetworkPolicy":
				continue
			case "Service":
				u.Object["spec"] = map[string]any{"type": "ExternalName", "externalName": "localhost"}
			case "APIService":
				if err := unstructured.SetNestedField(u.Object, int64(port), "spec", "service", "port"); err != nil {
					t.Fatal(err)
				}
			}
			if err := applyOne(t.Context(), env.Client, u); err != nil {
				t.Fatal(err)
			}
			if kind := u.GetKind(); kind == "APIService" { // while it leads nowhere no namespace can go
				t.Cleanup(func() { forget(t, u.GetAPIVersion(), kind, u.GetName()) })
			}
		}
	}
}

func forget(t *testing.T, version, kind, name string) {
	t.Helper()
	u := &unstructured.Unstructured{}
	u.SetAPIVersion(version)
	u.SetKind(kind)
	u.SetName(name)
	if kind == "ConfigMap" {
		u.SetNamespace(v1alpha1.SystemNamespace)
	}
	if err := env.Client.Delete(context.Background(), u); err != nil && !apierrors.IsNotFound(err) {
		t.Error(err)
	}
}
