package ledger_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/ledger"
	"github.com/codb-dev/codb/internal/ledger/ledgertest"
)

func openFile(place string, clock func() time.Time) (ledger.Store, error) {
	return ledger.Open(filepath.Join(place, "contacts.db"), ledger.Options{Clock: clock})
}

func TestMain(m *testing.M) {
	ledgertest.Main(m, map[string]ledgertest.Open{"file": openFile, "database": openDatabase})
}

func TestFile(t *testing.T) { ledgertest.Run(t, "file", openFile) }

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func record(i int) ledger.Record {
	return ledger.Record{
		Key: fmt.Sprint("k-", i), Principal: fmt.Sprint("c-", i%7), At: noon, Brand: "acme",
		Class: v1alpha1.ClassMarketing, Channel: v1alpha1.ChannelEmail, Event: contacts.Sent,
	}
}

func records(from, to int) []ledger.Record {
	var out []ledger.Record
	for i := from; i < to; i++ {
		out = append(out, record(i))
	}
	return out
}

func options() ledger.Options {
	return ledger.Options{Clock: func() time.Time { return noon }, Owner: "gate codb-gate-0"}
}

func TestASecondGateIsRefusedByName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "contacts.db")
	f, err := ledger.Open(path, options())
	if err != nil {
		t.Fatal(err)
	}
	_, err = ledger.Open(path, options())
	if !errors.Is(err, ledger.ErrInUse) || !strings.Contains(err.Error(), "gate codb-gate-0, process "+fmt.Sprint(os.Getpid())) {
		t.Errorf("got %v, want it in use by the first one's name", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f, err = ledger.Open(path, options())
	if err != nil {
		t.Fatalf("after the first has gone: %v", err)
	}
	_ = f.Close()
}

func TestANewerFormatIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "contacts.db")
	f, err := ledger.Open(path, options())
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("meta")).Put([]byte("format"), binary.BigEndian.AppendUint32(nil, 2))
	}); err != nil {
		t.Fatal(err)
	}
	_ = db.Close()
	if _, err := ledger.Open(path, options()); !errors.Is(err, ledger.ErrFormat) || !strings.Contains(err.Error(), "format 2") {
		t.Errorf("got %v, want format 2 refused", err)
	}
}

// TestDamageIsAnError damages a file in many places. Whatever is still read is
// what was written; nothing of it ends the process.
func TestDamageIsAnError(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "contacts.db")
	f, err := ledger.Open(path, options())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Append(t.Context(), records(0, 500)); err != nil {
		t.Fatal(err)
	}
	for i := range 5 { // the latest records come to lie in front, in pages that were freed
		if _, err := f.Append(t.Context(), records(500+i, 501+i)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := f.After(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := map[string][]byte{
		"Text":  []byte("principal,at\nc-1,2026-03-02\n"),
		"Zeros": make([]byte, len(good)),
	}
	used := pagesInUse(t, path)
	damaged["LastPageCutOff"] = good[:used-1]
	for n := 1; n < len(good); n += len(good)/23 + 1 {
		damaged[fmt.Sprintf("CutAt%d", n)] = good[:n]
	}
	for at := 5; at < len(good); at += len(good)/101 + 1 {
		flipped := bytes.Clone(good)
		flipped[at] ^= 0x10
		damaged[fmt.Sprintf("FlippedAt%d", at)] = flipped
	}
	noticed := 0
	for name, content := range damaged {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "contacts.db")
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := ledger.Open(path, options())
			if err != nil {
				noticed++
				if len(content) != len(good) && !errors.Is(err, ledger.ErrCorrupt) {
					t.Errorf("got %v, want damage", err)
				}
				return
			}
			defer func() { _ = f.Close() }()
			if int64(len(content)) < used {
				t.Errorf("a file of %d bytes of %d was opened", len(content), used)
			}
			page, err := f.After(t.Context(), 0, 1000)
			if err != nil {
				noticed++
				return
			}
			if diff := cmp.Diff(want.Records, page.Records); diff != "" {
				t.Errorf("damaged records were read (-want +got):\n%s", diff)
			}
		})
	}
	if noticed < 30 {
		t.Errorf("only %d of %d damages were noticed", noticed, len(damaged))
	}
}

// pagesInUse is how many bytes of the file hold something.
func pagesInUse(t *testing.T, path string) (n int64) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.View(func(tx *bolt.Tx) error { n = tx.Size(); return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAFullLedgerRefusesAndGoesOn(t *testing.T) {
	o := options()
	o.MaxBytes = 1 << 20
	f, err := ledger.Open(filepath.Join(t.TempDir(), "contacts.db"), o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	n := 0
	for ; ; n += 500 {
		if _, err = f.Append(t.Context(), records(n, n+500)); err != nil {
			break
		}
		if n > 100_000 {
			t.Fatal("the limit holds nothing")
		}
	}
	if !errors.Is(err, contacts.ErrFull) {
		t.Fatalf("got %v, want the ledger to be full", err)
	}
	if f.Sequence() != uint64(n) || n == 0 {
		t.Errorf("the ledger is at %d, acknowledged were %d", f.Sequence(), n)
	}
	page, err := f.After(t.Context(), 0, 1<<20)
	if err != nil || len(page.Records) != n {
		t.Errorf("got %d records, %v; want %d", len(page.Records), err, n)
	}
}
