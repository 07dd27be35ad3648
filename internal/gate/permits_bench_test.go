package gate

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/ledger"
	"github.com/codb-dev/codb/internal/permit"
)

// BenchmarkPermits draws, redeems and reports, a hundred at a time, with caps on
// and rules that cost nothing: what is measured is the desk and its ledger. The
// ceiling is the same records in the same ledger without any decision.
//
//	go test ./internal/gate -run '^$' -bench Permits -benchtime 20000x
func BenchmarkPermits(b *testing.B) {
	const batch = 100
	open := func(b *testing.B) *ledger.File {
		f, err := ledger.Open(filepath.Join(b.TempDir(), "contacts.db"), ledger.Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = f.Close() })
		return f
	}
	rate := func(b *testing.B, n int) {
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "permits/s")
	}
	for _, pods := range []int{1, 4} {
		b.Run(fmt.Sprintf("pods=%d", pods), func(b *testing.B) {
			w := newTown()
			for i := range b.N {
				w.says(fmt.Sprintf("c-%08d", i), yes)
			}
			w.cap, w.now = 1, time.Now()
			w.reveal()
			d := NewDesk(DeskOptions{Ledger: open(b), World: w, Clock: time.Now, Log: logr.Discard()})
			var wg sync.WaitGroup
			b.ResetTimer()
			for n := range pods {
				wg.Go(func() { sendAll(b, d, pod(n, "spring"), batch) })
			}
			wg.Wait()
			rate(b, b.N)
		})
	}
	b.Run("ceiling", func(b *testing.B) {
		f, t := open(b), permit.Terms{Campaign: pod(1, "spring").Campaign}
		t.Facts.Brand, t.Facts.PurposeClass, t.Facts.Channel = "acme", "Marketing", "Email"
		b.ResetTimer()
		for i := 0; i < b.N; i += batch {
			for _, step := range []string{"drawn", "redeemed", "sent"} {
				records := make([]contacts.Record, 0, batch)
				for j := i; j < min(i+batch, b.N); j++ {
					r := t.Draw(fmt.Sprintf("%s-%022d", step, j), "pod-1", fmt.Sprintf("c-%08d", j), time.Now())
					records = append(records, r)
				}
				if _, err := f.Append(b.Context(), records); err != nil {
					b.Fatal(err)
				}
			}
		}
		rate(b, b.N)
	})
}

func sendAll(b *testing.B, d *Desk, h Holder, batch int) {
	for {
		drawn, err := d.Draw(b.Context(), h, batch, 0, nil)
		if err != nil {
			b.Error(err)
			return
		}
		if len(drawn.Permits) == 0 {
			return
		}
		if _, err := d.Redeem(b.Context(), h, ids(drawn)); err != nil {
			b.Error(err)
			return
		}
		var outcomes []Outcome
		for _, id := range ids(drawn) {
			outcomes = append(outcomes, Outcome{Permit: id, Outcome: "Sent"})
		}
		if _, err := d.Report(b.Context(), h, outcomes); err != nil {
			b.Error(err)
			return
		}
	}
}

// BenchmarkWire has one sender draw, redeem and report over TLS, with a request
// for each step and with a stream; one person at a time, and a hundred.
//
//	go test ./internal/gate -run '^$' -bench Wire -benchtime 5000x
func BenchmarkWire(b *testing.B) {
	for _, batch := range []int{1, 100} {
		for name, open := range map[string]func(*house) exchange{
			"requests": func(h *house) exchange { return h.requests },
			"stream": func(h *house) exchange {
				k := h.stream("pod-1")
				return func(verb, body string) *streamAnswer {
					k.ask(`{"id":"1",%q:%s}`, verb, body)
					return k.hear()
				}
			},
		} {
			b.Run(fmt.Sprintf("%s/batch=%d", name, batch), func(b *testing.B) {
				h, w := newHouse(b), newTown()
				for i := range b.N {
					w.says(fmt.Sprintf("c-%08d", i), yes)
				}
				w.reveal()
				h.server.Give(pods{"pod-1": pod(1, "spring")}, NewDesk(DeskOptions{Ledger: h.ledger, World: w, Clock: w.clock, Log: logr.Discard()}))
				ask := open(h)
				b.ResetTimer()
				for d := ask("draw", fmt.Sprintf(`{"max":%d}`, batch)).Draw; len(d.Permits) > 0; d = ask("draw", fmt.Sprintf(`{"max":%d}`, batch)).Draw {
					var outcomes []Outcome
					for _, id := range ids(d) {
						outcomes = append(outcomes, Outcome{Permit: id, Outcome: "Sent"})
					}
					ask("redeem", jsonOf(redeemRequest{Permits: ids(d)}))
					ask("report", jsonOf(reportRequest{Outcomes: outcomes}))
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "permits/s")
			})
		}
	}
}

type exchange func(verb, body string) *streamAnswer

func (h *house) requests(verb, body string) *streamAnswer {
	a := &streamAnswer{Draw: &Drawn{}}
	if verb != "draw" {
		h.permits(verb, body, &struct{}{})
		return a
	}
	h.permits(verb, body, a.Draw)
	return a
}

func jsonOf(v any) string {
	data, _ := json.Marshal(v) // strings only
	return string(data)
}
