// Package hack tests the scripts beside it. It does not know codb.
package hack

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha512"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestAssetsComeFromAMirror: what the index of CODB_ENVTEST_INDEX offers is
// downloaded, and only the controllers, which it lacks, are built.
func TestAssetsComeFromAMirror(t *testing.T) {
	got, _, built := assets(t, mirror(t, "etcd", "kube-apiserver", "kubectl").URL+"/index.yaml")
	for _, name := range []string{"etcd", "kube-apiserver", "kubectl"} {
		if raw, err := os.ReadFile(filepath.Join(got, name)); err != nil || string(raw) != "downloaded "+name {
			t.Errorf("%s is %q (%v), want the downloaded one", name, raw, err)
		}
	}
	if raw, err := os.ReadFile(filepath.Join(got, "kube-controller-manager")); err != nil || string(raw) != "built" {
		t.Errorf("kube-controller-manager is %q (%v), want the built one", raw, err)
	}
	if want := "--only kube-controller-manager\n"; built != want {
		t.Errorf("hack/cluster was asked for %q, want %q", built, want)
	}
}

// TestAssetsAreBuiltWithoutANetwork: nobody listens at the index's address.
func TestAssetsAreBuiltWithoutANetwork(t *testing.T) {
	gone := mirror(t)
	gone.Close()
	got, said, built := assets(t, gone.URL+"/index.yaml")
	if _, err := os.Stat(filepath.Join(got, "kube-controller-manager")); err != nil || built != "\n" {
		t.Errorf("got %s (%v), hack/cluster was asked for %q; want everything to be built", got, err, built)
	}
	if !strings.Contains(said, gone.URL) || !strings.Contains(said, "connection refused") {
		t.Errorf("it says %q, want where it looked and why that failed", said)
	}
}

// mirror serves an index with one release and its archive.
func mirror(t *testing.T, names ...string) *httptest.Server {
	t.Helper()
	var archive strings.Builder
	zipped := gzip.NewWriter(&archive)
	w := tar.NewWriter(zipped)
	for _, name := range names {
		content := "downloaded " + name
		if err := w.WriteHeader(&tar.Header{Name: "controller-tools/envtest/" + name, Mode: 0o755, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	file := fmt.Sprintf("envtest-v1.37.9-%s-%s.tar.gz", runtime.GOOS, runtime.GOARCH)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/index.yaml":
			fmt.Fprintf(w, "releases:\n  v1.37.9:\n    %s:\n      hash: %x\n      selfLink: http://%s/%[1]s\n",
				file, sha512.Sum512([]byte(archive.String())), r.Host)
		case "/" + file:
			_, _ = w.Write([]byte(archive.String()))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

// assets runs assets.sh with an empty cache. A stand-in for go builds nothing
// and writes down what hack/cluster was asked for; else it is go.
func assets(t *testing.T, index string) (folder, said, built string) {
	t.Helper()
	real, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "kube-controller-manager"), []byte("built"), 0o755); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf(`#!/bin/sh
if [ "$1 $2" = "-C hack/cluster" ]; then
	shift 5
	echo "$@" >>%[1]q/asked
	echo %[1]q
else
	exec %[2]q "$@"
fi
`, dir, real)
	if err := os.WriteFile(filepath.Join(dir, "go"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("./assets.sh")
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "KUBEBUILDER_ASSETS=",
		"CODB_CACHE="+filepath.Join(dir, "cache"), "CODB_ENVTEST_INDEX="+index)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("assets.sh: %v: %s", err, &errs)
	}
	asked, err := os.ReadFile(filepath.Join(dir, "asked"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out)), errs.String(), string(asked)
}
