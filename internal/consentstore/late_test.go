package consentstore_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consentstore"
	"github.com/codb-dev/codb/internal/postgres"
	pgtest "github.com/codb-dev/codb/test/postgres"
)

// until waits for a store to be so, looking at each of its changes.
func until(t *testing.T, d *consentstore.Database, what string, so func() bool) {
	t.Helper()
	for over := time.After(time.Minute); ; {
		changed := d.Changed()
		if so() {
			return
		}
		select {
		case <-changed:
		case <-over:
			t.Fatalf("waited for %s: %v", what, d.Healthy())
		}
	}
}

// TestAStoreThatIsReachedLate starts without a database, and then with one that
// is not the right one: it has nobody, says why, and takes nothing.
func TestAStoreThatIsReachedLate(t *testing.T) {
	at := pgtest.Place(t)
	put(t, openAt(t, at, 0), named("c-1"))
	proxy := pgtest.Behind(t, at)
	proxy.Down(true)
	errWrong := errors.New("it is another installation's")
	var asked, right atomic.Bool
	o := consentstore.DatabaseOptions{
		Namespace: v1alpha1.CustomersNamespace, Patience: 50 * time.Millisecond, Late: true,
		Admit: func(_ context.Context, id string) error {
			if asked.Store(true); id == "" || !right.Load() {
				return errWrong
			}
			return nil
		},
	}
	if _, err := consentstore.OpenDatabase(t.Context(), "mysql://nowhere", o); err == nil {
		t.Error("an address that nobody can read is no matter of time")
	}
	d, err := consentstore.OpenDatabase(t.Context(), proxy.URL(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	empty := func(because error) {
		t.Helper()
		if d.Synced() || d.Customers().Len() > 0 || d.Revision() != "" {
			t.Errorf("synced %t with %d customers at %q", d.Synced(), d.Customers().Len(), d.Revision())
		}
		if _, err := d.Fence(t.Context()); !errors.Is(err, consentstore.ErrNotCurrent) {
			t.Errorf("Fence: %v", err)
		}
		if _, err := d.Put(t.Context(), "test", []*v1alpha1.CustomerConsent{named("c-2")}); !errors.Is(err, postgres.ErrUnavailable) {
			t.Errorf("Put: %v", err)
		}
		if err := d.Healthy(); !errors.Is(err, because) || strings.Contains(err.Error(), proxy.URL()) {
			t.Errorf("Healthy: %v, want it to say %v", err, because)
		}
	}
	waitUntil(t, "an attempt", func() bool { return errors.Is(d.Healthy(), postgres.ErrUnavailable) })
	empty(postgres.ErrUnavailable)
	proxy.Down(false)
	waitUntil(t, "the question", asked.Load)
	waitUntil(t, "the answer", func() bool { return errors.Is(d.Healthy(), errWrong) })
	empty(errWrong)
	right.Store(true)
	until(t, d, "the right store", func() bool { return d.Synced() && d.Healthy() == nil })
	if _, ok := d.Customers().Get("c-1"); !ok {
		t.Error("nobody has arrived")
	}
}

// TestSilenceIsNews wakes who waits for changes, so that they can say that they
// know of none.
func TestSilenceIsNews(t *testing.T) {
	proxy := pgtest.Behind(t, pgtest.Place(t))
	d := openAt(t, proxy.URL(), 50*time.Millisecond)
	put(t, d, named("c-1"))
	until(t, d, "the first", func() bool { return d.Synced() && d.Healthy() == nil && d.Customers().Len() == 1 })
	proxy.Down(true)
	until(t, d, "silence", func() bool { return d.Healthy() != nil })
	if err := d.Healthy(); !errors.Is(err, consentstore.ErrNotCurrent) || d.Customers().Len() != 1 {
		t.Errorf("%v, with %d customers", err, d.Customers().Len())
	}
	proxy.Down(false)
	until(t, d, "its end", func() bool { return d.Healthy() == nil })
}

// waitUntil looks until it is so.
func waitUntil(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for over := time.After(time.Minute); !so(); {
		select {
		case <-tick.C:
		case <-over:
			t.Fatalf("waited for %s", what)
		}
	}
}
