package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/codb-dev/codb/internal/permit"
)

// pods knows holders by their tokens.
type pods map[string]Holder

func (p pods) Holder(_ context.Context, token string) (Holder, error) {
	switch h, ok := p[token]; {
	case ok:
		return h, nil
	case token == "stranger":
		return Holder{User: "system:serviceaccount:acme-shop:stranger", Pod: "pod-9"}, fmt.Errorf("%w: the pod belongs to no Job", ErrForbidden)
	case token == "lost":
		return Holder{}, errors.New("no route to host")
	}
	return Holder{}, ErrUnauthenticated
}

func newPermitHouse(t testing.TB, people ...string) (*house, *town) {
	t.Helper()
	h, w := newHouse(t), newTown(people...)
	h.server.Give(pods{"pod-1": pod(1, "spring")}, NewDesk(DeskOptions{Ledger: h.ledger, World: w, Clock: w.clock, Log: logr.Discard()}))
	return h, w
}

// permits asks for permits as a pod, and must get an answer.
func (h *house) permits(verb, body string, into any) {
	h.t.Helper()
	status, _, text := h.ask("POST", "/v1/permits/"+verb, "pod-1", body)
	if err := json.Unmarshal([]byte(text), into); err != nil || status != http.StatusOK {
		h.t.Fatalf("%s: %d %s: %v", verb, status, text, err)
	}
}

func TestPermitsOverTheWire(t *testing.T) {
	h, w := newPermitHouse(t, "c-1", "c-2")
	var d Drawn
	h.permits("draw", `{"max":10,"wait":"20s"}`, &d)
	if len(d.Permits) != 2 || d.Permits[0].Channel != "Email" || d.Permits[0].Expires.IsZero() {
		t.Fatalf("drawn: %+v", d)
	}
	w.says(d.Permits[0].Principal, no)
	var redeemed redeemResponse
	h.permits("redeem", fmt.Sprintf(`{"permits":[%q,%q]}`, d.Permits[0].Permit, d.Permits[1].Permit), &redeemed)
	if r := redeemed.Results; r[0].State != permit.Refused || r[0].Reasons[0].Code != "OptedOut" || r[1].State != permit.Redeemed {
		t.Errorf("redeemed: %+v", r)
	}
	var reported reportResponse
	h.permits("report", fmt.Sprintf(`{"outcomes":[{"permit":%q,"outcome":"Sent","detail":"250 queued"}]}`, d.Permits[1].Permit), &reported)
	if !reported.Results[0].Recorded {
		t.Errorf("reported: %+v", reported)
	}
	h.permits("draw", `{"max":1}`, &d)
	if !d.Exhausted {
		t.Errorf("drawn at last: %+v", d)
	}
	if text := h.logs.String(); strings.Contains(text, "c-1") || strings.Contains(text, "c-2") {
		t.Errorf("the log names a customer: %s", text)
	}
}

