package apiserver

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	consentv1 "github.com/codb-dev/codb/api/v1alpha1"
)

// ConfigAs is the configuration of somebody else, by impersonation. A service
// account gets the groups that its token would have.
func (e *Env) ConfigAs(user string, groups ...string) *rest.Config {
	c := rest.CopyConfig(e.Config)
	groups = append(groups, "system:authenticated")
	if name, ok := strings.CutPrefix(user, "system:serviceaccount:"); ok {
		namespace, _, _ := strings.Cut(name, ":")
		groups = append(groups, "system:serviceaccounts", "system:serviceaccounts:"+namespace)
	}
	c.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: groups}
	return c
}

// As is the client of somebody else. Its rights are those of the user and the
// groups; give "system:masters" to leave only admission in the way.
func (e *Env) As(t testing.TB, user string, groups ...string) client.Client {
	t.Helper()
	c, err := e.clientAs(user, groups...)
	if err != nil {
		t.Fatalf("make a client for %s: %v", user, err)
	}
	return c
}

func (e *Env) clientAs(user string, groups ...string) (client.Client, error) {
	return client.New(e.ConfigAs(user, groups...), client.Options{Scheme: e.Scheme, Mapper: e.Client.RESTMapper()})
}

// Namespace makes a namespace of the test's own, with the labels given, and
// the service account default in it. It stays behind: the apiserver ends with
// the package.
func (e *Env) Namespace(t testing.TB, labels map[string]string) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-", Labels: labels}}
	if err := e.Client.Create(context.Background(), ns); err != nil {
		t.Fatalf("make a namespace: %v", err)
	}
	return ns.Name
}

// EnforcedNamespace makes a namespace in which campaigns are gated.
func (e *Env) EnforcedNamespace(t testing.TB) string {
	t.Helper()
	return e.Namespace(t, map[string]string{consentv1.LabelEnforce: consentv1.EnforceTrue})
}
