// Package postgres speaks to databases of PostgreSQL's protocol: it connects,
// makes tables, tries again what may pass, and tells of news. It does not know
// what is kept there.
package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/codb-dev/codb/internal/pause"
)

var (
	// ErrUnavailable says that the database does not answer.
	ErrUnavailable = errors.New("the database does not answer")
	// ErrFull says that it has no room.
	ErrFull = errors.New("the database has no room")
	// ErrNewer says that a newer version of codb made the tables.
	ErrNewer = errors.New("its format is newer than this version of codb")
)

// Options say what is kept, and how to treat the database.
type Options struct {
	// Name begins the names of all tables, and is the channel of their news.
	Name string
	// Migrations are files of SQL, applied in the order of their names, each once.
	// They only add: the version before may run beside the new one. They, and all
	// other SQL, keep to what PostgreSQL 15, YugabyteDB and CockroachDB share.
	Migrations fs.FS
	// Patience is how long to go on while the database does not answer. Zero: 8 s.
	Patience time.Duration
	// Final are errors that don't pass by trying again.
	Final []error
}

const (
	// attempt is what one transaction may take, patience what all attempts may.
	attempt, patience = 5 * time.Second, 8 * time.Second
	// poll is how often a database that tells no news is asked for them; one that
	// does is asked so often, too, for a message may get lost.
	poll, pollBeside = 100 * time.Millisecond, time.Second
)

// Database is a pool of connections.
type Database struct {
	*pgxpool.Pool
	o Options
	// Tells says that it knows LISTEN.
	Tells bool
}

// Open connects to the database at the URL and brings its tables up to this
// version. No error repeats the URL, which may hold a password.
func Open(ctx context.Context, url string, o Options) (*Database, error) {
	config, err := read(url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = 16
	config.ConnConfig.ConnectTimeout = attempt
	// A process that was paused must not keep the others from writing.
	for name, value := range map[string]string{
		"application_name": "codb", "statement_timeout": "5s", "idle_in_transaction_session_timeout": "5s",
	} {
		if _, given := config.ConnConfig.RuntimeParams[name]; !given {
			config.ConnConfig.RuntimeParams[name] = value
		}
	}
	d := &Database{o: o}
	if d.Pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, err
	}
	if err := d.Retry(ctx, d.begin); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// Readable is nil if the URL is one.
func Readable(url string) error {
	_, err := read(url)
	return err
}

func read(url string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("the database's address can't be read; want postgres://user:password@host:port/database")
	}
	return config, nil
}

func (d *Database) begin(ctx context.Context) error {
	return d.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
		if err := durable(ctx, c.Conn()); err != nil {
			return err
		}
		if err := d.migrate(ctx, c.Conn()); err != nil {
			return err
		}
		_, err := c.Exec(ctx, "LISTEN "+d.o.Name)
		if d.Tells = err == nil; d.Tells {
			_, err = c.Exec(ctx, "UNLISTEN "+d.o.Name)
		} else if Unknown(err) {
			err = nil
		}
		return err
	})
}

// durable refuses a server that was told to forget what it acknowledged.
func durable(ctx context.Context, c *pgx.Conn) error {
	for _, setting := range []string{"fsync", "synchronous_commit"} {
		var value string
		err := c.QueryRow(ctx, "SHOW "+setting).Scan(&value)
		if err == nil && value == "off" {
			return fmt.Errorf("%s is off: set it to on, or a crash takes away what was acknowledged", setting)
		}
		if err != nil && !Unknown(err) { // other databases don't have it
			return err
		}
	}
	return nil
}

// migrate brings the tables up to this version. Any number of processes may try
// at once: one row is the lock.
func (d *Database) migrate(ctx context.Context, conn *pgx.Conn) error {
	files, err := fs.Glob(d.o.Migrations, "*/*.sql")
	if err != nil {
		return err
	}
	table := d.o.Name + "_schema"
	for _, sql := range []string{
		`CREATE TABLE IF NOT EXISTS ` + table + ` (one boolean PRIMARY KEY CHECK (one), version bigint NOT NULL)`,
		`INSERT INTO ` + table + ` (one, version) VALUES (true, 0) ON CONFLICT DO NOTHING`,
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("make tables: %w", err)
		}
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		var version int
		if err := tx.QueryRow(ctx, `SELECT version FROM `+table+` FOR UPDATE`).Scan(&version); err != nil {
			return fmt.Errorf("read the tables' format: %w", err)
		}
		if version > len(files) {
			return fmt.Errorf("%w: format %d, known are up to %d; run the version of codb that wrote it", ErrNewer, version, len(files))
		}
		for _, name := range files[version:] {
			sql, err := fs.ReadFile(d.o.Migrations, name)
			if err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, string(sql), pgx.QueryExecModeSimpleProtocol); err != nil {
				return fmt.Errorf("apply %s: %w", name, err)
			}
		}
		_, err := tx.Exec(ctx, `UPDATE `+table+` SET version = $1`, len(files))
		return err
	})
}

