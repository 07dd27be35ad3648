package docs

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// The pages run codb standalone, which serves the metrics of both processes
// together. A gate in a process of its own must serve its part of them, with
// its own rights and nothing of the operator.
func TestAGateServesItsMetrics(t *testing.T) {
	w := newTerminal(t)
	install, err := w.command(t.Context(), &Page{}, "codb install")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("install: %v: %s", err, out)
	}
	at := freeAddress(t)
	self := &Page{User: "system:serviceaccount:" + v1alpha1.SystemNamespace + ":codb-gate", Groups: []string{"system:serviceaccounts"}}
	gate, err := w.command(context.Background(), self, "exec codb gate --address "+at+" --metrics-address "+w.metrics+" --data "+filepath.Join(w.dir, "ledger"))
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	gate.Stdout, gate.Stderr = &log, &log
	if err := gate.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = gate.Process.Kill()
		_ = gate.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})

	// Somebody whom it does not know asks it something: that is counted.
	stranger := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // this is about numbers
	text := ""
	wait(t, func() bool {
		if _, err := read(stranger, "https://"+at+"/v1/contacts"); err != nil {
			return false
		}
		text, err = read(http.DefaultClient, "http://"+w.metrics+"/metrics")
		return err == nil && strings.Contains(text, "consent_gate_requests_total{")
	})

	page, err := os.ReadFile(filepath.Join(root, "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	has, listed := names(served, text), names(documented, string(page))
	for _, name := range has {
		if !slices.Contains(listed, name) {
			t.Errorf("docs/operations.md does not list %s", name)
		}
	}
	for _, name := range listed {
		own := strings.HasPrefix(name, "consent_ledger_") || strings.HasPrefix(name, "consent_gate_") && !strings.HasPrefix(name, "consent_gate_feed_")
		if own && !slices.Contains(has, name) {
			t.Errorf("the gate does not serve %s", name)
		}
	}
	// Alerts ask by how much these grew: what is born with the first failure
	// never grew.
	for _, sample := range []string{
		`consent_ledger_records_total{result="failed"} 0`, `consent_ledger_records_total{result="full"} 0`, `consent_ledger_records_total{result="conflict"} 0`,
		`consent_gate_refusals_total{reason="forbidden"} 0`,
	} {
		if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(sample) + `$`).MatchString(text) {
			t.Errorf("it does not serve %s before anything happens", sample)
		}
	}
	if !strings.Contains(text, `consent_gate_refusals_total{reason="unauthenticated"} 1`) {
		t.Error("the stranger was not counted")
	}
}

func read(c *http.Client, url string) (string, error) {
	resp, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	return string(raw), err
}

// wait asks until it is so, a minute at most.
func wait(t *testing.T, so func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !so(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain")
		}
	}
}
