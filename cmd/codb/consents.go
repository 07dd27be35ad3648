package main

import (
	"context"
	"sync"
	"time"

	"github.com/spf13/pflag"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/config"
	"github.com/codb-dev/codb/controllers/campaign"
	"github.com/codb-dev/codb/internal/consentstore"
	"github.com/codb-dev/codb/internal/crd"
)

// consentOptions say where consents are: custom resources unless a database is
// named. An installation has one store of them.
type consentOptions struct{ database databaseOptions }

func (o *consentOptions) register(f *pflag.FlagSet) {
	o.database.register(f, "consents", "address of a PostgreSQL database that keeps customers' consents instead of the apiserver; operator and gates need the same")
}

// follow keeps all consents at hand while the manager runs.
func (o *consentOptions) follow(ctx context.Context, mgr manager.Manager) (campaign.Consents, error) {
	at, err := o.database.address()
	if err != nil {
		return nil, err
	}
	if at != "" {
		return followTable(ctx, mgr, at)
	}
	s := consentstore.New(mgr.GetClient(), v1alpha1.CustomersNamespace)
	s.Measure(metrics.Registry)
	if err := s.Watch(ctx, mgr.GetCache()); err != nil {
		return nil, err
	}
	return s, mgr.Add(manager.RunnableFunc(func(ctx context.Context) error { return makeFence(ctx, s) }))
}

func followTable(ctx context.Context, mgr manager.Manager, at string) (campaign.Consents, error) {
	d, err := openConsents(ctx, at)
	if err != nil {
		return nil, err
	}
	return d, mgr.Add(everywhere(func(ctx context.Context) error {
		<-ctx.Done()
		d.Close()
		return nil
	}))
}

// openConsents opens those in the database, to read and to write: what the
// apiserver would refuse of a CustomerConsent is refused there, too.
func openConsents(ctx context.Context, at string) (*consentstore.Database, error) {
	kinds := sync.OnceValues(func() (map[string]*crd.Kind, error) { return crd.Load(config.CRDFiles()) })
	return consentstore.OpenDatabase(ctx, at, consentstore.DatabaseOptions{
		Namespace: v1alpha1.CustomersNamespace, Metrics: metrics.Registry,
		Refused: func(object, old *v1alpha1.CustomerConsent) ([]string, error) {
			known, err := kinds()
			if err != nil {
				return nil, err
			}
			return known["CustomerConsent"].Refused(object, old)
		},
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
