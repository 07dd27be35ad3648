package postgres

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

var places atomic.Int64

// Place is the URL of a schema of the test's own on the shared server.
func Place(t testing.TB) string {
	t.Helper()
	at, err := Shared()
	if err == nil {
		at, err = Schema(t.Context(), at, fmt.Sprintf("p%d_%d", time.Now().UnixNano(), places.Add(1)))
	}
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// Behind puts a bad network before the server at a URL until the test ends.
func Behind(t testing.TB, at string) *Proxy {
	t.Helper()
	p, err := NewProxy(at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}
