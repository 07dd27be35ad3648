package main

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// The versions that the go.mod files require; a test compares them.
const (
	etcdVersion    = "v3.7.3"
	corednsVersion = "v1.15.0"
)

// release is one version of Kubernetes.
type release struct {
	version string
	dir     string // folder with the go.mod that requires it, relative to this module
}

// releases are those that can be built: the newest, and the oldest supported.
var releases = []release{{"v1.37.1", "."}, {"v1.34.4", "kubernetes/v1.34"}}

// findRelease takes 1.34, v1.34 or v1.34.4; nothing is the newest.
func findRelease(wanted string) (release, error) {
	var all []string
	for _, r := range releases {
		all = append(all, r.version)
		if wanted == "" || strings.HasPrefix(r.version+".", "v"+strings.TrimPrefix(wanted, "v")+".") {
			return r, nil
		}
	}
	return release{}, fmt.Errorf("--kubernetes %s: there are %s", wanted, strings.Join(all, " and "))
}

// asset is one binary that is built from a Go module.
type asset struct {
	name    string
	pkg     string // import path, as seen from dir
	dir     string // folder with the go.mod to build in, relative to this module
	module  string // module whose version decides whether a cached binary is current
	version string
}

func (r release) asset(name string) asset {
	return asset{name, "k8s.io/kubernetes/cmd/" + name, r.dir, "k8s.io/kubernetes", r.version}
}

// controlPlane is what envtest looks for in KUBEBUILDER_ASSETS, and Kubernetes'
// own controllers, which tests of Jobs need.
func (r release) controlPlane() []asset {
	etcd := asset{"etcd", "go.etcd.io/etcd/server/v3", ".", "go.etcd.io/etcd/server/v3", etcdVersion}
	return []asset{etcd, r.asset("kube-apiserver"), r.asset("kubectl"), r.asset("kube-controller-manager")}
}

// all is what a cluster with a node needs.
func (r release) all() []asset {
	coredns := asset{"coredns", ".", "coredns", "github.com/coredns/coredns", corednsVersion}
	return append(r.controlPlane(), r.asset("kube-scheduler"), r.asset("kubelet"), r.asset("kube-proxy"), coredns)
}

func runAssets(o *options) error {
	r, err := findRelease(o.kubernetes)
	if err != nil {
		return err
	}
	wanted := r.controlPlane()
	switch {
	case o.only != "":
		i := slices.IndexFunc(r.all(), func(a asset) bool { return a.name == o.only })
		if i < 0 {
			return fmt.Errorf("--only: there is no binary %q", o.only)
		}
		wanted = r.all()[i : i+1]
	case o.all && runtime.GOOS == "linux":
		wanted = r.all()
	}
	dir, err := ensureAssets(r, wanted)
	if err != nil {
		return err
	}
	fmt.Println(dir)
	return nil
}

// assetsDir is where the binaries of one Kubernetes version are kept.
// CODB_CACHE replaces ~/.cache/codb, for a CI that saves another folder.
func assetsDir(version string) (string, error) {
	base := os.Getenv("CODB_CACHE")
	if base == "" {
		cache := os.Getenv("XDG_CACHE_HOME")
		if cache == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return "", fmt.Errorf("find the cache folder: %w; set CODB_CACHE", err)
			}
			cache = filepath.Join(home, ".cache")
		}
		base = filepath.Join(cache, "codb")
	}
	return filepath.Abs(filepath.Join(base, "k8s", version))
}

// ensureAssets builds what is missing or of another version and returns the
// folder. Two of them at the same time wait for each other.
func ensureAssets(r release, wanted []asset) (string, error) {
	dir, err := assetsDir(r.version)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(dir)
	if err != nil {
		return "", err
	}
	defer unlock()
	for _, a := range wanted {
		if a.current(dir) {
			continue
		}
		if err := a.build(dir); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// current says whether the cached binary has the wanted version. Go writes it
// into every binary, so no stamp files are needed.
func (a asset) current(dir string) bool {
	info, err := buildinfo.ReadFile(filepath.Join(dir, a.name))
	if err != nil {
		return false
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == a.module {
			return m.Version == a.version
		}
	}
	return false
}

func (a asset) build(dir string) error {
	source, err := moduleDir()
	if err != nil {
		return fmt.Errorf("build %s: %w", a.name, err)
	}
	out := filepath.Join(dir, "."+a.name+".new")
	start := time.Now()
	progress("build %s %s ", a.name, a.version)
	stop := heartbeat(start)
	output, err := goBuild(filepath.Join(source, a.dir), a.pkg, out, a.linkFlags())
	stop()
	if err != nil {
		progress("failed after %s\n", seconds(start))
		return fmt.Errorf("build %s: %w\n%s", a.name, err, output)
	}
	progress("%s\n", seconds(start))
	return os.Rename(out, filepath.Join(dir, a.name))
}

// linkFlags strip the binary and stamp its version: clients refuse to parse
// the version of an unstamped apiserver.
func (a asset) linkFlags() string {
	flags := "-s -w"
	if a.module != "k8s.io/kubernetes" {
		return flags
	}
	parts := strings.Split(strings.TrimPrefix(a.version, "v"), ".")
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		flags += fmt.Sprintf(" -X %s.gitVersion=%s -X %s.gitMajor=%s -X %s.gitMinor=%s",
			pkg, a.version, pkg, parts[0], pkg, parts[1])
	}
	return flags
}

func goBuild(dir, pkg, out, linkFlags string) (string, error) {
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", linkFlags, "-o", out, pkg)
	cmd.Dir = dir
	// A go.work of the repository, or flags of the caller, must not change
	// the versions or the caching of these builds.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-buildvcs=false")
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err := cmd.Run()
	return output.String(), err
}

// heartbeat shows every half minute that a long build is alive.
func heartbeat(start time.Time) (stop func()) {
	done := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(30 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				progress("%s.. ", seconds(start))
			case <-done:
				return
			}
		}
	}()
	return func() { close(done); <-stopped }
}

// moduleDir finds the source of this module: the working directory or a
// folder above it, or else where this binary was compiled.
func moduleDir() (string, error) {
	const line = "module github.com/codb-dev/codb/hack/cluster\n"
	is := func(dir string) bool {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		return err == nil && strings.HasPrefix(string(mod), line)
	}
	cwd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := cwd; ; dir = filepath.Dir(dir) {
		for _, d := range []string{dir, filepath.Join(dir, "hack", "cluster")} {
			if is(d) {
				return d, nil
			}
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	if _, file, _, ok := runtime.Caller(0); ok && is(filepath.Dir(file)) {
		return filepath.Dir(file), nil
	}
	return "", fmt.Errorf("the source of hack/cluster is not at or above %s; run this inside the codb repository", cwd)
}
