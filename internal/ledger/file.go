package ledger

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/codb-dev/codb/internal/contacts"
)

// Options say how to open a ledger file.
type Options struct {
	// Clock tells the time that records are held against. Nil: the system's.
	Clock func() time.Time
	// Owner is what another process reads that finds the file in use. Empty: the
	// host's name.
	Owner string
	// MaxBytes is how large the file may grow. 0: as the volume allows. A limit
	// below the volume's size refuses records before the volume is full.
	MaxBytes int64
	// Metrics takes the ledger's metrics. Nil: none.
	Metrics prometheus.Registerer
}

// formatVersion is that of the buckets and their keys.
const formatVersion = 1

// lockTimeout is how long Open waits for another process that is about to go.
const lockTimeout = 2 * time.Second

// The buckets. Everything but records can be made again from records.
var (
	bucketMeta       = []byte("meta")       // format, id
	bucketRecords    = []byte("records")    // sequence -> record
	bucketPrincipals = []byte("principals") // principal, 0, time, sequence -> nothing: one customer's records lie together
	bucketKeys       = []byte("keys")       // idempotency key -> sequence

	keyFormat = []byte("format")
	keyID     = []byte("id")
)

// File is a Store in one file, for one process. bbolt keeps it.
type File struct {
	queue
	progress
	tail    tail
	db      *bolt.DB
	path    string
	id      string
	metrics *metrics
	close   sync.Once
}

var _ Store = (*File)(nil)

// Open opens the ledger in the file, or makes one where there is none.
func Open(path string, o Options) (*File, error) {
	f := &File{path: path}
	f.queue = newQueue(o.Clock, f.failed)
	err := guard(func() (err error) {
		f.db, err = bolt.Open(path, 0o600, &bolt.Options{
			Timeout: lockTimeout, FreelistType: bolt.FreelistMapType, MaxSize: int(o.MaxBytes),
		})
		return err
	})
	if err == nil {
		err = guard(f.begin)
		if err != nil {
			_ = guard(f.db.Close) // the reason not to open it is the one to tell
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open ledger %s: %w", path, explain(path, err))
	}
	if err := f.sign(o.Owner); err != nil {
		_ = f.db.Close()
		return nil, fmt.Errorf("open ledger %s: %w", path, err)
	}
	f.metrics = newMetrics(o.Metrics, f.Sequence)
	f.metrics.file(o.Metrics, path)
	go f.run(f.write)
	return f, nil
}

// begin checks the file, or lays it out when it is new.
func (f *File) begin() error {
	fresh := false
	err := f.db.View(func(tx *bolt.Tx) error {
		info, err := os.Stat(f.path)
		if err != nil {
			return err
		}
		if info.Size() < tx.Size() {
			return fmt.Errorf("%w: it has %d bytes of %d", ErrCorrupt, info.Size(), tx.Size())
		}
		if k, _ := tx.Cursor().First(); k == nil {
			fresh = true
			return nil
		}
		return f.load(tx)
	})
	if err != nil || !fresh {
		return err
	}
	if err := f.db.Update(f.layOut); err != nil {
		return err
	}
	return syncDir(filepath.Dir(f.path)) // a new file's name must survive a crash too
}

func (f *File) layOut(tx *bolt.Tx) error {
	for _, name := range [][]byte{bucketMeta, bucketRecords, bucketPrincipals, bucketKeys} {
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	f.id = rand.Text()
	meta := tx.Bucket(bucketMeta)
	if err := meta.Put(keyFormat, binary.BigEndian.AppendUint32(nil, formatVersion)); err != nil {
		return err
	}
	return meta.Put(keyID, []byte(f.id))
}

func (f *File) load(tx *bolt.Tx) error {
	meta := tx.Bucket(bucketMeta)
	if meta == nil {
		return fmt.Errorf("%w: it is no contact ledger", ErrCorrupt)
	}
	format := meta.Get(keyFormat)
	if len(format) != 4 {
		return fmt.Errorf("%w: it has no format", ErrCorrupt)
	}
	if v := binary.BigEndian.Uint32(format); v > formatVersion {
		return fmt.Errorf("%w: format %d, known are up to %d; run the version of codb that wrote it", ErrFormat, v, formatVersion)
	}
	f.id = string(meta.Get(keyID))
	for _, name := range [][]byte{bucketRecords, bucketPrincipals, bucketKeys} {
		if tx.Bucket(name) == nil {
			return fmt.Errorf("%w: part %s is missing", ErrCorrupt, name)
		}
	}
	if f.id == "" {
		return fmt.Errorf("%w: it has no id", ErrCorrupt)
	}
	k, v := tx.Bucket(bucketRecords).Cursor().Last()
	if k == nil {
		return nil
	}
	last, err := decode(v, k)
	f.sequence = last.Sequence
	return err
}

// ID implements Store.
func (f *File) ID() string { return f.id }

// Renew implements Renewing. Nobody else has the file open.
func (f *File) Renew(context.Context) error {
	id := rand.Text()
	err := guard(func() error {
		return f.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Put(keyID, []byte(id)) })
	})
	if err != nil {
		return fmt.Errorf("give ledger %s another id: %w", f.path, err)
	}
	f.id = id
	return nil
}

// Close implements Store.
func (f *File) Close() error {
	var err error
	f.close.Do(func() {
		close(f.stop)
		<-f.done
		f.fail(ErrClosed)
		_ = os.Remove(ownerPath(f.path)) // only a note
		err = guard(f.db.Close)
	})
	if err != nil {
		return fmt.Errorf("close ledger %s: %w", f.path, err)
	}
	return nil
}

// view reads what is on the disk for sure: up to the sequence that it passes.
// A reader could otherwise see a commit before its bytes are synced, and pass on
// what a crash then undoes.
func (f *File) view(read func(tx *bolt.Tx, upTo uint64) error) error {
	f.mu.Lock()
	upTo, err := f.sequence, f.broken
	f.mu.Unlock()
	if err != nil {
		return err
	}
	err = guard(func() error {
		return f.db.View(func(tx *bolt.Tx) error { return read(tx, upTo) })
	})
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	return err
}

// guard makes errors of the panics and faults that a damaged file causes in
// bbolt, which trusts its pages.
func guard(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrCorrupt, r)
		}
	}()
	return do()
}

func explain(path string, err error) error {
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		owner := "which left no name"
		if note, err := os.ReadFile(ownerPath(path)); err == nil && len(note) <= 512 {
			owner = strings.TrimSpace(string(note))
		}
		return fmt.Errorf("%w (%s): stop it, or give this one a file of its own", ErrInUse, owner)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch), errors.Is(err, berrors.ErrInvalidMapping):
		return fmt.Errorf("%w: %w; restore a backup", ErrCorrupt, err)
	case errors.Is(err, ErrCorrupt):
		return fmt.Errorf("%w; restore a backup", err)
	case errors.Is(err, berrors.ErrMaxSizeReached):
		return contacts.ErrFull
	}
	return err
}

func ownerPath(path string) string { return path + ".owner" }

// sign leaves a note for whoever finds the file in use.
func (f *File) sign(owner string) error {
	if owner == "" {
		host, err := os.Hostname()
		if err != nil {
			return err
		}
		owner = "on host " + host
	}
	note := fmt.Sprintf("%.200s, process %d, since %s\n", owner, os.Getpid(), time.Now().UTC().Format(time.RFC3339))
	return os.WriteFile(ownerPath(f.path), []byte(note), 0o600)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
