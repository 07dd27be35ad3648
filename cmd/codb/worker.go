package main

import (
	"fmt"
	"os"

	"github.com/codb-dev/codb/internal/policy"
	"github.com/codb-dev/codb/policies"
)

// workerVerb starts the process in which policies are compiled and evaluated,
// so that one that runs away can be killed.
const workerVerb = "policy-worker"

func runWorker() int {
	lib, err := policy.LoadLibrary(policies.FS)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	return policy.WorkerMain(lib, os.Stdin, os.Stdout)
}
