package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// testCluster is a cluster that was made but never started.
func testCluster(t *testing.T, name string, o upOptions) *Cluster {
	t.Helper()
	o.node = "no"
	c, err := create(name, &o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func useTempState(t *testing.T) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "clusters")
	t.Setenv("CODB_STATE", root)
	t.Setenv("CODB_CACHE", t.TempDir())
	return root
}

func TestVersionsAreThoseOfGoMod(t *testing.T) {
	var all []asset
	for _, r := range releases {
		all = append(all, r.all()...)
	}
	for _, a := range all {
		mod, err := os.ReadFile(filepath.Join(a.dir, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(strings.Fields(strings.ReplaceAll(string(mod), a.module+" ", a.module+"@")), a.module+"@"+a.version) {
			t.Errorf("%s: %s/go.mod does not require %s %s", a.name, a.dir, a.module, a.version)
		}
	}
}

func TestCurrentRefusesWhatIsNotABinaryOfThatVersion(t *testing.T) {
	dir := t.TempDir()
	a := releases[0].asset("kubectl")
	if a.current(dir) {
		t.Error("a missing binary is current")
	}
	if err := os.WriteFile(filepath.Join(dir, "kubectl"), []byte("half a download"), 0o755); err != nil {
		t.Fatal(err)
	}
	if a.current(dir) {
		t.Error("a broken binary is current")
	}
}

func TestFindRelease(t *testing.T) {
	for wanted, version := range map[string]string{
		"": "v1.37.1", "1.37": "v1.37.1", "v1.34": "v1.34.4", "1.34": "v1.34.4", "v1.34.4": "v1.34.4",
		"1.3": "", "1.34.1": "", "1.99": "", "newest": "",
	} {
		if r, err := findRelease(wanted); r.version != version || (err == nil) != (version != "") {
			t.Errorf("findRelease(%q) = %q, %v, want %q", wanted, r.version, err, version)
		}
	}
}

func TestParseTakesFlagsAfterArguments(t *testing.T) {
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	name := flags.String("name", "codb", "")
	got, err := parse(flags, []string{"a.tar", "--name", "other", "b.tar"})
	if err != nil || *name != "other" || !slices.Equal(got, []string{"a.tar", "b.tar"}) {
		t.Errorf("parse = %q, %v with name %q", got, err, *name)
	}
}

func TestCheckName(t *testing.T) {
	for name, good := range map[string]bool{
		"codb": true, "a": true, "a-2": true,
		"": false, "A": false, "-a": false, "a-": false, "../a": false, "a/b": false, strings.Repeat("a", 41): false,
	} {
		if err := checkName(name); (err == nil) != good {
			t.Errorf("checkName(%q) = %v", name, err)
		}
	}
}

func TestFreeNetwork(t *testing.T) {
	prefix := netip.MustParsePrefix
	tests := map[string]struct {
		others []*Cluster
		used   []netip.Prefix
		want   Network
	}{
		"TheFirstOnAnEmptyMachine":         {want: 201},
		"NotThatOfAnotherCluster":          {others: []*Cluster{{Network: 201}, {Network: 203}}, want: 202},
		"NotThatOfAnInterface":             {used: []netip.Prefix{prefix("10.201.255.0/30")}, want: 202},
		"NotOneInsideARoute":               {used: []netip.Prefix{prefix("10.192.0.0/12")}, want: 208},
		"AWideRouteLosesOnlyASmallPart":    {used: []netip.Prefix{prefix("10.0.0.0/8"), prefix("0.0.0.0/0")}, want: 201},
		"NetworksOfOtherRangesDoNotMatter": {used: []netip.Prefix{prefix("192.168.0.0/24"), prefix("fd00::/64")}, want: 201},
		"ZeroWhenEveryOneIsTaken":          {used: []netip.Prefix{prefix("10.192.0.0/12"), prefix("10.208.0.0/12"), prefix("10.224.0.0/12"), prefix("10.240.0.0/12")}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := freeNetwork(tc.others, tc.used)
			if got != tc.want || (err == nil) != (tc.want != 0) {
				t.Errorf("freeNetwork = %d, %v, want %d", got, err, tc.want)
			}
		})
	}
}

func TestParseRoutes(t *testing.T) {
	const table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n" +
		"eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n" +
		"codb201\t0000C90A\t02FFC90A\t0003\t0\t0\t0\t00FCFFFF\t0\t0\t0\n"
	got := fmt.Sprint(parseRoutes(table))
	if want := "[0.0.0.0/0 10.201.0.0/22]"; got != want {
		t.Errorf("parseRoutes = %s, want %s", got, want)
	}
}

func TestFreePortsDiffer(t *testing.T) {
	ports, err := freePorts(20)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(ports)
	if len(slices.Compact(ports)) != 20 {
		t.Errorf("ports repeat: %v", ports)
	}
}

func TestCreatedClustersShareNothingAndAreLoadedAgain(t *testing.T) {
	root := useTempState(t)
	a := testCluster(t, "a", upOptions{args: list{"--event-ttl=10m"}, features: list{"X=true"}, audit: true})
	b := testCluster(t, "b", upOptions{})
	if a.Network == b.Network || a.Ports == b.Ports || a.dir == b.dir {
		t.Errorf("clusters share something:\n%+v\n%+v", a, b)
	}
	got, err := load("a")
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", a) {
		t.Errorf("loaded %+v, made %+v", got, a)
	}
	line := strings.Join(got.apiserver().argv, " ")
	for _, want := range []string{"--event-ttl=10m", "--feature-gates=X=true", "--audit-policy-file=" + root, "--bind-address=127.0.0.1 "} {
		if !strings.Contains(line, want) {
			t.Errorf("the apiserver does not get %s: %s", want, line)
		}
	}
	if all, err := clusters(); err != nil || len(all) != 2 {
		t.Errorf("clusters() = %v, %v", all, err)
	}
}

