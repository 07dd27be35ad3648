package main

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAnImportSaysHowToReachTheGate(t *testing.T) {
	up, other, gone := tlsServer(t), tlsServer(t), tlsServer(t)
	ours := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: up.Certificate().Raw}))
	gone.Close()
	silent := httptest.NewServer(http.NotFoundHandler()) // speaks no TLS
	t.Cleanup(silent.Close)
	for name, c := range map[string]struct {
		at      address
		refused bool
	}{
		"the gate answers":                      {at: address{url: up.URL, ca: ours}},
		"nobody answers":                        {at: address{url: gone.URL, ca: ours}, refused: true},
		"somebody whom its authority knows not": {at: address{url: other.URL, ca: ""}, refused: true},
		"somebody who shows no certificate":     {at: address{url: strings.Replace(silent.URL, "http:", "https:", 1), ca: ours}, refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.at.reach(t.Context())
			if (err != nil) != c.refused {
				t.Fatalf("got %v, want refused %v", err, c.refused)
			}
			if c.refused && (!strings.Contains(err.Error(), c.at.url) || !strings.Contains(err.Error(), "port-forward svc/codb-gate 8443:443 and give --gate")) {
				t.Errorf("%v: want where it looked and what to do", err)
			}
		})
	}
}

func tlsServer(t *testing.T) *httptest.Server {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	return s
}
