package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/pause"
)

// hand is a clock that a test turns.
type hand struct {
	mu  sync.Mutex
	now time.Time
}

func (h *hand) Now() time.Time { h.mu.Lock(); defer h.mu.Unlock(); return h.now }

func (h *hand) turn(d time.Duration) { h.mu.Lock(); defer h.mu.Unlock(); h.now = h.now.Add(d) }

// follow feeds a projection until the test ends.
func follow(t testing.TB, c *Client) *contacts.Projection {
	t.Helper()
	p := contacts.NewProjection(contacts.LookBack)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Feed(ctx, p) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("feed: %v", err)
		}
	})
	return p
}

// until waits for what a goroutine is about to do.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !ok() {
		pause.For(ctx, time.Millisecond)
		if ctx.Err() != nil {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

func appendN(t *testing.T, c *Client, from, to int) {
	t.Helper()
	var records []contacts.Record
	for i := from; i < to; i++ {
		records = append(records, sent(i, fmt.Sprint("c-", i)))
	}
	if _, err := c.Append(t.Context(), records); err != nil {
		t.Fatal(err)
	}
}

func TestTheFeedBringsWhatIsAppended(t *testing.T) {
	h := newHouse(t)
	c := h.client(func(o *ClientOptions) { o.Wait = 30 * time.Second }) // only news ends the wait
	if err := c.Healthy(); !errors.Is(err, ErrUnreachable) || c.Synced() {
		t.Errorf("before the first answer: got %v", err)
	}
	appendN(t, c, 0, 2500)
	p := follow(t, c)
	until(t, "all that was there", c.Synced)
	if customers, n := p.Size(); customers != 2500 || n != 2500 {
		t.Errorf("synced with %d records of %d customers, want 2500", n, customers)
	}
	appendN(t, c, 2500, 2501)
	pos, err := c.Fence(t.Context(), p)
	if err != nil || pos.Sequence != 2501 || pos.Ledger != h.ledger.ID() {
		t.Errorf("fence: at %+v, %v", pos, err)
	}
	got, _ := p.View(noon).Contacts("c-2500")
	if len(got.Sent) != 1 {
		t.Errorf("behind the fence the contact is not known: %+v", got)
	}
}

func TestHalfOfTheLedgerIsNotEnough(t *testing.T) {
	h := newHouse(t)
	clock := &hand{now: noon}
	c := h.client(func(o *ClientOptions) { o.Clock = clock.Now })
	p := contacts.NewProjection(contacts.LookBack)
	advance := func(want error) {
		t.Helper()
		if err := c.advance(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if err := c.Healthy(); !errors.Is(err, want) {
			t.Errorf("at %d of %d: got %v, want %v", p.Position().Sequence, h.ledger.Sequence(), err, want)
		}
	}
	appendN(t, c, 0, feedLimit+1)
	advance(ErrIncomplete)
	advance(nil)
	appendN(t, c, feedLimit+1, 3*feedLimit)
	advance(nil) // a moment behind is what every reader is
	advance(nil)
	clock.turn(c.maxAge + 1)
	appendN(t, c, 3*feedLimit, 4*feedLimit+1)
	advance(ErrIncomplete) // out of touch for too long: behind by nobody knows how much
	advance(nil)
}

func TestAnEmptyLedgerIsComplete(t *testing.T) {
	h := newHouse(t)
	c := h.client()
	p := follow(t, c)
	until(t, "the first answer", c.Synced)
	if pos, err := c.Fence(t.Context(), p); err != nil || pos.Ledger != h.ledger.ID() {
		t.Errorf("fence: at %+v, %v", pos, err)
	}
}

func TestAFenceEndsWithItsContext(t *testing.T) {
	h := newHouse(t)
	c := h.client()
	appendN(t, c, 0, 1)
	ctx, cancel := context.WithCancel(t.Context())
	p := contacts.NewProjection(contacts.LookBack) // nobody feeds it
	ended := make(chan error, 1)
	go func() { _, err := c.Fence(ctx, p); ended <- err }()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestAGateThatIsGoneHolds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "contacts.db")
	h := houseAt(t, path, "127.0.0.1:0", 0)
	clock := &hand{now: noon}
	c := h.client(func(o *ClientOptions) { o.Clock = clock.Now })
	appendN(t, c, 0, 3)
	p := follow(t, c)
	until(t, "the first answers", c.Synced)
	address := strings.TrimPrefix(h.listener.URL(), "https://")
	h.close()
	until(t, "the feed to fail", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.failure != nil })
	if err := c.Healthy(); err != nil {
		t.Errorf("a moment later: %v; want what is known to count for a while", err)
	}
	clock.turn(c.maxAge + 1)
	if err := c.Healthy(); !errors.Is(err, ErrUnreachable) {
		t.Errorf("later: got %v", err)
	}

	// It comes back, at the same address, with a certificate that the client
	// doesn't know: nobody is believed.
	back := houseAt(t, path, address, 0)
	until(t, "the new gate to be asked", func() bool { return strings.Contains(fmt.Sprint(c.Healthy()), "certificate") })
	if pos := p.Position(); pos.Sequence != 3 {
		t.Errorf("the projection is at %+v", pos)
	}
	back.close()
}

// turnstile stands before a server and can be told to answer with a status.
type turnstile struct {
	next   atomic.Pointer[Server]
	status atomic.Int32
	asked  atomic.Int32
}

func (s *turnstile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.asked.Add(1)
	if status := int(s.status.Load()); status != 0 {
		w.WriteHeader(status)
		return
	}
	s.next.Load().ServeHTTP(w, r)
}

