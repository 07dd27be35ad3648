package gate

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/permit"
)

// talk is a client's end of a stream.
type talk struct {
	t     testing.TB
	in    *io.PipeWriter
	body  io.ReadCloser
	lines *bufio.Scanner
}

func (h *house) stream(token string) *talk {
	h.t.Helper()
	out, in := io.Pipe()
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.listener.URL()+streamPath, out)
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", streamKind)
	res, err := h.plain().Do(req) //nolint:bodyclose // talk closes it
	if err != nil || res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != streamKind {
		h.t.Fatalf("open a stream: %v, %v", res, err)
	}
	k := &talk{t: h.t, in: in, body: res.Body, lines: bufio.NewScanner(res.Body)}
	h.t.Cleanup(k.close)
	return k
}

func (k *talk) close() {
	_ = k.in.Close()
	_ = k.body.Close()
}

func (k *talk) ask(format string, a ...any) {
	k.t.Helper()
	line := fmt.Sprintf(format, a...)
	asDescribed(k.t, "#/components/schemas/StreamQuestion", []byte(line))
	if _, err := fmt.Fprintln(k.in, line); err != nil {
		k.t.Fatalf("ask: %v", err)
	}
}

// hear is the next answer; nil at the end of the stream.
func (k *talk) hear() *streamAnswer {
	k.t.Helper()
	if !k.lines.Scan() {
		return nil
	}
	asDescribed(k.t, "#/components/schemas/StreamAnswer", k.lines.Bytes())
	a := &streamAnswer{}
	if err := json.Unmarshal(k.lines.Bytes(), a); err != nil {
		k.t.Fatalf("%s: %v", k.lines.Bytes(), err)
	}
	return a
}

func TestAStreamDoesWhatRequestsDo(t *testing.T) {
	h, w := newPermitHouse(t, "c-1", "c-2", "c-3")
	k := h.stream("pod-1")
	k.ask(`{"id":"d","draw":{"max":3}}`)
	d := k.hear()
	if d.ID != "d" || d.Draw == nil || len(d.Draw.Permits) != 3 {
		t.Fatalf("drawn: %+v", d)
	}
	p := ids(d.Draw)
	w.says(d.Draw.Permits[0].Principal, no)
	k.ask(`{"id":"r","redeem":{"permits":[%q,%q]}}`, p[0], p[1])
	if r := k.hear(); r.ID != "r" || r.Redeem.Results[0].State != permit.Refused || r.Redeem.Results[1].State != permit.Redeemed {
		t.Errorf("redeemed: %+v", r)
	}
	k.ask(`{"id":"s","report":{"outcomes":[{"permit":%q,"outcome":"Sent"}]}}`, p[1])
	if r := k.hear(); r.ID != "s" || !r.Report.Results[0].Recorded {
		t.Errorf("reported: %+v", r)
	}
	k.ask(`{"id":"g","release":{"permits":[%q]}}`, p[2])
	if r := k.hear(); r.ID != "g" || r.Release.Results[0].State != permit.Released {
		t.Errorf("released: %+v", r)
	}
	if _, err := fmt.Fprintln(k.in, `{"id":"bad","redeem":{"permits":[]}}`); err != nil {
		t.Fatal(err)
	}
	if r := k.hear(); r.ID != "bad" || r.Problem == nil || r.Problem.Field != "permits" {
		t.Errorf("a question that fails: %+v", r)
	}
	k.ask(`{"id":"on","draw":{"max":1}}`)
	if r := k.hear(); r.ID != "on" || len(r.Draw.Permits) != 1 {
		t.Errorf("after it: %+v", r)
	}
	_ = k.in.Close()
	if r := k.hear(); r != nil {
		t.Errorf("at the end: %+v", r)
	}
}

// One question waits, and another is answered meanwhile.
func TestAnswersDoNotWaitForEachOther(t *testing.T) {
	h, w := newPermitHouse(t, "c-1", "c-2")
	w.until = noon.Add(time.Hour)
	k := h.stream("pod-1")
	k.ask(`{"id":"1","draw":{"max":1}}`)
	p := ids(k.hear().Draw)
	w.says("c-2", paused)
	k.ask(`{"id":"waits","draw":{"max":1,"wait":"60s"}}`)
	k.ask(`{"id":"now","redeem":{"permits":[%q]}}`, p[0])
	if r := k.hear(); r.ID != "now" || r.Redeem.Results[0].State != permit.Redeemed {
		t.Errorf("answered first: %+v", r)
	}
	h.server.Drain() // who waits is answered, and nobody else is heard
	if r := k.hear(); r == nil || r.ID != "waits" || r.Draw == nil {
		t.Errorf("answered last: %+v", r)
	}
	if r := k.hear(); r != nil {
		t.Errorf("a gate that goes away says %+v", r)
	}
}