// Follow calls read at first, and whenever there is news or may be, on one
// connection, until ctx is done.
func (d *Database) Follow(ctx context.Context, read func(context.Context, *pgx.Conn) error) {
	backoff := retries()
	for ctx.Err() == nil {
		err := d.listen(ctx, func(c *pgx.Conn) error {
			ctx, cancel := context.WithTimeout(ctx, attempt)
			defer cancel()
			err := read(ctx, c)
			if err == nil {
				backoff = retries()
			}
			return err
		})
		if err != nil && ctx.Err() == nil {
			pause.For(ctx, backoff.Step())
		}
	}
}

func (d *Database) listen(ctx context.Context, read func(*pgx.Conn) error) error {
	c, err := d.Acquire(ctx)
	if err != nil {
		return err
	}
	conn := c.Hijack() // it listens, and nobody else shall have it afterwards
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ctx) // it is broken, or done with
	}()
	if d.Tells {
		if _, err := conn.Exec(ctx, "LISTEN "+d.o.Name); err != nil {
			return err
		}
	}
	for ctx.Err() == nil {
		if err := read(conn); err != nil {
			return err
		}
		if !d.Tells {
			pause.For(ctx, poll)
			continue
		}
		waiting, cancel := context.WithTimeout(ctx, pollBeside)
		_, err := conn.WaitForNotification(waiting)
		late := waiting.Err() != nil
		cancel()
		if err != nil && !late {
			return err
		}
	}
	return ctx.Err()
}

// Tell queues the news of a transaction, where the database knows how.
func (d *Database) Tell(b *pgx.Batch) {
	if d.Tells {
		b.Queue(`SELECT pg_notify('` + d.o.Name + `', '')`)
	}
}

// Release gives a connection back; in the middle of a transaction it is ended.
func Release(ctx context.Context, c *pgxpool.Conn) {
	if c.Conn().PgConn().TxStatus() != 'I' && !c.Conn().IsClosed() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_, _ = c.Exec(ctx, "ROLLBACK") // a connection that can't is not used again
	}
	c.Release()
}

// Retry does again what may pass, for some seconds. What it does must come to
// the same when it happened already: an answer that got lost is no failure.
func (d *Database) Retry(ctx context.Context, do func(context.Context) error) error {
	end := time.Now().Add(cmp.Or(d.o.Patience, patience))
	for backoff := retries(); ; {
		attempt, cancel := context.WithTimeout(ctx, attempt)
		err := do(attempt)
		cancel()
		switch {
		case err == nil, ctx.Err() != nil:
			return err
		case codeOf(err) == "53100":
			return fmt.Errorf("%w: %w", ErrFull, err)
		case !d.passes(err):
			return err
		case time.Now().After(end):
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		pause.For(ctx, backoff.Step())
	}
}

func retries() wait.Backoff {
	return wait.Backoff{Duration: 5 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 8, Cap: 500 * time.Millisecond}
}

// passes says whether the same may succeed a moment later. Of a connection that
// broke nobody knows what the server did.
func (d *Database) passes(err error) bool {
	if errors.Is(err, ErrNewer) || slices.ContainsFunc(d.o.Final, func(final error) bool { return errors.Is(err, final) }) {
		return false
	}
	code := codeOf(err)
	switch {
	case code == "": // not the server's word: the network, a deadline
		return true
	case code[:2] == "08", code[:3] == "57P": // connection, shutdown
		return true
	}
	return slices.Contains([]string{
		"40001", "40P01", "40003", // somebody was faster; a deadlock; unknown whether it is done
		"55P03", "57014", "25P03", // waited too long for a lock, for an answer, or between two statements
		"53300", "53400", // too many connections
		"25006",                                     // it only reads: another one leads now
		"23505", "42P06", "42P07", "42710", "XX000", // laid out by two at once
	}, code)
}

// Unknown says whether the server does not know what was asked for: a table, or
// a word.
func Unknown(err error) bool {
	code := codeOf(err)
	return len(code) == 5 && (code[:2] == "42" || code[:2] == "0A")
}

func codeOf(err error) string {
	var p *pgconn.PgError
	if errors.As(err, &p) && len(p.Code) == 5 {
		return p.Code
	}
	return ""
}
