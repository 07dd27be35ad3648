package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/codb-dev/codb/test/crd"
)

const (
	crds = "../../config/crd/bases"
	docs = "../../docs/reference"
)

func TestPagesAreCurrent(t *testing.T) {
	pages, err := generate(crds, docs)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range pages {
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is not current; run go run ./hack/apidocs (-want +got):\n%s", path, diff)
		}
	}
}

var fence = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// Every example of a page, and every sample that ships, is one that the
// apiserver takes.
func TestExamplesAreAccepted(t *testing.T) {
	kinds, err := crd.Load(crds)
	if err != nil {
		t.Fatal(err)
	}
	for kind := range kinds {
		path := filepath.Join(docs, strings.ToLower(kind)+".md")
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, block := range fence.FindAllSubmatch(page, -1) {
			found = accepted(t, kinds, path, block[1]) == kind || found
		}
		if !found {
			t.Errorf("%s has no example of a %s", path, kind)
		}
	}
	for _, folder := range []string{"samples", "policy"} {
		files, err := filepath.Glob(filepath.Join("../../config", folder, "*.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			accepted(t, kinds, file, raw)
		}
	}
}

// accepted checks every document of a file and returns the last one's kind.
func accepted(t *testing.T, kinds map[string]*crd.Kind, file string, raw []byte) (kind string) {
	t.Helper()
	for doc := range strings.SplitSeq(string(raw), "\n---\n") {
		object, err := crd.Decode([]byte(doc))
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		kind, _ = object["kind"].(string)
		version, _ := object["apiVersion"].(string)
		if !strings.HasPrefix(version, "consent.codb.dev/") {
			continue
		}
		if kinds[kind] == nil {
			t.Errorf("%s: no such kind: %s", file, kind)
			continue
		}
		for _, wrong := range kinds[kind].Check(object, nil) {
			t.Errorf("%s: %s: %s", file, kind, wrong)
		}
	}
	return kind
}
