package certificate_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/codb-dev/codb/internal/certificate"
)

var (
	start = time.Date(2027, 3, 1, 9, 0, 0, 0, time.UTC)
	names = []string{"codb-gate.codb-system.svc", "10.0.0.7"}
)

const life = 24 * time.Hour

func renewed(t *testing.T, s certificate.Set, at time.Time, names ...string) (certificate.Set, bool) {
	t.Helper()
	out, changed, err := s.Renewed(at, names, life)
	if err != nil {
		t.Fatal(err)
	}
	return out, changed
}

// believes says whether a client that trusts ca accepts the served pair.
func believes(t *testing.T, ca []byte, p certificate.Pair, name string, at time.Time) bool {
	t.Helper()
	pair, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	_, err = pair.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: at})
	return err == nil
}

func TestRenewal(t *testing.T) {
	first, _ := renewed(t, certificate.Set{}, start, names...)
	prepared, _ := renewed(t, first, start.Add(life/2), names...)
	promoted, _ := renewed(t, prepared, start.Add(life/2+life/12), names...)
	cases := map[string]struct {
		set       certificate.Set
		at        time.Duration
		names     []string
		change    bool
		fresh     bool // another certificate is served
		prepared  bool
		authority int
	}{
		"none yet: one is issued":                        {certificate.Set{}, 0, names, true, true, false, 1},
		"fresh: nothing to do":                           {first, time.Hour, names, false, false, false, 1},
		"just before half of its life: nothing to do":    {first, life/2 - 1, names, false, false, false, 1},
		"half of its life left: the next is prepared":    {first, life / 2, names, true, false, true, 2},
		"prepared a moment ago: nobody may know it yet":  {prepared, life/2 + life/12 - 1, names, false, false, true, 2},
		"prepared long enough: it is served":             {prepared, life/2 + life/12, names, true, true, false, 2},
		"served: the former authority is still believed": {promoted, life - 1, names, false, false, false, 2},
		"the former authority has expired: forgotten":    {promoted, life, names, true, false, true, 2}, // and half of this life is left
		"expired while codb was down: one is issued":     {first, life, names, true, true, false, 1},
		"expired with the next prepared: that is served": {prepared, life, names, true, true, false, 1},
		"a new name: one is issued at once":              {first, time.Hour, append([]string{"10.0.0.8"}, names...), true, true, false, 2},
		"a name less: nothing to do":                     {first, time.Hour, names[:1], false, false, false, 1},
		"garbage: one is issued":                         {certificate.Set{Served: certificate.Pair{Cert: []byte("x"), Key: []byte("y")}, CA: []byte("z")}, 0, names, true, true, false, 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			at := start.Add(c.at)
			got, changed := renewed(t, c.set, at, c.names...)
			if changed != c.change {
				t.Errorf("changed: %t, want %t", changed, c.change)
			}
			if fresh := string(got.Served.Cert) != string(c.set.Served.Cert); fresh != c.fresh {
				t.Errorf("another certificate is served: %t, want %t", fresh, c.fresh)
			}
			if prepared := len(got.Next.Cert) > 0; prepared != c.prepared {
				t.Errorf("the next is prepared: %t, want %t", prepared, c.prepared)
			}
			for _, n := range c.names {
				if !believes(t, got.CA, got.Served, n, at) {
					t.Errorf("%s: who trusts the bundle does not believe what is served", n)
				}
			}
			if n := countPEM(got.CA); n != c.authority {
				t.Errorf("%d authorities, want %d", n, c.authority)
			}
		})
	}
}

func countPEM(b []byte) (n int) {
	pool := string(b)
	for i := 0; i+len("BEGIN CERT") <= len(pool); i++ {
		if pool[i:i+len("BEGIN CERT")] == "BEGIN CERT" {
			n++
		}
	}
	return n
}

