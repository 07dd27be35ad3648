package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/ledger"
	"github.com/codb-dev/codb/test/postgres"
)

func open(t *testing.T, at string, patience time.Duration) *ledger.Database {
	t.Helper()
	d, err := ledger.OpenDatabase(t.Context(), at, ledger.DatabaseOptions{Clock: options().Clock, Patience: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func sql(t *testing.T, at string, statements ...string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(t.Context()) }()
	for _, s := range statements {
		if _, err := c.Exec(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// TestGatesShareALedger opens four at once where there is nothing yet. They
// decide on the same past, and for each customer one of them gets through.
func TestGatesShareALedger(t *testing.T) {
	at := postgres.Place(t)
	gates := make([]*ledger.Database, 4)
	var wg sync.WaitGroup
	for i := range gates {
		wg.Go(func() {
			d, err := ledger.OpenDatabase(t.Context(), at, ledger.DatabaseOptions{Clock: options().Clock})
			if err != nil {
				t.Error(err)
				return
			}
			gates[i] = d
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	t.Cleanup(func() {
		for _, d := range gates {
			_ = d.Close()
		}
	})
	const customers, batch = 60, 5
	var (
		mu      sync.Mutex
		through = map[string]int{}
	)
	for g, d := range gates {
		wg.Go(func() {
			for from := 0; from < customers; from += batch {
				var records []ledger.Record
				for c := range batch {
					r := record(0)
					r.Key, r.Principal = fmt.Sprintf("%d/%d", g, from+c), fmt.Sprint("c-", (from+c+g*11)%customers)
					records = append(records, r)
				}
				results, err := d.AppendIf(t.Context(), records, nil)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for i, r := range results {
					if !r.Moved {
						through[records[i].Principal]++
					}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for c := range customers {
		if n := through[fmt.Sprint("c-", c)]; n != 1 {
			t.Errorf("customer %d: %d gates got through, want one", c, n)
		}
	}
	for g, d := range gates {
		if page, err := d.After(t.Context(), 0, 1000); err != nil || len(page.Records) != customers || page.Ledger != gates[0].ID() {
			t.Errorf("gate %d sees %d records, %v; want %d", g, len(page.Records), err, customers)
		}
	}
}

// TestNewsOfAnotherGate has one gate wait for what another appends, where the
// database tells of it and where it doesn't.
func TestNewsOfAnotherGate(t *testing.T) {
	for name, words := range map[string][]string{"Told": nil, "Polled": {"LISTEN", "pg_notify"}} {
		t.Run(name, func(t *testing.T) {
			at := postgres.Place(t)
			proxy := postgres.Behind(t, at)
			for _, w := range words { // as a database answers that doesn't know them
				proxy.Replace(w, strings.Repeat("x", len(w)))
			}
			appends, waits := open(t, proxy.URL(), 0), open(t, proxy.URL(), 0)
			for i := range 3 {
				woken := make(chan error, 1)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				go func() { woken <- waits.Wait(ctx, uint64(i)) }()
				if _, err := appends.Append(t.Context(), records(i, i+1)); err != nil {
					t.Fatal(err)
				}
				if err := <-woken; err != nil || waits.Sequence() != uint64(i+1) {
					t.Errorf("got %v, the waiting gate is at %d; want %d", err, waits.Sequence(), i+1)
				}
				cancel()
			}
		})
	}
}

func TestWhatADatabaseMustBe(t *testing.T) {
	at := postgres.Place(t)
	if err := open(t, at, 0).Close(); err != nil {
		t.Fatal(err)
	}
	sql(t, at, "UPDATE codb_ledger_schema SET version = 99")
	for name, tc := range map[string]struct {
		url, want string
	}{
		"OfANewerFormat":    {at, "format 99"},
		"ThatForgets":       {postgres.Place(t) + "&synchronous_commit=off", "synchronous_commit is off"},
		"WithoutAnAddress":  {"postgres://codb:sesame@host:port/x", "want postgres://"},
		"ThatIsNotThere":    {"postgres://codb:sesame@127.0.0.1:1/x?sslmode=disable", "does not answer"},
		"ThatHasNoSuchName": {strings.Replace(at, "/postgres?", "/nothing?", 1), "does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := ledger.OpenDatabase(t.Context(), tc.url, ledger.DatabaseOptions{Patience: 50 * time.Millisecond})
			if err == nil {
				_ = d.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "sesame") {
				t.Errorf("got %v, want %q and no password", err, tc.want)
			}
		})
	}
}

func TestALedgerInTheOldOnesPlaceIsRefused(t *testing.T) {
	at := postgres.Place(t)
	d := open(t, at, 0)
	if _, err := d.Append(t.Context(), records(0, 3)); err != nil {
		t.Fatal(err)
	}
	sql(t, at, "UPDATE codb_ledger SET id = 'restored', sequence = 1", "DELETE FROM codb_contacts WHERE sequence > 1")
	if _, err := d.AppendIf(t.Context(), records(3, 4), nil); !errors.Is(err, ledger.ErrBroken) {
		t.Errorf("AppendIf: got %v", err)
	}
	if _, err := d.After(t.Context(), 0, 9); !errors.Is(err, ledger.ErrBroken) {
		t.Errorf("After: got %v", err)
	}
	if err := d.Wait(t.Context(), 99); !errors.Is(err, ledger.ErrBroken) {
		t.Errorf("Wait: got %v", err)
	}
	again := open(t, at, 0)
	if page, err := again.After(t.Context(), 0, 9); err != nil || page.Ledger != "restored" || len(page.Records) != 1 {
		t.Errorf("opened again: got %+v, %v", page, err)
	}
}

// TestAFullDiskRefusesAndGoesOn has the server answer as it does without room.
func TestAFullDiskRefusesAndGoesOn(t *testing.T) {
	at := postgres.Place(t)
	d := open(t, at, 0)
	if _, err := d.Append(t.Context(), records(0, 3)); err != nil {
		t.Fatal(err)
	}
	sql(t, at, raises("53100", "true"))
	if _, err := d.Append(t.Context(), records(3, 6)); !errors.Is(err, contacts.ErrFull) {
		t.Errorf("got %v, want the ledger to be full", err)
	}
	if page, err := d.After(t.Context(), 0, 9); err != nil || len(page.Records) != 3 {
		t.Errorf("got %d records, %v; want what was there to be read", len(page.Records), err)
	}
	sql(t, at, "DROP TRIGGER raises ON codb_contacts")
	if _, err := d.Append(t.Context(), records(3, 6)); err != nil || d.Sequence() != 6 {
		t.Errorf("with room again: %v, the ledger is at %d", err, d.Sequence())
	}
}

// raises makes inserts fail with a code when the condition holds.
func raises(code, when string) string {
	return fmt.Sprintf(`CREATE OR REPLACE FUNCTION raises() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF %s THEN RAISE EXCEPTION 'injected' USING ERRCODE = '%s'; END IF; RETURN NEW; END $$;
CREATE TRIGGER raises BEFORE INSERT ON codb_contacts FOR EACH STATEMENT EXECUTE FUNCTION raises()`, when, code)
}

// TestSQLIsWhatAllKnow keeps to what PostgreSQL, YugabyteDB and CockroachDB
// share. LISTEN and pg_notify are used where they are known.
func TestSQLIsWhatAllKnow(t *testing.T) {
	files, err := filepath.Glob("migrations/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no migrations: %v", err)
	}
	foreign := regexp.MustCompile(`(?i)\b(\w*serial|nextval|sequence\s+owned|advisory\w*|deferrable|exclude|trigger|temp|temporary|lock\s+table|generated|inherits|using\s+gi\w+|create\s+type|ctid|xmin|txid_\w+|pg_current_\w+)\b`)
	for _, name := range append(files, "transact.go", "read.go", "database.go", "../postgres/postgres.go") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range foreign.FindAllString(string(text), -1) {
			t.Errorf("%s: %s is not known to all of them", name, found)
		}
	}
}
