package sender_test

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/codb-dev/codb/internal/sender/fakegate"
)

func TestWhatMayPassIsTriedAgain(t *testing.T) {
	t.Parallel()
	busy := func(status int) fakegate.Fault { return fakegate.Fault{Status: status} }
	for name, fault := range map[string]fakegate.Fault{
		"Busy": busy(http.StatusTooManyRequests), "Unavailable": busy(http.StatusServiceUnavailable), "BadGateway": busy(http.StatusBadGateway),
		"Timeout": busy(http.StatusGatewayTimeout), "Full": busy(http.StatusInsufficientStorage), "Broken": busy(http.StatusInternalServerError),
		"LaterNow": {Status: http.StatusServiceUnavailable, RetryAfter: "0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := tell(t, 3, "good")
			s.gate.Fault = func(_ string, n int) fakegate.Fault {
				if n == 1 {
					return fault
				}
				return fakegate.Fault{}
			}
			if err := s.run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := s.outcomes()["Sent: 250 queued"]; n != 3 {
				t.Errorf("%d were sent, want 3", n)
			}
			if said := s.options.Progress.String(); strings.Contains(said, "tries again") {
				t.Errorf("progress: %s", said)
			}
		})
	}
}

func TestTheGateSaysWhenToAskAgain(t *testing.T) {
	t.Parallel()
	s := tell(t, 1, "good")
	var asked []time.Time
	s.gate.Fault = func(verb string, n int) fakegate.Fault {
		if verb != "draw" {
			return fakegate.Fault{}
		}
		asked = append(asked, time.Now())
		if n == 1 {
			return fakegate.Fault{Status: http.StatusTooManyRequests, RetryAfter: "1"}
		}
		return fakegate.Fault{}
	}
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if pause := asked[1].Sub(asked[0]); pause < time.Second || pause > 20*time.Second {
		t.Errorf("asked again after %s, want 1s and up to half as much more", pause)
	}
}

func TestWhatWillNotPassEndsTheRun(t *testing.T) {
	t.Parallel()
	for status, verb := range map[int]string{
		http.StatusBadRequest: "draw", http.StatusForbidden: "draw", http.StatusUnauthorized: "redeem",
		http.StatusNotFound: "draw", http.StatusUnprocessableEntity: "redeem", http.StatusRequestEntityTooLarge: "report",
	} {
		s := tell(t, 3, "good")
		calls := 0
		s.gate.Fault = func(v string, _ int) fakegate.Fault {
			if v == verb {
				calls++
				return fakegate.Fault{Status: status}
			}
			return fakegate.Fault{}
		}
		err := s.run(t.Context())
		if want := verb + " permits at the gate: The test says no"; err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "ask it") {
			t.Errorf("HTTP %d: got %v, want %q and the gate's remedy", status, err, want)
		}
		if calls != 1 {
			t.Errorf("HTTP %d: asked %d times, want once", status, calls)
		}
	}
}

func TestAGateThatStaysAwayEndsTheRun(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"draw", "redeem", "report"} {
		s := tell(t, 3, "good")
		s.options.Patience, s.options.Grace = time.Second, time.Second
		s.gate.Fault = func(v string, _ int) fakegate.Fault {
			if v == verb {
				return fakegate.Fault{Status: http.StatusServiceUnavailable}
			}
			return fakegate.Fault{}
		}
		err := s.run(t.Context())
		if err == nil || !strings.Contains(err.Error(), "HTTP 503") {
			t.Errorf("%s: got %v", verb, err)
		}
		if verb == "report" && !strings.Contains(err.Error(), "were not reported") {
			t.Errorf("report: got %v", err)
		}
		if said := s.options.Progress.String(); !strings.Contains(said, "can't "+verb+", and tries again: The test says no (HTTP 503)") {
			t.Errorf("progress: %s", said)
		}
		if n := s.gate.Calls(verb); n < 3 {
			t.Errorf("%s: asked %d times in a second, want more", verb, n)
		}
	}
}

