package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/codb-dev/codb/internal/contacts"
)

// DatabaseOptions say how to open a ledger in a database.
type DatabaseOptions struct {
	// Clock tells the time that records are held against. Nil: the system's.
	Clock func() time.Time
	// Patience is how long an append or a read goes on while the database does not
	// answer. Zero: 8 s.
	Patience time.Duration
	// Metrics takes the ledger's metrics. Nil: none.
	Metrics prometheus.Registerer
}

const (
	// attempt is what one transaction may take, patience what all attempts may.
	attempt, patience = 5 * time.Second, 8 * time.Second
	// poll is how often a database that tells no news is asked for them; one that
	// does is asked so often, too, for a message may get lost.
	poll, pollBeside = 100 * time.Millisecond, time.Second
	// channel is where the database tells of appends.
	channel = "codb_contacts"
)

// Database is a Store in a database that speaks PostgreSQL's protocol. Any
// number of processes may have it open.
type Database struct {
	queue
	progress
	pool    *pgxpool.Pool
	id      string
	metrics *metrics
	tells   bool // it knows LISTEN

	patience time.Duration
	close    sync.Once
	leave    context.CancelFunc // ends what goes on in the background
	follow   sync.WaitGroup
}

var _ Store = (*Database)(nil)

// OpenDatabase opens the ledger in the database at the URL, or lays it out where
// there is none. No error of it repeats the URL, which may hold a password.
func OpenDatabase(ctx context.Context, url string, o DatabaseOptions) (*Database, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("open ledger: the database's address can't be read; want postgres://user:password@host:port/database")
	}
	config.MaxConns = 16
	config.ConnConfig.ConnectTimeout = attempt
	// A gate that was paused must not keep the others from appending.
	for name, value := range map[string]string{
		"application_name": "codb", "statement_timeout": "5s", "idle_in_transaction_session_timeout": "5s",
	} {
		if _, given := config.ConnConfig.RuntimeParams[name]; !given {
			config.ConnConfig.RuntimeParams[name] = value
		}
	}
	d := &Database{patience: cmp.Or(o.Patience, patience)}
	d.queue = newQueue(o.Clock, d.failed)
	if d.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	if err := d.retry(ctx, d.begin); err != nil {
		d.pool.Close()
		return nil, fmt.Errorf("open ledger in a database: %w", err)
	}
	d.metrics = newMetrics(o.Metrics, d.Sequence)
	ctx, d.leave = context.WithCancel(context.WithoutCancel(ctx))
	d.follow.Go(func() { d.news(ctx) })
	go d.run(func(batch []*request) { d.write(ctx, batch) })
	return d, nil
}

// begin lays the ledger out where needed, and reads where it is.
func (d *Database) begin(ctx context.Context) error {
	return d.pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
		if err := durable(ctx, c.Conn()); err != nil {
			return err
		}
		if err := migrate(ctx, c.Conn()); err != nil {
			return err
		}
		id, sequence, err := identify(ctx, c.Conn())
		if err != nil {
			return err
		}
		d.id = id
		d.advance(sequence)
		_, err = c.Exec(ctx, "LISTEN "+channel)
		if d.tells = err == nil; d.tells {
			_, err = c.Exec(ctx, "UNLISTEN "+channel)
		} else if unknown(err) {
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
			return fmt.Errorf("%s is off: set it to on, or a crash takes contacts away that were acknowledged", setting)
		}
		if err != nil && !unknown(err) { // other databases don't have it
			return err
		}
	}
	return nil
}

// ID implements Store.
func (d *Database) ID() string { return d.id }

// Close implements Store.
func (d *Database) Close() error {
	d.close.Do(func() {
		close(d.stop)
		d.leave()
		<-d.done
		d.fail(ErrClosed)
		d.follow.Wait()
		d.pool.Close()
	})
	return nil
}

// same refuses a ledger that was put in the place of the one that was opened:
// nothing that is known of the old one holds.
func (d *Database) same(id string) error {
	if id == d.id {
		return nil
	}
	err := fmt.Errorf("%w: another ledger is in its place; restart the gate", ErrBroken)
	d.fail(err)
	return err
}

// news follows the ledger's head until ctx is done.
func (d *Database) news(ctx context.Context) {
	backoff := retries()
	for ctx.Err() == nil {
		err := d.listen(ctx, func() { backoff = retries() })
		if err != nil && ctx.Err() == nil {
			pause(ctx, backoff.Step())
		}
	}
}

// listen reads the head whenever there is news, or may be, on one connection.
func (d *Database) listen(ctx context.Context, well func()) error {
	c, err := d.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	conn := c.Hijack() // it listens, and nobody else shall have it afterwards
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ctx) // it is broken, or done with
	}()
	if d.tells {
		if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
			return err
		}
	}
	for ctx.Err() == nil {
		if err := d.readHead(ctx, conn); err != nil {
			return err
		}
		well()
		if !d.tells {
			pause(ctx, poll)
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

func (d *Database) readHead(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	var (
		id       string
		sequence uint64
	)
	if err := conn.QueryRow(ctx, selectHead).Scan(&id, &sequence); err != nil {
		return err
	}
	if err := d.same(id); err != nil {
		return err
	}
	d.advance(sequence)
	return nil
}

// retry does again what may pass, for some seconds. What it does must come to
// the same when it happened already: an answer that got lost is no failure.
func (d *Database) retry(ctx context.Context, do func(context.Context) error) error {
	end := time.Now().Add(d.patience)
	for backoff := retries(); ; {
		attempt, cancel := context.WithTimeout(ctx, attempt)
		err := do(attempt)
		cancel()
		switch {
		case err == nil, ctx.Err() != nil, !passes(err):
			return explained(err)
		case time.Now().After(end):
			return fmt.Errorf("%w: %w", contacts.ErrUnavailable, err)
		}
		pause(ctx, backoff.Step())
	}
}

func retries() wait.Backoff {
	return wait.Backoff{Duration: 5 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 8, Cap: 500 * time.Millisecond}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// passes says whether the same may succeed a moment later. Of a connection that
// broke nobody knows what the server did.
func passes(err error) bool {
	if errors.Is(err, ErrFormat) || errors.Is(err, ErrBroken) || errors.Is(err, ErrCorrupt) {
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
		"25006",                            // it only reads: another one leads now
		"23505", "42P06", "42P07", "XX000", // laid out by two at once
	}, code)
}

// unknown says whether the server does not know what was asked for.
func unknown(err error) bool {
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

// explained says of a full disk what a file on it would.
func explained(err error) error {
	if codeOf(err) == "53100" {
		return fmt.Errorf("%w: %w", contacts.ErrFull, err)
	}
	return err
}
