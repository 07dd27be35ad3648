package policy

import (
	"sync"
	"testing"

	"github.com/codb-dev/codb/policies"
)

// Campaigns that are looked at side by side compile side by side; the race
// detector tells whether they share a term.
func TestPoliciesAreCompiledSideBySide(t *testing.T) {
	lib, err := LoadLibrary(policies.FS)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if _, err := NewInterpreter(lib, []Policy{lib.Floor()}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
