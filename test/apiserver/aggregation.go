package apiserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// aggregation makes what kube-apiserver needs to send people to other servers:
// a certificate of its own for that, and the headers that say who they are. It
// returns the flags.
func aggregation(dir string) (map[string]string, error) {
	authority, authorityKey, err := signed("front-proxy-ca", nil, nil)
	if err != nil {
		return nil, err
	}
	client, clientKey, err := signed("front-proxy-client", authority, authorityKey)
	if err != nil {
		return nil, err
	}
	raw, err := x509.MarshalPKCS8PrivateKey(clientKey)
	if err != nil {
		return nil, err
	}
	flags := map[string]string{
		"requestheader-allowed-names":        "front-proxy-client",
		"requestheader-username-headers":     "X-Remote-User",
		"requestheader-group-headers":        "X-Remote-Group",
		"requestheader-extra-headers-prefix": "X-Remote-Extra-",
	}
	for flag, block := range map[string]*pem.Block{
		"requestheader-client-ca-file": {Type: "CERTIFICATE", Bytes: authority.Raw},
		"proxy-client-cert-file":       {Type: "CERTIFICATE", Bytes: client.Raw},
		"proxy-client-key-file":        {Type: "PRIVATE KEY", Bytes: raw},
	} {
		flags[flag] = filepath.Join(dir, flag)
		if err := os.WriteFile(flags[flag], pem.EncodeToMemory(block), 0o600); err != nil {
			return nil, err
		}
	}
	return flags, nil
}

// signed is a certificate by the authority, or an authority where there is none.
func signed(name string, by *x509.Certificate, byKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if by == nil {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
		by, byKey = c, key
	}
	raw, err := x509.CreateCertificate(rand.Reader, c, by, &key.PublicKey, byKey)
	if err != nil {
		return nil, nil, err
	}
	c, err = x509.ParseCertificate(raw)
	return c, key, err
}
