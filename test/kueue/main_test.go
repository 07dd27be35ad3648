// Package kueue_test has campaigns wait in the queues of Kueue itself, beside a
// codb that runs and one that was killed. hack/kueue.sh builds Kueue and runs
// these stories; there is no node, so that pods are made and never run.
package kueue_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/codb-dev/codb/config"
	"github.com/codb-dev/codb/test/apiserver"
)

// account is the ServiceAccount of Kueue's own manifests.
const account = "system:serviceaccount:kueue-system:kueue-controller-manager"

var (
	env   *apiserver.Env
	codb  *apiserver.Codb
	kueue *manager
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	binary, manifests := os.Getenv("CODB_KUEUE"), os.Getenv("CODB_KUEUE_MANIFESTS")
	if binary == "" || manifests == "" {
		fmt.Println("skipped: Kueue takes minutes to build; run hack/kueue.sh")
		return 0
	}
	code, ctx := 1, context.Background()
	err := func() (err error) {
		o := apiserver.Options{Admission: true, Controllers: true, Values: config.Values{Kueue: account}}
		if env, err = apiserver.Start(o); err != nil {
			return err
		}
		if kueue, err = startKueue(ctx, binary, manifests); err != nil {
			return err
		}
		if codb, err = env.StartCodb(ctx); err != nil {
			return err
		}
		code = m.Run()
		if code != 0 {
			fmt.Fprintln(os.Stderr, codb.Log(), kueue.log())
		}
		return nil
	}()
	if codb != nil {
		err = errors.Join(err, codb.Kill())
	}
	if kueue != nil {
		err = errors.Join(err, kueue.stop())
	}
	if env != nil {
		err = errors.Join(err, env.Stop())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}
