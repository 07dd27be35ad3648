package ledger

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/codb-dev/codb/internal/contacts"
)

// After implements Store.
func (f *File) After(ctx context.Context, sequence uint64, limit int) (contacts.Page, error) {
	page := contacts.Page{Ledger: f.id, After: sequence, Records: []Record{}}
	if latest := f.Sequence(); f.failed() == nil && ctx.Err() == nil {
		if found, ok := f.tail.after(sequence, latest, limit); ok {
			page.Sequence, page.Records = latest, found
			return page, nil
		}
	}
	err := f.view(func(tx *bolt.Tx, upTo uint64) error {
		page.Sequence = upTo
		c := tx.Bucket(bucketRecords).Cursor()
		next := sequence + 1
		for k, v := c.Seek(binary.BigEndian.AppendUint64(nil, next)); len(page.Records) < limit && next <= upTo; k, v = c.Next() {
			if err := ctx.Err(); err != nil {
				return err
			}
			if len(k) != 8 || binary.BigEndian.Uint64(k) != next {
				return fmt.Errorf("%w: record %d is missing", ErrCorrupt, next)
			}
			r, err := decode(v, k)
			if err != nil {
				return err
			}
			page.Records = append(page.Records, r)
			next++
		}
		return nil
	})
	if err != nil {
		return contacts.Page{}, fmt.Errorf("read ledger after sequence %d: %w", sequence, err)
	}
	return page, nil
}

// ByPrincipal implements Store.
func (f *File) ByPrincipal(ctx context.Context, principal string, since time.Time, limit int) ([]Record, error) {
	out := []Record{}
	err := f.view(func(tx *bolt.Tx, upTo uint64) error {
		c := tx.Bucket(bucketPrincipals).Cursor()
		// The first key of the next customer: no principal contains a byte 1.
		k, _ := c.Seek(append([]byte(principal), 1))
		if k == nil {
			k, _ = c.Last()
		} else {
			k, _ = c.Prev()
		}
		for ; len(out) < limit; k, _ = c.Prev() {
			e, ok := entryOf(k, principal)
			if !ok || e.at.Before(since) {
				return ctx.Err()
			}
			if e.sequence > upTo {
				continue
			}
			r, err := get(tx, e.sequence)
			if err != nil {
				return err
			}
			out = append(out, r)
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("read a customer's records: %w", err)
	}
	return out, nil
}

// Count implements Store.
func (f *File) Count(ctx context.Context, principal string, q CountQuery) (int, error) {
	n := 0
	err := f.view(func(tx *bolt.Tx, upTo uint64) error {
		from := q.Since
		if from.Before(time.Unix(0, 0)) {
			from = time.Unix(0, 0)
		}
		c := tx.Bucket(bucketPrincipals).Cursor()
		for k, _ := c.Seek(principalKey(principal, from, 0)); ; k, _ = c.Next() {
			e, ok := entryOf(k, principal)
			if !ok || (!q.Until.IsZero() && !e.at.Before(q.Until)) {
				return ctx.Err()
			}
			if e.sequence > upTo {
				continue
			}
			r, err := get(tx, e.sequence)
			if err != nil {
				return err
			}
			if counts(&r, &q) {
				n++
			}
		}
	})
	if err != nil {
		return 0, fmt.Errorf("count a customer's contacts: %w", err)
	}
	return n, nil
}

func counts(r *Record, q *CountQuery) bool {
	return r.Contact() &&
		(len(q.Classes) == 0 || slices.Contains(q.Classes, r.Class)) &&
		(len(q.Channels) == 0 || slices.Contains(q.Channels, r.Channel)) &&
		(q.Brand == "" || q.Brand == r.Brand)
}

type indexEntry struct {
	at       time.Time
	sequence uint64
}

// entryOf reads an index key, if it is one of the principal's.
func entryOf(k []byte, principal string) (indexEntry, bool) {
	if len(k) != len(principal)+17 || !bytes.HasPrefix(k, []byte(principal)) || k[len(principal)] != 0 {
		return indexEntry{}, false
	}
	rest := k[len(principal)+1:]
	return indexEntry{
		at:       time.Unix(0, int64(binary.BigEndian.Uint64(rest))),
		sequence: binary.BigEndian.Uint64(rest[8:]),
	}, true
}

func get(tx *bolt.Tx, n uint64) (Record, error) {
	sequence := binary.BigEndian.AppendUint64(nil, n)
	v := tx.Bucket(bucketRecords).Get(sequence)
	if v == nil {
		return Record{}, fmt.Errorf("%w: record %d is missing", ErrCorrupt, n)
	}
	return decode(v, sequence)
}
