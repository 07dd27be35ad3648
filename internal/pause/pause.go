// Package pause waits. It does not know what for.
package pause

import (
	"context"
	"time"
)

// For waits for d, and is false when ctx is done before.
func For(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
