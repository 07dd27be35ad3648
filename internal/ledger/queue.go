package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/codb-dev/codb/internal/contacts"
)

// request is one Append on its way to the disk.
type request struct {
	records []Record
	encoded [][]byte
	texts   []string          // the same as JSON, for a database
	ifSeen  bool              // a record is refused whose customer has one later than in seen
	seen    map[string]uint64 // customer to sequence
	reply   chan struct{}     // closed when results or err is set
	results []Result
	err     error
}

// maxCommit is about how many records share one sync.
const maxCommit = 4 * contacts.MaxBatch

// queue takes appends and has one writer commit them: those that come in while
// the disk is busy, together.
type queue struct {
	clock   func() time.Time
	refuses func() error // why it takes nothing
	in      chan *request
	stop    chan struct{} // closed: take no more
	done    chan struct{} // closed: the writer has ended
}

func newQueue(clock func() time.Time, refuses func() error) queue {
	if clock == nil {
		clock = time.Now
	}
	return queue{clock: clock, refuses: refuses, in: make(chan *request, 256), stop: make(chan struct{}), done: make(chan struct{})}
}

// Append implements Store.
func (q *queue) Append(ctx context.Context, records []Record) ([]Result, error) {
	return q.append(ctx, &request{records: records})
}

// AppendIf implements Store.
func (q *queue) AppendIf(ctx context.Context, records []Record, seen map[string]uint64) ([]Result, error) {
	return q.append(ctx, &request{records: records, ifSeen: true, seen: maps.Clone(seen)})
}

func (q *queue) append(ctx context.Context, r *request) ([]Result, error) {
	if err := contacts.Validate(r.records, q.clock()); err != nil {
		return nil, err
	}
	if err := q.refuses(); err != nil {
		return nil, fmt.Errorf("append to ledger: %w", err)
	}
	if len(r.records) == 0 {
		return nil, nil
	}
	// A copy: the caller may be gone, and change its own, before the disk is.
	r.records, r.encoded, r.reply = slices.Clone(r.records), make([][]byte, len(r.records)), make(chan struct{})
	for i := range r.records {
		asRead(&r.records[i])
		r.encoded[i] = encode(&r.records[i])
	}
	select {
	case q.in <- r:
	case <-q.stop:
		return nil, fmt.Errorf("append to ledger: %w", ErrClosed)
	case <-ctx.Done():
		return nil, fmt.Errorf("append to ledger: %w", ctx.Err())
	}
	select {
	case <-r.reply:
		return r.results, r.err
	case <-q.done:
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

// run is the one writer.
func (q *queue) run(write func([]*request)) {
	defer close(q.done)
	for {
		select {
		case <-q.stop:
			return
		case r := <-q.in:
			batch, n := []*request{r}, len(r.records)
			for more := true; more && n < maxCommit; {
				select {
				case r := <-q.in:
					batch, n = append(batch, r), n+len(r.records)
				default:
					more = false
				}
			}
			write(batch)
		}
	}
}

// answer tells all who wait for the batch what became of it.
func answer(batch []*request, err error, m *metrics) {
	for _, r := range batch {
		if err != nil {
			r.results, r.err = nil, fmt.Errorf("append to ledger: %w", err)
		}
		m.appended(r)
		close(r.reply)
	}
}

// past is what a ledger has before a request.
type past interface {
	// known finds the record that has the key, as encode wrote it; 0: none has.
	known(key string) (sequence uint64, encoded []byte, err error)
	// latest is the sequence of the customer's latest record; 0: there is none.
	latest(principal string) uint64
	// outdated says that what the record was decided on does not hold any more.
	outdated(r *Record) bool
}

// judge says what becomes of each record of the request; those that are new
// follow last. It returns the last one then. What is wrong with the request is
// its own error, and nothing of it is new; the one returned is the disk's.
func (r *request) judge(p past, last uint64) (uint64, error) {
	r.results, r.err = make([]Result, len(r.records)), nil
	next := last
	within := map[string]int{} // keys of this very request
	for i := range r.records {
		known, err := r.find(p, i, within)
		if errors.Is(err, contacts.ErrConflict) {
			r.results, r.err = nil, err
			return last, nil
		}
		if err != nil {
			return last, err
		}
		if known != (Result{}) {
			r.results[i] = known
			continue
		}
		within[r.records[i].Key] = i
		// Records of the request itself don't count: none is written yet.
		if r.ifSeen {
			if latest := p.latest(r.records[i].Principal); latest > r.seen[r.records[i].Principal] || p.outdated(&r.records[i]) {
				r.results[i] = Result{Sequence: latest, Moved: true}
				continue
			}
		}
		next++
		r.results[i] = Result{Sequence: next}
	}
	return next, nil
}

// find returns the result of a record i whose key is known already; zero: it
// isn't.
func (r *request) find(p past, i int, within map[string]int) (Result, error) {
	if j, ok := within[r.records[i].Key]; ok {
		if !bytes.Equal(r.encoded[i], r.encoded[j]) {
			return Result{}, &contacts.ConflictError{Index: i}
		}
		again := r.results[j]
		again.Duplicate = !again.Moved
		return again, nil
	}
	n, encoded, err := p.known(r.records[i].Key)
	if err != nil || n == 0 {
		return Result{}, err
	}
	if !bytes.Equal(encoded, r.encoded[i]) {
		return Result{}, &contacts.ConflictError{Index: i, Sequence: n}
	}
	return Result{Sequence: n, Duplicate: true}, nil
}

// each calls put for the records that are new.
func (r *request) each(put func(i int, sequence uint64) error) error {
	for i, x := range r.results {
		if x.Duplicate || x.Moved {
			continue
		}
		if err := put(i, x.Sequence); err != nil {
			return err
		}
	}
	return nil
}
