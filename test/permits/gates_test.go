package permits

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/gate"
	"github.com/codb-dev/codb/internal/ledger"
	"github.com/codb-dev/codb/internal/permit"
	"github.com/codb-dev/codb/test/postgres"
)

const (
	// pods send at once, this many people at a time.
	pods  = 8
	batch = 100
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
	at, err := postgres.Shared()
	if err == nil {
		at, err = postgres.Schema(b.Context(), at, fmt.Sprintf("b%d", time.Now().UnixNano()))
	}
	if err != nil {
		b.Fatal(err)
	}
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
	var clients []*http.Client
	var urls []string
	for range gates {
		c, url := serve(b, w, open())
		clients, urls = append(clients, c), append(urls, url)
	}
	var (
		mu    sync.Mutex
		total int
		all   sync.WaitGroup
	)
	b.ResetTimer()
	for i := range pods {
		all.Go(func() {
			p := pod{clients[i%gates], urls[i%gates], fmt.Sprint("pod-", i)}
			n, err := p.send()
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
func serve(b *testing.B, w *town, store ledger.Store) (*http.Client, string) {
	ctx, cancel := context.WithCancel(context.Background())
	l, err := gate.Listen(ctx, gate.ListenOptions{Address: "127.0.0.1:0"})
	if err != nil {
		b.Fatal(err)
	}
	s := gate.NewServer(gate.ServerOptions{Ledger: store, Log: logr.Discard()})
	s.Give(podNames{}, gate.NewDesk(gate.DeskOptions{Ledger: store, World: w, Clock: time.Now, Log: logr.Discard()}))
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(l.CA())
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}, ForceAttemptHTTP2: true}
	b.Cleanup(func() {
		transport.CloseIdleConnections()
		cancel()
		<-ended
	})
	return &http.Client{Transport: transport}, l.URL()
}

// pod is one of a campaign's.
type pod struct {
	http       *http.Client
	url, token string
}

// send goes on until the campaign is exhausted.
func (p pod) send() (sent int, err error) {
	for {
		var d gate.Drawn
		if err := p.ask("draw", map[string]any{"max": batch, "wait": "10s"}, &d); err != nil {
			return sent, err
		}
		if len(d.Permits) == 0 {
			return sent, nil
		}
		var ids []string
		for i := range d.Permits {
			ids = append(ids, d.Permits[i].Permit)
		}
		var redeemed struct{ Results []gate.Redeemed }
		if err := p.ask("redeem", map[string]any{"permits": ids}, &redeemed); err != nil {
			return sent, err
		}
		var outcomes []gate.Outcome
		for _, r := range redeemed.Results {
			if r.State == permit.Redeemed {
				outcomes = append(outcomes, gate.Outcome{Permit: r.Permit, Outcome: "Sent"})
			}
		}
		var reported struct{ Results []gate.Reported }
		if err := p.ask("report", map[string]any{"outcomes": outcomes}, &reported); err != nil {
			return sent, err
		}
		for _, r := range reported.Results {
			if r.Recorded {
				sent++
			}
		}
	}
}

func (p pod) ask(verb string, question, into any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(http.MethodPost, p.url+"/v1/permits/"+verb, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	req.Header.Set("Content-Type", "application/json")
	return do(p.http, req, into)
}

func do(c *http.Client, req *http.Request, into any) error {
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, text)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// ceiling appends what hand appends.
func ceiling(b *testing.B, gates int, open func() ledger.Store) {
	var stores []ledger.Store
	for range gates {
		stores = append(stores, open())
	}
	var all sync.WaitGroup
	b.ResetTimer()
	for i := range pods {
		all.Go(func() {
			for at := i * batch; at < b.N; at += pods * batch {
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