func TestAcceptsRefusesWhatCannotChange(t *testing.T) {
	useTempState(t)
	c := testCluster(t, "a", upOptions{args: list{"--event-ttl=10m"}})
	tests := map[string]struct {
		options upOptions
		want    bool
	}{
		"NothingAsked":      {upOptions{node: "auto"}, true},
		"TheSameAsked":      {upOptions{node: "no", args: list{"--event-ttl=10m"}}, true},
		"ANodeAfterwards":   {upOptions{node: "yes"}, false},
		"TheSameRelease":    {upOptions{node: "auto", kubernetes: "1.37"}, true},
		"AnotherRelease":    {upOptions{node: "auto", kubernetes: "1.34"}, false},
		"AnotherArgument":   {upOptions{node: "auto", args: list{"--event-ttl=20m"}}, false},
		"AnAuditAfterwards": {upOptions{node: "auto", audit: true}, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if err := c.accepts(&tc.options); (err == nil) != tc.want {
				t.Errorf("accepts = %v", err)
			}
		})
	}
}

func TestDown(t *testing.T) {
	root := useTempState(t)
	t.Run("OfNothingDoesNothing", func(t *testing.T) {
		if err := errorsOf(down("codb"), runDown(&options{all: true})); err != nil {
			t.Error(err)
		}
	})
	t.Run("OfAClusterThatNeverStartedRemovesIt", func(t *testing.T) {
		testCluster(t, "codb", upOptions{})
		if err := down("codb"); err != nil {
			t.Error(err)
		}
	})
	t.Run("OfAHalfMadeFolderRemovesIt", func(t *testing.T) {
		if err := os.MkdirAll(filepath.Join(root, "half", "pki"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := runDown(&options{all: true}); err != nil {
			t.Error(err)
		}
	})
	if _, err := os.Stat(root); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", root, err)
	}
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestRender(t *testing.T) {
	useTempState(t)
	c := testCluster(t, "a", upOptions{})
	c.Network = 217
	if err := c.render(); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"containerd.toml":   `sandbox_image = "` + pauseImage + `"`,
		"kubelet.yaml":      "cgroupRoot: /codb217\n",
		"Corefile":          "kubeconfig " + c.dir + "/coredns.kubeconfig",
		"cni/ptp.conflist":  `"subnet": "10.217.0.0/22"`,
		"dns.yaml":          "clusterIP: 10.217.128.10\n",
		"audit-policy.yaml": "level: Metadata",
	} {
		got, err := os.ReadFile(c.path(file))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(got), want) || strings.Contains(string(got), "{{") {
			t.Errorf("%s lacks %q:\n%s", file, want, got)
		}
	}
}

