package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/codb-dev/codb/internal/contacts"
)

// errNothingNew ends a transaction that would write nothing.
var errNothingNew = errors.New("nothing new")

func (f *File) write(batch []*request) {
	began, first := time.Now(), f.Sequence()
	last := first
	err := f.failed()
	if err == nil {
		err = guard(func() error {
			return f.db.Update(func(tx *bolt.Tx) error {
				t := newTables(tx)
				for _, r := range batch {
					if err := t.append(r, &last); err != nil {
						return err
					}
				}
				if last == first {
					return errNothingNew
				}
				return nil
			})
		})
	}
	switch {
	case err == nil:
		f.tail.took(batch) // before anybody is told how far it goes
		f.advance(last)
		f.metrics.committed(last-first, time.Since(began))
	case errors.Is(err, errNothingNew):
		err = nil
	case errors.Is(err, berrors.ErrMaxSizeReached):
		err = contacts.ErrFull
	case !errors.Is(err, ErrBroken):
		// What the disk holds now nobody knows: a failed sync is not retried.
		if errors.Is(err, syscall.ENOSPC) {
			err = fmt.Errorf("%w: %w", contacts.ErrFull, err)
		}
		err = fmt.Errorf("%w: %w; restart the gate", ErrBroken, err)
		f.fail(err)
	}
	answer(batch, err, f.metrics)
}

// tables are the buckets within one transaction.
type tables struct{ records, principals, keys *bolt.Bucket }

func newTables(tx *bolt.Tx) tables {
	t := tables{tx.Bucket(bucketRecords), tx.Bucket(bucketPrincipals), tx.Bucket(bucketKeys)}
	t.records.FillPercent = 1 // only ever appended to
	return t
}

// append puts all records of the request or none.
func (t tables) append(r *request, last *uint64) (err error) {
	if *last, err = r.judge(t, *last); err != nil {
		return err
	}
	return r.each(func(i int, sequence uint64) error { return t.put(&r.records[i], r.encoded[i], sequence) })
}

func (t tables) known(key string) (uint64, []byte, error) {
	sequence := t.keys.Get([]byte(key))
	if sequence == nil {
		return 0, nil, nil
	}
	encoded, err := unseal(t.records.Get(sequence), sequence)
	if err != nil {
		return 0, nil, err
	}
	return binary.BigEndian.Uint64(sequence), encoded, nil
}

func (t tables) latest(principal string) (n uint64) {
	c := t.principals.Cursor()
	for k, _ := c.Seek(principalKey(principal, time.Unix(0, 0), 0)); ; k, _ = c.Next() {
		e, ok := entryOf(k, principal)
		if !ok {
			return n
		}
		n = max(n, e.sequence)
	}
}

// outdated is false: a file knows nothing but its own records.
func (t tables) outdated(*Record) bool { return false }

func (t tables) put(r *Record, encoded []byte, n uint64) error {
	sequence := binary.BigEndian.AppendUint64(nil, n)
	if err := t.records.Put(sequence, seal(encoded, sequence)); err != nil {
		return err
	}
	if err := t.keys.Put([]byte(r.Key), sequence); err != nil {
		return err
	}
	return t.principals.Put(principalKey(r.Principal, r.At, n), nil)
}

// principalKey sorts by customer, then time, then sequence. Times begin with
// 1990, so that their bits sort as they stand.
func principalKey(principal string, at time.Time, n uint64) []byte {
	k := make([]byte, 0, len(principal)+17)
	k = append(append(k, principal...), 0)
	k = binary.BigEndian.AppendUint64(k, uint64(at.UnixNano()))
	return binary.BigEndian.AppendUint64(k, n)
}
