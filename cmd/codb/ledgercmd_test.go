package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// ledgerVerb runs codb ledger.
func ledgerVerb(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	c := root()
	c.SetArgs(append([]string{"ledger"}, args...))
	c.SetOut(&out)
	err := c.ExecuteContext(context.WithoutCancel(t.Context()))
	return out.String(), err
}

// A ledger is backed up while its gate hands out permits, comes back elsewhere,
// and contacts nobody there until somebody vouches.
func TestALedgerIsBackedUpAndComesBack(t *testing.T) {
	w := newWorld(t)
	w.customer(0)
	w.becomes(w.campaign("spring", draws), v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
	if drawn, _ := w.podOf("spring").draw(1, "20s"); len(drawn) != 1 {
		t.Fatalf("drawn: %v", drawn)
	}
	from, err := dialGate(w.ctx, env.Config, env.Client, "", backupAccount)
	if err != nil {
		t.Fatal(err)
	}
	saved, there := filepath.Join(t.TempDir(), "ledger.gz"), t.TempDir()
	if n, err := backUp(w.ctx, from, saved); err != nil || n == 0 {
		t.Fatalf("backed up: %d records, %v", n, err)
	}
	if _, err := ledgerVerb(t, "vouch", "--data", there, "--because", "nothing was sent"); err == nil {
		t.Error("vouched for a ledger that lacks nothing")
	}
	for range 2 { // the second time nothing is left to do
		out, err := ledgerVerb(t, "restore", "--data", there, "--from", saved)
		if err != nil || !strings.Contains(out, "is not known") {
			t.Fatalf("restored: %s, %v", out, err)
		}
	}
	if out, err := ledgerVerb(t, "vouch", "--data", there, "--because", "nothing was sent"); err != nil {
		t.Errorf("vouched: %s, %v", out, err)
	}
	if out, err := ledgerVerb(t, "renew", "--data", there); err != nil || !strings.Contains(out, "restart the gates") {
		t.Errorf("renewed: %s, %v", out, err)
	}
	if _, err := ledgerVerb(t, "backup", "--data", there, "--to", filepath.Join(there, "again.gz")); err != nil {
		t.Errorf("backed up where no gate runs: %v", err)
	}
}
