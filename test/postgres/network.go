package postgres

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"k8s.io/client-go/util/cert"
)

// Listen restarts it so that whoever has a password may come by the network
// too, encrypted, at the address and PostgreSQL's own port. It returns the
// certificate that clients are to believe.
func (s *Server) Listen(address string) (ca []byte, err error) {
	ip := net.ParseIP(address)
	if ip == nil {
		return nil, fmt.Errorf("listen at %q: want an IP address", address)
	}
	ca, key, err := cert.GenerateSelfSignedCertKey(address, []net.IP{ip}, nil)
	if err != nil {
		return nil, err
	}
	for name, content := range map[string][]byte{"server.crt": ca, "server.key": key} {
		file := filepath.Join(s.data(), name)
		err := os.WriteFile(file, content, 0o600)
		if err == nil && s.credential != nil {
			err = os.Chown(file, int(s.credential.Uid), int(s.credential.Gid))
		}
		if err != nil {
			return nil, err
		}
	}
	rules, err := os.OpenFile(filepath.Join(s.data(), "pg_hba.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	_, err = rules.WriteString("hostssl all all all scram-sha-256\n")
	if err := errors.Join(err, rules.Close()); err != nil {
		return nil, err
	}
	s.network = []string{"listen_addresses=" + address, "ssl=on"}
	return ca, errors.Join(s.Kill(), s.Start())
}
