package main

import (
	"context"
	"fmt"
	"net/http"

	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/codb-dev/codb/controllers/campaign"
	"github.com/codb-dev/codb/internal/policy"
	"github.com/codb-dev/codb/policies"
)

// deciding is what the operator decides campaigns with and the gate persons:
// the same policies and the same consents.
type deciding struct {
	library  *policy.Library
	sandbox  *policy.Sandbox
	book     *policy.Book
	consents campaign.Consents
}

// newDeciding follows the consents while the manager runs. Who fills the book
// with policies is the caller's business.
func newDeciding(ctx context.Context, mgr manager.Manager, sandboxes int, consents *consentOptions) (*deciding, error) {
	lib, err := policy.LoadLibrary(policies.FS)
	if err != nil {
		return nil, fmt.Errorf("load the policy library: %w", err)
	}
	d := &deciding{library: lib}
	d.sandbox = policy.NewSandbox(lib, policy.Options{Workers: sandboxes, Metrics: metrics.Registry})
	d.book = policy.NewBook(lib, d.sandbox)
	d.book.Measure(metrics.Registry)
	if d.consents, err = consents.follow(ctx, mgr); err != nil {
		return nil, err
	}
	if err := mgr.Add(everywhere(func(ctx context.Context) error {
		<-ctx.Done()
		return d.sandbox.Close()
	})); err != nil {
		return nil, err
	}
	return d, mgr.AddReadyzCheck("consents", func(*http.Request) error {
		if !d.consents.Synced() {
			return unready(d.consents)
		}
		return nil
	})
}

// everywhere runs in every replica, whichever leads.
type everywhere func(context.Context) error

func (f everywhere) Start(ctx context.Context) error { return f(ctx) }

// NeedLeaderElection says no: every replica serves the webhook.
func (f everywhere) NeedLeaderElection() bool { return false }
