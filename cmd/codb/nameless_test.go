package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"k8s.io/klog/v2/textlogger"
)

// TestTheDoorNamesNobodyInItsLog has lines like those of the apiserver's
// library: of requests that take long, fail or panic.
func TestTheDoorNamesNobodyInItsLog(t *testing.T) {
	var out bytes.Buffer
	log := nameless(newLogger(textlogger.Output(&out))).WithValues("URI", "/apis/store.consent.codb.dev/v1alpha1/namespaces/codb-customers/customerconsents/c-4d21?dryRun=All").WithName("x")
	log.Info(`Trace[1]: "Update" url:/apis/store.consent.codb.dev/v1alpha1/namespaces/codb-customers/customerconsents/c-4d21,verb:PATCH (total time: 600ms)`)
	log.Error(errors.New(`customerconsents.store.consent.codb.dev "c-4d21" not found`), "apiserver panic'd on PATCH /apis/x/customerconsents/c-4d21", "err", errors.New(`customerconsents.store.consent.codb.dev \"c-4d21\" is forbidden`))
	if text := out.String(); strings.Contains(text, "c-4d21") || strings.Count(text, "dryRun=All") != 2 || !strings.Contains(text, "verb:PATCH") {
		t.Errorf("the log says too much, or too little:\n%s", text)
	}
}
