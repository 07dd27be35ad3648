package pause_test

import (
	"context"
	"testing"
	"time"

	"github.com/codb-dev/codb/internal/pause"
)

func TestAPauseEndsWithItsTimeOrItsContext(t *testing.T) {
	if !pause.For(t.Context(), time.Millisecond) {
		t.Error("its time was up")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if pause.For(ctx, time.Hour) {
		t.Error("nobody waits any more")
	}
}
