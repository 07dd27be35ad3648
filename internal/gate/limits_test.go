package gate

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
)

// post asks for permits without a connection in between.
func (o *office) post(s *Server, verb, body string) (int, http.Header, Problem) {
	o.Helper()
	req := httptest.NewRequestWithContext(o.Context(), http.MethodPost, "/v1/permits/"+verb, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer pod-1")
	req.Header.Set("Content-Type", "application/json")
	res := httptest.NewRecorder()
	s.ServeHTTP(res, req)
	var p Problem
	if res.Code != http.StatusOK {
		if err := json.Unmarshal(res.Body.Bytes(), &p); err != nil {
			o.Error(err)
		}
	}
	return res.Code, res.Header(), p
}

func (o *office) server(w World) *Server {
	s := NewServer(ServerOptions{Ledger: o.file, Log: logr.Discard()})
	s.Give(pods{"pod-1": pod(1, "spring")}, NewDesk(DeskOptions{Ledger: o.file, World: w, Clock: o.town.clock, Log: logr.Discard()}))
	return s
}

// silent is a World that never finds out what is true.
type silent struct{ World }

func (silent) Current(ctx context.Context, _ Holder) (*Case, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestNobodyWaitsForADecisionForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, "c-1")
		s := o.server(silent{o.town})
		for verb, body := range map[string]string{"draw": `{"max":1}`, "redeem": `{"permits":["p"]}`} {
			began := time.Now()
			status, header, p := o.post(s, verb, body)
			if took := time.Since(began); status != http.StatusServiceUnavailable || p.Type != ProblemBusy || header.Get("Retry-After") == "" || took != decideTime {
				t.Errorf("%s: %d %+v after %s", verb, status, p, took)
			}
		}
	})
}

// Whoever finds all places taken waits a little, and is told to come again.
func TestWhoFindsNoPlaceIsToldSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, "c-1")
		s := o.server(o.town)
		for verb, tc := range map[string]struct {
			places chan struct{}
			body   string
		}{"draw": {s.draws, `{"max":1}`}, "redeem": {s.redeems, `{"permits":["p"]}`}, "report": {s.redeems, `{"outcomes":[{"permit":"p","outcome":"Sent"}]}`}, "release": {s.redeems, `{"permits":["p"]}`}} {
			for range cap(tc.places) {
				tc.places <- struct{}{}
			}
			began := time.Now()
			status, header, p := o.post(s, verb, tc.body)
			if took := time.Since(began); status != http.StatusServiceUnavailable || p.Type != ProblemBusy || header.Get("Retry-After") == "" || took != requestTime/4 {
				t.Errorf("%s: %d %+v after %s", verb, status, p, took)
			}
			time.AfterFunc(time.Second, func() { <-tc.places })
			if status, _, p := o.post(s, verb, tc.body); status != http.StatusOK {
				t.Errorf("%s, with a place: %d %+v", verb, status, p)
			}
			for len(tc.places) > 0 {
				<-tc.places
			}
		}
	})
}

// pipes is a listener without a network.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

func TestWhoSaysLittleIsCutOff(t *testing.T) {
	head := "POST /v1/permits/draw HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer pod-1\r\nContent-Type: application/json\r\n"
	for name, tc := range map[string]struct {
		says string
		ends time.Duration
	}{
		"NothingAtAll":     {"", 5 * time.Second},
		"HalfOfTheHeaders": {head, 5 * time.Second},
		"HalfOfTheBody":    {head + fmt.Sprintf("Content-Length: %d\r\n\r\n{", 20), requestTime},
		"NothingMore":      {"GET /healthz HTTP/1.1\r\nHost: gate\r\n\r\n", 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOffice(t, "c-1")
				server, l := o.server(o.town).http(), make(pipes)
				ended := make(chan error)
				go func() { ended <- server.Serve(l) }()
				there, here := net.Pipe()
				l <- there
				began := time.Now()
				go func() { _, _ = io.WriteString(here, tc.says) }()
				_, _ = io.Copy(io.Discard, here) // until it is closed
				if took := time.Since(began); took != tc.ends {
					t.Errorf("cut off after %s, want %s", took, tc.ends)
				}
				close(l)
				<-ended
				_ = here.Close()
			})
		})
	}
}
