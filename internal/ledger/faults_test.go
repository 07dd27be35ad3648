package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/ledger"
	"github.com/codb-dev/codb/test/postgres"
)

// writers append until they are told to stop, each batch again until it is
// acknowledged, as clients of a gate do.
type writers struct {
	wg           sync.WaitGroup
	mu           sync.Mutex
	acknowledged map[string]uint64
	refused      int
}

const rowsOf = 3

func (w *writers) start(ctx context.Context, s ledger.Store, name string, batches int) {
	w.wg.Go(func() {
		for n := 0; n < batches && ctx.Err() == nil; n++ {
			batch := make([]ledger.Record, rowsOf)
			for i := range batch {
				batch[i] = record(i)
				batch[i].Key = fmt.Sprintf("%s/%d/%d", name, n, i)
			}
			for ctx.Err() == nil {
				results, err := s.Append(ctx, batch)
				w.mu.Lock()
				if err == nil {
					for i := range batch {
						w.acknowledged[batch[i].Key] = results[i].Sequence
					}
				} else {
					w.refused++
				}
				w.mu.Unlock()
				if err == nil {
					break
				}
			}
		}
	})
}

func (w *writers) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acknowledged)
}

// check compares the ledger with what was acknowledged: it is there, once, in
// its place, and no batch is half.
func (w *writers) check(t *testing.T, s ledger.Store) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	found, batches, last := map[string]uint64{}, map[string]int{}, uint64(0)
	for {
		page, err := s.After(t.Context(), last, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Records) == 0 {
			break
		}
		for _, r := range page.Records {
			if r.Sequence != last+1 || found[r.Key] != 0 {
				t.Fatalf("record %s has sequence %d after %d, and had %d", r.Key, r.Sequence, last, found[r.Key])
			}
			last, found[r.Key] = r.Sequence, r.Sequence
			batches[r.Key[:len(r.Key)-2]]++
		}
	}
	for key, n := range w.acknowledged {
		if found[key] != n {
			t.Errorf("record %s was acknowledged as %d, the ledger has it at %d", key, n, found[key])
		}
	}
	for batch, n := range batches {
		if n != rowsOf {
			t.Errorf("batch %s has %d of %d records", batch, n, rowsOf)
		}
	}
}

// TestABadNetworkLosesNothing has connections break in every moment, also
// between a commit and its answer, messages come late, and the server ask for
// the same again.
func TestABadNetworkLosesNothing(t *testing.T) {
	at := postgres.Place(t)
	proxy := postgres.Behind(t, at)
	gates := []*ledger.Database{open(t, proxy.URL(), time.Minute), open(t, proxy.URL(), time.Minute)}
	sql(t, at, raises("40001", "random() < 0.1"))
	sql(t, at, strings.ReplaceAll(raises("40P01", "random() < 0.1"), "raises", "deadlocks"))
	proxy.Latency.Store(int64(time.Millisecond))
	proxy.Resets.Store(20)
	w := &writers{acknowledged: map[string]uint64{}}
	const each, batches = 3, 25
	for g, d := range gates {
		for i := range each {
			w.start(t.Context(), d, fmt.Sprintf("%d/%d", g, i), batches)
		}
	}
	w.wg.Wait()
	proxy.Resets.Store(0)
	if w.count() != len(gates)*each*batches*rowsOf {
		t.Errorf("%d records were acknowledged", w.count())
	}
	if w.refused > 0 {
		t.Errorf("%d batches were refused, though asking again was all there was to do", w.refused)
	}
	w.check(t, gates[0])
}

// TestAPausedGateLosesItsTurn pauses a gate that has the lock on the head: the
// others go on before their patience ends, and so does the gate afterwards.
func TestAPausedGateLosesItsTurn(t *testing.T) {
	at := postgres.Place(t)
	proxy := postgres.Behind(t, at)
	paused, other := open(t, proxy.URL(), time.Minute), open(t, at, 0)
	if _, err := paused.Append(t.Context(), records(0, 1)); err != nil {
		t.Fatal(err)
	}
	r := record(0)
	r.Key = "of-the-paused-one"
	proxy.Stall(r.Key, 1) // after it has read, before it writes
	late := make(chan error, 1)
	go func() {
		_, err := paused.AppendIf(t.Context(), []ledger.Record{r}, map[string]uint64{r.Principal: 1})
		late <- err
	}()
	holds(t, at)
	if _, err := other.Append(t.Context(), records(1, 2)); err != nil {
		t.Errorf("the other gate: %v", err)
	}
	if err := <-late; err != nil {
		t.Errorf("the paused gate, later: %v", err)
	}
	if page, err := other.After(t.Context(), 0, 9); err != nil || len(page.Records) != 3 { // in whichever order
		t.Errorf("the ledger has %d records, %v; want 3", len(page.Records), err)
	}
}

// holds returns when somebody idles in the middle of a transaction.
func holds(t *testing.T, at string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(t.Context()) }()
	for n := 0; n == 0; {
		if err := c.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND application_name = 'codb'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
}

// TestADatabaseThatIsDown refuses within bounds, says why, and needs no restart
// of anything when it is back.
func TestADatabaseThatIsDown(t *testing.T) {
	proxy := postgres.Behind(t, postgres.Place(t))
	d := open(t, proxy.URL(), 200*time.Millisecond)
	if _, err := d.Append(t.Context(), records(0, 3)); err != nil {
		t.Fatal(err)
	}
	proxy.Down(true)
	if _, err := d.AppendIf(t.Context(), records(3, 6), nil); !errors.Is(err, contacts.ErrUnavailable) {
		t.Errorf("AppendIf: got %v", err)
	}
	if _, err := d.After(t.Context(), 0, 9); !errors.Is(err, contacts.ErrUnavailable) {
		t.Errorf("After: got %v", err)
	}
	if _, err := d.Count(t.Context(), "c-1", ledger.CountQuery{}); !errors.Is(err, contacts.ErrUnavailable) {
		t.Errorf("Count: got %v", err)
	}
	proxy.Down(false)
	woken := make(chan error, 1)
	go func() { woken <- d.Wait(t.Context(), 3) }()
	if _, err := d.Append(t.Context(), records(3, 6)); err != nil {
		t.Errorf("when it is back: %v", err)
	}
	if err := <-woken; err != nil || d.Sequence() != 6 {
		t.Errorf("Wait: got %v, the ledger is at %d", err, d.Sequence())
	}
}

// TestAServerThatIsKilled ends all of PostgreSQL's processes in the middle of
// appends, again and again.
func TestAServerThatIsKilled(t *testing.T) {
	server, err := postgres.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	gates := []*ledger.Database{open(t, server.URL(), time.Minute), open(t, server.URL(), time.Minute)}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	w := &writers{acknowledged: map[string]uint64{}}
	for g, d := range gates {
		for i := range 2 {
			w.start(ctx, d, fmt.Sprintf("%d/%d", g, i), 1<<30)
		}
	}
	for round := range 5 {
		for before := w.count(); w.count() < before+20+round*17; {
			if err := gates[0].Wait(ctx, gates[0].Sequence()); err != nil {
				t.Fatal(err)
			}
		}
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	w.wg.Wait()
	w.check(t, gates[1])
}
