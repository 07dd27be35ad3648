package gateaddress_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/controllers/gateaddress"
	"github.com/codb-dev/codb/test/apiserver"
)

// The reconciler runs under the operator's own account, rights and admission,
// with a cache as the operator's.
var env *apiserver.Env

func TestMain(m *testing.M) {
	os.Exit(apiserver.Run(m, apiserver.Options{Admission: true}, func(e *apiserver.Env) { env = e }))
}

func start(t *testing.T) {
	t.Helper()
	mgr, err := ctrl.NewManager(env.ConfigAs(v1alpha1.OperatorUsername), ctrl.Options{
		Scheme: env.Scheme, Metrics: metricsserver.Options{BindAddress: "0"},
		Cache: cache.Options{ByObject: map[client.Object]cache.ByObject{&corev1.ConfigMap{}: gateaddress.Cached}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := (&gateaddress.Reconciler{Client: mgr.GetClient()}).SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// says waits until the namespace has the data, or none where it is nil.
func says(t *testing.T, ns string, want map[string]string) {
	t.Helper()
	var got map[string]string
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 20*time.Second, true, func(ctx context.Context) (bool, error) {
		var cm corev1.ConfigMap
		err := env.Client.Get(ctx, types.NamespacedName{Namespace: ns, Name: gateaddress.Name}, &cm)
		got = cm.Data
		return cmp.Equal(got, want), client.IgnoreNotFound(err)
	})
	if err != nil {
		t.Fatalf("in %s: %v (-want +got):\n%s", ns, err, cmp.Diff(want, got))
	}
}

func TestEveryNamespaceOfABrandKnowsTheGate(t *testing.T) {
	before := env.EnforcedNamespace(t)
	outside := env.Namespace(t, nil)
	start(t)
	gate := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: gateaddress.Name},
		Data:       map[string]string{"url": "https://10.0.0.7:443", "ca.crt": "one"},
	}
	if err := env.Client.Create(t.Context(), gate); err != nil {
		t.Fatal(err)
	}
	says(t, before, gate.Data)
	after := env.EnforcedNamespace(t)
	says(t, after, gate.Data)

	t.Log("the gate has a new authority")
	gate.Data["ca.crt"] = "two"
	if err := env.Client.Update(t.Context(), gate); err != nil {
		t.Fatal(err)
	}
	says(t, before, gate.Data)
	says(t, after, gate.Data)

	t.Log("somebody changes one copy and deletes another")
	copied := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: before, Name: gateaddress.Name}}
	patch := client.RawPatch(types.MergePatchType, []byte(`{"data":{"url":"https://elsewhere"}}`))
	if err := env.Client.Patch(t.Context(), copied, patch); err != nil {
		t.Fatal(err)
	}
	copied.Namespace = after
	if err := env.Client.Delete(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	says(t, before, gate.Data)
	says(t, after, gate.Data)
	says(t, outside, nil)
}
