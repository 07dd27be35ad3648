// Package ledger keeps the records of contacts on a disk. It does not know
// policies, clusters or HTTP, and it never decides whether somebody may be
// contacted.
package ledger

import (
	"context"
	"errors"
	"time"

	"github.com/codb-dev/codb/internal/contacts"
)

// Store is a contact ledger. Every store passes the suite of package
// ledgertest, which says in full what these sentences promise. All methods may
// be called concurrently.
type Store interface {
	// ID identifies the ledger: another ledger, and one that was restored from a
	// backup, has another id.
	ID() string

	// Append appends all the records or, with an error, none of them, in their
	// order. What is acknowledged survives a crash of the process and of the
	// machine. A record whose key the ledger has already is not appended again:
	// the result names the earlier sequence. Another record under a known key is
	// a *contacts.ConflictError, a record that is not well-formed a
	// *contacts.FieldError, no room contacts.ErrFull. After any other error
	// the caller can't know, and sends the same records again.
	Append(ctx context.Context, records []contacts.Record) ([]contacts.Result, error)

	// AppendIf is Append for what was decided on a customer's past: a record
	// whose customer has, in this ledger, a record later than seen says is not
	// appended, and its result says so. What is appended, and what is not, is one
	// transaction, whoever else appends. A record that the ledger has already is a
	// duplicate, so that the same call can be made again; records of the same call
	// don't stand in each other's way. Seen maps the customer to a sequence up to
	// which the caller knows all of the customer's records; nobody else's records
	// matter, so that it may be the same high one for all. Absent is 0.
	AppendIf(ctx context.Context, records []contacts.Record, seen map[string]uint64) ([]contacts.Result, error)

	// After returns up to limit records that follow the sequence, in order. A
	// record never appears later in front of one that was returned.
	After(ctx context.Context, sequence uint64, limit int) (contacts.Page, error)

	// ByPrincipal returns up to limit records of one customer that happened at or
	// after since, the newest first; those of the same instant, the latest in
	// the ledger first.
	ByPrincipal(ctx context.Context, principal string, since time.Time, limit int) ([]contacts.Record, error)

	// Count counts contacts of one customer.
	Count(ctx context.Context, principal string, q contacts.CountQuery) (int, error)

	// Sequence is the latest; 0: the ledger is empty.
	Sequence() uint64

	// Wait returns when the ledger has a record after the sequence, with nil, or
	// when ctx is done or the store closed, with an error.
	Wait(ctx context.Context, sequence uint64) error

	// Close gives the ledger up for another process. Appends that were not
	// acknowledged return ErrClosed.
	Close() error
}

// Record and the words around it are the core's.
type (
	Record     = contacts.Record
	Result     = contacts.Result
	CountQuery = contacts.CountQuery
)

var (
	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("the ledger is closed")
	// ErrInUse says that another process owns the file.
	ErrInUse = errors.New("another gate has it open")
	// ErrFormat says that a newer version of codb wrote the file.
	ErrFormat = errors.New("its format is newer than this version of codb")
	// ErrCorrupt says that the file is not what was written.
	ErrCorrupt = errors.New("it is damaged")
	// ErrBroken says that a write failed in a way that leaves open what is on the
	// disk. The store refuses everything until it is opened anew.
	ErrBroken = errors.New("a write failed")
)
