package gate

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	certutil "k8s.io/client-go/util/cert"
)

func TestACertificateFromFiles(t *testing.T) {
	dir := t.TempDir()
	cert, key, err := certutil.GenerateSelfSignedCertKey("127.0.0.1", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	o := ListenOptions{Address: "127.0.0.1:0", CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key")}
	for path, data := range map[string][]byte{o.CertFile: cert, o.KeyFile: key} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l, err := Listen(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t)
	ended := make(chan error, 1)
	server := NewServer(ServerOptions{Ledger: h.ledger, Authenticator: h.server.auth})
	go func() { ended <- server.Serve(ctx, l) }()
	c := h.client(func(o *ClientOptions) { o.URL, o.CA = l.URL(), cert })
	if _, err := c.page(t.Context(), 0, 0, 0); err != nil {
		t.Error(err)
	}
	if l.CA() != nil {
		t.Error("the gate knows no CA of files")
	}
	c.http.CloseIdleConnections()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for name, o := range map[string]ListenOptions{
		"NoKey":       {Address: o.Address, CertFile: o.CertFile},
		"NoSuchFile":  {Address: o.Address, CertFile: o.CertFile, KeyFile: filepath.Join(dir, "none")},
		"NoSuchPlace": {Address: "nowhere:port"},
	} {
		if _, err := Listen(t.Context(), o); err == nil {
			t.Errorf("%s: listens", name)
		}
	}
}

func TestATokenFileIsReadAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	token := FileToken(path)
	if _, err := token(t.Context()); err == nil {
		t.Error("no file, but a token")
	}
	for _, want := range []string{"first", "second"} {
		if err := os.WriteFile(path, []byte(want+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := token(t.Context()); err != nil || got != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
}
