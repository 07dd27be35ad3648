package gate

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"strings"

	certutil "k8s.io/client-go/util/cert"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
)

// ListenOptions say where a gate listens and who it is.
type ListenOptions struct {
	// Address as in net.Listen, for example 127.0.0.1:0.
	Address string
	// CertFile and KeyFile hold the certificate in PEM; they are read again when
	// they change. Both empty: the gate makes a CA and a certificate for itself,
	// good for a year and for this process.
	CertFile, KeyFile string
	// Certificate is served instead, if it is set.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Hosts that a certificate of its own is made for, besides localhost and
	// 127.0.0.1.
	Hosts []string
}

// Listener accepts TLS connections.
type Listener struct {
	tls net.Listener
	ca  []byte
}

// Listen binds the address, so that the port is known, before anything is
// served. The files are watched until ctx is done.
func Listen(ctx context.Context, o ListenOptions) (*Listener, error) {
	l := &Listener{}
	certificate, err := l.certificate(ctx, &o)
	if err != nil {
		return nil, fmt.Errorf("gate on %s: %w", o.Address, err)
	}
	plain, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.Address)
	if err != nil {
		return nil, fmt.Errorf("gate: %w", err)
	}
	l.tls = tls.NewListener(plain, &tls.Config{
		GetCertificate: certificate,
		MinVersion:     tls.VersionTLS13,
		NextProtos:     []string{"h2", "http/1.1"},
	})
	return l, nil
}

// URL to reach the listener at, from this machine.
func (l *Listener) URL() string {
	addr, ok := l.tls.Addr().(*net.TCPAddr)
	if !ok {
		return ""
	}
	host := addr.IP.String()
	if addr.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "https://" + net.JoinHostPort(host, fmt.Sprint(addr.Port))
}

// CA in PEM that clients must trust; nil where the gate did not make the
// certificate itself.
func (l *Listener) CA() []byte { return l.ca }

// Close gives the address up; Serve does so itself.
func (l *Listener) Close() error { return l.tls.Close() }

type getCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error)

func (l *Listener) certificate(ctx context.Context, o *ListenOptions) (getCertificate, error) {
	if o.Certificate != nil {
		return o.Certificate, nil
	}
	if (o.CertFile == "") != (o.KeyFile == "") {
		return nil, fmt.Errorf("a certificate needs its key: give both files or none")
	}
	if o.CertFile != "" {
		w, err := certwatcher.New(o.CertFile, o.KeyFile)
		if err != nil {
			return nil, err
		}
		go func() { _ = w.Start(ctx) }() // without it the certificate stays as it is
		return w.GetCertificate, nil
	}
	certPEM, keyPEM, err := certutil.GenerateSelfSignedCertKey("localhost", []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, o.Hosts)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	for block, rest := pem.Decode(certPEM); block != nil; block, rest = pem.Decode(rest) {
		l.ca = pem.EncodeToMemory(block) // the CA is the last
	}
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &cert, nil }, nil
}

// FileToken reads the token anew each time: the kubelet replaces a projected
// token before it expires.
func FileToken(path string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		b, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("read token: %w", err)
		}
		return strings.TrimSpace(string(b)), nil
	}
}
