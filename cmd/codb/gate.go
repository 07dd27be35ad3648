package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/controllers/campaignpolicy"
	"github.com/codb-dev/codb/internal/certificate"
	"github.com/codb-dev/codb/internal/consentstore"
	"github.com/codb-dev/codb/internal/gate"
	"github.com/codb-dev/codb/internal/ledger"
)

// gateOptions are the flags of the gate.
type gateOptions struct {
	address   string
	url       string
	hosts     []string
	service   string
	probes    string
	secret    string
	life      time.Duration
	ledger    ledgerOptions
	consents  consentOptions
	metrics   string
	sandboxes int
}

func (o *gateOptions) register(c *cobra.Command, prefix string) {
	f := c.Flags()
	f.StringVar(&o.address, prefix+"address", "127.0.0.1:0", "where the gate listens; port 0: a free one")
	o.ledger.register(f)
}

func gateCommand() *cobra.Command {
	var o gateOptions
	c := &cobra.Command{
		Use:   "gate",
		Short: "own the contact ledger, answer who was contacted when, and hand out permits",
		Args:  cobra.NoArgs,
	}
	o.register(c, "")
	o.consents.register(c.Flags())
	c.Flags().StringVar(&o.url, "url", "", "address that clients use; empty: the Service's, or the one it listens at")
	c.Flags().StringVar(&o.service, "service", "", "Service in codb's namespace through which clients reach the gate")
	c.Flags().StringSliceVar(&o.hosts, "host", nil, "further names for the certificate")
	c.Flags().StringVar(&o.probes, "probe-address", "0", "where /livez and /readyz are served; 0: nowhere")
	c.Flags().StringVar(&o.metrics, "metrics-address", "127.0.0.1:8082", "where metrics are served; 0: nowhere")
	c.Flags().StringVar(&o.secret, "certificate-secret", "", "Secret in codb's namespace that keeps the certificate; empty: this process")
	c.Flags().DurationVar(&o.life, "certificate-life", certificateLife, "how long a certificate is good for; it is renewed when less than half is left")
	c.Flags().IntVar(&o.sandboxes, "policy-workers", 2, "processes that evaluate policies")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		ctrl.SetLogger(newLogger())
		cfg, err := ctrl.GetConfig()
		if err != nil {
			return fmt.Errorf("find the cluster: %w", err)
		}
		return runGate(cmd.Context(), cfg, o)
	}
	return c
}

// runGate runs the gate alone, until ctx ends.
func runGate(ctx context.Context, cfg *rest.Config, o gateOptions) error {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst = 1000, 2000 // each redemption asks; the apiserver's own fairness is the limit
	g, err := openGate(ctx, cfg, o)
	if err != nil {
		return err
	}
	mgr, err := newGateManager(cfg, &o)
	if err != nil {
		return errors.Join(err, g.store.Close())
	}
	if err := assembleGate(ctx, mgr, cfg, g, &o); err != nil {
		return errors.Join(err, g.store.Close())
	}
	return mgr.Start(ctx)
}

// newGateManager makes a manager without leader election: the ledger's own lock
// keeps a second gate out.
func newGateManager(cfg *rest.Config, o *gateOptions) (manager.Manager, error) {
	s, err := newScheme()
	if err != nil {
		return nil, err
	}
	grace := 20 * time.Second
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme: s, GracefulShutdownTimeout: &grace, LivenessEndpointName: "/livez",
		HealthProbeBindAddress: o.probes,
		Metrics:                metricsserver.Options{BindAddress: o.metrics},
		Client:                 neverCached,
		Cache: cache.Options{
			DefaultTransform: cache.TransformStripManagedFields(),
			ByObject: map[client.Object]cache.ByObject{
				&appsv1.ControllerRevision{}: {Namespaces: map[string]cache.Config{v1alpha1.SystemNamespace: {}}},
			},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("make the manager: %w", err)
	}
	return mgr, mgr.AddHealthzCheck("process", func(*http.Request) error { return nil })
}

