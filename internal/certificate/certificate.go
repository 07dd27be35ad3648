// Package certificate issues and renews the certificates that codb serves
// with. It knows no cluster: where they are kept, and how those who must trust
// them are told, is handed in.
//
// Every certificate has an authority of its own, whose key is thrown away as
// soon as it has signed: there is no key that could sign another one. The price
// is that whoever calls codb must learn of each new authority before it is used.
// So a certificate is prepared when half of its predecessor's life is left, is
// believed by everyone from then on, and is served a twelfth of a life later.
package certificate

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// Pair is a certificate and its key, in PEM.
type Pair struct{ Cert, Key []byte }

// Set is what is kept of a server's certificates. The zero Set is one that was
// never issued.
type Set struct {
	Served Pair
	Next   Pair   // prepared and believed already, not served yet
	CA     []byte // the authorities to be believed, in PEM, the newest first
}

// Renewed returns the set as it should be at now, and whether it differs. It
// issues at once what is missing, expired or not good for all names, and in
// time what will expire; life is how long a certificate is good for.
func (s Set) Renewed(now time.Time, names []string, life time.Duration) (Set, bool, error) {
	served, next := parse(s.Served), parse(s.Next)
	out := Set{Served: s.Served, Next: s.Next, CA: believed(s.CA, now)}
	changed := !bytes.Equal(out.CA, s.CA)
	switch {
	case !good(served, now, names) && good(next, now, names):
		out.Served, out.Next, changed = s.Next, Pair{}, true
	case !good(served, now, names):
		pair, ca, err := issue(now, names, life)
		if err != nil {
			return Set{}, false, err
		}
		out.Served, out.Next, out.CA, changed = pair, Pair{}, append(ca, out.CA...), true
	case !good(next, now, names) && served.NotAfter.Sub(now) <= life/2:
		pair, ca, err := issue(now, names, life)
		if err != nil {
			return Set{}, false, err
		}
		out.Next, out.CA, changed = pair, append(ca, out.CA...), true
	case good(next, now, names) && now.Sub(next.NotBefore) >= backdate(life)+life/12:
		out.Served, out.Next, changed = s.Next, Pair{}, true
	}
	return out, changed, nil
}

// backdate is how far clocks may differ without a new certificate being refused.
func backdate(life time.Duration) time.Duration { return min(time.Hour, life/12) }

func parse(p Pair) *x509.Certificate {
	pair, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil {
		return nil
	}
	return pair.Leaf
}

// good in [NotBefore, NotAfter): the end is excluded.
func good(c *x509.Certificate, now time.Time, names []string) bool {
	if c == nil || now.Before(c.NotBefore) || !now.Before(c.NotAfter) {
		return false
	}
	for _, name := range names {
		if c.VerifyHostname(name) != nil {
			return false
		}
	}
	return true
}

// believed leaves out the authorities that have expired, and what is none.
func believed(bundle []byte, now time.Time) []byte {
	var kept []byte
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && now.Before(c.NotAfter) {
			kept = append(kept, pem.EncodeToMemory(block)...)
		}
	}
	return kept
}

// issue makes a certificate and the authority that vouches for it alone.
func issue(now time.Time, names []string, life time.Duration) (Pair, []byte, error) {
	from, to := now.Add(-backdate(life)).UTC(), now.Add(life).UTC()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return Pair{}, nil, fmt.Errorf("issue a certificate: %w", err)
	}
	authority := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: fmt.Sprintf("codb %x", serial)},
		NotBefore: from, NotAfter: to,
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: new(big.Int).Add(serial, big.NewInt(1)), Subject: pkix.Name{CommonName: "codb"},
		NotBefore: from, NotAfter: to, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, name)
		}
	}
	return sign(authority, leaf)
}

// sign forgets the authority's key when it returns.
func sign(authority, leaf *x509.Certificate) (Pair, []byte, error) {
	fail := func(err error) (Pair, []byte, error) {
		return Pair{}, nil, fmt.Errorf("issue a certificate: %w", err)
	}
	top, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fail(err)
	}
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fail(err)
	}
	ca, err := x509.CreateCertificate(rand.Reader, authority, authority, top.Public(), top)
	if err != nil {
		return fail(err)
	}
	signed, err := x509.ParseCertificate(ca) // with its key's id, which tells authorities apart
	if err != nil {
		return fail(err)
	}
	cert, err := x509.CreateCertificate(rand.Reader, leaf, signed, own.Public(), top)
	if err != nil {
		return fail(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		return fail(err)
	}
	encode := func(kind string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	return Pair{Cert: encode("CERTIFICATE", cert), Key: encode("PRIVATE KEY", key)}, encode("CERTIFICATE", ca), nil
}
