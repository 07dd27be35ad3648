package permits

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
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

// rounds in which all variants take turns, and everyMany how many fewer people
// the naive design is asked about in each.
const rounds, everyMany = 5, 4

// BenchmarkPermits draws, redeems and reports as pods do, over HTTPS, under the
// floor and the baseline with caps on, and says permits per second: medians of
// rounds in which all variants take turns, with a ledger of their own each. Beside
// it the ceiling: the very records that came of it, keys and all, appended to a
// fresh store by as many writers in batches of the same size, without asking
// anybody. And the naive design, a call of OPA's own server and an SQL count for
// each person, as many at once.
//
//	go test ./test/permits -run '^$' -bench Permits -benchtime 40000x
func BenchmarkPermits(b *testing.B) {
	if b.N == 1 {
		return // the first call only asks whether it works
	}
	variants := []struct {
		name  string
		gates int
		open  func(*testing.B) func() ledger.Store
	}{
		{"embedded", 1, embedded}, {"postgres", 1, database}, {"postgres", 4, database},
	}
	t, opa := newTown(b, b.N), newNaive(b, b.N/everyMany)
	measured := map[string]*series{}
	measure := func(name string, people int, do func() time.Duration) {
		if measured[name] == nil {
			measured[name] = &series{}
		}
		runtime.GC()
		measured[name].add(float64(people) / do().Seconds())
	}
	for range rounds {
		for _, v := range variants {
			name := fmt.Sprintf("%s/gates=%d", v.name, v.gates)
			var wrote []contacts.Record
			measure(name+"/permits", b.N, func() (took time.Duration) {
				wrote, took = hand(b, t, v.gates, v.open(b))
				return took
			})
			measure(name+"/ceiling", b.N, func() time.Duration { return ceiling(b, wrote, v.gates, v.open(b)) })
		}
		measure("naive", b.N/everyMany, func() time.Duration { return opa.ask(b) })
	}
	for _, name := range slices.Sorted(maps.Keys(measured)) {
		b.Run(name, func(b *testing.B) {
			b.ReportMetric(0, "ns/op")
			measured[name].report(b)
		})
	}
}

// series are the rates of one variant.
type series []float64

func (s *series) add(rate float64) { *s = append(*s, rate) }

func (s *series) report(b *testing.B) {
	slices.Sort(*s)
	b.ReportMetric((*s)[0], "least/s")
	b.ReportMetric((*s)[len(*s)/2], "permits/s")
	b.ReportMetric((*s)[len(*s)-1], "most/s")
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

// hand lets pods contact everybody, and returns what the ledger has then.
func hand(b *testing.B, w *town, gates int, open func() ledger.Store) ([]contacts.Record, time.Duration) {
	var (
		doors  []*gate.Listener
		ledger ledger.Store
		close  []func()
	)
	for range gates {
		ledger = open()
		door, end := serve(b, w, ledger)
		doors, close = append(doors, door), append(close, end)
	}
	var (
		mu    sync.Mutex
		total int
		all   sync.WaitGroup
	)
	began := time.Now()
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
	took := time.Since(began)
	if total != len(w.ids) {
		b.Errorf("%d of %d", total, len(w.ids))
	}
	records := recordsOf(b, ledger, 3*total)
	for _, end := range close {
		end()
	}
	return records, took
}

// recordsOf are the records of the ledger, drawn, redeemed and sent of each permit.
func recordsOf(b *testing.B, l ledger.Store, want int) (out []contacts.Record) {
	for {
		page, err := l.After(b.Context(), uint64(len(out)), contacts.MaxBatch)
		if err != nil {
			b.Fatal(err)
		}
		if len(page.Records) == 0 {
			break
		}
		out = append(out, page.Records...)
	}
	if len(out) != want {
		b.Errorf("%d records, want %d", len(out), want)
	}
	return out
}

// serve starts a gate of its own.
func serve(b *testing.B, w *town, store ledger.Store) (l *gate.Listener, end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	l, err := gate.Listen(ctx, gate.ListenOptions{Address: "127.0.0.1:0"})
	if err != nil {
		b.Fatal(err)
	}
	s := gate.NewServer(gate.ServerOptions{Ledger: store, Log: logr.Discard()})
	s.Give(podNames{}, gate.NewDesk(gate.DeskOptions{Ledger: store, World: w, Clock: time.Now, Log: logr.Discard()}))
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	return l, func() {
		cancel()
		<-ended
	}
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

// ceiling appends what the pods' requests came to: each pod its own, in its order.
func ceiling(b *testing.B, wrote []contacts.Record, gates int, open func() ledger.Store) time.Duration {
	var stores []ledger.Store
	for range gates {
		stores = append(stores, open())
	}
	of := map[string][][]contacts.Record{} // by pod
	for i := range wrote {
		r := wrote[i]
		r.Sequence = 0
		batches := of[r.Pod]
		if n := len(batches); n > 0 && len(batches[n-1]) < batch && batches[n-1][0].Event == r.Event {
			batches[n-1] = append(batches[n-1], r)
			continue
		}
		of[r.Pod] = append(batches, append(make([]contacts.Record, 0, batch), r))
	}
	var all sync.WaitGroup
	began := time.Now()
	for i := range writers {
		all.Go(func() {
			for _, records := range of[fmt.Sprint("pod-", i)] {
				if _, err := stores[i%gates].Append(b.Context(), records); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	return time.Since(began)
}
