package main

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/codb-dev/codb/controllers/campaign"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/gate"
	"github.com/codb-dev/codb/internal/ledger"
)

// everybody is an authenticator that lets everybody in.
type everybody struct{}

func (everybody) Admit(context.Context, string, gate.Access) (string, error) { return "operator", nil }

// followers returns what makes operators that follow one ledger.
func followers(t *testing.T, store ledger.Store, now time.Time, change ...func(*gate.ClientOptions)) func() past {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	listener, err := gate.Listen(ctx, gate.ListenOptions{Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		ended <- gate.NewServer(gate.ServerOptions{Ledger: store, Authenticator: everybody{}}).Serve(ctx, listener)
	}()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, store.Close()); err != nil {
			t.Error(err)
		}
	})
	return func() past {
		o := gate.ClientOptions{
			URL: listener.URL(), CA: listener.CA(), Token: func(context.Context) (string, error) { return "token", nil },
		}
		for _, f := range change {
			f(&o)
		}
		c, err := gate.NewClient(o)
		if err != nil {
			t.Fatal(err)
		}
		p := past{projection: contacts.NewProjection(contacts.LookBack), gate: &lateGate{client: c}, clock: clocktesting.NewFakeClock(now)}
		go func() { _ = c.Feed(ctx, p.projection) }()
		if err := p.Current(t.Context()); err != nil {
			t.Fatal(err)
		}
		return p
	}
}

// TestAPausedLeaderTakesNoPlaceUnderACap has two operators decide on the same
// past. The one that was paused comes second: of those whom the other has
// contacted meanwhile it writes nothing, and looks again.
func TestAPausedLeaderTakesNoPlaceUnderACap(t *testing.T) {
	noon := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	store, err := ledger.Open(filepath.Join(t.TempDir(), "contacts.db"), ledger.Options{Clock: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	operator := followers(t, store, noon)
	paused, leads := operator(), operator()
	decided := paused.Position()
	release := func(p past, run types.UID, seen contacts.Position, principals ...string) error {
		return p.Record(t.Context(), campaign.Released{
			At: noon, Seen: seen, Run: run, UID: "campaign-of-" + run, Generation: 1, Principals: principals,
			Campaign: decision.Campaign{Namespace: "acme-shop", Name: "spring", Brand: "acme", PurposeClass: "Marketing", Channel: "Email"},
		})
	}
	if err := release(leads, "first", leads.Position(), "c-1", "c-2"); err != nil {
		t.Fatal(err)
	}
	if err := release(paused, "second", decided, "c-2", "c-3"); !errors.Is(err, campaign.ErrMoved) {
		t.Errorf("the paused one's release: got %v, want it to look again", err)
	}
	contacted := func(principal string) int {
		if err := leads.Current(t.Context()); err != nil {
			t.Fatal(err)
		}
		c, _ := leads.View("", nil).Contacts(principal)
		return len(c.Sent)
	}
	if contacted("c-2") != 1 {
		t.Errorf("c-2 was written down %d times, want once", contacted("c-2"))
	}
	// It looks again, and may contact those of whom it knows everything now.
	if err := paused.Current(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := release(paused, "second", paused.Position(), "c-2", "c-3"); err != nil {
		t.Errorf("after another look: %v", err)
	}
	if contacted("c-2") != 2 || contacted("c-3") != 1 {
		t.Errorf("c-2 was written down %d times and c-3 %d times, want 2 and 1", contacted("c-2"), contacted("c-3"))
	}
}
