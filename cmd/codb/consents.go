package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/config"
	"github.com/codb-dev/codb/controllers/campaign"
	"github.com/codb-dev/codb/internal/consentstore"
	"github.com/codb-dev/codb/internal/crd"
	"github.com/codb-dev/codb/internal/ledger"
)

// consentOptions say where consents are: custom resources unless a database is
// named. An installation has one store of them.
type consentOptions struct{ database databaseOptions }

func (o *consentOptions) register(f *pflag.FlagSet) {
	o.database.register(f, "consents", "address of a PostgreSQL database that keeps customers' consents instead of the apiserver; operator and gates need the same")
}

// elsewhere says that consents are no custom resources.
func (o *consentOptions) elsewhere() bool { return o.database.named() }

// follow keeps all consents at hand while the manager runs.
func (o *consentOptions) follow(ctx context.Context, mgr manager.Manager) (campaign.Consents, error) {
	at, err := o.database.address()
	if err != nil {
		return nil, err
	}
	where := home{read: mgr.GetAPIReader(), write: mgr.GetClient()}
	if at != "" {
		return followTable(ctx, mgr, at, where)
	}
	if err := where.isCluster(ctx); err != nil {
		return nil, err
	}
	source, err := client.NewWithWatch(mgr.GetConfig(), client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper()})
	if err != nil {
		return nil, fmt.Errorf("make a client that follows consents: %w", err)
	}
	s := consentstore.New(source, mgr.GetClient(), v1alpha1.CustomersNamespace)
	s.Measure(metrics.Registry)
	if err := mgr.Add(s); err != nil {
		return nil, err
	}
	return s, mgr.Add(manager.RunnableFunc(func(ctx context.Context) error { return makeFence(ctx, s) }))
}

func followTable(ctx context.Context, mgr manager.Manager, at string, where home) (campaign.Consents, error) {
	d, err := openConsents(ctx, at, consentstore.DatabaseOptions{Metrics: metrics.Registry, Late: true, Admit: where.isTable})
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
func openConsents(ctx context.Context, at string, o consentstore.DatabaseOptions) (*consentstore.Database, error) {
	kinds := sync.OnceValues(func() (map[string]*crd.Kind, error) { return crd.Load(config.CRDFiles()) })
	if !o.Late { // a writer: a write should not wait for it
		if _, err := kinds(); err != nil {
			return nil, err
		}
	}
	o.Namespace = v1alpha1.CustomersNamespace
	o.Refused = func(object, old *v1alpha1.CustomerConsent) ([]string, error) {
		known, err := kinds()
		if err != nil {
			return nil, err
		}
		return known["CustomerConsent"].Refused(object, old)
	}
	return consentstore.OpenDatabase(ctx, at, o)
}

// join makes contacts depend on consents in the very transaction that records
// them, where one database has both.
func join(ctx context.Context, l *ledger.Database, consents *consentstore.Database) {
	select {
	case <-ctx.Done():
		return
	case <-consents.Reached():
	}
	for ctx.Err() == nil {
		err := l.Require(ctx, consents)
		switch {
		case err == nil:
			return
		case errors.Is(err, ledger.ErrElsewhere), errors.Is(err, consentstore.ErrReplaced):
			ctrl.Log.WithName("gate").Info("ledger and consents are in different databases: each redemption proves the consents, and then asks the ledger")
			return
		}
	}
}

// unready says why consents can't be relied on yet.
func unready(c campaign.Consents) error {
	if err := c.Healthy(); err != nil {
		return fmt.Errorf("consents are still arriving: %w", err)
	}
	return errors.New("consents are still arriving")
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

// homeConfigMap says, in codb's namespace, which store has the installation's
// consents where they are no custom resources.
const homeConfigMap = "codb-consents"

// home keeps an installation to one store of consents: what is said in another
// one would not be heard.
type home struct {
	read  client.Reader
	write client.Writer
}

// isTable is nil if the database's store with the id is the one; the first that
// asks makes it so.
func (h home) isTable(ctx context.Context, id string) error {
	want := "postgresql/" + id
	there, err := h.named(ctx)
	if err == nil && there == "" {
		err = h.settle(ctx, want)
		there = want
	}
	if err != nil {
		return err
	}
	if there != want {
		return fmt.Errorf("this installation keeps its consents in %s, and this is %s: give operator and gates the same --consents, "+
			"or delete ConfigMap %s where they have moved for good", there, want, homeConfigMap)
	}
	return h.empty(ctx)
}

// isCluster is nil while no database has the consents.
func (h home) isCluster(ctx context.Context) error {
	there, err := h.named(ctx)
	if err == nil && there != "" {
		err = fmt.Errorf("this installation keeps its consents in %s: start with --consents, or delete ConfigMap %s where they are custom resources again", there, homeConfigMap)
	}
	return err
}

// named is the store that was settled on; empty: none.
func (h home) named(ctx context.Context) (string, error) {
	cm := &corev1.ConfigMap{}
	err := h.read.Get(ctx, types.NamespacedName{Namespace: v1alpha1.SystemNamespace, Name: homeConfigMap}, cm)
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("find out where consents are: %w", err)
	}
	return cm.Data["store"], nil
}

func (h home) settle(ctx context.Context, store string) error {
	cm := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: homeConfigMap, Labels: map[string]string{"app.kubernetes.io/part-of": "codb"}},
		Data:       map[string]string{"store": store},
	}
	if err := h.write.Create(ctx, cm); err != nil { // another one may have been faster: the next attempt sees it
		return fmt.Errorf("say where consents are: %w", err)
	}
	return nil
}

// empty is nil while nobody's consent is a custom resource, besides the fence
// that custom resources need.
func (h home) empty(ctx context.Context) error {
	var some v1alpha1.CustomerConsentList
	if err := h.read.List(ctx, &some, client.InNamespace(v1alpha1.CustomersNamespace), client.Limit(2)); err != nil {
		return fmt.Errorf("look for consents among custom resources: %w", err)
	}
	for i := range some.Items {
		if some.Items[i].Name != v1alpha1.FenceName {
			return errors.New("consents are in PostgreSQL, and some are custom resources, too: move them there, and delete them here")
		}
	}
	return nil
}
