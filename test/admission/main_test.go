package admission_test

import (
	"os"
	"testing"

	"github.com/codb-dev/codb/test/apiserver"
)

var env *apiserver.Env

func TestMain(m *testing.M) {
	os.Exit(apiserver.Run(m, apiserver.Options{Admission: true, Controllers: true}, func(e *apiserver.Env) { env = e }))
}

func TestX(t *testing.T) {}
