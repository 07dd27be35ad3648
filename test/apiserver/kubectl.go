package apiserver

import (
	"fmt"
	"io"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// Kubectl runs the real kubectl as the administrator and returns what it
// prints; what goes wrong is printed too, and is an error.
func (e *Env) Kubectl(t testing.TB, args ...string) (string, error) {
	t.Helper()
	user, err := e.environment.AddUser(envtest.User{Name: "admin", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		t.Fatalf("make a user for kubectl: %v", err)
	}
	kubectl, err := user.Kubectl()
	if err != nil {
		t.Fatalf("find kubectl: %v", err)
	}
	stdout, stderr, err := kubectl.Run(args...)
	out, _ := io.ReadAll(io.MultiReader(stdout, stderr))
	return string(out), err
}

// Kubeconfig is one for somebody with a certificate of their own; "admin" of
// "system:masters" is the administrator.
func (e *Env) Kubeconfig(user string, groups ...string) ([]byte, error) {
	u, err := e.environment.AddUser(envtest.User{Name: user, Groups: groups}, nil)
	if err != nil {
		return nil, fmt.Errorf("make user %s: %w", user, err)
	}
	return u.KubeConfig()
}

// Assets is the folder with kubectl and the servers.
func (e *Env) Assets() string { return e.environment.BinaryAssetsDirectory }
