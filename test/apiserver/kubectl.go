package apiserver

import (
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
