package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consentstore"
	"github.com/codb-dev/codb/internal/policy"
	"github.com/codb-dev/codb/policies"
)

// deciding is what the operator decides campaigns with and the gate persons:
// the same policies and the same consents.
type deciding struct {
	library  *policy.Library
	sandbox  *policy.Sandbox
	book     *policy.Book
	consents *consentstore.Store
}

// newDeciding follows the consents with the manager's cache. Who fills the book
// with policies is the caller's business.
func newDeciding(ctx context.Context, mgr manager.Manager, sandboxes int) (*deciding, error) {
	lib, err := policy.LoadLibrary(policies.FS)
	if err != nil {
		return nil, fmt.Errorf("load the policy library: %w", err)
	}
	d := &deciding{library: lib, consents: consentstore.New(mgr.GetClient(), v1alpha1.CustomersNamespace)}
	d.sandbox = policy.NewSandbox(lib, policy.Options{Workers: sandboxes, Metrics: metrics.Registry})
	d.book = policy.NewBook(lib, d.sandbox)
	d.book.Measure(metrics.Registry)
	d.consents.Measure(metrics.Registry)
	if err := d.consents.Watch(ctx, mgr.GetCache()); err != nil {
		return nil, err
	}
	if err := mgr.Add(everywhere(func(ctx context.Context) error {
		<-ctx.Done()
		return d.sandbox.Close()
	})); err != nil {
		return nil, err
	}
	if err := mgr.Add(manager.RunnableFunc(func(ctx context.Context) error { return makeFence(ctx, d.consents) })); err != nil {
		return nil, err
	}
	return d, mgr.AddReadyzCheck("consents", func(*http.Request) error {
		if !d.consents.Synced() {
			return fmt.Errorf("consents are still arriving")
		}
		return nil
	})
}

// makeFence makes sure that there is a fence among the consents before anything
// is decided: without it a revision of theirs would name no store.
func makeFence(ctx context.Context, consents *consentstore.Store) error {
	for {
		if _, err := consents.Fence(ctx); err == nil || ctx.Err() != nil {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// everywhere runs in every replica, whichever leads.
type everywhere func(context.Context) error

func (f everywhere) Start(ctx context.Context) error { return f(ctx) }

// NeedLeaderElection says no: every replica serves the webhook.
func (f everywhere) NeedLeaderElection() bool { return false }
