// Package fakegate is a gate for tests that decides nothing: it keeps to the
// contract of permits (docs/gate-openapi.yaml), does what a test asks of it, and
// writes down what it was told.
package fakegate

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Gate hands out a permit for each of its people.
type Gate struct {
	// Life is how long a redeemed permit may wait for being handed over.
	Life time.Duration
	// Off is how far the gate's clock is ahead of ours.
	Off time.Duration
	// Forever says that the campaign is never exhausted.
	Forever bool
	// Fault, when set, is asked before each call what goes wrong with it; n
	// counts the calls of the verb from 1.
	Fault func(verb string, n int) Fault
	// Redeeming is told of each permit before it is redeemed.
	Redeeming func(principal string)
	// Held and Next are told with each draw.
	Held int
	Next time.Time

	// URL is the address, CA and Token are files.
	URL, CA, Token string

	t      *testing.T
	server *httptest.Server

	// Impatient says that a draw without people is answered at once.
	Impatient bool

	serving sync.WaitGroup
	mu      sync.Mutex
	changed chan struct{} // closed when something happens that a draw may wait for
	calls   map[string]int
	permits []*Permit
	token   string
	largest map[string]int
}

// Permit is one for each person, and what became of it.
type Permit struct {
	ID, Principal string
	State         string // "", Drawn, Redeemed, Refused; "" again once it is released
	Reason        string // why it is refused when it is redeemed; empty: it is not
	HandOverBy    time.Time
	Outcome       string
	Detail        string
	Reports       int
}

// Fault is what goes wrong with a call.
type Fault struct {
	// Status of an answer that is not one. Zero: none.
	Status int
	// RetryAfter goes with it.
	RetryAfter string
	// Lost says that the call takes effect, and its answer does not arrive.
	Lost bool
	// Body is answered, and nothing takes effect.
	Body string
}

// New starts a gate with some people.
func New(t *testing.T, people int) *Gate {
	t.Helper()
	dir := t.TempDir()
	g := &Gate{
		Life: 10 * time.Second, changed: make(chan struct{}), t: t, calls: map[string]int{}, largest: map[string]int{},
		CA: filepath.Join(dir, "ca.crt"), Token: filepath.Join(dir, "token"),
	}
	for i := range people {
		g.permits = append(g.permits, &Permit{ID: fmt.Sprintf("permit-%d", i), Principal: fmt.Sprintf("canary-%d", i)})
	}
	g.server = httptest.NewUnstartedServer(http.HandlerFunc(g.serve))
	g.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	g.server.EnableHTTP2 = true
	g.server.StartTLS()
	t.Cleanup(g.server.Close)
	g.URL = g.server.URL
	g.write(g.CA, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.server.Certificate().Raw})))
	g.Rotate("token-1")
	return g
}

// Rotate makes the gate take another token, and writes it to the file.
func (g *Gate) Rotate(token string) {
	g.mu.Lock()
	g.token = token
	g.mu.Unlock()
	g.write(g.Token, token+"\n")
}

func (g *Gate) write(file, text string) {
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		g.t.Error(err)
	}
}

// Refuse makes the redemption of the n-th person's permit fail.
func (g *Gate) Refuse(n int, code string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.permits[n].Reason = code
}

// Permits returns a copy of what the gate has on record.
func (g *Gate) Permits() []Permit {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []Permit
	for _, p := range g.permits {
		out = append(out, *p)
	}
	return out
}

// Calls is how often a verb was called.
func (g *Gate) Calls(verb string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.calls[verb]
}

// Largest is the most permits that one call of a verb was about.
func (g *Gate) Largest(verb string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.largest[verb]
}

// Idle waits until all that was asked is done, also for who went away without
// hearing the answer.
func (g *Gate) Idle() {
	g.server.CloseClientConnections()
	g.serving.Wait()
}

func (g *Gate) serve(w http.ResponseWriter, r *http.Request) {
	g.serving.Add(1)
	defer g.serving.Done()
	w.Header().Set("Date", time.Now().Add(g.Off).UTC().Format(http.TimeFormat))
	verb, ok := strings.CutPrefix(r.URL.Path, "/v1/permits/")
	if !ok || r.Method != http.MethodPost || r.TLS.Version != 0x0304 || r.Header.Get("Content-Type") != "application/json" {
		g.t.Errorf("asked for %s %s, TLS %x, %q", r.Method, r.URL.Path, r.TLS.Version, r.Header.Get("Content-Type"))
	}
	g.mu.Lock()
	g.calls[verb]++
	n, token := g.calls[verb], g.token
	g.mu.Unlock()
	var fault Fault
	if g.Fault != nil {
		fault = g.Fault(verb, n)
	}
	switch {
	case fault.Status != 0:
		w.Header().Set("Retry-After", fault.RetryAfter)
		g.refuse(w, fault.Status)
		return
	case r.Header.Get("Authorization") != "Bearer "+token:
		g.refuse(w, http.StatusUnauthorized)
		return
	}
	if fault.Body != "" {
		fmt.Fprint(w, fault.Body)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	answer := g.answer(r.Context(), verb, json.NewDecoder(bytes.NewReader(body)))
	if fault.Lost || r.Context().Err() != nil {
		g.giveBack(answer)
		panic(http.ErrAbortHandler)
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// giveBack lets permits that nobody has heard of expire at once.
func (g *Gate) giveBack(answer any) {
	drawn, _ := answer.(object)["permits"].([]object)
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range drawn {
		g.find(p["permit"].(string)).State = ""
	}
	g.happened()
}

func (g *Gate) refuse(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"type":"urn:codb:problem:test","title":"The test says no","status":%d,"remedy":"ask it"}`, status)
}

func (g *Gate) answer(ctx context.Context, verb string, body *json.Decoder) any {
	body.DisallowUnknownFields()
	switch verb {
	case "draw":
		return g.draw(ctx, body)
	case "redeem":
		return g.redeem(body)
	case "report":
		return g.report(body)
	case "release":
		return g.release(body)
	}
	g.t.Errorf("asked for %s", verb)
	return nil
}

// OtherAuthority is the certificate of another gate, in PEM.
func OtherAuthority(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, DNSNames: []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
