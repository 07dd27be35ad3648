package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"

	"github.com/codb-dev/codb/internal/ledger"
)

// ledgerOptions say where the contact ledger is.
type ledgerOptions struct {
	dir      string
	database databaseOptions
}

func (o *ledgerOptions) register(f *pflag.FlagSet) {
	f.StringVar(&o.dir, "data", defaultData(), "folder of the contact ledger")
	o.database.register(f, "ledger", "address of a PostgreSQL database that keeps the contact ledger instead, for any number of gates")
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

// open opens the ledger, in a file unless a database is named. The registry may
// be nil.
func (o *ledgerOptions) open(ctx context.Context, r prometheus.Registerer) (ledger.Store, error) {
	at, err := o.database.address()
	if err != nil {
		return nil, err
	}
	if at != "" {
		return ledger.OpenDatabase(ctx, at, ledger.DatabaseOptions{Metrics: r})
	}
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the ledger's folder: %w", err)
	}
	return ledger.Open(filepath.Join(o.dir, "contacts.db"), ledger.Options{Metrics: r})
}
