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

func (a askers) Admit(_ context.Context, token, verb string) (string, error) {
	user, can, _ := strings.Cut(token, ":")
	err, known := a[user]
	switch {
	case !known:
		return "", ErrUnauthenticated
	case err == nil && can != "" && can != verb:
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
	t        *testing.T
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

func newHouse(t *testing.T) *house {
	t.Helper()
	return houseAt(t, filepath.Join(t.TempDir(), "contacts.db"), "127.0.0.1:0", 0)
}

func houseAt(t *testing.T, path, address string, maxBytes int64) *house {
	t.Helper()
	f, err := ledger.Open(path, ledger.Options{Clock: func() time.Time { return noon }, MaxBytes: maxBytes})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, ledger: f, logs: &logs{}, left: make(chan error, 1)}
	h.server = NewServer(ServerOptions{
		Ledger: f, Log: funcr.New(h.logs.write, funcr.Options{Verbosity: 9}),
		Authenticator: askers{"operator": nil, "nobody": ErrForbidden, v1alpha1.CustomerUsernamePrefix[:4]: ErrForbidden, "lost": errors.New("no route to host")},
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
	if got := unnamed(v1alpha1.CustomerUsernamePrefix + "c-secret"); strings.Contains(got, "c-secret") {
		t.Errorf("a customer is logged as %s", got)
	}
}

func TestBadInput(t *testing.T) {
	h := newHouse(t)
	with := func(field string, value any) string {
		r := map[string]any{
			"key": "k", "at": "2026-03-02T11:00:00Z", "principal": "c-secret", "brand": "acme",
			"class": "Marketing", "channel": "Email", "event": "Sent",
		}
		if value == nil {
			delete(r, field)
		} else {
			r[field] = value
		}
		data, err := json.Marshal(map[string]any{"records": []any{r}})
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	campaign := func(uid string, generation int) map[string]any {
		return map[string]any{"namespace": "acme-shop", "name": "spring", "uid": uid, "generation": generation}
	}
	post := func(status int, field, body string) badInput {
		return badInput{"POST", "/v1/contacts", body, status, field}
	}
	get := func(status int, field, path string) badInput { return badInput{"GET", path, "", status, field} }
	many := with("key", "k")
	many = `{"records":[` + strings.Repeat(many[12:len(many)-2]+",", contacts.MaxBatch) + many[12:len(many)-2] + "]}"
	for name, tc := range map[string]badInput{
		"NoJSON":               post(400, "body", "principal=c-secret"),
		"CutOff":               post(400, "body", `{"records":[{"principal":"c-secret"`),
		"MoreThanOneValue":     post(400, "body", with("key", "k")+"{}"),
		"AnUnknownField":       post(400, "records[0].address", with("address", "c-secret")),
		"AFieldInOtherCase":    post(400, "records[0].Key", with("Key", "k")),
		"AFieldTwice":          post(400, "records", `{"records":[],"records":[]}`),
		"AnotherType":          post(400, "records.principal", with("principal", 17)),
		"NoTime":               post(422, "records[0].at", with("at", nil)),
		"AWrongTime":           post(400, "body", with("at", "yesterday")),
		"TheFuture":            post(422, "records[0].at", with("at", "2026-03-02T12:01:01Z")),
		"LongAgo":              post(422, "records[0].at", with("at", "1989-12-31T23:59:59Z")),
		"NoRecords":            post(422, "records", `{"records":[]}`),
		"NothingAtAll":         post(422, "records", `{}`),
		"TooManyRecords":       post(422, "records", many),
		"TooManyBytes":         post(413, "body", `{"records":[],"x":"`+strings.Repeat("x", maxBody)+`"}`),
		"ASequence":            post(422, "records[0].sequence", with("sequence", 7)),
		"NoKey":                post(422, "records[0].key", with("key", nil)),
		"ALongKey":             post(422, "records[0].key", with("key", strings.Repeat("k", 129))),
		"AKeyWithBlanks":       post(422, "records[0].key", with("key", "c secret")),
		"AnAddress":            post(422, "records[0].principal", with("principal", "c-secret@example.com")),
		"ALongPrincipal":       post(422, "records[0].principal", with("principal", strings.Repeat("c", 64))),
		"NoBrand":              post(422, "records[0].brand", with("brand", nil)),
		"APurposeInSmall":      post(422, "records[0].purpose", with("purpose", "news")),
		"AnUnknownClass":       post(422, "records[0].class", with("class", "Promo")),
		"AContactWithoutClass": post(422, "records[0].class", with("class", nil)),
		"AnUnknownChannel":     post(422, "records[0].channel", with("channel", "Fax")),
		"WithoutChannel":       post(422, "records[0].channel", with("channel", nil)),
		"ATopicOfTwoWords":     post(422, "records[0].topic", with("topic", "Garden tools")),
		"AnUnknownEvent":       post(422, "records[0].event", with("event", "Opened")),
		"ACampaignWithoutUID":  post(422, "records[0].campaign.uid", with("campaign", campaign("", 1))),
		"OfGenerationZero":     post(422, "records[0].campaign.generation", with("campaign", campaign("u", 0))),
		"AStateWithoutPermit":  post(422, "records[0].state", with("state", "Drawn")),
		"APermitWithoutState":  post(422, "records[0].state", with("permit", "p-1")),
		"AShortDigest":         post(422, "records[0].policyDigest", with("policyDigest", "sha256:12")),
		"ALongRevision":        post(422, "records[0].consentRevision", with("consentRevision", strings.Repeat("r", 129))),
		"AnUnknownParameter":   get(422, "query", "/v1/contacts?afer=3"),
		"AParameterTwice":      get(422, "after", "/v1/contacts?after=3&after=4"),
		"ANegativeSequence":    get(422, "after", "/v1/contacts?after=-1"),
		"TooHighALimit":        get(422, "limit", "/v1/contacts?limit=1001"),
		"TooLongAWait":         get(422, "wait", "/v1/contacts?wait=61s"),
		"AWaitWithoutUnit":     get(422, "wait", "/v1/contacts?wait=30"),
		"ABrokenQuery":         get(422, "query", "/v1/contacts?after=%zz"),
		"NoPrincipal":          get(422, "principal", "/v1/contacts/C-SECRET"),
		"AnEncodedSlash":       get(422, "principal", "/v1/contacts/c%2Fsecret"),
		"AWrongSince":          get(422, "since", "/v1/contacts/c-secret?since=yesterday"),
		"NoSuchPath":           get(404, "", "/v2/contacts"),
		"NoSuchMethod":         {"DELETE", "/v1/contacts/c-secret", "", 405, ""},
	} {
		t.Run(name, func(t *testing.T) { tc.check(t, h) })
	}
	status, _, text := h.ask("POST", "/v1/contacts", "operator", "{}", "Content-Type", "text/plain")
	if status != http.StatusUnsupportedMediaType {
		t.Errorf("text: got %d %s", status, text)
	}
	if h.ledger.Sequence() != 0 {
		t.Errorf("something was appended: the ledger is at %d", h.ledger.Sequence())
	}
}

type badInput struct {
	method, path, body string
	status             int
	field              string
}

func (b badInput) check(t *testing.T, h *house) {
	t.Helper()
	status, _, text := h.ask(b.method, b.path, "operator", b.body)
	var p Problem
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatalf("got %d %s: %v", status, text, err)
	}
	if status != b.status || p.Status != b.status || p.Field != b.field || p.Remedy == "" || p.Type == "" || p.Title == "" {
		t.Errorf("got %d %s; want %d, field %q and a remedy", status, text, b.status, b.field)
	}
	if strings.Contains(strings.ToLower(text), "secret") {
		t.Errorf("the problem repeats a principal or a key: %s", text)
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
