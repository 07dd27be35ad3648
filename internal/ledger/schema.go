package ledger

import (
	"context"
	"crypto/rand"
	"embed"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
)

// migrations are applied in the order of their names, each once. They only add:
// a gate of the version before may run beside the new one. They, and all other
// SQL here, keep to what PostgreSQL 15, YugabyteDB and CockroachDB share.
//
//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the tables up to this version. Any number of gates may try at
// once: one row is the lock.
func migrate(ctx context.Context, conn *pgx.Conn) error {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	for _, sql := range []string{
		`CREATE TABLE IF NOT EXISTS codb_ledger_schema (one boolean PRIMARY KEY CHECK (one), version bigint NOT NULL)`,
		`INSERT INTO codb_ledger_schema (one, version) VALUES (true, 0) ON CONFLICT DO NOTHING`,
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("make the ledger's tables: %w", err)
		}
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		var version int
		if err := tx.QueryRow(ctx, `SELECT version FROM codb_ledger_schema FOR UPDATE`).Scan(&version); err != nil {
			return fmt.Errorf("read the ledger's format: %w", err)
		}
		if version > len(files) {
			return fmt.Errorf("%w: format %d, known are up to %d; run the version of codb that wrote it", ErrFormat, version, len(files))
		}
		if version == len(files) {
			return nil
		}
		for _, name := range files[version:] {
			sql, err := migrations.ReadFile(name)
			if err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, string(sql), pgx.QueryExecModeSimpleProtocol); err != nil {
				return fmt.Errorf("apply %s: %w", name, err)
			}
		}
		_, err := tx.Exec(ctx, `UPDATE codb_ledger_schema SET version = $1`, len(files))
		return err
	})
}

// identify gives a new ledger its id.
func identify(ctx context.Context, conn *pgx.Conn) (id string, sequence uint64, err error) {
	if _, err := conn.Exec(ctx, `INSERT INTO codb_ledger (one, id, sequence) VALUES (true, $1, 0) ON CONFLICT DO NOTHING`, rand.Text()); err != nil {
		return "", 0, fmt.Errorf("name the ledger: %w", err)
	}
	err = conn.QueryRow(ctx, selectHead).Scan(&id, &sequence)
	return id, sequence, err
}

const selectHead = `SELECT id, sequence FROM codb_ledger`
