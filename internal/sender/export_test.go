package sender

import (
	"testing"
	"time"
)

// PauseBriefly makes a test not wait long for another attempt.
func PauseBriefly(t *testing.T) {
	long := firstPause
	firstPause = time.Millisecond
	t.Cleanup(func() { firstPause = long })
}
