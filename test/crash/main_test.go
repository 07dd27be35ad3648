// Package crash lets withdrawals race releases, and kills codb, the apiserver
// and etcd while campaigns come and verdicts flip. Set CODB_CRASH=full for the
// full numbers; docs/benchmarks.md has them.
package crash

import (
	"context"
	"fmt"
	"os"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/test/apiserver"
)

var env *apiserver.Env

// fresh starts the test's own apiserver: another test may have killed its.
func fresh(t *testing.T) {
	t.Helper()
	e, err := apiserver.Start(apiserver.Options{Admission: true, Controllers: true})
	if err != nil {
		t.Fatal(err)
	}
	env = e
	t.Cleanup(func() {
		if err := e.Stop(); err != nil {
			t.Log(err) // processes that the test killed can't be stopped
		}
	})
}

// scale is small where nobody asks for more.
func scale(small, full int) int {
	if os.Getenv("CODB_CRASH") == "full" {
		return full
	}
	return small
}

// acme acts for the namespace; it ends with the test.
func acme(t *testing.T) string {
	t.Helper()
	ns := env.EnforcedNamespace(t)
	b := &v1alpha1.Brand{
		ObjectMeta: metav1.ObjectMeta{Name: "acme"},
		Spec: v1alpha1.BrandSpec{
			DisplayName: "Acme", Namespaces: []string{ns}, Agreements: []v1alpha1.Depth{v1alpha1.DepthProfiling},
			Purposes: []v1alpha1.BrandPurpose{{Name: "Marketing", Class: v1alpha1.ClassMarketing, Notice: "Offers.", NoticeVersion: "1"}},
		},
	}
	create(t, b)
	t.Cleanup(func() { remove(t, b) })
	return ns
}

func create(t *testing.T, o client.Object) {
	t.Helper()
	if err := env.Client.Create(t.Context(), o); err != nil {
		t.Fatal(fmt.Errorf("create %T %s: %w", o, o.GetName(), err))
	}
}

func remove(t *testing.T, o client.Object) {
	if err := env.Client.Delete(context.Background(), o); client.IgnoreNotFound(err) != nil {
		t.Log(err)
	}
}
