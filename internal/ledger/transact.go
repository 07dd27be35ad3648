package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/codb-dev/codb/internal/postgres"
)

// The two halves of a transaction, each one journey to the server. The lock on
// the head makes all appends happen one after the other, whoever makes them:
// what is read after it is the latest, and sequences become visible in order.
const (
	selectHead = `SELECT id, sequence FROM codb_ledger`

	begin    = `BEGIN ISOLATION LEVEL READ COMMITTED`
	lockHead = selectHead + ` FOR UPDATE`
	findKeys = `SELECT sequence, record FROM codb_contacts WHERE key = ANY($1)`
	// findLatest looks each customer up by itself, at the end of the index.
	findLatest = `SELECT p.principal, c.sequence FROM unnest($1::text[]) AS p(principal)
CROSS JOIN LATERAL (SELECT sequence FROM codb_contacts WHERE principal = p.principal ORDER BY sequence DESC LIMIT 1) AS c`

	insert = `INSERT INTO codb_contacts (sequence, key, principal, at, record)
SELECT r.sequence, r.key, r.principal, r.at, r.record::jsonb
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::text[]) AS r(sequence, key, principal, at, record)`
	moveHead = `UPDATE codb_ledger SET sequence = $1`
	commit   = `COMMIT`
)

// write commits a batch, or answers why it can't.
func (d *Database) write(ctx context.Context, batch []*request) {
	began, appended := time.Now(), 0
	err := errors.Join(d.failed(), inJSON(batch)) // before the head is locked
	if err == nil {
		err = d.db.Retry(ctx, func(ctx context.Context) (err error) {
			appended, err = d.transact(ctx, batch)
			return err
		})
	}
	if ctx.Err() != nil {
		err = ErrClosed
	}
	if err == nil && appended > 0 {
		d.metrics.committed(uint64(appended), time.Since(began))
	}
	answer(batch, inLedger(err), d.metrics)
}

// transact appends all that is new in the batch.
func (d *Database) transact(ctx context.Context, batch []*request) (appended int, err error) {
	c, err := d.db.Acquire(ctx)
	if err != nil {
		return 0, err
	}
	defer postgres.Release(ctx, c)
	known, last, err := d.read(ctx, c, batch)
	if err != nil {
		return 0, err
	}
	added := rows{}
	first := last
	for _, r := range batch {
		if last, err = r.judge(known, last); err != nil {
			return 0, err
		}
		if err := r.each(func(i int, sequence uint64) error {
			known.add(&r.records[i], r.encoded[i], sequence)
			added.add(&r.records[i], r.texts[i], sequence)
			return nil
		}); err != nil {
			return 0, err
		}
	}
	if last == first {
		return 0, nil
	}
	if err := d.put(ctx, c, &added, last); err != nil {
		return 0, err
	}
	d.tail.took(batch)
	d.advance(last)
	return int(last - first), nil
}

// read begins the transaction and reads what the batch depends on.
func (d *Database) read(ctx context.Context, c *pgxpool.Conn, batch []*request) (*knownRows, uint64, error) {
	known := &knownRows{records: map[string]knownRow{}, latestOf: map[string]uint64{}, outdatedOf: map[decided]bool{}}
	var (
		keys, principals []string
		id               string
		last             uint64
		on               []decided
	)
	asked := map[string]bool{}
	for _, r := range batch {
		for i := range r.records {
			keys = append(keys, r.records[i].Key)
			if p := r.records[i].Principal; r.ifSeen && !asked[p] {
				asked[p], principals = true, append(principals, p)
			}
			if r.ifSeen && r.records[i].Contact() {
				on = append(on, decidedOn(&r.records[i]))
			}
		}
	}
	var b pgx.Batch
	b.Queue(begin)
	b.Queue(lockHead).QueryRow(func(row pgx.Row) error { return row.Scan(&id, &last) })
	b.Queue(findKeys, keys).Query(known.read)
	if len(principals) > 0 {
		b.Queue(findLatest, principals).Query(known.readLatest)
	}
	if c := d.also.Load(); c != nil && len(on) > 0 {
		principals, revisions := make([]string, len(on)), make([]string, len(on))
		for i := range on {
			principals[i], revisions[i] = on[i].principal, on[i].revision
		}
		(*c).Ask(&b, principals, revisions, func(place int) { known.outdatedOf[on[place]] = true })
	}
	if err := c.SendBatch(ctx, &b).Close(); err != nil {
		return nil, 0, err
	}
	return known, last, d.same(id)
}

// put writes the new records and ends the transaction.
func (d *Database) put(ctx context.Context, c *pgxpool.Conn, r *rows, last uint64) error {
	var b pgx.Batch
	b.Queue(insert, r.sequences, r.keys, r.principals, r.ats, r.records)
	b.Queue(moveHead, last)
	d.db.Tell(&b)
	b.Queue(commit)
	return c.SendBatch(ctx, &b).Close()
}

// knownRows are the past of a batch; its own records are added as they are
// found to be new.
type knownRows struct {
	records    map[string]knownRow
	latestOf   map[string]uint64
	outdatedOf map[decided]bool
}

// decided is whom a contact was decided on, and on which of their consents.
type decided struct{ principal, revision string }

func decidedOn(r *Record) decided { return decided{r.Principal, r.ConsentRevision} }

type knownRow struct {
	sequence uint64
	encoded  []byte
}

func (k *knownRows) read(found pgx.Rows) error {
	for found.Next() {
		r, err := scan(found)
		if err != nil {
			return err
		}
		k.records[r.Key] = knownRow{r.Sequence, encode(&r)}
	}
	return found.Err()
}

func (k *knownRows) readLatest(found pgx.Rows) error {
	for found.Next() {
		var (
			principal string
			sequence  uint64
		)
		if err := found.Scan(&principal, &sequence); err != nil {
			return err
		}
		k.latestOf[principal] = sequence
	}
	return found.Err()
}

func (k *knownRows) add(r *Record, encoded []byte, sequence uint64) {
	k.records[r.Key] = knownRow{sequence, encoded}
	k.latestOf[r.Principal] = sequence
}

func (k *knownRows) known(key string) (uint64, []byte, error) {
	r := k.records[key]
	return r.sequence, r.encoded, nil
}

func (k *knownRows) latest(principal string) uint64 { return k.latestOf[principal] }

func (k *knownRows) outdated(r *Record) bool { return r.Contact() && k.outdatedOf[decidedOn(r)] }

// rows are the columns of what is inserted.
type rows struct {
	sequences, ats            []int64
	keys, principals, records []string
}

func (r *rows) add(record *Record, text string, sequence uint64) {
	r.sequences, r.ats = append(r.sequences, int64(sequence)), append(r.ats, record.At.UnixNano())
	r.keys, r.principals, r.records = append(r.keys, record.Key), append(r.principals, record.Principal), append(r.records, text)
}

// inJSON writes records as they are kept.
func inJSON(batch []*request) error {
	for _, r := range batch {
		r.texts = make([]string, len(r.records))
		for i := range r.records {
			text, err := json.Marshal(&r.records[i])
			if err != nil {
				return fmt.Errorf("write a record: %w", err)
			}
			r.texts[i] = string(text)
		}
	}
	return nil
}
