// Package bypass_test tries to get round codb, as people with rights of their
// own would: first beside a codb that runs, then beside one that was killed.
// What Kubernetes itself can't stop is reported instead; docs/threat-model.md
// says what that is.
package bypass_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/config"
	"github.com/codb-dev/codb/test/apiserver"
)

var (
	env  *apiserver.Env
	codb *apiserver.Codb
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	code := 1
	err := func() (err error) {
		if env, err = apiserver.Start(apiserver.Options{
			Admission: true, Controllers: true, Workloads: true, Values: config.Values{Kueue: kueue.name},
		}); err != nil {
			return err
		}
		if codb, err = env.StartCodb(context.Background()); err != nil {
			return err
		}
		code = m.Run()
		return nil
	}()
	if codb != nil {
		err = errors.Join(err, codb.Kill())
	}
	if env != nil {
		err = errors.Join(err, env.Stop())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// TestBypasses is the whole suite. Its parts share a world, and the last one
// of a codb that runs breaks and repairs admission itself.
func TestBypasses(t *testing.T) {
	w := newWorld(t)
	t.Run("CodbRunning", func(t *testing.T) {
		t.Run("Named", func(t *testing.T) { w.named(t) })
		t.Run("Discovered", func(t *testing.T) { w.discovered(t, "running") })
		t.Run("Decided", func(t *testing.T) { w.decided(t) })
		t.Run("Detected", func(t *testing.T) { w.detected(t) })
	})
	if err := codb.Ready(t.Context()); err != nil {
		t.Errorf("codb did not last: %v; %v", err, codb.Log())
	}
	if err := codb.Kill(); err != nil {
		t.Fatal(err)
	}
	t.Run("CodbDead", func(t *testing.T) {
		t.Run("Named", func(t *testing.T) { w.named(t) })
		t.Run("Discovered", func(t *testing.T) { w.discovered(t, "dead") })
	})
}

// who tries something, with rights that RBAC gives.
type who struct {
	name   string
	groups []string
}

var (
	root     = who{"root", []string{"system:masters"}}
	operator = who{name: v1alpha1.OperatorUsername}
	kueue    = who{"system:serviceaccount:kueue-system:kueue-controller-manager", root.groups}
	// admin has Kubernetes' own role admin and codb's role marketer in the
	// marketers' namespace: the most that anybody outside the platform team has.
	admin = who{name: "namespace-admin"}
	// editor may do anything to namespaces, and delete consents, by rights that
	// codb did not give.
	editor   = who{name: "namespace-editor"}
	service  = who{name: "customer-service"}
	customer = who{"codb:customer:c-1", []string{"codb:customers"}}
)

func (w who) client(t testing.TB) client.Client { return env.As(t, w.name, w.groups...) }

func (w who) config() *rest.Config { return env.ConfigAs(w.name, w.groups...) }

// certified is somebody's configuration with a certificate of their own, for
// trying to impersonate others.
func (w who) certified(t testing.TB) *rest.Config {
	t.Helper()
	raw, err := env.Kubeconfig(w.name, w.groups...)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := clientcmd.RESTConfigFromKubeConfig(raw)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func bind(ns, role string, w who) client.Object {
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}
	to := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: w.name}}
	name := metav1.ObjectMeta{Namespace: ns, Name: w.name + "-" + role}
	if ns == "" {
		return &rbacv1.ClusterRoleBinding{ObjectMeta: name, RoleRef: ref, Subjects: to}
	}
	return &rbacv1.RoleBinding{ObjectMeta: name, RoleRef: ref, Subjects: to}
}

func store(t testing.TB, objs ...client.Object) {
	t.Helper()
	for _, o := range objs {
		if err := env.Client.Create(t.Context(), o); err != nil {
			t.Fatalf("make %T %s: %v", o, o.GetName(), err)
		}
	}
}

// await asks until the answer is empty; else the answer says what was seen.
func await(t testing.TB, what string, seen func(context.Context) string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		last := seen(ctx)
		if last == "" {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s; seen last: %s", what, last)
		}
	}
}

func quoted(json string) []byte { return []byte(strings.ReplaceAll(json, "'", `"`)) }
