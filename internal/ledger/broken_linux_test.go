package ledger_test

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/codb-dev/codb/internal/ledger"
)

// TestAFailedWriteStopsTheLedger makes the system refuse to let the file grow,
// as a full volume does.
func TestAFailedWriteStopsTheLedger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "contacts.db")
	f, err := ledger.Open(path, options())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Append(t.Context(), records(0, 100)); err != nil {
		t.Fatal(err)
	}
	waits := make(chan error, 1)
	go func() { waits <- f.Wait(context.Background(), 1<<40) }()

	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ) // then a write returns an error
	limit := syscall.Rlimit{Cur: uint64(info.Size()), Max: was.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	acknowledged := 100
	for err == nil && acknowledged < 100_000 {
		if _, err = f.Append(t.Context(), records(acknowledged, acknowledged+500)); err == nil {
			acknowledged += 500
		}
	}
	if rerr := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); rerr != nil {
		t.Fatal(rerr)
	}
	if !errors.Is(err, ledger.ErrBroken) {
		t.Fatalf("got %v, want the write to fail", err)
	}

	// There is room again, but nobody knows what the disk holds.
	if _, err := f.Append(t.Context(), records(0, 1)); !errors.Is(err, ledger.ErrBroken) {
		t.Errorf("Append: got %v", err)
	}
	if _, err := f.After(t.Context(), 0, 1); !errors.Is(err, ledger.ErrBroken) {
		t.Errorf("After: got %v", err)
	}
	if err := <-waits; !errors.Is(err, ledger.ErrBroken) {
		t.Errorf("Wait: got %v", err)
	}
	_ = f.Close()

	f, err = ledger.Open(path, options())
	if err != nil {
		t.Fatalf("open again: %v", err)
	}
	defer func() { _ = f.Close() }()
	if f.Sequence() != uint64(acknowledged) {
		t.Errorf("opened again at %d, acknowledged were %d", f.Sequence(), acknowledged)
	}
	if _, err := f.Append(t.Context(), records(acknowledged, acknowledged+500)); err != nil {
		t.Errorf("Append after opening again: %v", err)
	}
}
