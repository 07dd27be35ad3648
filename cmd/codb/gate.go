package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/certificate"
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
	dir       string
	customers string
	metrics   string
}

func (o *gateOptions) register(c *cobra.Command, prefix string) {
	f := c.Flags()
	f.StringVar(&o.address, prefix+"address", "127.0.0.1:0", "where the gate listens; port 0: a free one")
	f.StringVar(&o.dir, "data", defaultData(), "folder of the contact ledger")
}

func defaultData() string {
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "codb", "ledger")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "ledger"
	}
	return filepath.Join(home, ".local", "state", "codb", "ledger")
}

func gateCommand() *cobra.Command {
	var o gateOptions
	c := &cobra.Command{
		Use:   "gate",
		Short: "own the contact ledger and answer who was contacted when",
		Args:  cobra.NoArgs,
	}
	o.register(c, "")
	c.Flags().StringVar(&o.url, "url", "", "address that clients use; empty: the Service's, or the one it listens at")
	c.Flags().StringVar(&o.service, "service", "", "Service in codb's namespace through which clients reach the gate")
	c.Flags().StringSliceVar(&o.hosts, "host", nil, "further names for the certificate")
	c.Flags().StringVar(&o.probes, "probe-address", "0", "where /livez and /readyz are served; 0: nowhere")
	c.Flags().StringVar(&o.metrics, "metrics-address", "127.0.0.1:8082", "where metrics are served; 0: nowhere")
	c.Flags().StringVar(&o.secret, "certificate-secret", "", "Secret in codb's namespace that keeps the certificate; empty: this process")
	c.Flags().DurationVar(&o.life, "certificate-life", certificateLife, "how long a certificate is good for; it is renewed when less than half is left")
	c.Flags().StringVar(&o.customers, "customers-namespace", v1alpha1.CustomersNamespace, "namespace of the CustomerConsents")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		ctrl.SetLogger(newLogger())
		cfg, err := ctrl.GetConfig()
		if err != nil {
			return fmt.Errorf("find the cluster: %w", err)
		}
		g, err := openGate(cmd.Context(), cfg, o)
		if err != nil {
			return err
		}
		return serveGate(cmd.Context(), cfg, g, o)
	}
	return c
}

// serveGate runs the gate, its probes and its metrics until one of them ends.
func serveGate(ctx context.Context, cfg *rest.Config, g *servedGate, o gateOptions) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return g.Start(ctx) })
	group.Go(func() error { return serveProbes(ctx, o.probes, g.probes()) })
	if o.metrics != "0" {
		server, err := metricsserver.NewServer(metricsserver.Options{BindAddress: o.metrics}, cfg, http.DefaultClient)
		if err != nil {
			return fmt.Errorf("serve metrics: %w", err)
		}
		group.Go(func() error { return server.Start(ctx) })
	}
	return group.Wait()
}

// probes say that the process answers, and whether clients can believe it.
func (g *servedGate) probes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/livez", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if _, err := g.keeper.GetCertificate(nil); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	return mux
}

// servedGate is a gate with its ledger, ready to answer.
type servedGate struct {
	store    *ledger.File
	server   *gate.Server
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
	auth, err := gate.NewCluster(cfg, o.customers)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the ledger's folder: %w", err)
	}
	store, err := ledger.Open(filepath.Join(o.dir, "contacts.db"), ledger.Options{Metrics: metrics.Registry})
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

// Start says where the gate is and answers until ctx ends.
func (g *servedGate) Start(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { _ = g.keeper.Start(ctx) }() // it ends without an error, with ctx
	return errors.Join(g.server.Serve(ctx, g.listener), g.store.Close())
}

// NeedLeaderElection says no: the ledger's own lock keeps a second gate out.
func (g *servedGate) NeedLeaderElection() bool { return false }