// TestNobodyIsEverLockedOut follows a server for ten lives. A client that reads
// the bundle only now and then believes it at every moment, and more than a
// third of the life is always left.
func TestNobodyIsEverLockedOut(t *testing.T) {
	set, _ := renewed(t, certificate.Set{}, start, names...)
	bundle := set.CA
	for at := start; at.Before(start.Add(10 * life)); at = at.Add(life / 48) {
		set, _ = renewed(t, set, at, names...)
		if !believes(t, bundle, set.Served, names[0], at) {
			t.Fatalf("%s after the start the client's bundle is out of date", at.Sub(start))
		}
		pair, err := tls.X509KeyPair(set.Served.Cert, set.Served.Key)
		if err != nil {
			t.Fatal(err)
		}
		if left := pair.Leaf.NotAfter.Sub(at); left < life/3 {
			t.Fatalf("%s after the start only %s are left", at.Sub(start), left)
		}
		if at.Sub(start)%(life/16) == 0 {
			bundle = set.CA
		}
	}
}

// shared is a store with optimistic locking, as Secrets have.
type shared struct {
	mu      sync.Mutex
	set     certificate.Set
	version int
}

type replica struct {
	*shared
	seen int
}

func (r *replica) Load(context.Context) (certificate.Set, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = r.version
	return r.set, nil
}

func (r *replica) Save(_ context.Context, s certificate.Set) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen != r.version {
		return certificate.ErrConflict
	}
	r.set, r.version = s, r.version+1
	return nil
}

// TestReplicasShareOneCertificate starts two at once and rotates them by the
// clock, with real handshakes: clients that only know what was published get
// through to both at every moment, without a restart.
func TestReplicasShareOneCertificate(t *testing.T) {
	clk := clocktesting.NewFakeClock(start)
	store := &shared{}
	var published []byte
	var keepers []*certificate.Keeper
	for range 2 {
		keepers = append(keepers, &certificate.Keeper{
			Store: &replica{shared: store}, Life: life, Clock: clk,
			Names:   func(context.Context) ([]string, error) { return names, nil },
			Publish: func(_ context.Context, ca []byte) error { published = ca; return nil },
		})
	}
	seen := map[string]bool{}
	for range 3 * 48 {
		before := published
		for _, k := range keepers {
			if err := k.Look(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for _, k := range keepers {
			for _, ca := range [][]byte{before, published} {
				if ca == nil {
					continue
				}
				leaf := handshake(t, k, ca, clk.Now)
				seen[leaf.SerialNumber.String()] = true
			}
		}
		clk.Step(life / 48)
	}
	if len(seen) < 5 {
		t.Errorf("saw %d certificates in three lives, want at least 5", len(seen))
	}
	if one, two := serial(t, keepers[0]), serial(t, keepers[1]); one != two {
		t.Errorf("the replicas serve %s and %s, want one certificate", one, two)
	}
}

func serial(t *testing.T, k *certificate.Keeper) string {
	t.Helper()
	pair, err := k.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf.SerialNumber.String()
}

func handshake(t *testing.T, k *certificate.Keeper, ca []byte, now func() time.Time) *x509.Certificate {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	server := tls.Server(there, &tls.Config{GetCertificate: k.GetCertificate, MinVersion: tls.VersionTLS13})
	done := make(chan error, 1)
	go func() { done <- server.HandshakeContext(t.Context()) }()
	client := tls.Client(here, &tls.Config{RootCAs: roots, ServerName: names[0], Time: now, MinVersion: tls.VersionTLS13})
	if err := client.HandshakeContext(t.Context()); err != nil {
		t.Fatalf("at %s: %v", now(), err)
	}
	return client.ConnectionState().PeerCertificates[0]
}

// TestNothingNewIsServedUnpublished: while the callers can't be told, the old
// certificate goes on being served; before the first, none is.
func TestNothingNewIsServedUnpublished(t *testing.T) {
	clk := clocktesting.NewFakeClock(start)
	down := errors.New("the apiserver is down")
	fail := down
	k := &certificate.Keeper{
		Store: &certificate.Memory{}, Life: life, Clock: clk,
		Names:   func(context.Context) ([]string, error) { return names, nil },
		Publish: func(context.Context, []byte) error { return fail },
	}
	if err := k.Look(t.Context()); !errors.Is(err, down) {
		t.Fatalf("got %v, want %v", err, down)
	}
	if _, err := k.GetCertificate(nil); err == nil {
		t.Error("a certificate that nobody believes is served")
	}
	fail = nil
	if err := k.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := serial(t, k)
	fail = down
	clk.Step(life / 2)
	_ = k.Look(t.Context())
	clk.Step(life / 6)
	_ = k.Look(t.Context())
	if serial(t, k) != first {
		t.Error("a certificate is served whose authority was never published")
	}
}
