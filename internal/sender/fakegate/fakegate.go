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
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Gate hands out a permit for each of its people.
type Gate struct {
	// Life is how long a redeemed permit may wait for being handed over.
	Life time.Duration
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

type object = map[string]any

func (g *Gate) draw(ctx context.Context, body *json.Decoder) any {
	var q struct {
		Max  int
		Wait string
	}
	err := body.Decode(&q)
	wait, werr := time.ParseDuration(q.Wait)
	if err != nil || werr != nil || wait < 0 || wait > time.Minute || q.Max < 1 || q.Max > 1000 {
		g.t.Errorf("draw %+v: %v", q, err)
	}
	over := time.After(wait)
	for {
		g.mu.Lock()
		g.largest["draw"] = max(g.largest["draw"], q.Max)
		permits, exhausted := g.take(q.Max)
		changed := g.changed
		g.mu.Unlock()
		if ctx.Err() != nil {
			return object{"permits": permits} // which are given back
		}
		if len(permits) == 0 && !exhausted && !g.Impatient {
			select {
			case <-changed:
				continue
			case <-over:
			case <-ctx.Done():
			}
		}
		a := object{"permits": permits, "exhausted": exhausted, "held": g.Held}
		if !g.Next.IsZero() {
			a["next"] = g.Next.UTC().Format(time.RFC3339)
		}
		return a
	}
}

func (g *Gate) take(most int) ([]object, bool) {
	permits, outstanding := []object{}, g.Forever
	for _, p := range g.permits {
		if p.State == "" && len(permits) < most {
			p.State = "Drawn"
			permits = append(permits, object{
				"permit": p.ID, "principal": p.Principal, "channel": "Email", "purpose": "Marketing", "topic": "Savings", "language": "de",
				"expires": time.Now().Add(time.Minute).UTC().Format(time.RFC3339),
			})
		}
		outstanding = outstanding || p.State == "" || p.State == "Drawn" || p.State == "Redeemed" && p.Outcome == ""
	}
	return permits, !outstanding
}

// happened wakes the draws that wait.
func (g *Gate) happened() {
	close(g.changed)
	g.changed = make(chan struct{})
}

func (g *Gate) find(id string) *Permit {
	if i := slices.IndexFunc(g.permits, func(p *Permit) bool { return p.ID == id }); i >= 0 {
		return g.permits[i]
	}
	g.t.Errorf("asked for permit %s", id)
	return &Permit{}
}

func (g *Gate) redeem(body *json.Decoder) any {
	var q struct{ Permits []string }
	if err := body.Decode(&q); err != nil || len(q.Permits) < 1 || len(q.Permits) > 1000 {
		g.t.Errorf("redeem %d permits: %v", len(q.Permits), err)
	}
	results := []object{}
	for _, id := range q.Permits {
		if g.Redeeming != nil {
			g.Redeeming(g.find(id).Principal)
		}
		results = append(results, g.redeemOne(id))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.largest["redeem"] = max(g.largest["redeem"], len(q.Permits))
	g.happened()
	return object{"results": results}
}

func (g *Gate) redeemOne(id string) object {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.find(id)
	switch {
	case p.State == "Redeemed":
		return object{"permit": id, "state": "AlreadyRedeemed"}
	case strings.HasPrefix(p.Reason, "state:"):
		p.State = "Refused"
		return object{"permit": id, "state": strings.TrimPrefix(p.Reason, "state:")}
	case p.Reason != "":
		p.State = "Refused"
		return object{"permit": id, "state": "Refused", "reasons": []object{{"code": p.Reason, "message": "no longer"}}}
	}
	p.State, p.HandOverBy = "Redeemed", time.Now().Add(g.Life)
	return object{"permit": id, "state": "Redeemed", "handOverBy": p.HandOverBy.UTC().Format(time.RFC3339Nano)}
}

func (g *Gate) release(body *json.Decoder) any {
	var q struct{ Permits []string }
	if err := body.Decode(&q); err != nil || len(q.Permits) < 1 || len(q.Permits) > 1000 {
		g.t.Errorf("release %d permits: %v", len(q.Permits), err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	defer g.happened()
	results := []object{}
	for _, id := range q.Permits {
		p, state := g.find(id), "Voided"
		switch p.State {
		case "Drawn":
			p.State, state = "", "Released"
		case "Redeemed":
			state = "AlreadyRedeemed"
		}
		results = append(results, object{"permit": id, "state": state})
	}
	return object{"results": results}
}

// detail is what the gate takes: ASCII without addresses.
var detail = regexp.MustCompile(`^[\x20-\x3F\x41-\x7E]{0,128}$`)

func (g *Gate) report(body *json.Decoder) any {
	var q struct {
		Outcomes []struct{ Permit, Outcome, Detail string }
	}
	if err := body.Decode(&q); err != nil || len(q.Outcomes) < 1 || len(q.Outcomes) > 1000 {
		g.t.Errorf("report %d outcomes: %v", len(q.Outcomes), err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	defer g.happened()
	results := []object{}
	for _, o := range q.Outcomes {
		p := g.find(o.Permit)
		if !detail.MatchString(o.Detail) || p.State != "Redeemed" {
			g.t.Errorf("%s is %s, and reported as %s with the detail %q", o.Permit, p.State, o.Outcome, o.Detail)
		}
		if p.Outcome != "" && p.Outcome != o.Outcome {
			results = append(results, object{"permit": o.Permit, "recorded": false, "why": "it has another outcome already"})
			continue
		}
		p.Outcome, p.Detail = o.Outcome, o.Detail
		p.Reports++
		results = append(results, object{"permit": o.Permit, "recorded": true})
	}
	return object{"results": results}
}

// Settle says that the gate no longer waits for a permit's outcome.
func (g *Gate) Settle(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.find(id).Outcome = "unknown"
	g.happened()
}

// Expire makes permits that were drawn and not redeemed available again.
func (g *Gate) Expire() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.permits {
		if p.State == "Drawn" {
			p.State = ""
		}
	}
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
