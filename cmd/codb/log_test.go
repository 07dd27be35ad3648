package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"k8s.io/klog/v2/textlogger"
)

func TestTheLogHasChangesAndNoNoise(t *testing.T) {
	var out bytes.Buffer
	l := newLogger(textlogger.Output(&out)).WithName("x").WithValues("k", "v")
	l.Info("Starting EventSource", "source", "y")
	l.Info("Verdict changed", "is", "Held")
	l.Error(errors.New("broken"), "Starting EventSource")
	l.V(1).Info("too much")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines:\n%s", len(lines), out.String())
	}
	for i, want := range []string{`"Verdict changed" logger="x" k="v" is="Held"`, `"Starting EventSource" err="broken"`} {
		if !strings.Contains(lines[i], want) || !strings.Contains(lines[i], "log_test.go:") {
			t.Errorf("line %d is %s, want %s, and where it was said", i, lines[i], want)
		}
	}
}
