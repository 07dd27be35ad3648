package consentstore

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/postgres"
)

//go:embed migrations/*.sql
var migrations embed.FS

// DatabaseOptions say how to keep consents in a database.
type DatabaseOptions struct {
	// Namespace that the consents say they are in.
	Namespace string
	// Refused says why the apiserver would refuse an object as a change of old,
	// which is nil where there is none. It is required to write.
	Refused func(object, old *v1alpha1.CustomerConsent) ([]string, error)
	// NobodyAtHand keeps no consents in memory: only Put, Erase, Now, Page, History,
	// Changes and Changed are for use then.
	NobodyAtHand bool
	// Clock tells the time. Nil: the system's.
	Clock func() time.Time
	// Patience is how long to go on while the database does not answer. Zero: 8 s.
	Patience time.Duration
	// Late lets the database be reached later, and Admit say no until later: the
	// store is empty then, and Healthy says why.
	Late bool
	// Admit is asked about the store's id before anything is read. Nil: every
	// store is the right one.
	Admit func(ctx context.Context, id string) error
	// Metrics takes the store's metrics. Nil: none.
	Metrics prometheus.Registerer
}

// Database keeps consents in a database that speaks PostgreSQL's protocol, and
// all of them at hand, in columns. What is written is acknowledged when it is committed, and every Fence that begins
// afterwards brings it, at any number of processes.
type Database struct {
	people
	o    DatabaseOptions
	full bool // everything that existed at the start has arrived
	hearing

	reached chan struct{} // closed when db and id are there
	db      *postgres.Database
	id      string

	pulling  sync.Mutex
	begun    *int64 // the head when everybody began to be read
	loaded   string // who has been read last
	revision int64  // up to it every change is in people

	fence  fence
	leave  context.CancelFunc
	follow sync.WaitGroup
}

var (
	// ErrReplaced says that another store is in the place of the one that was
	// opened: nothing that is known of the old one holds.
	ErrReplaced = errors.New("other consents are in their place; restart codb")
	// ErrCorrupt says that a consent is not what was written.
	ErrCorrupt = errors.New("a consent can't be read")
)

// OpenDatabase opens the consents in the database at the URL, or lays them out
// where there are none; they arrive afterwards. No error repeats the URL.
func OpenDatabase(ctx context.Context, url string, o DatabaseOptions) (*Database, error) {
	d := &Database{people: newPeople(), o: o, reached: make(chan struct{})}
	if d.o.Clock == nil {
		d.o.Clock = time.Now
	}
	if err := postgres.Readable(url); err != nil {
		return nil, fmt.Errorf("open consents in a database: %w", err)
	}
	if !o.Late {
		if err := d.reach(ctx, url); err != nil {
			return nil, err
		}
	}
	d.fence.pass, d.fence.metrics = d.pass, newMetrics(o.Metrics, d.table.Len, d.Synced)
	ctx, d.leave = context.WithCancel(context.WithoutCancel(ctx))
	d.follow.Go(func() {
		if d.await(ctx, url) {
			read := d.pull
			if o.NobodyAtHand {
				read = d.look
			}
			d.db.Follow(ctx, func(ctx context.Context, _ *pgx.Conn) error { return read(ctx) })
		}
	})
	return d, nil
}

// again is how soon a database is looked for again that could not be reached.
const again = time.Second

// await reaches the database in the end, unless ctx is done.
func (d *Database) await(ctx context.Context, url string) bool {
	for !d.isReached() {
		err := d.reach(ctx, url)
		if err == nil {
			break
		}
		d.heard(err)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(again):
		}
	}
	return ctx.Err() == nil
}

func (d *Database) reach(ctx context.Context, url string) error {
	db, err := postgres.Open(ctx, url, postgres.Options{
		Name: "codb_consents", Migrations: migrations, Patience: d.o.Patience,
		Final: []error{ErrReplaced, ErrCorrupt, ErrRefused, ErrConflict},
	})
	if err == nil {
		d.db = db
		if err = db.Retry(ctx, d.identify); err == nil && d.o.Admit != nil {
			err = d.o.Admit(ctx, d.id)
		}
		if err != nil {
			db.Close()
		}
	}
	if err != nil {
		return fmt.Errorf("open consents in a database: %w", err)
	}
	close(d.reached)
	return nil
}

// Reached is closed once the database was reached and admitted.
func (d *Database) Reached() <-chan struct{} { return d.reached }

func (d *Database) isReached() bool {
	select {
	case <-d.reached:
		return true
	default:
		return false
	}
}

// retry does again what may pass, in a database that was reached.
func (d *Database) retry(ctx context.Context, do func(context.Context) error) error {
	if !d.isReached() {
		return fmt.Errorf("%w: %w", postgres.ErrUnavailable, d.Healthy())
	}
	return d.db.Retry(ctx, do)
}

const (
	selectHead = `SELECT id, revision FROM codb_consent_store`
	selectPage = `SELECT name, revision, object FROM codb_consents WHERE name > $1 ORDER BY name LIMIT $2`
)

// identify gives a new store its id.
func (d *Database) identify(ctx context.Context) error {
	if _, err := d.db.Exec(ctx, `INSERT INTO codb_consent_store (one, id, revision) VALUES (true, $1, 0) ON CONFLICT DO NOTHING`, rand.Text()); err != nil {
		return fmt.Errorf("name the store: %w", err)
	}
	var revision int64
	return d.db.QueryRow(ctx, selectHead).Scan(&d.id, &revision)
}

