package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
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
		g, err := dialGate(cmd.Context(), cfg, reader, importerAccount, gate.ClientOptions{})
		if err != nil {
			return err
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
