package gate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// fuzzed is a house in which one customer has said no, for all inputs: a new one
// takes longer than asking it. When everybody has been drawn, nobody is.
func fuzzed(f *testing.F) *house {
	f.Helper()
	people := []string{"c-no"}
	for n := range 5000 {
		people = append(people, fmt.Sprint("c-", n))
	}
	h, w := newPermitHouse(f, people...)
	w.says("c-no", no)
	return h
}

// input is data in which the fuzzer calls $0 and $1 what are two permits that the
// pod has just drawn. Nobody waits in it.
func (h *house) input(t *testing.T, data []byte) []byte {
	t.Helper()
	h.t = t
	var d Drawn
	h.permits("draw", `{"max":2}`, &d)
	for n, id := range ids(&d) {
		data = bytes.ReplaceAll(data, []byte{'$', '0' + byte(n)}, []byte(id))
	}
	return bytes.ReplaceAll(data, []byte("wait"), []byte("late"))
}

// sound checks what the gate said of anything: an answer or a problem with a type,
// no fault of the gate's own, and nobody who said no.
func sound(t *testing.T, h *house, status int, text string) {
	t.Helper()
	var p Problem
	if status >= http.StatusInternalServerError || status >= http.StatusBadRequest && (json.Unmarshal([]byte(text), &p) != nil || p.Type == "") {
		t.Errorf("%d: %s", status, text)
	}
	if strings.Contains(text, "c-no") || strings.Contains(h.logs.String(), "c-no") {
		t.Errorf("who said no is named: %s", text)
	}
}

// FuzzRequests sends any body to each of the routes that take one, as a pod and as
// the operator.
func FuzzRequests(f *testing.F) {
	posts := slices.DeleteFunc(slices.Clone(routes), func(r route) bool { return r.method != http.MethodPost || r.endless })
	for n, body := range []string{
		`{"records":[{"key":"k","at":"2026-06-15T12:00:00Z","principal":"c-1","brand":"acme","channel":"Email","event":"Sent"}]}`,
		`{"events":[{"key":"k","at":"2026-06-15T12:00:00Z","principal":"c-1","brand":"acme","event":"Purchase"}]}`,
		`{"max":1000}`, `{"permits":["$0","$1","$0"]}`, `{"outcomes":[{"permit":"$0","outcome":"Sent","detail":"c-1"}]}`, `{"permits":["$1"]}`,
		`{"max":-1,"wait":"-1s"}`, `{"permits":[null,1,{}]}`, `{"outcomes":null}`, `[]`, "\x00", strings.Repeat(`{"max":`, 10000), `{"max":1e400}`, `{"permits":["` + strings.Repeat("a", 70000) + `"]}`,
	} {
		f.Add(uint8(n), []byte(body))
	}
	h := fuzzed(f)
	f.Fuzz(func(t *testing.T, n uint8, body []byte) {
		r := posts[int(n)%len(posts)]
		body = h.input(t, body)
		for _, token := range []string{"pod-1", "operator", "nobody", ""} {
			req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, r.path, bytes.NewReader(body))
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Bearer "+token)
			w := httptest.NewRecorder()
			h.server.ServeHTTP(w, req)
			if token == "" || token == "nobody" {
				if w.Code < http.StatusBadRequest {
					t.Errorf("%s takes this of %q: %d", r.path, token, w.Code)
				}
				continue
			}
			sound(t, h, w.Code, w.Body.String())
		}
	})
}

// FuzzStream sends any lines to a stream. Each that is understood is answered once,
// and the stream ends.
func FuzzStream(f *testing.F) {
	for _, lines := range []string{
		`{"id":"d","draw":{"max":3}}` + "\n" + `{"id":"r","redeem":{"permits":["$0","$0"]}}` + "\n" + `{"id":"s","report":{"outcomes":[{"permit":"$0","outcome":"Sent"}]}}` + "\n",
		`{"id":"g","release":{"permits":["$1"]}}` + "\n\n\r\n" + `{"id":"g","draw":{"max":1},"redeem":{"permits":["$1"]}}`,
		`{"id":""}`, `{"id":"x"}` + "\n" + `{"id":"y","draw":{}}`, "null\n", "{}\n{}\n", "\xff\xfe\n", strings.Repeat("[", 100000) + "\n", `{"id":"d","draw":{"max":1}}{"id":"e","draw":{"max":1}}` + "\n",
		strings.Repeat(`{"id":"d","draw":{"max":0}}`+"\n", 40), strings.Repeat("x", maxPermitBody+1) + "\n",
	} {
		f.Add([]byte(lines))
	}
	h := fuzzed(f)
	f.Fuzz(func(t *testing.T, lines []byte) {
		lines = h.input(t, lines)
		k := h.stream("pod-1")
		go func() {
			_, _ = io.Copy(k.in, bytes.NewReader(lines)) // the gate may have ended it
			_ = k.in.Close()
		}()
		heard := 0
		for a := k.hear(); a != nil; a = k.hear() {
			heard++
			status := http.StatusOK
			if a.Problem != nil {
				status = a.Problem.Status
			}
			text, err := json.Marshal(a)
			if err != nil {
				t.Fatal(err)
			}
			if a.Problem != nil {
				text, _ = json.Marshal(a.Problem)
			}
			sound(t, h, status, string(text))
		}
		if asked := bytes.Count(lines, []byte("\n")) + 1; heard > asked {
			t.Errorf("%d answers to %d lines", heard, asked)
		}
	})
}
