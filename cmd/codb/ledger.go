package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/codb-dev/codb/internal/ledger"
)

// ledgerOptions say where the contact ledger is.
type ledgerOptions struct {
	dir      string
	database string
	file     string
}

func (o *ledgerOptions) register(f *pflag.FlagSet) {
	f.StringVar(&o.dir, "data", defaultData(), "folder of the contact ledger")
	f.StringVar(&o.database, "ledger", "", "address of a PostgreSQL database that keeps the contact ledger instead, for any number of gates:\n"+
		"postgres://user@host:port/database; its password is taken from $PGPASSWORD or the file $PGPASSFILE")
	f.StringVar(&o.file, "ledger-file", "", "file that holds such an address, password and all")
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

// open opens the ledger, in a file unless a database is named.
func (o *ledgerOptions) open(ctx context.Context) (ledger.Store, error) {
	at, err := o.address()
	if err != nil {
		return nil, err
	}
	if at != "" {
		return ledger.OpenDatabase(ctx, at, ledger.DatabaseOptions{Metrics: metrics.Registry})
	}
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the ledger's folder: %w", err)
	}
	return ledger.Open(filepath.Join(o.dir, "contacts.db"), ledger.Options{Metrics: metrics.Registry})
}

// address is the database's; empty: there is none. No error repeats it.
func (o *ledgerOptions) address() (string, error) {
	switch {
	case o.database != "" && o.file != "":
		return "", errors.New("--ledger and --ledger-file: give one of them")
	case o.file != "":
		text, err := os.ReadFile(o.file)
		if err != nil {
			return "", fmt.Errorf("--ledger-file: %w", err)
		}
		at := strings.TrimSpace(string(text))
		if _, err := databaseURL(at); err != nil {
			return "", fmt.Errorf("--ledger-file %s: %w", o.file, err)
		}
		return at, nil
	case o.database != "":
		u, err := databaseURL(o.database)
		if err != nil {
			return "", fmt.Errorf("--ledger: %w", err)
		}
		if _, given := u.User.Password(); given || u.Query().Has("password") {
			return "", errors.New("--ledger: everybody on this machine can read a password there; use --ledger-file, $PGPASSWORD or $PGPASSFILE")
		}
	}
	return o.database, nil
}

func databaseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return nil, errors.New("want postgres://user@host:port/database")
	}
	return u, nil
}
