package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/gate"
	"github.com/codb-dev/codb/internal/importer"
)

// importerAccount is whose tokens an import shows the gate.
const importerAccount = "codb-importer"

func importCommand() *cobra.Command {
	c := &cobra.Command{Use: "import", Short: "load customers from elsewhere"}
	c.AddCommand(importBankCommand())
	return c
}

func importBankCommand() *cobra.Command {
	var (
		o    importer.Options
		asOf string
		at   string
	)
	c := &cobra.Command{
		Use:   "bank",
		Short: "load customers and past contacts of the UCI bank campaign",
		Long:  "Import bank reads bank-additional-full.csv and makes consents and past contacts of it; test/data/README.md says how.",
		Args:  cobra.NoArgs,
	}
	f := c.Flags()
	f.StringVar(&o.File, "file", "test/data/bank-additional-full.csv.gz", "the data set, plain or gzipped")
	f.IntVar(&o.Limit, "limit", 0, "size of a sample that keeps the shares; 0: all 41,188 customers")
	f.StringVar(&o.Profile, "profile", "as-recorded", "as-recorded, or demo with made-up answers that are labelled so")
	f.StringVar(&o.Brand, "brand", "acme", "brand that called")
	f.StringVar(&o.Namespace, "namespace", v1alpha1.CustomersNamespace, "namespace of the CustomerConsents")
	f.Uint64Var(&o.Seed, "seed", importer.DefaultSeed, "seed of everything that is made up")
	f.StringVar(&asOf, "as-of", "", "day before which the past lies, YYYY-MM-DD; empty: today")
	f.StringVar(&at, "gate", "", "address of the gate where it is not the published one: https://127.0.0.1:8443 while kubectl forwards a port")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		o.AsOf = time.Now()
		if asOf != "" {
			day, err := time.Parse(time.DateOnly, asOf)
			if err != nil {
				return fmt.Errorf("--as-of %q: write a day as YYYY-MM-DD", asOf)
			}
			o.AsOf = day
		}
		cfg, err := ctrl.GetConfig()
		if err != nil {
			return fmt.Errorf("find the cluster: %w", err)
		}
		s, err := newScheme()
		if err != nil {
			return err
		}
		reader, err := client.New(cfg, client.Options{Scheme: s})
		if err != nil {
			return err
		}
		g, err := dialGate(cmd.Context(), cfg, reader, at, importerAccount)
		if err != nil {
			return err
		}
		in, err := home{read: reader}.named(cmd.Context())
		if err != nil {
			return err
		}
		if in != "" {
			o.Group = v1alpha1.StoreGroupVersion
		}
		if o.Client, err = importer.NewClient(cfg); err != nil {
			return err
		}
		o.Contacts, o.Progress = g, cmd.ErrOrStderr()
		report, err := importer.Run(cmd.Context(), o)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d customers and %d contacts of their past are in place (%s)\n",
			report.Customers, report.Contacts, report.Took.Round(100*time.Millisecond))
		return err
	}
	return c
}

// dialGate is the gate at that address, or the published one, shown the
// account's tokens.
func dialGate(ctx context.Context, cfg *rest.Config, reader client.Reader, where, account string) (*gate.Client, error) {
	at, err := gateAddress{reader}.find(ctx)
	if err != nil {
		return nil, err
	}
	at.url = cmp.Or(where, at.url)
	if err := at.reach(ctx); err != nil {
		return nil, err
	}
	token, err := serviceAccountToken(cfg, v1alpha1.SystemNamespace, account)
	if err != nil {
		return nil, err
	}
	return at.dial(token, gate.ClientOptions{})
}

// reach says at once, and not after the retries of a first append, that nobody
// whom the gate's authority vouches for answers: outside the cluster the published
// address leads nowhere, or elsewhere.
func (a address) reach(ctx context.Context) error {
	at, err := url.Parse(a.url)
	if err != nil {
		return fmt.Errorf("gate address: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(a.ca))
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}}
	conn, err := dialer.DialContext(ctx, "tcp", at.Host)
	if err != nil {
		return fmt.Errorf("reach the gate at %s: %w; outside the cluster run kubectl -n %s port-forward svc/codb-gate 8443:443 and give --gate https://127.0.0.1:8443",
			a.url, err, v1alpha1.SystemNamespace)
	}
	return conn.Close()
}