func TestRequestsForPermitsThatAreRefused(t *testing.T) {
	h, w := newPermitHouse(t, "c-1")
	many := `["p"` + strings.Repeat(`,"p"`, maxPermits) + `]`
	for name, tc := range map[string]struct {
		verb, token, body string
		status            int
		field             string
	}{
		"NoToken":          {"draw", "", `{"max":1}`, 401, ""},
		"AForgedToken":     {"draw", "forged", `{"max":1}`, 401, ""},
		"AStrangersPod":    {"redeem", "stranger", `{"permits":["p"]}`, 403, ""},
		"NobodyKnowsWho":   {"report", "lost", `{"outcomes":[]}`, 503, ""},
		"NobodyAtAll":      {"draw", "pod-1", `{"max":0}`, 422, "max"},
		"TooMany":          {"draw", "pod-1", `{"max":1001}`, 422, "max"},
		"TooLongAWait":     {"draw", "pod-1", `{"max":1,"wait":"61s"}`, 422, "wait"},
		"AWaitOfNothing":   {"draw", "pod-1", `{"max":1,"wait":"soon"}`, 422, "wait"},
		"ACampaignChosen":  {"draw", "pod-1", `{"max":1,"campaign":"autumn"}`, 400, "campaign"},
		"NoPermits":        {"redeem", "pod-1", `{"permits":[]}`, 422, "permits"},
		"TooManyPermits":   {"redeem", "pod-1", `{"permits":` + many + `}`, 422, "permits"},
		"TooLarge":         {"redeem", "pod-1", `{"permits":["` + strings.Repeat("p", maxPermitBody) + `"]}`, 413, "body"},
		"NoOutcomes":       {"report", "pod-1", `{"outcomes":[]}`, 422, "outcomes"},
		"AnUnknownOutcome": {"report", "pod-1", `{"outcomes":[{"permit":"p","outcome":"Opened"}]}`, 422, "outcomes[0].outcome"},
		"AnAddress":        {"report", "pod-1", `{"outcomes":[{"permit":"p","outcome":"Sent","detail":"to secret@example.org"}]}`, 422, "outcomes[0].detail"},
	} {
		t.Run(name, func(t *testing.T) {
			status, header, text := h.ask("POST", "/v1/permits/"+tc.verb, tc.token, tc.body)
			var p Problem
			if err := json.Unmarshal([]byte(text), &p); err != nil || status != tc.status || p.Field != tc.field || p.Remedy == "" {
				t.Errorf("got %d %s; want %d, field %q", status, text, tc.status, tc.field)
			}
			if status == 401 && header.Get("WWW-Authenticate") == "" {
				t.Error("nobody says how to authenticate")
			}
			if strings.Contains(text, "secret") {
				t.Errorf("the problem repeats an address: %s", text)
			}
		})
	}
	for line, want := range map[string]int{
		`"request refused" "route"="POST /v1/permits/draw" "user"="" "pod"="" "remote"="127.0.0.1"`:                                                2,
		`"request refused" "route"="POST /v1/permits/redeem" "user"="system:serviceaccount:acme-shop:stranger" "pod"="pod-9" "remote"="127.0.0.1"`: 1,
		`"reason"="unauthenticated"`: 2, `"reason"="forbidden"`: 1, `"reason"="unknown"`: 1,
	} {
		if n := strings.Count(h.logs.String(), line); n != want {
			t.Errorf("%d lines for auditors with %s, want %d: %s", n, line, want, h.logs)
		}
	}
	w.change(func() { w.problem = fmt.Errorf("%w: the Job is not released", ErrForbidden) })
	if status, _, text := h.ask("POST", "/v1/permits/draw", "pod-1", `{"max":1}`); status != 403 || !strings.Contains(h.logs.String(), "the Job is not released") {
		t.Errorf("a Job that is not released: %d %s", status, text)
	}
	w.change(func() { w.problem = errors.New("the fence did not come by") })
	if status, header, text := h.ask("POST", "/v1/permits/draw", "pod-1", `{"max":1}`); status != 503 || header.Get("Retry-After") == "" {
		t.Errorf("nobody knows: %d %s", status, text)
	}
	if h.ledger.Sequence() != 0 {
		t.Error("something was written")
	}
}

func TestAGateThatGoesAwayAnswersWhoWaits(t *testing.T) {
	h, w := newPermitHouse(t, "c-1")
	w.until = noon.Add(time.Hour)
	w.says("c-1", paused)
	answered := make(chan int)
	go func() {
		status, _, _ := h.ask("POST", "/v1/permits/draw", "pod-1", `{"max":1,"wait":"60s"}`)
		answered <- status
	}()
	h.server.Drain()
	if status := <-answered; status != http.StatusOK {
		t.Errorf("got %d", status)
	}
}

func TestPermitsBehindAFullDisk(t *testing.T) {
	h := houseAt(t, t.TempDir()+"/contacts.db", "127.0.0.1:0", 1<<20)
	var everybody []string
	for i := range 5000 {
		everybody = append(everybody, fmt.Sprintf("c-%04d", i))
	}
	w := newTown(everybody...)
	h.server.Give(pods{"pod-1": pod(1, "spring")}, NewDesk(DeskOptions{Ledger: h.ledger, World: w, Clock: w.clock, Log: logr.Discard()}))
	drawn, status := 0, 200
	for status == http.StatusOK && drawn <= len(everybody) {
		var d Drawn
		var text string
		status, _, text = h.ask("POST", "/v1/permits/draw", "pod-1", `{"max":1000}`)
		if status == http.StatusOK {
			if err := json.Unmarshal([]byte(text), &d); err != nil {
				t.Fatal(err)
			}
			drawn += len(d.Permits)
		}
	}
	if status != http.StatusInsufficientStorage || uint64(drawn) > h.ledger.Sequence() {
		t.Errorf("%d after %d permits of %d records", status, drawn, h.ledger.Sequence())
	}
}

func TestAGateWithoutPermitsSaysSo(t *testing.T) {
	h := newHouse(t)
	if status, _, text := h.ask("POST", "/v1/permits/draw", "pod-1", `{"max":1}`); status != http.StatusServiceUnavailable {
		t.Errorf("got %d %s", status, text)
	}
}