// More than eight questions are not read before one is answered.
func TestWhoAsksTooMuchIsSlowedDown(t *testing.T) {
	h, w := newPermitHouse(t, "c-1")
	w.until = noon.Add(time.Hour)
	w.says("c-1", paused)
	k := h.stream("pod-1")
	var asked atomic.Int32
	refused := make(chan error, 1)
	go func() {
		padding := strings.Repeat(" ", 256<<10)
		for i := range 64 { // far more than windows and buffers hold
			if _, err := fmt.Fprintf(k.in, `{"id":"q-%d",%s"draw":{"max":1,"wait":"60s"}}`+"\n", i, padding); err != nil {
				refused <- err
				return
			}
			asked.Add(1)
		}
		refused <- nil
	}()
	for len(h.server.draws) < maxInFlight {
		runtime.Gosched()
	}
	h.server.Drain()
	answers := 0
	for a := k.hear(); a != nil; a = k.hear() {
		answers++
	}
	k.close()
	if err := <-refused; err == nil || answers < maxInFlight || answers > maxInFlight+1 {
		t.Errorf("%d questions were answered, %d taken, and then: %v", answers, asked.Load(), err)
	}
}

// The token is looked at for each question: here its pod is gone at the third.
func TestAStreamIsNoBetterThanItsToken(t *testing.T) {
	h, _ := newPermitHouse(t, "c-1")
	known := pods{"pod-1": pod(1, "spring")}
	h.server.pods = &leaving{pods: known, after: 2}
	k := h.stream("pod-1")
	k.ask(`{"id":"1","draw":{"max":1}}`)
	p := ids(k.hear().Draw)
	k.ask(`{"id":"2","redeem":{"permits":[%q]}}`, p[0])
	if r := k.hear(); r.Problem == nil || r.Problem.Status != http.StatusUnauthorized {
		t.Errorf("after its pod was gone: %+v", r)
	}
	if page, err := h.ledger.After(t.Context(), 0, 9); err != nil || len(page.Records) != 1 || page.Records[0].Event != contacts.Drawn {
		t.Errorf("the ledger has %+v, %v", page.Records, err)
	}
}

// leaving knows pods until it was asked too often.
type leaving struct {
	pods
	after int32
	asked atomic.Int32
}

func (l *leaving) Holder(ctx context.Context, token string) (Holder, error) {
	if l.asked.Add(1) > l.after {
		return Holder{}, ErrUnauthenticated
	}
	return l.pods.Holder(ctx, token)
}

func TestStreamsThatAreRefused(t *testing.T) {
	h, _ := newPermitHouse(t, "c-1")
	for name, line := range map[string]string{
		"NoJSON": "draw", "NoID": `{"draw":{"max":1}}`, "Nothing": `{"id":"1"}`, "TwoThings": `{"id":"1","draw":{"max":1},"redeem":{"permits":["p"]}}`,
		"AnUnknownField": `{"id":"1","draw":{"max":1},"campaign":"autumn"}`, "TooLong": `{"id":"1","draw":{"max":1` + strings.Repeat(" ", maxPermitBody) + `}}`,
	} {
		t.Run(name, func(t *testing.T) {
			k := h.stream("pod-1")
			go func() { _, _ = fmt.Fprintln(k.in, line) }() // the stream may end before all is read
			if r := k.hear(); r == nil || r.Problem == nil || r.Problem.Remedy == "" {
				t.Errorf("got %+v", r)
			}
			if r := k.hear(); r != nil {
				t.Errorf("and then %+v", r)
			}
		})
	}
	for name, tc := range map[string]struct {
		token, kind string
		status      int
	}{
		"NoToken": {"", streamKind, 401}, "AStranger": {"stranger", streamKind, 403}, "AnotherKind": {"pod-1", "application/json", 415},
	} {
		if status, _, text := h.ask("POST", streamPath, tc.token, "", "Content-Type", tc.kind); status != tc.status {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	old := h.plain().Transport.(*http.Transport).Clone()
	old.Protocols, old.ForceAttemptHTTP2 = new(http.Protocols), false
	old.Protocols.SetHTTP1(true)
	old.TLSClientConfig.NextProtos = nil
	defer old.CloseIdleConnections()
	req, err := http.NewRequest(http.MethodPost, h.listener.URL()+streamPath, strings.NewReader("{}\n"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Authorization": {"Bearer pod-1"}, "Content-Type": {streamKind}}
	res, err := (&http.Client{Transport: old}).Do(req)
	if err != nil || errors.Join(err, res.Body.Close()) != nil || res.StatusCode != http.StatusHTTPVersionNotSupported {
		t.Errorf("over HTTP/1.1: %v, %v", res, err)
	}
}
