package gate

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/ledger"
	"github.com/codb-dev/codb/internal/permit"
	"github.com/codb-dev/codb/test/postgres"
)

// While the ledger's database is down nobody is contacted, whoever holds a
// permit; the gate says why, and goes on by itself where it was.
func TestPermitsWhileTheDatabaseIsDown(t *testing.T) {
	proxy := postgres.Behind(t, postgres.Place(t))
	w := newTown("c-1", "c-2")
	store, err := ledger.OpenDatabase(t.Context(), proxy.URL(), ledger.DatabaseOptions{Clock: w.clock, Patience: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	s := NewServer(ServerOptions{Ledger: store, Log: logr.Discard()})
	s.Give(pods{"pod-1": pod(1, "spring")}, NewDesk(DeskOptions{Ledger: store, World: w, Clock: w.clock, Log: logr.Discard()}))
	ask := func(verb, body string, into any) int {
		t.Helper()
		req := httptest.NewRequest(http.MethodPost, "/v1/permits/"+verb, strings.NewReader(body))
		req.Header.Set("Authorization", "Bearer pod-1")
		req.Header.Set("Content-Type", "application/json")
		res := httptest.NewRecorder()
		s.ServeHTTP(res, req)
		if err := json.Unmarshal(res.Body.Bytes(), into); err != nil {
			t.Fatal(err)
		}
		return res.Code
	}
	var d Drawn
	if status := ask("draw", `{"max":1}`, &d); status != http.StatusOK || len(d.Permits) != 1 {
		t.Fatalf("drawn: %d %+v", status, d)
	}
	redeem := fmt.Sprintf(`{"permits":[%q]}`, d.Permits[0].Permit)
	proxy.Down(true)
	for verb, body := range map[string]string{
		"draw": `{"max":1}`, "redeem": redeem, "report": fmt.Sprintf(`{"outcomes":[{"permit":%q,"outcome":"Sent"}]}`, d.Permits[0].Permit),
	} {
		var p Problem
		if status := ask(verb, body, &p); status != http.StatusServiceUnavailable || p.Detail != contacts.ErrUnavailable.Error() {
			t.Errorf("%s: %d %+v", verb, status, p)
		}
	}
	proxy.Down(false)
	var r redeemResponse
	if status := ask("redeem", redeem, &r); status != http.StatusOK || r.Results[0].State != permit.Redeemed {
		t.Errorf("afterwards: %d %+v", status, r)
	}
	if status := ask("draw", `{"max":9}`, &d); status != http.StatusOK || len(d.Permits) != 1 {
		t.Errorf("the other: %d %+v", status, d)
	}
}
