package ledger

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/postgres"
)

//go:embed migrations/*.sql
var migrations embed.FS

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

// Database is a Store in a database that speaks PostgreSQL's protocol. Any
// number of processes may have it open.
type Database struct {
	queue
	progress
	tail    tail
	db      *postgres.Database
	id      string
	metrics *metrics
	also    atomic.Pointer[Condition]

	close  sync.Once
	leave  context.CancelFunc // ends what goes on in the background
	follow sync.WaitGroup
}

var _ Store = (*Database)(nil)

// Condition is what contacts depend on besides the past, and what the same
// database knows: it is asked in the very transaction that appends them.
type Condition interface {
	// Ask adds a question to the transaction: which customer, each decided on a
	// revision, has another one by now? outdated is told their places.
	Ask(b *pgx.Batch, principals, revisions []string, outdated func(place int))
}

// ErrElsewhere says that the ledger's database does not know the answer.
var ErrElsewhere = errors.New("it is not in the ledger's database")

// Require makes AppendIf append no contact that the condition is against, which
// must be in the same database: else it is ErrElsewhere, or the condition's own
// error.
func (d *Database) Require(ctx context.Context, c Condition) error {
	err := d.db.Retry(ctx, func(ctx context.Context) error {
		var b pgx.Batch
		c.Ask(&b, nil, nil, func(int) {})
		return d.db.SendBatch(ctx, &b).Close()
	})
	if postgres.Unknown(err) {
		err = fmt.Errorf("%w: %w", ErrElsewhere, err)
	}
	if err != nil {
		return fmt.Errorf("make contacts depend on more than the past: %w", inLedger(err))
	}
	d.also.Store(&c)
	return nil
}

// OpenDatabase opens the ledger in the database at the URL, or lays it out where
// there is none. No error of it repeats the URL, which may hold a password.
func OpenDatabase(ctx context.Context, url string, o DatabaseOptions) (*Database, error) {
	d := &Database{}
	d.queue = newQueue(o.Clock, d.failed)
	var err error
	d.db, err = postgres.Open(ctx, url, postgres.Options{
		Name: "codb_ledger", Migrations: migrations, Patience: o.Patience, Final: []error{ErrBroken, ErrCorrupt},
	})
	if err == nil {
		if err = d.db.Retry(ctx, d.identify); err != nil {
			d.db.Close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open ledger in a database: %w", inLedger(err))
	}
	d.metrics = newMetrics(o.Metrics, d.Sequence)
	ctx, d.leave = context.WithCancel(context.WithoutCancel(ctx))
	d.follow.Go(func() { d.db.Follow(ctx, d.readHead) })
	go d.run(func(batch []*request) { d.write(ctx, batch) })
	return d, nil
}

// identify gives a new ledger its id.
func (d *Database) identify(ctx context.Context) error {
	if _, err := d.db.Exec(ctx, `INSERT INTO codb_ledger (one, id, sequence) VALUES (true, $1, 0) ON CONFLICT DO NOTHING`, rand.Text()); err != nil {
		return fmt.Errorf("name the ledger: %w", err)
	}
	var sequence uint64
	err := d.db.QueryRow(ctx, selectHead).Scan(&d.id, &sequence)
	d.advance(sequence)
	return err
}

// inLedger says a database's error as a ledger's.
func inLedger(err error) error {
	for is, as := range map[error]error{
		postgres.ErrUnavailable: contacts.ErrUnavailable, postgres.ErrFull: contacts.ErrFull, postgres.ErrNewer: ErrFormat,
	} {
		if errors.Is(err, is) {
			return fmt.Errorf("%w: %w", as, err)
		}
	}
	return err
}

// ID implements Store.
func (d *Database) ID() string { return d.id }

// Renew implements Renewing. This store is broken then, like all others that
// have the ledger open.
func (d *Database) Renew(ctx context.Context) error {
	id := rand.Text()
	if err := d.db.Retry(ctx, func(ctx context.Context) error {
		_, err := d.db.Exec(ctx, `UPDATE codb_ledger SET id = $1`, id)
		return err
	}); err != nil {
		return fmt.Errorf("give the ledger another id: %w", inLedger(err))
	}
	return nil
}

// Close implements Store.
func (d *Database) Close() error {
	d.close.Do(func() {
		close(d.stop)
		d.leave()
		<-d.done
		d.fail(ErrClosed)
		d.follow.Wait()
		d.db.Close()
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

// readHead takes note of what others have appended.
func (d *Database) readHead(ctx context.Context, conn *pgx.Conn) error {
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
