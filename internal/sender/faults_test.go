package sender_test

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/codb-dev/codb/internal/sender/fakegate"
)

// TestWhateverGoesWrong lets calls fail and answers get lost at random, and the
// sender die: nobody is handed over twice, late or without a permit (run checks
// that), and an end without an error means that all is on record.
func TestWhateverGoesWrong(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		people := rapid.IntRange(0, 40).Draw(rt, "people")
		role := "good"
		if at := rapid.IntRange(-60, 40).Draw(rt, "dies at"); at >= 0 {
			role = "dies-at:" + strconv.Itoa(at)
		}
		s := tell(t, people, role)
		s.options.AtOnce = rapid.IntRange(1, 5).Draw(rt, "at once")
		s.options.Patience, s.options.Grace = 5*time.Second, time.Second
		faults := map[string][]fakegate.Fault{}
		for _, verb := range []string{"draw", "redeem", "report"} {
			faults[verb] = rapid.SliceOfN(rapid.SampledFrom([]fakegate.Fault{
				{}, {}, {}, {Lost: true}, {Status: http.StatusServiceUnavailable},
			}), 0, 4).Draw(rt, verb)
		}
		s.gate.Fault = func(verb string, n int) fakegate.Fault {
			if n <= len(faults[verb]) {
				return faults[verb][n-1]
			}
			return fakegate.Fault{}
		}
		for i := range people {
			if rapid.IntRange(0, 9).Draw(rt, "refused") == 0 {
				s.gate.Refuse(i, "ConsentWithdrawn")
			}
		}
		err := s.run(t.Context())
		sent := 0
		for _, p := range s.gate.Permits() {
			switch {
			case p.Outcome == "Sent":
				sent++
			case err == nil && p.State != "Refused" && p.Outcome != "Failed":
				rt.Errorf("without an error %s is %+v", p.ID, p)
			}
		}
		handed := len(s.handed())
		if err == nil && sent != handed || sent > handed {
			rt.Errorf("%d were handed over and %d reported as sent; error %v", handed, sent, err)
		}
		if role == "good" && err != nil {
			rt.Errorf("nothing happened that does not pass, and the run failed: %v", err)
		}
		if t.Failed() {
			rt.FailNow()
		}
	})
}
