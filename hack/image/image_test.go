package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// TestSameSourceIsTheSameImage builds one snapshot of the module twice, from
// two folders.
func TestSameSourceIsTheSameImage(t *testing.T) {
	here := options{root: t.TempDir(), out: t.TempDir(), tag: "localhost/codb:dev", arch: "amd64", programs: []string{"codb", "codb-run"}}
	elsewhere := here
	elsewhere.root, elsewhere.out = t.TempDir(), t.TempDir()
	copySource(t, "../..", here.root)
	copySource(t, here.root, elsewhere.root)
	first, err := build(here)
	if err != nil {
		t.Fatal(err)
	}
	second, err := build(elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	if first != second {
		t.Errorf("two builds gave %s and %s, want one digest", first, second)
	}
	looksAsItShould(t, here, first)
	listsEveryModule(t, here)
}

// TestTheLayerEndsAsATarDoes, in two blocks of zeros, which Go's own reader
// does not miss.
func TestTheLayerEndsAsATarDoes(t *testing.T) {
	raw, err := files([]file{{"codb", []byte("program"), 0o755}})
	if err != nil {
		t.Fatal(err)
	}
	if len(raw)%512 != 0 || !bytes.HasSuffix(raw, make([]byte, 1024)) {
		t.Errorf("the archive ends after %d bytes in %q", len(raw), raw[max(0, len(raw)-16):])
	}
}

func copySource(t *testing.T, from, to string) {
	t.Helper()
	for _, dir := range []string{"api", "cmd", "config", "controllers", "internal", "policies"} {
		if err := os.CopyFS(filepath.Join(to, dir), os.DirFS(filepath.Join(from, dir))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		raw, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func looksAsItShould(t *testing.T, o options, digest string) {
	t.Helper()
	img, err := tarball.ImageFromPath(filepath.Join(o.out, "codb.tar"), nil)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if len(layers) != 1 || config.Config.User != user || strings.Join(config.Config.Entrypoint, " ") != "/codb" {
		t.Errorf("got %d layers, user %q, entrypoint %q; want 1, %q, /codb", len(layers), config.Config.User, config.Config.Entrypoint, user)
	}
	if !config.Created.IsZero() {
		t.Errorf("the image says when it was built: %s", config.Created)
	}
	if !strings.HasPrefix(digest, "sha256:") {
		t.Errorf("digest %q, want sha256:...", digest)
	}
}

func listsEveryModule(t *testing.T, o options) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(o.out, "codb.spdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	var doc document
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for _, p := range doc.Packages {
		ids[p.Name] = p.SPDXID
		if p.Name == "github.com/open-policy-agent/opa" && p.Version == "" {
			t.Error("OPA has no version")
		}
	}
	contains := map[[2]string]bool{}
	for _, r := range doc.Relationships {
		contains[[2]string{r.From, r.To}] = true
	}
	const codb, run = "github.com/codb-dev/codb/cmd/codb", "github.com/codb-dev/codb/cmd/codb-run"
	for _, tc := range []struct {
		program, module string
		want            bool
	}{
		{codb, "stdlib", true}, {codb, "github.com/open-policy-agent/opa", true}, {codb, "k8s.io/client-go", true},
		{run, "stdlib", true}, {run, "github.com/cenkalti/backoff/v5", true}, {run, "k8s.io/client-go", false}, {run, "k8s.io/apimachinery", false},
	} {
		if ids[tc.program] == "" || ids[tc.module] == "" || contains[[2]string{ids[tc.program], ids[tc.module]}] != tc.want {
			t.Errorf("%s contains %s: want %v; they are %q and %q", tc.program, tc.module, tc.want, ids[tc.program], ids[tc.module])
		}
	}
}
