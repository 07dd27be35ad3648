package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/codb-dev/codb/controllers/campaign"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/gate"
	"github.com/codb-dev/codb/internal/ledger"
	"github.com/codb-dev/codb/test/postgres"
)

func TestWhereADatabaseIs(t *testing.T) {
	file := func(text string) string {
		name := filepath.Join(t.TempDir(), "url")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	const secret = "postgres://codb:sesame@db:5432/codb"
	for name, tc := range map[string]struct {
		o          databaseOptions
		want, fail string
	}{
		"Nowhere":                {},
		"InADatabase":            {o: databaseOptions{given: "postgres://codb@db/codb"}, want: "postgres://codb@db/codb"},
		"AsASecretSays":          {o: databaseOptions{file: file(secret + "\n")}, want: secret},
		"APasswordOnTheLine":     {o: databaseOptions{given: secret}, fail: "--ledger-file"},
		"APasswordAsAParameter":  {o: databaseOptions{given: "postgres://codb@db/codb?password=sesame"}, fail: "--ledger-file"},
		"InTwoPlaces":            {o: databaseOptions{given: "postgres://codb@db/codb", file: file(secret)}, fail: "one of them"},
		"InAnotherKindOfStore":   {o: databaseOptions{given: "mysql://codb:sesame@db/codb"}, fail: "want postgres://"},
		"InASecretThatIsNone":    {o: databaseOptions{file: file("user=codb password=sesame")}, fail: "want postgres://"},
		"InASecretThatIsMissing": {o: databaseOptions{file: "/nowhere"}, fail: "/nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			tc.o.flag = "ledger"
			got, err := tc.o.address()
			if got != tc.want || (err == nil) != (tc.fail == "") {
				t.Fatalf("got %q, %v; want %q", got, err, tc.want)
			}
			if err != nil && (!strings.Contains(err.Error(), tc.fail) || strings.Contains(err.Error(), "sesame")) {
				t.Errorf("got %v, want %q and no password", err, tc.fail)
			}
		})
	}
}

// TestADatabaseThatIsDownHoldsCampaigns takes PostgreSQL away from a gate: its
// operator knows within bounds that it knows nothing, says why, records nobody,
// and goes on when the database is back.
func TestADatabaseThatIsDownHoldsCampaigns(t *testing.T) {
	noon := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	proxy := postgres.Behind(t, postgres.Place(t))
	store, err := ledger.OpenDatabase(t.Context(), proxy.URL(), ledger.DatabaseOptions{
		Clock: func() time.Time { return noon }, Patience: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	p := followers(t, store, noon, func(o *gate.ClientOptions) {
		o.Wait, o.MaxAge, o.Clock = 20*time.Millisecond, 500*time.Millisecond, time.Now
	})()
	release := func(run string) error {
		return p.Record(t.Context(), campaign.Released{
			At: noon, Seen: p.Position(), Run: "r", UID: "u", Generation: 1, Principals: []string{run},
			Campaign: decision.Campaign{Namespace: "acme-shop", Name: "spring", Brand: "acme", PurposeClass: "Marketing", Channel: "Email"},
		})
	}
	waitFor(t, "the contacts", func() bool { return p.Healthy() == nil })
	if err := release("c-1"); err != nil {
		t.Fatal(err)
	}
	proxy.Down(true)
	waitFor(t, "the operator to know", func() bool { return p.Healthy() != nil })
	if err := p.Healthy(); !errors.Is(err, gate.ErrUnreachable) || !strings.Contains(err.Error(), contacts.ErrUnavailable.Error()) {
		t.Errorf("got %v, want it to say that the database does not answer", err)
	}
	if err := release("c-2"); err == nil {
		t.Error("a contact was recorded without a database")
	}
	proxy.Down(false)
	waitFor(t, "the contacts again", func() bool { return p.Healthy() == nil })
	if err := release("c-2"); err != nil {
		t.Errorf("when it is back: %v", err)
	}
}

// waitFor looks until it is so.
func waitFor(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(time.Minute); !so(); {
		select {
		case <-end:
			t.Fatalf("waited for %s", what)
		case <-tick.C:
		}
	}
}