// Close ends it.
func (d *Database) Close() {
	d.leave()
	d.follow.Wait()
	d.hush()
	if d.isReached() {
		d.db.Close()
	}
}

// Synced is true once every consent that existed at the start has arrived.
func (d *Database) Synced() bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.full
}

// Revision is an opaque mark up to which every change is in the store.
func (d *Database) Revision() string {
	if !d.isReached() {
		return ""
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.mark(strconv.FormatInt(d.revision, 10))
}

// Fence returns once every change that was acknowledged before the call is in
// the store.
func (d *Database) Fence(ctx context.Context) (revision string, err error) { return d.fence.wait(ctx) }

func (d *Database) pass(ctx context.Context) (string, error) {
	if err := d.retry(ctx, d.pull); err != nil {
		return "", fmt.Errorf("%w: %w", ErrNotCurrent, err)
	}
	return d.Revision(), nil
}

// pull brings the store up to the database's head, as of some moment after the
// call. The head comes first: up to it every change is there to be seen.
func (d *Database) pull(ctx context.Context) error {
	d.pulling.Lock()
	defer d.pulling.Unlock()
	err := d.catchUp(ctx)
	d.heard(err)
	return err
}

func (d *Database) catchUp(ctx context.Context) error {
	head, err := d.head(ctx)
	if err != nil {
		return err
	}
	if !d.full {
		if err := d.load(ctx, head); err != nil {
			return err
		}
		if head, err = d.head(ctx); err != nil {
			return err
		}
	}
	for d.revision < head {
		if err := d.step(ctx, head); err != nil {
			return err
		}
	}
	if !d.full {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.full = true
		d.announce() // also to whoever waits for nobody to arrive
	}
	return nil
}

func (d *Database) head(ctx context.Context) (head int64, err error) {
	var id string
	if err := d.db.QueryRow(ctx, selectHead).Scan(&id, &head); err != nil {
		return 0, err
	}
	if id != d.id || head < d.revision {
		return 0, ErrReplaced
	}
	return head, nil
}

// load reads everybody, and goes on where it was interrupted: a million take
// longer than one attempt may. Who has changed since the head was first read is
// read later, in the order of changes.
func (d *Database) load(ctx context.Context, head int64) error {
	if d.begun == nil {
		d.begun = &head
	}
	for {
		page, err := d.rows(d.db.Query(ctx, selectPage, d.loaded, pageOf))
		if err != nil {
			return err
		}
		if len(page) > 0 {
			d.loaded = page[len(page)-1].name
		}
		d.apply(slices.DeleteFunc(slices.Clone(page), func(c change) bool { return c.revision > *d.begun }))
		if len(page) < pageOf {
			break
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.revision = max(d.revision, *d.begun)
	return nil
}

// step reads the next changes up to the head.
func (d *Database) step(ctx context.Context, head int64) error {
	page, err := d.rows(d.db.Query(ctx, `SELECT name, revision, object FROM codb_consent_revisions
WHERE revision > $1 AND revision <= $2 ORDER BY revision LIMIT $3`, d.revision, head, pageOf))
	if err != nil {
		return err
	}
	d.apply(page)
	if len(page) == pageOf {
		head = page[pageOf-1].revision
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.revision = head
	return nil
}

// change is one row: what somebody's consent has come to; nil: erased.
type change struct {
	name     string
	revision int64
	object   *v1alpha1.CustomerConsent
}

// rows reads all before any is applied, so that no attempt applies some of
// them twice.
func (d *Database) rows(found pgx.Rows, err error) (page []change, _ error) {
	if err != nil {
		return nil, err
	}
	defer found.Close()
	for found.Next() {
		c, err := d.scan(found)
		if err != nil {
			return nil, err
		}
		page = append(page, c)
	}
	return page, found.Err()
}

func (d *Database) apply(page []change) {
	var some []*v1alpha1.CustomerConsent
	for _, c := range page {
		if c.object != nil {
			some = append(some, c.object)
			continue
		}
		d.take(some...) // in their order
		d.forget(c.name)
		some = some[:0]
	}
	d.take(some...)
}

func (d *Database) scan(row pgx.Row) (change, error) {
	var (
		c    change
		text []byte
	)
	if err := row.Scan(&c.name, &c.revision, &text); err != nil {
		return change{}, err
	}
	var err error
	c.object, err = d.read(c.name, c.revision, text)
	return c, err
}

// read reads an object as of a revision; nil: there is none.
func (d *Database) read(name string, revision int64, text []byte) (*v1alpha1.CustomerConsent, error) {
	if text == nil {
		return nil, nil
	}
	c := &v1alpha1.CustomerConsent{}
	if err := json.Unmarshal(text, c); err != nil || c.Name != name {
		return nil, fmt.Errorf("revision %d: %w", revision, ErrCorrupt)
	}
	c.Namespace, c.ResourceVersion = d.o.Namespace, strconv.FormatInt(revision, 10)
	return c, nil
}

// revisionOf is 0 of what is not there yet.
func revisionOf(c *v1alpha1.CustomerConsent) int64 {
	if c == nil {
		return 0
	}
	n, err := strconv.ParseInt(c.ResourceVersion, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
