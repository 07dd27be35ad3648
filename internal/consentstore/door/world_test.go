package door_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/internal/consentstore"
	"github.com/codb-dev/codb/test/apiserver"
	"github.com/codb-dev/codb/test/door"
)

var (
	env   *apiserver.Env
	store *consentstore.Database
)

func TestMain(m *testing.M) {
	end := func() {}
	code := apiserver.Run(m, apiserver.Options{Admission: true, Aggregation: true}, func(e *apiserver.Env) {
		env = e
		var err error
		if store, end, err = door.Open(e); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	})
	end()
	os.Exit(code)
}

func as(t *testing.T, user string, groups ...string) client.WithWatch {
	t.Helper()
	c, err := door.Client(env.ConfigAs(user, groups...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func write(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "manifest.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
