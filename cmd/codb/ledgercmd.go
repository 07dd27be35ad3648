package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/ledger"
)

// backupAccount is whose tokens a backup shows the gate.
const backupAccount = "codb-backup"

func ledgerCommand() *cobra.Command {
	c := &cobra.Command{Use: "ledger", Short: "back up the contact ledger, and bring it back"}
	c.AddCommand(backupCommand(), restoreCommand(), renewCommand(), vouchCommand())
	return c
}

func backupCommand() *cobra.Command {
	var (
		o      ledgerOptions
		at, to string
	)
	c := &cobra.Command{
		Use:   "backup",
		Short: "write all records of the ledger to a file, while the gate works",
		Long: "Backup asks the cluster's gate for all records. With --data, --ledger or --ledger-file it reads the\n" +
			"ledger itself; one in a file must then be no gate's.",
		Args: cobra.NoArgs,
	}
	f := c.Flags()
	o.register(f)
	f.StringVar(&to, "to", "", "file to write; it appears when it is whole")
	f.StringVar(&at, "gate", "", "address of the gate where it is not the published one: https://127.0.0.1:8443 while kubectl forwards a port")
	_ = c.MarkFlagRequired("to") // it is there
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		from, err := clustersGate(cmd.Context(), at)
		if f.Changed("data") || f.Changed("ledger") || f.Changed("ledger-file") {
			var store ledger.Store
			if store, err = o.open(cmd.Context(), nil); err == nil {
				defer func() { _ = store.Close() }() // it was only read
				from = store
			}
		}
		if err != nil {
			return err
		}
		n, err := backUp(cmd.Context(), from, to)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d records are in %s\n", n, to)
		return err
	}
	return c
}

// clustersGate is a source that fails when it is read where there is no gate.
func clustersGate(ctx context.Context, at string) (ledger.Reading, error) {
	cfg, err := ctrl.GetConfig()
	if err != nil {
		return nil, fmt.Errorf("find the cluster: %w", err)
	}
	s, err := newScheme()
	if err != nil {
		return nil, err
	}
	reader, err := client.New(cfg, client.Options{Scheme: s})
	if err != nil {
		return nil, err
	}
	return dialGate(ctx, cfg, reader, at, backupAccount)
}

// backUp writes beside the file first: half a backup never has its name.
func backUp(ctx context.Context, from ledger.Reading, to string) (n uint64, err error) {
	f, err := os.CreateTemp(filepath.Dir(to), filepath.Base(to)+".*") // for its owner's eyes only
	if err != nil {
		return 0, fmt.Errorf("back up the ledger: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // it is gone when all went well
	n, err = ledger.Backup(ctx, from, time.Now(), f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	return n, os.Rename(f.Name(), to)
}

func restoreCommand() *cobra.Command {
	var from string
	c := onLedger("restore", "fill an empty ledger with a backup; nobody is contacted until somebody vouches for what happened since",
		func(ctx context.Context, s ledger.Renewing, out io.Writer) error {
			f, err := os.Open(from)
			if err != nil {
				return fmt.Errorf("restore the ledger: %w", err)
			}
			defer func() { _ = f.Close() }()
			n, err := ledger.Restore(ctx, f, s, time.Now())
			if err != nil {
				return err
			}
			gap := ledger.Gap(ctx, s)
			if !errors.Is(gap, contacts.ErrGap) {
				return gap
			}
			_, err = fmt.Fprintf(out, "%d records are back; %v\n", n, gap)
			return err
		})
	c.Flags().StringVar(&from, "from", "", "file that codb ledger backup wrote")
	_ = c.MarkFlagRequired("from")
	return c
}

func renewCommand() *cobra.Command {
	return onLedger("renew", "say of a ledger that was brought back by other means, as pg_restore, what restore says of its",
		func(ctx context.Context, s ledger.Renewing, out io.Writer) error {
			if err := ledger.Renew(ctx, s, time.Now()); err != nil {
				return err
			}
			_, err := fmt.Fprintln(out, "it is another ledger now: restart the gates")
			return err
		})
}

func vouchCommand() *cobra.Command {
	var because string
	c := onLedger("vouch", "say that whatever happened since the backup is in the restored ledger again, and let campaigns go on",
		func(ctx context.Context, s ledger.Renewing, out io.Writer) error {
			err := ledger.Gap(ctx, s)
			if err == nil {
				return errors.New("there is nothing to vouch for: the ledger lacks nothing, as far as it knows")
			}
			var gap *contacts.GapError
			if !errors.As(err, &gap) {
				return err
			}
			if _, err := s.Append(ctx, []contacts.Record{gap.Vouch(because, time.Now())}); err != nil {
				return err
			}
			if err := ledger.Gap(ctx, s); err != nil {
				return err // there was more than one
			}
			_, err = fmt.Fprintln(out, "campaigns go on; Jobs that draw permits and began before the ledger was restored must be deleted")
			return err
		})
	c.Flags().StringVar(&because, "because", "", "why nothing is missing; it is kept in the ledger")
	_ = c.MarkFlagRequired("because")
	return c
}

// onLedger is a verb on a ledger that no gate may be writing into meanwhile.
func onLedger(use, short string, do func(context.Context, ledger.Renewing, io.Writer) error) *cobra.Command {
	var o ledgerOptions
	c := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs}
	o.register(c.Flags())
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := o.open(cmd.Context(), nil)
		if err != nil {
			return err
		}
		return errors.Join(do(cmd.Context(), s.(ledger.Renewing), cmd.OutOrStdout()), s.Close())
	}
	return c
}
