package campaign

import (
	"testing"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
)

func TestProgressIsShownMoreAndMoreSeldom(t *testing.T) {
	begin := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	for what, tc := range map[string]struct{ runsFor, want time.Duration }{
		"it begins":  {0, showEvery},
		"a minute":   {time.Minute, showEvery},
		"5 minutes":  {5 * time.Minute, 10 * time.Second},
		"half a day": {12 * time.Hour, showSeldom},
	} {
		s := shown{first: begin, at: begin.Add(tc.runsFor), counts: &v1alpha1.PermitCounts{}}
		if got := s.due().Sub(s.at); got != tc.want {
			t.Errorf("%s: next in %s, want %s", what, got, tc.want)
		}
	}
}
