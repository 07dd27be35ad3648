package ledger_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"testing"
	"time"

	"github.com/codb-dev/codb/internal/ledger"
	"github.com/codb-dev/codb/internal/ledger/ledgertest"
	"github.com/codb-dev/codb/test/postgres"
)

// openDatabase gives each place a schema of one server.
func openDatabase(place string, clock func() time.Time) (ledger.Store, error) {
	at, err := postgres.Shared()
	if err != nil {
		return nil, err
	}
	return openThrough(at, place, clock)
}

func openThrough(at, place string, clock func() time.Time) (ledger.Store, error) {
	name := sha256.Sum256([]byte(place))
	at, err := postgres.Schema(context.Background(), at, "s"+hex.EncodeToString(name[:8]))
	if err != nil {
		return nil, err
	}
	return ledger.OpenDatabase(context.Background(), at, ledger.DatabaseOptions{Clock: clock})
}

func TestDatabase(t *testing.T) {
	// A server that a child of the tests began to share would end with the child.
	if _, err := postgres.Shared(); err != nil {
		t.Fatal(err)
	}
	was := flag.Lookup("rapid.checks").Value.String()
	if err := flag.Set("rapid.checks", "25"); err != nil { // each lays out a ledger
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = flag.Set("rapid.checks", was) })
	ledgertest.Run(t, "database", openDatabase)
}