// A redeem whose answer is lost: the permits are used, nobody was handed over.
func TestALostRedemptionIsReportedAsNotHandedOver(t *testing.T) {
	t.Parallel()
	s := tell(t, 5, "good")
	s.gate.Fault = func(verb string, n int) fakegate.Fault {
		return fakegate.Fault{Lost: verb == "redeem" && n == 2}
	}
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := s.outcomes()
	lost := got["Failed: not handed over: the answer was lost"]
	if lost == 0 || got["Sent: 250 queued"] != 5-lost || len(s.handed()) != 5-lost {
		t.Errorf("outcomes %v, and %d were handed over; want one batch lost", got, len(s.handed()))
	}
}

// Somebody else has redeemed it: it may have been sent to.
func TestAPermitThatSomebodyElseRedeemedIsLeftAlone(t *testing.T) {
	t.Parallel()
	s := tell(t, 3, "good")
	s.gate.Refuse(1, "state:AlreadyRedeemed")
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"Sent: 250 queued": 2, "": 1}, s.outcomes()); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

func TestALostReportIsSentAgain(t *testing.T) {
	t.Parallel()
	s := tell(t, 3, "good")
	s.gate.Fault = func(verb string, n int) fakegate.Fault {
		return fakegate.Fault{Lost: verb == "report" && n == 1}
	}
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := s.outcomes()["Sent: 250 queued"]; n != 3 {
		t.Errorf("%d on record, want 3", n)
	}
}

func TestAnOutcomeThatIsNotRecordedIsAFault(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"results":[{"permit":"permit-0","recorded":false,"why":"it has expired"}]}`: "did not record the outcomes of 1 person: it has expired",
		`{"results":[]}`: "did not record the outcomes of 1 person",
		`{"results`:      "the answer is not the JSON that the API promises",
	} {
		s := tell(t, 1, "good")
		s.options.Grace = 500 * time.Millisecond
		s.gate.Fault = func(verb string, _ int) fakegate.Fault {
			if verb == "report" {
				s.gate.Settle("permit-0")
				return fakegate.Fault{Body: body}
			}
			return fakegate.Fault{}
		}
		if err := s.run(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", body, err, want)
		}
	}
}

func TestAnAnswerWithMoreThanWasAskedForIsRefused(t *testing.T) {
	t.Parallel()
	s := tell(t, 1, "good")
	one := `{"permit":"permit-0","principal":"canary-0"},`
	s.gate.Fault = func(verb string, _ int) fakegate.Fault {
		if verb == "draw" {
			return fakegate.Fault{Body: `{"permits":[` + strings.Repeat(one, 50) + `{}]}`}
		}
		return fakegate.Fault{}
	}
	if err := s.run(t.Context()); err == nil || !strings.Contains(err.Error(), "asked for 4, got 51") {
		t.Errorf("got %v", err)
	}
	s.gate.Fault = func(string, int) fakegate.Fault { return fakegate.Fault{Body: strings.Repeat(" ", 5<<20)} }
	if err := s.run(t.Context()); err == nil || !strings.Contains(err.Error(), "more than 4194304 bytes") {
		t.Errorf("got %v", err)
	}
}

func TestTheTokenMayRotate(t *testing.T) {
	t.Parallel()
	s := tell(t, 100, "good")
	s.gate.Fault = func(verb string, n int) fakegate.Fault {
		if verb == "redeem" && n == 3 {
			s.gate.Rotate("token-2") // whoever has read the file before is refused once
		}
		return fakegate.Fault{}
	}
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestTheAuthorityMayComeLate(t *testing.T) {
	t.Parallel()
	s := tell(t, 2, "good")
	good, err := os.ReadFile(s.gate.CA)
	if err != nil {
		t.Fatal(err)
	}
	other := fakegate.OtherAuthority(t)
	if err := os.WriteFile(s.gate.CA, other, 0o600); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(300*time.Millisecond, func() { _ = os.WriteFile(s.gate.CA, good, 0o600) })
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestAGateWithAnotherCertificateIsNotSpokenTo(t *testing.T) {
	t.Parallel()
	s := tell(t, 2, "good")
	if err := os.WriteFile(s.gate.CA, fakegate.OtherAuthority(t), 0o600); err != nil {
		t.Fatal(err)
	}
	s.options.Patience = 500 * time.Millisecond
	err := s.run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "certificate") || s.gate.Calls("draw") > 0 {
		t.Errorf("got %v", err)
	}
}