// assembleGate marries what the gate alone consists of.
func assembleGate(ctx context.Context, mgr manager.Manager, cfg *rest.Config, g *servedGate, o *gateOptions) error {
	d, err := newDeciding(ctx, mgr, o.sandboxes, &o.consents)
	if err != nil {
		return err
	}
	follower := &campaignpolicy.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Checker: d.sandbox, Library: d.library, Book: d.book,
		Namespace: v1alpha1.SystemNamespace, Follow: true,
	}
	if err := follower.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("follow policies: %w", err)
	}
	if err := g.give(d, cfg, mgr.GetAPIReader(), mgr.GetClient()); err != nil {
		return err
	}
	if err := mgr.AddReadyzCheck("certificate", func(*http.Request) error {
		_, err := g.keeper.GetCertificate(nil)
		return err
	}); err != nil {
		return err
	}
	return mgr.Add(g)
}

// servedGate is a gate with its ledger, ready to answer.
type servedGate struct {
	store    ledger.Store
	server   *gate.Server
	desk     *gate.Desk            // nil: it gives no permits
	join     func(context.Context) // nil: one database can't have both consents and ledger
	listener *gate.Listener
	keeper   *certificate.Keeper
}

func openGate(ctx context.Context, cfg *rest.Config, o gateOptions) (_ *servedGate, err error) {
	s, err := newScheme()
	if err != nil {
		return nil, err
	}
	c, err := client.New(cfg, client.Options{Scheme: s})
	if err != nil {
		return nil, err
	}
	auth, err := gate.NewCluster(cfg, v1alpha1.CustomersNamespace)
	if err != nil {
		return nil, err
	}
	store, err := o.ledger.open(ctx, metrics.Registry)
	if err != nil {
		return nil, err
	}
	g := &servedGate{store: store, keeper: newKeeper(c, c, o.secret, o.life)}
	g.listener, err = gate.Listen(ctx, gate.ListenOptions{Address: o.address, Certificate: g.keeper.GetCertificate})
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	g.server = gate.NewServer(gate.ServerOptions{
		Ledger: store, Authenticator: auth, Log: ctrl.Log.WithName("gate"), Metrics: metrics.Registry,
	})
	place := gatePlace{client: c, o: o, listens: g.listener.URL()}
	g.keeper.Names = place.names
	g.keeper.Publish = func(ctx context.Context, ca []byte) error {
		url, err := place.url(ctx)
		if err != nil {
			return err
		}
		return address{url: url, ca: string(ca)}.publish(ctx, c)
	}
	return g, nil
}

// give lets the gate hand out permits, decided with d; live reads past every
// cache, and cached does not.
func (g *servedGate) give(d *deciding, cfg *rest.Config, live, cached client.Reader) error {
	pods, err := gate.NewClusterPods(cfg, live)
	if err != nil {
		return err
	}
	server, err := newServerTime(cfg, systemClock)
	if err != nil {
		return err
	}
	world := &permitWorld{deciding: d, live: live, cached: cached, clock: systemClock, onTime: remembered(probeAge, server.agrees)}
	g.desk = gate.NewDesk(gate.DeskOptions{
		Ledger: g.store, World: world, Pods: pods,
		Clock: systemClock.Now, Log: ctrl.Log.WithName("permits"), Metrics: metrics.Registry,
	})
	g.server.Give(pods, g.desk)
	l, shared := g.store.(*ledger.Database)
	if consents, table := d.consents.(*consentstore.Database); shared && table {
		g.join = func(ctx context.Context) { join(ctx, l, consents) }
	}
	return nil
}

// Start says where the gate is and answers until ctx ends.
func (g *servedGate) Start(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { _ = g.keeper.Start(ctx) }() // it ends without an error, with ctx
	if g.desk != nil {
		go func() { _ = g.desk.Tend(ctx) }()
	}
	if g.join != nil {
		go g.join(ctx)
	}
	return errors.Join(g.server.Serve(ctx, g.listener), g.store.Close())
}

// NeedLeaderElection says no: a ledger in a file has a lock of its own that keeps
// a second gate out, and one in a database takes any number of them.
func (g *servedGate) NeedLeaderElection() bool { return false }
