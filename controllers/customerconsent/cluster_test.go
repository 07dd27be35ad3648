package customerconsent_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/controllers/customerconsent"
	"github.com/codb-dev/codb/internal/consentstore"
	"github.com/codb-dev/codb/test/apiserver"
)

var env *apiserver.Env

func TestMain(m *testing.M) {
	os.Exit(apiserver.Run(m, apiserver.Options{}, func(e *apiserver.Env) { env = e }))
}

// Every consent costs one write of its status, and then there is silence.
func TestManyConsentsSettle(t *testing.T) {
	const customers = 60
	ns := env.Namespace(t, nil)
	for i := range customers / 2 { // before codb starts
		create(t, ns, fmt.Sprintf("customer-%02d", i))
	}
	writes := watchModified(t, ns)
	logs := startManager(t, ns)
	for i := range customers / 2 {
		create(t, ns, fmt.Sprintf("customer-%02d", customers/2+i))
	}
	fence := &v1alpha1.CustomerConsent{ObjectMeta: metav1.ObjectMeta{
		Namespace: ns, Name: v1alpha1.FenceName, Labels: map[string]string{v1alpha1.LabelClass: v1alpha1.ClassFence},
	}}
	if err := env.Client.Create(t.Context(), fence); err != nil {
		t.Fatal(err)
	}
	waitForStatus(t, ns, customers)

	// A label is no answer, and the fence is no customer: neither is written to.
	first := get(t, ns, "customer-00")
	first.Labels = map[string]string{"tier": "gold"}
	fence.Annotations = map[string]string{v1alpha1.AnnotationFence: "1"}
	for _, o := range []client.Object{first, fence} {
		if err := env.Client.Update(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	// There is one worker: when this one has its status, all before have been looked at.
	create(t, ns, "last")
	waitForStatus(t, ns, customers+1)

	last := get(t, ns, "last")
	got := writes(last.ResourceVersion)
	if want := customers + 1 + 2; got != want {
		t.Errorf("%d writes, want one for each status and two of the test's own: %d", got, want)
	}
	if s := last.Status; s.Summary != "Given" || *s.BrandsGiven != 1 || s.NextChange == nil || len(s.Conditions) != 1 {
		t.Errorf("the status is %+v", s)
	}
	for line := range strings.Lines(logs()) {
		if strings.Contains(line, "customer-") {
			t.Fatalf("the logs name people: %.300s", line)
		}
	}
}

func startManager(t *testing.T, ns string) (logs func() string) {
	t.Helper()
	var mu sync.Mutex
	var lines strings.Builder
	mgr, err := ctrl.NewManager(env.Config, ctrl.Options{
		Scheme:  env.Scheme,
		Metrics: metricsserver.Options{BindAddress: "0"},
		Logger: funcr.New(func(prefix, args string) {
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintln(&lines, prefix, args)
		}, funcr.Options{Verbosity: 9}),
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.NewWithWatch(env.Config, client.Options{Scheme: env.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	store := consentstore.New(c, c, ns)
	if err := mgr.Add(store); err != nil {
		t.Fatal(err)
	}
	r := &customerconsent.Reconciler{Client: c, Consents: store, Namespace: ns, Clock: clock.RealClock{}}
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
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		return lines.String()
	}
}

// watchModified counts the writes to existing consents, up to the one that
// made the version given.
func watchModified(t *testing.T, ns string) func(until string) int {
	t.Helper()
	c, err := client.NewWithWatch(env.Config, client.Options{Scheme: env.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	w, err := c.Watch(t.Context(), &v1alpha1.CustomerConsentList{}, client.InNamespace(ns))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return func(until string) (n int) {
		for event := range w.ResultChan() {
			if event.Type == watch.Modified {
				n++
			}
			if event.Object.(*v1alpha1.CustomerConsent).ResourceVersion == until {
				return n
			}
		}
		return n
	}
}

func create(t *testing.T, ns, name string) {
	t.Helper()
	c := expiring(name)
	c.ObjectMeta = metav1.ObjectMeta{Namespace: ns, Name: name}
	c.Spec.Relationships[0].Grants[0].EffectiveTo = &metav1.Time{Time: time.Now().AddDate(1, 0, 0)}
	if err := env.Client.Create(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, ns, name string) *v1alpha1.CustomerConsent {
	t.Helper()
	c := &v1alpha1.CustomerConsent{}
	if err := env.Client.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: name}, c); err != nil {
		t.Fatal(err)
	}
	return c
}

func waitForStatus(t *testing.T, ns string, want int) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 60*time.Second, true, func(ctx context.Context) (bool, error) {
		var list v1alpha1.CustomerConsentList
		if err := env.Client.List(ctx, &list, client.InNamespace(ns)); err != nil {
			return false, err
		}
		n := 0
		for i := range list.Items {
			if list.Items[i].Status.ObservedGeneration == list.Items[i].Generation {
				n++
			}
		}
		return n == want, nil
	})
	if err != nil {
		t.Fatalf("wait for the status of %d consents: %v", want, err)
	}
}
