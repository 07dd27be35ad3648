package gate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/ledger"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func sent(n int, principal string) contacts.Record {
	return contacts.Record{
		Key: fmt.Sprint("k-", n), At: noon, Principal: principal, Brand: "acme", Purpose: "DirectMarketing",
		Class: v1alpha1.ClassMarketing, Channel: v1alpha1.ChannelEmail, Event: contacts.Sent,
	}
}

// askers is an Authenticator for tests: token to what becomes of it.
type askers map[string]error

func (a askers) Admit(_ context.Context, token string, to Access) (string, error) {
	user, can, _ := strings.Cut(token, ":")
	err, known := a[user]
	if user == "customer" { // their name has their id
		user = v1alpha1.CustomerUsernamePrefix + "c-secret"
	}
	switch {
	case !known:
		return "", ErrUnauthenticated
	case err == nil && can != "" && to.Verb != "" && can != to.Verb+to.Brand:
		return user, ErrForbidden
	}
	return user, err
}

// logs collects what is logged.
type logs struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logs) write(prefix, args string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintln(&l.text, prefix, args)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// house is a gate on a real port, with TLS and a real ledger.
type house struct {
	t        testing.TB
	ledger   *ledger.File
	server   *Server
	listener *Listener
	logs     *logs
	clients  []*Client
	mu       sync.Mutex
	asker    *Client
	leave    context.CancelFunc
	left     chan error
}

func newHouse(t testing.TB) *house {
	t.Helper()
	return houseAt(t, filepath.Join(t.TempDir(), "contacts.db"), "127.0.0.1:0", 0)
}

func houseAt(t testing.TB, path, address string, maxBytes int64) *house {
	t.Helper()
	f, err := ledger.Open(path, ledger.Options{Clock: func() time.Time { return noon }, MaxBytes: maxBytes})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, ledger: f, logs: &logs{}, left: make(chan error, 1)}
	h.server = NewServer(ServerOptions{
		Ledger: f, Clock: func() time.Time { return noon }, Log: funcr.New(h.logs.write, funcr.Options{Verbosity: 9}),
		Authenticator: askers{"operator": nil, "nobody": ErrForbidden, "customer": ErrForbidden, "lost": errors.New("no route to host")},
	})
	ctx, cancel := context.WithCancel(context.Background())
	h.leave = cancel
	if h.listener, err = Listen(ctx, ListenOptions{Address: address}); err != nil {
		t.Fatal(err)
	}
	go func() { h.left <- h.server.Serve(ctx, h.listener) }()
	t.Cleanup(h.close)
	return h
}

func (h *house) close() {
	if h.leave == nil {
		return
	}
	for _, c := range h.clients { // an open HTTP/2 connection would be given a second to end
		c.http.CloseIdleConnections()
	}
	h.leave()
	h.leave = nil
	if err := <-h.left; err != nil {
		h.t.Errorf("serve: %v", err)
	}
	if err := h.ledger.Close(); err != nil {
		h.t.Error(err)
	}
}

func (h *house) client(change ...func(*ClientOptions)) *Client {
	h.t.Helper()
	o := ClientOptions{
		URL: h.listener.URL(), CA: h.listener.CA(),
		Token: func(context.Context) (string, error) { return "operator", nil },
	}
	for _, f := range change {
		f(&o)
	}
	c, err := NewClient(o)
	if err != nil {
		h.t.Fatal(err)
	}
	h.clients = append(h.clients, c)
	return c
}

// plain is HTTP without the client's manners.
func (h *house) plain() *http.Client {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.asker == nil {
		h.asker = h.client()
	}
	return h.asker.http
}

// ask sends a request as it stands and returns status, header and body.
func (h *house) ask(method, path, token, body string, header ...string) (int, http.Header, string) {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), method, h.listener.URL()+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := h.plain().Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	answersAsDescribed(h.t, method, path, []byte(body), res.StatusCode, res.Header.Get("Content-Type"), data)
	return res.StatusCode, res.Header, string(data)
}

func TestRecordsGoInAndComeOut(t *testing.T) {
	h := newHouse(t)
	c := h.client()
	var want []contacts.Record
	for i := range 2*contacts.MaxBatch + 5 { // more than one batch
		want = append(want, sent(i, fmt.Sprint("c-", i%3)))
	}
	want[1].Campaign = contacts.Campaign{Namespace: "acme-shop", Name: "spring", UID: "u-1", Generation: 2, Job: "j-1"}
	want[1].Event = contacts.Released
	results, err := c.Append(t.Context(), want)
	if err != nil || len(results) != len(want) {
		t.Fatalf("append: %d results, %v", len(results), err)
	}
	for i := range want {
		want[i].Sequence = results[i].Sequence
	}
	again, err := c.Append(t.Context(), []contacts.Record{sent(0, "c-0")})
	if diff := cmp.Diff([]contacts.Result{{Sequence: 1, Duplicate: true}}, again); err != nil || diff != "" {
		t.Errorf("the same again: %v (-want +got):\n%s", err, diff)
	}
	page, err := c.page(t.Context(), 0, 2, 0)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(contacts.Page{Ledger: h.ledger.ID(), Sequence: uint64(len(want)), Records: want[:2]}, page); diff != "" {
		t.Errorf("page (-want +got):\n%s", diff)
	}
	got, err := c.Contacts(t.Context(), "c-1", noon, 1)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]contacts.Record{want[2002]}, got); diff != "" { // the last of its customer
		t.Errorf("contacts of c-1 (-want +got):\n%s", diff)
	}
}

