package sender

import "time"

// PauseBriefly makes tests not wait long for another attempt.
func PauseBriefly() { firstPause = time.Millisecond }
