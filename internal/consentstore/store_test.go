package consentstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/consentstore"
	"github.com/codb-dev/codb/test/apiserver"
)

var env *apiserver.Env

func TestMain(m *testing.M) {
	os.Exit(apiserver.Run(m, apiserver.Options{}, func(e *apiserver.Env) { env = e }))
}

// start runs a store on the consents of a namespace of the test's own.
func start(t *testing.T, write client.Client) (*consentstore.Store, string) {
	t.Helper()
	ns := env.Namespace(t, nil)
	s := consentstore.New(watching(t), write, ns)
	run(t, s)
	return s, ns
}

// run runs a store until the test is over.
func run(t *testing.T, s *consentstore.Store) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Start(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
}

// watching is the administrator's client in the form that can be intercepted.
func watching(t *testing.T) client.WithWatch {
	t.Helper()
	c, err := client.NewWithWatch(env.Config, client.Options{Scheme: env.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func person(ns, name string) *v1alpha1.CustomerConsent {
	return &v1alpha1.CustomerConsent{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}
}

func create(t *testing.T, o client.Object) {
	t.Helper()
	if err := env.Client.Create(context.Background(), o); err != nil {
		t.Fatal(err)
	}
}

// A release right behind a withdrawal is where other systems are stale: the
// store must have it once the fence has passed, every time.
func TestAFenceBringsEveryAcknowledgedWithdrawal(t *testing.T) {
	s, ns := start(t, env.Client)
	ctx := context.Background()
	const trials = 200
	for i := range trials {
		c := person(ns, fmt.Sprintf("c-%03d", i))
		create(t, c)
		patch := client.MergeFrom(c.DeepCopy())
		c.Spec.OptOut = &v1alpha1.OptOut{Since: metav1.Now()}
		if err := env.Client.Patch(ctx, c, patch); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Fence(ctx); err != nil {
			t.Fatal(err)
		}
		if rec, ok := s.Customers().Get(c.Name); !ok || rec.Person("").OptOut == nil {
			t.Fatalf("trial %d: the store does not know the withdrawal behind the fence", i)
		}
	}
	if got := s.Customers().Len(); got != trials {
		t.Errorf("the store has %d customers, want %d: the fence is none", got, trials)
	}
}

// The operator and the gate pass through the same fence.
func TestStoresThatShareAFenceDoNotWaitForEachOther(t *testing.T) {
	s, ns := start(t, env.Client)
	other := consentstore.New(watching(t), env.Client, ns)
	run(t, other)
	if _, err := s.Fence(t.Context()); err != nil { // makes it
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, store := range []*consentstore.Store{s, other} {
		wg.Go(func() {
			for range 100 {
				if _, err := store.Fence(t.Context()); err != nil { // one that was missed ends in an error
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestWaitersShareAFenceThatBeginsAfterThem(t *testing.T) {
	var mu sync.Mutex
	writes, first := 0, make(chan struct{})
	counting := interceptor.NewClient(watching(t), interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			mu.Lock()
			writes++
			n := writes
			mu.Unlock()
			if n == 1 {
				<-first // everybody else has to come meanwhile
			}
			return c.Patch(ctx, o, p, opts...)
		},
	})
	s, ns := start(t, counting)
	create(t, &v1alpha1.CustomerConsent{ObjectMeta: metav1.ObjectMeta{
		Namespace: ns, Name: v1alpha1.FenceName, Labels: map[string]string{v1alpha1.LabelClass: v1alpha1.ClassFence},
	}})
	ctx := context.Background()
	results := make(chan error, 50)
	fence := func() { _, err := s.Fence(ctx); results <- err }
	go fence()
	for {
		mu.Lock()
		n := writes
		mu.Unlock()
		if n == 1 {
			break
		}
	}
	waiting := make(chan struct{})
	for range 49 {
		go func() { waiting <- struct{}{}; fence() }()
	}
	for range 49 {
		<-waiting
	}
	close(first)
	for range 50 {
		if err := <-results; err != nil {
			t.Fatal(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if writes < 2 || writes > 10 {
		t.Errorf("50 waiters took %d writes, want few, and more than the one that had begun before them", writes)
	}
}

func TestAFenceThatCannotBeWrittenProvesNothing(t *testing.T) {
	down := errors.New("apiserver is down")
	s, _ := start(t, interceptor.NewClient(watching(t), interceptor.Funcs{
		Patch: func(context.Context, client.WithWatch, client.Object, client.Patch, ...client.PatchOption) error {
			return down
		},
	}))
	if _, err := s.Fence(context.Background()); !errors.Is(err, consentstore.ErrNotCurrent) || !errors.Is(err, down) {
		t.Errorf("Fence: %v, want that it is not current because of %v", err, down)
	}
}

func TestOnlyWhatMattersToAnAnswerChangesAVersion(t *testing.T) {
	s, ns := start(t, env.Client)
	ctx := context.Background()
	c := person(ns, "c-1")
	create(t, c)
	version := func() *audience.Snapshot {
		t.Helper()
		if _, err := s.Fence(ctx); err != nil {
			t.Fatal(err)
		}
		if _, ok := s.Customers().Get("c-1"); !ok {
			t.Fatal("the customer is not in the store")
		}
		return s.Customers().Snapshot()
	}
	v := version()
	before := c.DeepCopy()
	c.Status.Summary = "None"
	if err := env.Client.Status().Patch(ctx, c, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	if got := version(); got != v {
		t.Error("a status write is news")
	}
	before = c.DeepCopy()
	c.Labels = map[string]string{"segment": "club"}
	if err := env.Client.Patch(ctx, c, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	if got := version(); got == v {
		t.Error("a label that an audience may ask for is no news")
	}
	changed := s.Changed()
	if err := env.Client.Delete(ctx, c); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
	case <-time.After(30 * time.Second):
		t.Fatal("nobody heard of the deletion")
	}
	if _, ok := s.Customers().Get("c-1"); ok {
		t.Error("a deleted customer is still in the store")
	}
}

// After etcd was restored from a backup, a watch that has not noticed has seen
// a later fence than the one that is written: that proves nothing.
func TestAFenceBehindTheOneThatWasSeenProvesNothing(t *testing.T) {
	back := ""
	c := interceptor.NewClient(watching(t), interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			err := c.Patch(ctx, o, p, opts...)
			if back != "" {
				o.SetResourceVersion(back)
			}
			return err
		},
	})
	s, _ := start(t, c)
	if _, err := s.Fence(t.Context()); err != nil {
		t.Fatal(err)
	}
	back = "1"
	if _, err := s.Fence(t.Context()); !errors.Is(err, consentstore.ErrNotCurrent) {
		t.Errorf("got %v", err)
	}
}