func TestCertificates(t *testing.T) {
	useTempState(t)
	c := testCluster(t, "a", upOptions{})
	read := func(name string) *x509.Certificate {
		data, err := os.ReadFile(c.pki(name + ".crt"))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(data)
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	roots := x509.NewCertPool()
	roots.AddCert(read("ca"))
	for _, host := range []string{"127.0.0.1", c.Network.Host(), c.Network.First(), "kubernetes.default.svc"} {
		if _, err := read("apiserver").Verify(x509.VerifyOptions{Roots: roots, DNSName: host}); err != nil {
			t.Errorf("the apiserver as %s: %v", host, err)
		}
	}
	kubelet := read("kubelet").Subject
	if kubelet.CommonName != "system:node:a-node" || !slices.Equal(kubelet.Organization, []string{"system:nodes"}) {
		t.Errorf("the kubelet is %s", kubelet)
	}
	client := x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if _, err := read("etcd").Verify(client); err == nil {
		t.Error("a certificate of etcd opens the apiserver, too")
	}
	info, err := os.Stat(c.kubeconfig("admin"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the kubeconfig is %v, %v; it must be for its owner only", info, err)
	}
}

func TestProcessesOfAClusterAreKnownByItsFolder(t *testing.T) {
	useTempState(t)
	c := testCluster(t, "codb", upOptions{})
	other := testCluster(t, "codb-2", upOptions{})
	sleeper := component{name: "sleeper", argv: []string{"sh", "-c", "sleep 60 # " + other.path("etcd"), other.path("etcd")}}
	if err := other.start(sleeper); err != nil {
		t.Fatal(err)
	}
	pid := other.pid("sleeper")
	defer other.kill("sleeper")
	if !other.owns(pid) || c.owns(pid) {
		t.Errorf("codb-2 owns its process: %t, codb does: %t", other.owns(pid), c.owns(pid))
	}
	if err := other.start(sleeper); err != nil || other.pid("sleeper") != pid {
		t.Errorf("a second start made process %d of %d: %v", other.pid("sleeper"), pid, err)
	}
	if err := other.kill("sleeper"); err != nil || other.owns(pid) {
		t.Errorf("kill = %v, alive: %t", err, other.owns(pid))
	}
	if err := other.kill("sleeper"); err != nil {
		t.Errorf("a second kill: %v", err)
	}
}

func TestStartShowsTheLogOfWhatEnds(t *testing.T) {
	useTempState(t)
	c := testCluster(t, "codb", upOptions{})
	start := time.Now()
	p := component{name: "broken", ready: "http://" + loopback(1), argv: []string{"sh", "-c", "echo no such flag; exit 1", c.dir}}
	err := c.start(p)
	if err == nil {
		err = c.waitReady(t.Context(), p)
	}
	if err == nil || !strings.Contains(err.Error(), "no such flag") || time.Since(start) > 5*time.Second {
		t.Errorf("after %s: %v", time.Since(start), err)
	}
}

func TestImageArchive(t *testing.T) {
	archive, err := imageArchive([]byte("program"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := imageArchive([]byte("program"))
	if err != nil || !bytes.Equal(archive, again) {
		t.Errorf("the same program gives two images (%v)", err)
	}
	if !bytes.HasSuffix(archive, make([]byte, 1024)) { // Go's reader does not miss them
		t.Error("the archive lacks the two blocks of zeros that end a tar")
	}
	files := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	var images []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := json.Unmarshal(files["manifest.json"], &images); err != nil || len(images) != 2 {
		t.Fatalf("manifest.json is %s (%v)", files["manifest.json"], err)
	}
	for _, image := range images {
		digest := fmt.Sprintf("sha256:%x", sha256.Sum256(files[image.Layers[0]]))
		if !strings.Contains(string(files[image.Config]), digest) {
			t.Errorf("%s does not name its layer %s: %s", image.RepoTags, digest, files[image.Config])
		}
	}
}
