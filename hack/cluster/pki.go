package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// authority signs certificates. Three of them keep apart who may talk to the
// apiserver, to etcd, and to aggregated apiservers in its name.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// identity is a client of the apiserver; it gets a kubeconfig NAME.kubeconfig.
type identity struct{ name, user, group string }

func (c *Cluster) identities() []identity {
	return []identity{
		{"admin", "admin", "system:masters"},
		{"kube-controller-manager", "system:kube-controller-manager", ""},
		{"kube-scheduler", "system:kube-scheduler", ""},
		{"kube-proxy", "system:kube-proxy", ""},
		{"kubelet", "system:node:" + c.nodeName(), "system:nodes"},
		{"coredns", "system:coredns", ""},
	}
}

// makePKI writes every key, certificate and kubeconfig of a new cluster.
func (c *Cluster) makePKI() error {
	dir := c.path("pki")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if _, err := newKey(dir, "service-account"); err != nil {
		return err
	}
	ca, err := newAuthority(dir, "ca")
	if err != nil {
		return err
	}
	etcd, err := newAuthority(dir, "etcd-ca")
	if err != nil {
		return err
	}
	front, err := newAuthority(dir, "front-proxy-ca")
	if err != nil {
		return err
	}
	for _, s := range []struct {
		by          *authority
		name        string
		user, group string
		hosts       []string
	}{
		{ca, "apiserver", "kube-apiserver", "", []string{"127.0.0.1", "localhost", c.Network.Host(), c.Network.First(),
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}},
		{ca, "apiserver-kubelet-client", "apiserver-kubelet-client", "system:masters", nil},
		{ca, "kubelet-server", "kubelet", "", []string{c.nodeName(), c.Network.NodeIP()}},
		{etcd, "etcd", "etcd", "", []string{"127.0.0.1", "localhost"}},
		{front, "front-proxy-client", "front-proxy-client", "", nil},
	} {
		if err := s.by.issue(dir, s.name, s.user, s.group, s.hosts); err != nil {
			return err
		}
	}
	for _, id := range c.identities() {
		if err := ca.issue(dir, id.name, id.user, id.group, nil); err != nil {
			return err
		}
		if err := c.writeKubeconfig(id.name); err != nil {
			return err
		}
	}
	return nil
}

func newAuthority(dir, name string) (*authority, error) {
	key, err := newKey(dir, name)
	if err != nil {
		return nil, err
	}
	a := &authority{key: key}
	a.cert = unsigned(name, "")
	a.cert.IsCA, a.cert.BasicConstraintsValid = true, true
	a.cert.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	return a, a.sign(dir, name, a.cert, key.Public())
}

// issue writes NAME.crt and NAME.key. With hosts it also serves them.
func (a *authority) issue(dir, name, user, group string, hosts []string) error {
	key, err := newKey(dir, name)
	if err != nil {
		return err
	}
	t := unsigned(user, group)
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	for _, h := range hosts {
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	return a.sign(dir, name, t, key.Public())
}

func (a *authority) sign(dir, name string, t *x509.Certificate, public crypto.PublicKey) error {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	t.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, public, a.key)
	if err != nil {
		return fmt.Errorf("sign certificate %s: %w", name, err)
	}
	return writePEM(filepath.Join(dir, name+".crt"), "CERTIFICATE", der)
}

func unsigned(user, group string) *x509.Certificate {
	t := &x509.Certificate{
		Subject:   pkix.Name{CommonName: user},
		NotBefore: time.Now().Add(-time.Hour),
		NotAfter:  time.Now().AddDate(10, 0, 0),
	}
	if group != "" {
		t.Subject.Organization = []string{group}
	}
	return t
}

func newKey(dir, name string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, writePEM(filepath.Join(dir, name+".key"), "EC PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

// writeKubeconfig carries the keys inside, so that the file can be copied.
// JSON is YAML.
func (c *Cluster) writeKubeconfig(name string) error {
	read := func(file string) []byte {
		data, _ := os.ReadFile(c.path("pki", file)) // written a moment ago
		return data
	}
	type object = map[string]any
	context := "codb-" + c.Name
	data, err := json.MarshalIndent(object{
		"apiVersion":      "v1",
		"kind":            "Config",
		"current-context": context,
		"clusters": []object{{"name": context, "cluster": object{
			"server": c.server(), "certificate-authority-data": read("ca.crt")}}},
		"users": []object{{"name": context, "user": object{
			"client-certificate-data": read(name + ".crt"), "client-key-data": read(name + ".key")}}},
		"contexts": []object{{"name": context, "context": object{
			"cluster": context, "user": context}}},
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(c.kubeconfig(name), append(data, '\n'), 0o600)
}

func (c *Cluster) kubeconfig(identity string) string {
	return c.path(identity + ".kubeconfig")
}
