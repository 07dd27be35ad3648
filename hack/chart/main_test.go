package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

const chart = "../../config/helm/codb/templates"

// TestChartIsUpToDate compares the templates with the manifests; go generate
// ./config writes them anew.
func TestChartIsUpToDate(t *testing.T) {
	templates, err := render()
	if err != nil {
		t.Fatal(err)
	}
	there, err := filepath.Glob(filepath.Join(chart, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(there) != len(templates) {
		t.Errorf("the chart has %d templates, want %d", len(there), len(templates))
	}
	for name, want := range templates {
		if got, err := os.ReadFile(filepath.Join(chart, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs from config (%v); run: go generate ./config", name, err)
		}
	}
}

// TestEveryValueIsUsed: a field that was renamed must not become fixed unseen.
func TestEveryValueIsUsed(t *testing.T) {
	templates, err := render()
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for _, text := range templates {
		all = append(all, text...)
	}
	for _, v := range values {
		if !bytes.Contains(all, []byte("{{ "+v.action+" }}")) {
			t.Errorf("%s of %s is no value any more", v.path, v.object)
		}
	}
	for _, places := range []map[string]string{texts, inPostgreSQL} {
		for place, filled := range places {
			if !bytes.Contains(all, []byte(filled)) {
				t.Errorf("%q can't be filled in any more", place)
			}
		}
	}
	for line, condition := range optional {
		if !bytes.Contains(all, []byte(only(condition, line))) {
			t.Errorf("%q can't be left out any more", line)
		}
	}
}
