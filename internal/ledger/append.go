package ledger

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/codb-dev/codb/internal/contacts"
)

// request is one Append on its way to the disk.
type request struct {
	records []Record
	encoded [][]byte
	ifSeen  bool              // a record is refused whose customer has one later than in seen
	seen    map[string]uint64 // customer to sequence
	reply   chan struct{}     // closed when results or err is set
	results []Result
	err     error
}

// maxCommit is about how many records share one sync.
const maxCommit = 4 * contacts.MaxBatch

// Append implements Store.
func (f *File) Append(ctx context.Context, records []Record) ([]Result, error) {
	return f.append(ctx, &request{records: records})
}

// AppendIf implements Store.
func (f *File) AppendIf(ctx context.Context, records []Record, seen map[string]uint64) ([]Result, error) {
	return f.append(ctx, &request{records: records, ifSeen: true, seen: maps.Clone(seen)})
}

func (f *File) append(ctx context.Context, r *request) ([]Result, error) {
	records := r.records
	if err := contacts.Validate(records, f.clock()); err != nil {
		return nil, err
	}
	if err := f.failed(); err != nil {
		return nil, fmt.Errorf("append to ledger: %w", err)
	}
	if len(records) == 0 {
		return nil, nil
	}
	// A copy: the caller may be gone, and change its own, before the disk is.
	r.records, r.encoded, r.reply = slices.Clone(records), make([][]byte, len(records)), make(chan struct{})
	for i := range records {
		r.encoded[i] = encode(&records[i])
	}
	select {
	case f.queue <- r:
	case <-f.stop:
		return nil, fmt.Errorf("append to ledger: %w", ErrClosed)
	case <-ctx.Done():
		return nil, fmt.Errorf("append to ledger: %w", ctx.Err())
	}
	select {
	case <-r.reply:
		return r.results, r.err
	case <-f.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("append to ledger, which may yet happen: %w", ctx.Err())
	}
	select { // the writer may have answered just before it ended
	case <-r.reply:
		return r.results, r.err
	default:
		return nil, fmt.Errorf("append to ledger: %w", ErrClosed)
	}
}

// write is the one writer: it takes what has come in while the disk was busy
// and commits it together.
func (f *File) write() {
	defer close(f.done)
	for {
		select {
		case <-f.stop:
			return
		case r := <-f.queue:
			batch, n := []*request{r}, len(r.records)
			for more := true; more && n < maxCommit; {
				select {
				case r := <-f.queue:
					batch, n = append(batch, r), n+len(r.records)
				default:
					more = false
				}
			}
			f.commit(batch)
		}
	}
}

// errNothingNew ends a transaction that would write nothing.
var errNothingNew = errors.New("nothing new")

func (f *File) commit(batch []*request) {
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
		f.mu.Lock()
		f.sequence = last
		close(f.grown)
		f.grown = make(chan struct{})
		f.mu.Unlock()
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
	for _, r := range batch {
		if err != nil {
			r.results, r.err = nil, fmt.Errorf("append to ledger: %w", err)
		}
		f.metrics.appended(r)
		close(r.reply)
	}
}

// tables are the buckets within one transaction.
type tables struct{ records, principals, keys *bolt.Bucket }

func newTables(tx *bolt.Tx) tables {
	t := tables{tx.Bucket(bucketRecords), tx.Bucket(bucketPrincipals), tx.Bucket(bucketKeys)}
	t.records.FillPercent = 1 // only ever appended to
	return t
}

// append puts all records of the request or none. What is wrong with the
// request is its own error; the one returned is the disk's.
func (t tables) append(r *request, last *uint64) error {
	r.results = make([]Result, len(r.records))
	next := *last
	within := map[string]int{} // keys of this very request
	for i := range r.records {
		known, err := t.find(r, i, within)
		if err != nil {
			if errors.Is(err, contacts.ErrConflict) {
				r.results, r.err = nil, err
				return nil
			}
			return err
		}
		if known != (Result{}) {
			r.results[i] = known
			continue
		}
		within[r.records[i].Key] = i
		if latest := t.moved(r, i); latest != 0 {
			r.results[i] = Result{Sequence: latest, Moved: true}
			continue
		}
		next++
		r.results[i] = Result{Sequence: next}
	}
	for i := range r.records {
		if r.results[i].Duplicate || r.results[i].Moved {
			continue
		}
		if err := t.put(&r.records[i], r.encoded[i], r.results[i].Sequence); err != nil {
			return err
		}
	}
	*last = next
	return nil
}

// moved returns the sequence of the customer's latest record, if it is later
// than what was seen of the customer; 0: it isn't. Records of the request itself
// don't count: they are put when all have been looked at.
func (t tables) moved(r *request, i int) (latest uint64) {
	principal := r.records[i].Principal
	if !r.ifSeen {
		return 0
	}
	c := t.principals.Cursor()
	for k, _ := c.Seek(principalKey(principal, time.Unix(0, 0), 0)); ; k, _ = c.Next() {
		e, ok := entryOf(k, principal)
		if !ok {
			break
		}
		latest = max(latest, e.sequence)
	}
	if latest <= r.seen[principal] {
		return 0
	}
	return latest
}

// find returns the result of a record i whose key is known already; zero: it
// isn't.
func (t tables) find(r *request, i int, within map[string]int) (Result, error) {
	key := r.records[i].Key
	if j, ok := within[key]; ok {
		if string(r.encoded[i]) != string(r.encoded[j]) {
			return Result{}, &contacts.ConflictError{Index: i}
		}
		again := r.results[j]
		again.Duplicate = !again.Moved
		return again, nil
	}
	sequence := t.keys.Get([]byte(key))
	if sequence == nil {
		return Result{}, nil
	}
	equal, err := same(t.records.Get(sequence), sequence, r.encoded[i])
	if err != nil {
		return Result{}, err
	}
	n := binary.BigEndian.Uint64(sequence)
	if !equal {
		return Result{}, &contacts.ConflictError{Index: i, Sequence: n}
	}
	return Result{Sequence: n, Duplicate: true}, nil
}

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