func TestWhoMayAsk(t *testing.T) {
	h := newHouse(t)
	body, err := json.Marshal(appendRequest{Records: []contacts.Record{sent(1, "c-secret")}})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		method, path, token string
		header              []string
		want                int
	}{
		"NoToken":              {method: "GET", path: "/v1/contacts", want: 401},
		"AnUnknownToken":       {method: "GET", path: "/v1/contacts", token: "stranger-token", want: 401},
		"AnotherScheme":        {method: "GET", path: "/v1/contacts", header: []string{"Authorization", "Basic operator"}, want: 401},
		"AnEmptyToken":         {method: "GET", path: "/v1/contacts", header: []string{"Authorization", "Bearer "}, want: 401},
		"ACustomer":            {method: "GET", path: "/v1/contacts", token: "customer", want: 403},
		"NotAllowed":           {method: "GET", path: "/v1/contacts", token: "nobody", want: 403},
		"ListIsNotCreate":      {method: "POST", path: "/v1/contacts", token: "operator:list", want: 403},
		"CreateIsNotList":      {method: "GET", path: "/v1/contacts", token: "operator:create", want: 403},
		"NorOfOneCustomer":     {method: "GET", path: "/v1/contacts/c-secret", token: "operator:create", want: 403},
		"TheClusterIsSilent":   {method: "GET", path: "/v1/contacts", token: "lost", want: 503},
		"ListMayList":          {method: "GET", path: "/v1/contacts", token: "operator:list", want: 200},
		"CreateMayAppend":      {method: "POST", path: "/v1/contacts", token: "operator:create", want: 200},
		"HealthIsForEverybody": {method: "GET", path: "/healthz", want: 200},
		"SoIsReadiness":        {method: "GET", path: "/readyz", want: 200},
	} {
		t.Run(name, func(t *testing.T) {
			status, header, text := h.ask(tc.method, tc.path, tc.token, string(body), tc.header...)
			if status != tc.want {
				t.Fatalf("got %d: %s; want %d", status, text, tc.want)
			}
			if status == http.StatusOK {
				return
			}
			var p Problem
			if err := json.Unmarshal([]byte(text), &p); err != nil || p.Remedy == "" || p.Status != status || header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("not a problem with a remedy: %s %s", header.Get("Content-Type"), text)
			}
		})
	}
	log := h.logs.String()
	for _, want := range []string{`"reason"="unauthenticated"`, `"reason"="forbidden"`, `"user"="nobody"`, `"route"="GET /v1/contacts/{principal}"`} {
		if !strings.Contains(log, want) {
			t.Errorf("the audit log lacks %s", want)
		}
	}
	for _, secret := range []string{"c-secret", "stranger-token"} {
		if strings.Contains(log, secret) {
			t.Errorf("the audit log has %s:\n%s", secret, log)
		}
	}
}

func TestAConflictIsToldAsOne(t *testing.T) {
	h := newHouse(t)
	c := h.client()
	if _, err := c.Append(t.Context(), []contacts.Record{sent(1, "c-1")}); err != nil {
		t.Fatal(err)
	}
	_, err := c.Append(t.Context(), []contacts.Record{sent(2, "c-1"), sent(1, "c-2")})
	var p *Problem
	if !errors.Is(err, contacts.ErrConflict) || !errors.As(err, &p) || p.Field != "records[1].key" {
		t.Errorf("got %v, want a conflict in records[1].key", err)
	}
}

func TestAFullLedgerIsToldAsOne(t *testing.T) {
	h := houseAt(t, filepath.Join(t.TempDir(), "contacts.db"), "127.0.0.1:0", 1<<20)
	c := h.client()
	var err error
	for n := 0; err == nil && n < 100_000; n += contacts.MaxBatch {
		var records []contacts.Record
		for i := range contacts.MaxBatch {
			records = append(records, sent(n+i, "c-1"))
		}
		_, err = c.Append(t.Context(), records)
	}
	if !errors.Is(err, contacts.ErrFull) {
		t.Errorf("got %v, want the ledger to be full", err)
	}
	if status, _, text := h.ask("GET", "/healthz", "", ""); status != http.StatusOK {
		t.Errorf("a full ledger can still be read, got %d %s", status, text)
	}
}

func TestAPrincipalIsNotInTheClientsErrors(t *testing.T) {
	h := newHouse(t)
	h.close()
	err := h.client().call(t.Context(), "GET", "/v1/contacts/c-secret", nil, nil, nil)
	if err == nil || strings.Contains(err.Error(), "c-secret") {
		t.Errorf("got %v", err)
	}
}

func TestClientsRefuseWhatIsNotTheGate(t *testing.T) {
	h, other := newHouse(t), newHouse(t)
	c := h.client(func(o *ClientOptions) { o.CA = other.listener.CA() })
	if _, err := c.page(t.Context(), 0, 0, 0); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("another CA: got %v", err)
	}
	token := func(context.Context) (string, error) { return "", nil }
	for name, o := range map[string]ClientOptions{
		"PlainHTTP": {URL: "http://localhost:1", CA: h.listener.CA(), Token: token},
		"NoHost":    {URL: "https:///v1", CA: h.listener.CA(), Token: token},
		"NoCA":      {URL: "https://localhost:1", CA: bytes.Repeat([]byte("x"), 9), Token: token},
		"NoToken":   {URL: "https://localhost:1", CA: h.listener.CA()},
	} {
		if _, err := NewClient(o); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
