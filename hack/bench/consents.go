package main

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/config"
	"github.com/codb-dev/codb/internal/consentstore"
	"github.com/codb-dev/codb/internal/crd"
	"github.com/codb-dev/codb/test/postgres"
)

// consents are where customers' consents are.
type consents interface {
	// create writes n new ones.
	create(ctx context.Context, n int, customer func(i int) *v1alpha1.CustomerConsent) error
	// optOut has a customer opt out, or take that back, and returns when that is
	// acknowledged.
	optOut(ctx context.Context, name string, out bool) error
	// settled returns once codb has nothing left to write about them.
	settled(ctx context.Context) error
}

// objects are custom resources.
type objects struct{ client.Client }

func (o objects) create(ctx context.Context, n int, customer func(int) *v1alpha1.CustomerConsent) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(32)
	for i := range n {
		g.Go(func() error { return client.IgnoreAlreadyExists(o.Create(ctx, customer(i))) })
	}
	return g.Wait()
}

func (o objects) optOut(ctx context.Context, name string, out bool) error {
	patch := `{"spec":{"optOut":null}}`
	if out {
		patch = fmt.Sprintf(`{"spec":{"optOut":{"since":%q}}}`, time.Now().UTC().Format(time.RFC3339))
	}
	c := &v1alpha1.CustomerConsent{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.CustomersNamespace, Name: name}}
	return o.Patch(ctx, c, client.RawPatch("application/merge-patch+json", []byte(patch)))
}

// settled waits until codb has said of every consent what it amounts to.
func (o objects) settled(ctx context.Context) error {
	start := time.Now()
	defer func() { fmt.Printf("every status written %s later\n", time.Since(start).Round(100*time.Millisecond)) }()
	// Not often: the apiserver goes through everybody to answer.
	return poll(ctx, 20*time.Minute, 2*time.Second, func() (bool, error) {
		var left v1alpha1.CustomerConsentList
		err := o.List(ctx, &left, client.InNamespace(v1alpha1.CustomersNamespace), client.MatchingFields{"status.summary": ""}, client.Limit(5))
		return err == nil && len(left.Items) <= 1, err // the fence has no status
	})
}

// rows are in a database.
type rows struct{ *consentstore.Database }

func openRows(ctx context.Context, at string) (rows, error) {
	kinds, err := crd.Load(config.CRDFiles())
	if err != nil {
		return rows{}, err
	}
	d, err := consentstore.OpenDatabase(ctx, at, consentstore.DatabaseOptions{
		Namespace: v1alpha1.CustomersNamespace,
		Refused: func(object, old *v1alpha1.CustomerConsent) ([]string, error) {
			return kinds["CustomerConsent"].Refused(object, old)
		},
	})
	return rows{d}, err
}

func (r rows) create(ctx context.Context, n int, customer func(int) *v1alpha1.CustomerConsent) error {
	const batchOf = 250
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.NumCPU())
	for from := 0; from < n; from += batchOf {
		g.Go(func() error {
			var batch []*v1alpha1.CustomerConsent
			for i := from; i < min(from+batchOf, n); i++ {
				batch = append(batch, customer(i))
			}
			_, err := r.Put(ctx, "bench", batch)
			return err
		})
	}
	return g.Wait()
}

func (r rows) optOut(ctx context.Context, name string, out bool) error {
	c, err := r.Now(ctx, name)
	if err != nil {
		return err
	}
	c = c.DeepCopy()
	c.Spec.OptOut = nil
	if out {
		c.Spec.OptOut = &v1alpha1.OptOut{Since: metav1.Now().Rfc3339Copy()}
	}
	_, err = r.Put(ctx, "bench", []*v1alpha1.CustomerConsent{c})
	return err
}

func (r rows) settled(context.Context) error { return nil } // codb writes nothing there

// serve runs a PostgreSQL of its own until the context ends, and says where.
func serve(ctx context.Context) error {
	s, err := postgres.New()
	if err != nil {
		return err
	}
	fmt.Println(s.URL())
	<-ctx.Done()
	return s.Close()
}
