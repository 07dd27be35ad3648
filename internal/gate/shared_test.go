package gate

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/ledger"
	"github.com/codb-dev/codb/internal/permit"
	"github.com/codb-dev/codb/test/postgres"
)

// TestGatesOfOnePostgreSQLKeepOneCap has the pods of two campaigns draw at three
// gates that share a ledger only, over a network that breaks: everybody may be
// contacted once, and is.
func TestGatesOfOnePostgreSQLKeepOneCap(t *testing.T) {
	proxy := postgres.Behind(t, postgres.Place(t))
	const customers, gates = 30, 3
	var names []string
	for i := range customers {
		names = append(names, fmt.Sprint("c-", i))
	}
	world := newTown(names...)
	world.cap = 1
	var desks []*Desk
	for range gates {
		store, err := ledger.OpenDatabase(t.Context(), proxy.URL(), ledger.DatabaseOptions{Clock: world.clock, Patience: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		desks = append(desks, NewDesk(DeskOptions{Ledger: store, World: world, Clock: world.clock, Log: logr.Discard()}))
	}
	proxy.Latency.Store(int64(time.Millisecond))
	proxy.Resets.Store(20)
	var wg sync.WaitGroup
	for g, desk := range desks {
		for c, campaign := range []string{"spring", "summer"} {
			wg.Go(func() { work(t, desk, pod(10*g+c, campaign)) })
		}
	}
	wg.Wait()
	proxy.Resets.Store(0)
	contacted := map[string]int{}
	page, err := desks[0].ledger.After(t.Context(), 0, contacts.MaxBatch)
	if err != nil {
		t.Fatal(err)
	}
	for i := range page.Records {
		if page.Records[i].Contact() {
			contacted[page.Records[i].Principal]++
		}
	}
	for _, id := range names {
		if contacted[id] != 1 {
			t.Errorf("%s was contacted %d times, want once", id, contacted[id])
		}
	}
}

// work draws and redeems until there is nobody left to ask for.
func work(t *testing.T, desk *Desk, h Holder) {
	for {
		d, err := desk.Draw(t.Context(), h, 4, 0, nil)
		if err != nil {
			t.Error(err)
			return
		}
		if len(d.Permits) == 0 {
			return
		}
		results, err := desk.Redeem(t.Context(), h, ids(d))
		if err != nil {
			t.Error(err)
			return
		}
		for _, r := range results {
			if r.State != permit.Redeemed {
				t.Errorf("a permit that was just drawn is %s", r.State)
			}
		}
	}
}
