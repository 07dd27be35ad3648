package permits

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/gate"
	"github.com/codb-dev/codb/internal/ledger"
	"github.com/codb-dev/codb/internal/permit"
	"github.com/codb-dev/codb/test/pods"
	"github.com/codb-dev/codb/test/postgres"
)

const (
	// writers are at work at once, a batch of people at a time.
	writers = 8
	batch   = 100
)

// BenchmarkPermits draws, redeems and reports as pods do, over HTTPS, under the
// floor and the baseline with caps on, and says permits per second. Beside it
// the ceiling: as many writers that append the same records, in batches of the
// same size, to the same store, without asking anybody. And the naive design, a
// call of OPA's own server and an SQL count for each person.
//
//	go test ./test/permits -run '^$' -bench Permits -benchtime 20000x
func BenchmarkPermits(b *testing.B) {
	for _, s := range []struct {
		name  string
		gates int
		open  func(*testing.B) func() ledger.Store
	}{
		{"embedded", 1, embedded}, {"postgres", 1, database}, {"postgres", 4, database},
	} {
		name := fmt.Sprintf("%s/gates=%d", s.name, s.gates)
		b.Run(name+"/permits", func(b *testing.B) { hand(b, s.gates, s.open(b)) })
		b.Run(name+"/ceiling", func(b *testing.B) { ceiling(b, s.gates, s.open(b)) })
	}
	b.Run("naive", naive)
}

// embedded opens one file, again and again the same.
func embedded(b *testing.B) func() ledger.Store {
	return func() ledger.Store {
		f, err := ledger.Open(filepath.Join(b.TempDir(), "contacts.db"), ledger.Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = f.Close() })
		return f
	}
}

// database opens one ledger for all who ask.
func database(b *testing.B) func() ledger.Store {
	at := postgres.Place(b)
	return func() ledger.Store {
		d, err := ledger.OpenDatabase(b.Context(), at, ledger.DatabaseOptions{})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = d.Close() })
		return d
	}
}

func rate(b *testing.B, done int) {
	if done != b.N {
		b.Errorf("%d of %d", done, b.N)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "permits/s")
}

func hand(b *testing.B, gates int, open func() ledger.Store) {
	w := newTown(b, b.N)
	var doors []*gate.Listener
	for range gates {
		doors = append(doors, serve(b, w, open()))
	}
	var (
		mu    sync.Mutex
		total int
		all   sync.WaitGroup
	)
	b.ResetTimer()
	for i := range writers {
		all.Go(func() {
			at := doors[i%gates]
			p := pods.Dial(at.URL(), at.CA(), fmt.Sprint("pod-", i))
			defer p.Close()
			n, err := send(b.Context(), p)
			if err != nil {
				b.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			total += n
		})
	}
	all.Wait()
	b.StopTimer()
	rate(b, total)
}

// serve starts a gate of its own.
func serve(b *testing.B, w *town, store ledger.Store) *gate.Listener {
	ctx, cancel := context.WithCancel(context.Background())
	l, err := gate.Listen(ctx, gate.ListenOptions{Address: "127.0.0.1:0"})
	if err != nil {
		b.Fatal(err)
	}
	s := gate.NewServer(gate.ServerOptions{Ledger: store, Log: logr.Discard()})
	s.Give(podNames{}, gate.NewDesk(gate.DeskOptions{Ledger: store, World: w, Clock: time.Now, Log: logr.Discard()}))
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	b.Cleanup(func() {
		cancel()
		<-ended
	})
	return l
}

// send goes on until the campaign is exhausted.
func send(ctx context.Context, p *pods.Pod) (sent int, err error) {
	for {
		d, err := p.Draw(ctx, batch, "10s")
		if err != nil || len(d.Permits) == 0 {
			return sent, err
		}
		var ids []string
		for i := range d.Permits {
			ids = append(ids, d.Permits[i].Permit)
		}
		redeemed, err := p.Redeem(ctx, ids...)
		if err != nil {
			return sent, err
		}
		var outcomes []gate.Outcome
		for _, r := range redeemed {
			if r.State == permit.Redeemed {
				outcomes = append(outcomes, gate.Outcome{Permit: r.Permit, Outcome: "Sent"})
			}
		}
		reported, err := p.Report(ctx, outcomes...)
		if err != nil {
			return sent, err
		}
		for _, r := range reported {
			if r.Recorded {
				sent++
			}
		}
	}
}

// ceiling appends what hand appends.
func ceiling(b *testing.B, gates int, open func() ledger.Store) {
	var stores []ledger.Store
	for range gates {
		stores = append(stores, open())
	}
	var all sync.WaitGroup
	b.ResetTimer()
	for i := range writers {
		all.Go(func() {
			for at := i * batch; at < b.N; at += writers * batch {
				if err := write(b.Context(), stores[i%gates], fmt.Sprint("pod-", i), at, min(at+batch, b.N)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
	b.StopTimer()
	rate(b, b.N)
}

// write appends the three records of each permit.
func write(ctx context.Context, s ledger.Store, pod string, from, to int) error {
	h, err := podNames{}.Holder(ctx, pod)
	if err != nil {
		return err
	}
	terms := permit.Terms{
		Campaign: h.Campaign, Facts: facts(from), ConsentRevision: "cr-00000000-1",
		PolicyDigest: fmt.Sprintf("sha256:%064d", 1),
	}
	var drawn []contacts.Record
	for i := from; i < to; i++ {
		drawn = append(drawn, terms.Draw(fmt.Sprintf("%026d", i), pod, fmt.Sprintf("c-%08d", i), time.Now()))
	}
	book := permit.NewBook()
	book.Apply(drawn)
	redeemed, sent := make([]contacts.Record, len(drawn)), make([]contacts.Record, len(drawn))
	for i := range drawn {
		p, _ := book.Find(drawn[i].Permit)
		redeemed[i] = p.Redeem(&terms, fmt.Sprintf("permit/%s/%026d", p.ID, 2), time.Now())
		sent[i] = p.Report("Sent", "", fmt.Sprintf("permit/%s/%026d", p.ID, 3), time.Now())
	}
	for _, records := range [][]contacts.Record{drawn, redeemed, sent} {
		if _, err := s.Append(ctx, records); err != nil {
			return err
		}
	}
	return nil
}