// serveTurnstile puts one before the house, with the house's own certificate.
func serveTurnstile(t *testing.T, h *house) (*turnstile, func(*ClientOptions)) {
	t.Helper()
	s := &turnstile{}
	s.next.Store(h.server)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	l, err := Listen(ctx, ListenOptions{Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: s, ReadHeaderTimeout: time.Second}
	ended := make(chan struct{})
	go func() { _ = server.Serve(l.tls); close(ended) }()
	t.Cleanup(func() { _ = server.Close(); <-ended })
	return s, func(o *ClientOptions) { o.URL, o.CA = l.URL(), l.CA() }
}

func TestAnotherLedgerStartsTheProjectionAnew(t *testing.T) {
	for name, records := range map[string]int{"Shorter": 1, "Longer": 9} {
		t.Run(name, func(t *testing.T) {
			h, other := newHouse(t), newHouse(t)
			s, through := serveTurnstile(t, h)
			c := h.client(through)
			appendN(t, c, 0, 5)
			p := follow(t, c)
			until(t, "the first ledger", c.Synced)
			version := p.View(noon).Version("c-3")
			appendN(t, other.client(), 3, 3+records) // c-3 has sequence 1 here, and had 4
			s.next.Store(other.server)
			h.server.Drain() // ends the wait for news
			until(t, "the second ledger", func() bool {
				return p.Position() == contacts.Position{Ledger: other.ledger.ID(), Sequence: uint64(records)} && c.Synced()
			})
			if got, now := p.View(noon).Contacts("c-3"); now == version || len(got.Sent) != 1 {
				t.Errorf("c-3 has %d contacts, version changed: %v", len(got.Sent), now != version)
			}
			if got, _ := p.View(noon).Contacts("c-0"); len(got.Sent) != 0 {
				t.Errorf("c-0 is only in the first ledger, but has %d contacts", len(got.Sent))
			}
			if _, _, all := p.Since(0); !all {
				t.Error("not everybody is called changed")
			}
		})
	}
}

func TestAppendsAreRetriedWithinBounds(t *testing.T) {
	h := newHouse(t)
	s, through := serveTurnstile(t, h)
	c := h.client(through)
	s.status.Store(http.StatusServiceUnavailable)
	done := make(chan error, 1)
	go func() { _, err := c.Append(t.Context(), []contacts.Record{sent(1, "c-1")}); done <- err }()
	until(t, "a second try", func() bool { return s.asked.Load() >= 2 })
	s.status.Store(0)
	if err := <-done; err != nil || h.ledger.Sequence() != 1 {
		t.Errorf("after a pause: %v, the ledger is at %d", err, h.ledger.Sequence())
	}
	for status, want := range map[int]int32{http.StatusServiceUnavailable: 6, http.StatusForbidden: 1, http.StatusInternalServerError: 1} {
		s.asked.Store(0)
		s.status.Store(int32(status))
		_, err := c.Append(t.Context(), []contacts.Record{sent(2, "c-1")})
		var p *Problem
		if !errors.As(err, &p) || p.Status != status || s.asked.Load() != want {
			t.Errorf("%d: got %v after %d tries, want %d", status, err, s.asked.Load(), want)
		}
	}
}

func TestWaitingForNews(t *testing.T) {
	h := newHouse(t)
	type answer struct {
		status int
		page   contacts.Page
	}
	ask := func(query string) chan answer {
		answers := make(chan answer, 1)
		go func() {
			status, _, text := h.ask("GET", "/v1/contacts?"+query, "operator", "")
			a := answer{status: status}
			if err := json.Unmarshal([]byte(text), &a.page); err != nil {
				t.Errorf("%s: %v", text, err)
			}
			answers <- a
		}()
		return answers
	}
	if a := <-ask("after=0&wait=1ms"); a.status != 200 || a.page.Records == nil || len(a.page.Records) != 0 {
		t.Errorf("when the wait is over: got %+v, want an empty page", a)
	}
	if a := <-ask("after=5&wait=60s"); a.status != 200 || a.page.Sequence != 0 {
		t.Errorf("ahead of the ledger: got %+v, want to be told at once", a)
	}
	news := ask("after=0&wait=60s")
	appendN(t, h.client(), 0, 1)
	if a := <-news; a.status != 200 || len(a.page.Records) != 1 {
		t.Errorf("with news: got %+v", a)
	}
}

func TestDraining(t *testing.T) {
	h := newHouse(t)
	waiting := make(chan int, 1)
	go func() {
		status, _, _ := h.ask("GET", "/v1/contacts?after=0&wait=60s", "operator", "")
		waiting <- status
	}()
	until(t, "the request to wait", func() bool { return inFlight(t, h.server) == 1 })
	h.server.Drain()
	if status, _, _ := h.ask("GET", "/readyz", "", ""); status != http.StatusServiceUnavailable {
		t.Errorf("readyz: got %d while draining", status)
	}
	if status, _, _ := h.ask("GET", "/healthz", "", ""); status != http.StatusOK {
		t.Errorf("healthz: got %d while draining", status)
	}
	h.close() // fails the test when the server does not end well
	if status := <-waiting; status != http.StatusOK {
		t.Errorf("whoever waited got %d", status)
	}
}

func TestABrokenLedgerIsNotWell(t *testing.T) {
	h := newHouse(t)
	if err := h.ledger.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/healthz", "/readyz", "/v1/contacts", "/v1/contacts/c-1"} {
		if status, _, text := h.ask("GET", path, "operator", ""); status != http.StatusServiceUnavailable {
			t.Errorf("%s: got %d %s", path, status, text)
		}
	}
}
