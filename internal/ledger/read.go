package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/codb-dev/codb/internal/contacts"
)

const (
	selectAfter = `SELECT sequence, record FROM codb_contacts WHERE sequence > $1 AND sequence <= $2 ORDER BY sequence LIMIT $3`
	selectOf    = `SELECT sequence, record FROM codb_contacts WHERE principal = $1 AND at >= $2 ORDER BY at DESC, sequence DESC LIMIT $3`
	selectCount = `SELECT sequence, record FROM codb_contacts WHERE principal = $1 AND at >= $2 AND at < $3`
)

// After implements Store.
func (d *Database) After(ctx context.Context, sequence uint64, limit int) (contacts.Page, error) {
	page := contacts.Page{After: sequence}
	err := d.view(ctx, func(ctx context.Context) error {
		// The head first: up to it every record is there to be seen.
		if err := d.db.QueryRow(ctx, selectHead).Scan(&page.Ledger, &page.Sequence); err != nil {
			return err
		}
		if err := d.same(page.Ledger); err != nil {
			return err
		}
		d.advance(page.Sequence)
		page.Records = []Record{}
		if limit <= 0 || sequence >= page.Sequence {
			return nil
		}
		upTo := page.Sequence
		if mine := d.tail.from(upTo); mine > sequence+1 {
			upTo = mine - 1 // what others wrote, and then what this process did
		} else if found, ok := d.tail.after(sequence, upTo, limit); ok {
			page.Records = found
			return nil
		}
		err := d.each(ctx, func(r Record) { page.Records = append(page.Records, r) }, selectAfter, sequence, upTo, limit)
		if more, ok := d.tail.after(upTo, page.Sequence, limit-len(page.Records)); ok && err == nil && upTo < page.Sequence {
			page.Records = append(page.Records, more...)
		}
		return err
	})
	if err != nil {
		return contacts.Page{}, fmt.Errorf("read ledger after sequence %d: %w", sequence, err)
	}
	return page, nil
}

// ByPrincipal implements Store.
func (d *Database) ByPrincipal(ctx context.Context, principal string, since time.Time, limit int) ([]Record, error) {
	var out []Record
	err := d.view(ctx, func(ctx context.Context) error {
		out = []Record{}
		return d.each(ctx, func(r Record) { out = append(out, r) }, selectOf, principal, nanos(since), limit)
	})
	if err != nil {
		return nil, fmt.Errorf("read a customer's records: %w", err)
	}
	return out, nil
}

// Count implements Store.
func (d *Database) Count(ctx context.Context, principal string, q CountQuery) (int, error) {
	n := 0
	until := int64(1<<63 - 1)
	if !q.Until.IsZero() {
		until = nanos(q.Until)
	}
	err := d.view(ctx, func(ctx context.Context) error {
		n = 0
		return d.each(ctx, func(r Record) {
			if counts(&r, &q) {
				n++
			}
		}, selectCount, principal, nanos(q.Since), until)
	})
	if err != nil {
		return 0, fmt.Errorf("count a customer's contacts: %w", err)
	}
	return n, nil
}

// nanos is how a bound is compared; no record is older than 1970.
func nanos(t time.Time) int64 {
	if t.Before(time.Unix(0, 0)) {
		return 0
	}
	return t.UnixNano()
}

// view reads, again where that may help.
func (d *Database) view(ctx context.Context, read func(context.Context) error) error {
	if err := d.failed(); err != nil {
		return err
	}
	err := inLedger(d.db.Retry(ctx, read))
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	if broken := d.failed(); err != nil && broken != nil {
		return broken
	}
	return err
}

func (d *Database) each(ctx context.Context, take func(Record), sql string, args ...any) error {
	found, err := d.db.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	defer found.Close()
	for found.Next() {
		r, err := scan(found)
		if err != nil {
			return err
		}
		take(r)
	}
	return found.Err()
}

// scan reads a row of sequence and record.
func scan(row pgx.Row) (r Record, err error) {
	var (
		sequence uint64
		text     string
	)
	if err := row.Scan(&sequence, &text); err != nil {
		return Record{}, err
	}
	if !readJSON(text, &r) {
		return Record{}, fmt.Errorf("%w: record %d can't be read", ErrCorrupt, sequence)
	}
	r.Sequence = sequence
	return r, nil
}
