package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2/textlogger"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/gate"
	"github.com/codb-dev/codb/internal/ledger"
)

// gateOptions are the flags of the gate.
type gateOptions struct {
	address   string
	url       string
	hosts     []string
	cert, key string
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
	c.Flags().StringVar(&o.url, "url", "", "address that clients use; empty: the one it listens at")
	c.Flags().StringSliceVar(&o.hosts, "host", nil, "further names for a certificate of its own")
	c.Flags().StringVar(&o.cert, "tls-cert", "", "certificate file; empty: the gate makes its own")
	c.Flags().StringVar(&o.key, "tls-key", "", "key file of the certificate")
	c.Flags().StringVar(&o.metrics, "metrics-address", "127.0.0.1:8082", "where metrics are served; 0: nowhere")
	c.Flags().StringVar(&o.customers, "customers-namespace", v1alpha1.CustomersNamespace, "namespace of the CustomerConsents")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		ctrl.SetLogger(textlogger.NewLogger(textlogger.NewConfig()))
		cfg, err := ctrl.GetConfig()
		if err != nil {
			return fmt.Errorf("find the cluster: %w", err)
		}
		g, err := openGate(cmd.Context(), cfg, o)
		if err != nil {
			return err
		}
		return serveGate(cmd.Context(), cfg, g, o.metrics)
	}
	return c
}

// serveGate runs the gate and its metrics until one of them ends.
func serveGate(ctx context.Context, cfg *rest.Config, g *servedGate, address string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return g.Start(ctx) })
	if address != "0" {
		server, err := metricsserver.NewServer(metricsserver.Options{BindAddress: address}, cfg, http.DefaultClient)
		if err != nil {
			return fmt.Errorf("serve metrics: %w", err)
		}
		group.Go(func() error { return server.Start(ctx) })
	}
	return group.Wait()
}

// servedGate is a gate with its ledger, ready to answer.
type servedGate struct {
	store    *ledger.File
	server   *gate.Server
	listener *gate.Listener
	publish  func(context.Context) error
}

func openGate(ctx context.Context, cfg *rest.Config, o gateOptions) (*servedGate, error) {
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the ledger's folder: %w", err)
	}
	store, err := ledger.Open(filepath.Join(o.dir, "contacts.db"), ledger.Options{Metrics: metrics.Registry})
	if err != nil {
		return nil, err
	}
	auth, err := gate.NewCluster(cfg, o.customers)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	listener, err := gate.Listen(ctx, gate.ListenOptions{Address: o.address, CertFile: o.cert, KeyFile: o.key, Hosts: o.hosts})
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	s, err := newScheme()
	if err != nil {
		return nil, err
	}
	c, err := client.New(cfg, client.Options{Scheme: s})
	if err != nil {
		return nil, errors.Join(err, listener.Close(), store.Close())
	}
	url := o.url
	if url == "" {
		url = listener.URL()
	}
	return &servedGate{
		store: store, listener: listener,
		server: gate.NewServer(gate.ServerOptions{
			Ledger: store, Authenticator: auth, Log: ctrl.Log.WithName("gate"), Metrics: metrics.Registry,
		}),
		publish: func(ctx context.Context) error { return publishGate(ctx, c, url, listener.CA()) },
	}, nil
}

// Start says where the gate is and answers until ctx ends.
func (g *servedGate) Start(ctx context.Context) error {
	if err := g.publish(ctx); err != nil {
		return errors.Join(err, g.listener.Close(), g.store.Close())
	}
	return errors.Join(g.server.Serve(ctx, g.listener), g.store.Close())
}

// NeedLeaderElection says no: the ledger's own lock keeps a second gate out.
func (g *servedGate) NeedLeaderElection() bool { return false }
