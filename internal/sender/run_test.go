package sender_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/codb-dev/codb/internal/sender"
	"github.com/codb-dev/codb/internal/sender/fakegate"
)

func TestEverybodyWhoMayIsHandedOverOnceAndReported(t *testing.T) {
	t.Parallel()
	s := tell(t, 250, "good")
	s.gate.Refuse(7, "ConsentWithdrawn")
	s.gate.Refuse(8, "state:Expired")
	s.gate.Refuse(9, "state:Voided")
	s.options.AtOnce = 4
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"Sent: 250 queued": 247, "": 3}, s.outcomes()); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	if n := len(s.handed()); n != 247 {
		t.Errorf("the sender got %d people, want 247", n)
	}
	first := s.handed()[0].Line
	if diff := cmp.Diff(map[string]string{"permit": "permit-0", "principal": "canary-0", "channel": "Email", "purpose": "Marketing", "topic": "Savings", "language": "de"}, first); diff != "" {
		t.Errorf("a line (-want +got):\n%s", diff)
	}
	if got, want := s.options.Progress.String(), "250 drawn, 247 sent, 1 refused at the last moment (ConsentWithdrawn 1), 2 permits lapsed, nobody is left"; got != want {
		t.Errorf("progress %q, want %q", got, want)
	}
}

func TestEachOutcomeIsReportedAsSaid(t *testing.T) {
	t.Parallel()
	s := tell(t, 8, "all-outcomes")
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(s.outcomes()); n != 8 {
		t.Errorf("got %v, want each of the eight words once", s.outcomes())
	}
}

func TestBatchesGrowWithTheSender(t *testing.T) {
	t.Parallel()
	s := tell(t, 500, "good")
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.gate.Calls("redeem") > 250 || s.gate.Largest("redeem") < 4 {
		t.Errorf("%d calls redeemed 500 permits, at most %d at once: a fast sender needs fewer", s.gate.Calls("redeem"), s.gate.Largest("redeem"))
	}
}

// Two people keep the sender for longer than the permits of those last who were
// redeemed together with them. When that is, the gate's clock says, and it need
// not be ours.
func TestWhoseTimeIsOverIsNotHandedOver(t *testing.T) {
	t.Parallel()
	for name, off := range map[string]time.Duration{"OneTime": 0, "TheGateIsAhead": time.Hour, "TheGateIsBehind": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := tell(t, 200, "slow-at:100")
			s.gate.Life, s.gate.Off = 1300*time.Millisecond, off
			if err := s.run(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := s.outcomes()
			late := got["Failed: not handed over in time"] + got["Failed: not handed over"]
			if late == 0 || got["Sent"]+late != 200 || len(s.handed()) != got["Sent"] {
				t.Errorf("the sender got %d people, outcomes %v; want some too late", len(s.handed()), got)
			}
			if got["Sent"] < 100 {
				t.Errorf("the sender got %d people, and had time for more", got["Sent"])
			}
		})
	}
}

func TestAWithdrawalBetweenDrawAndRedeemIsHeard(t *testing.T) {
	t.Parallel()
	s := tell(t, 10, "good")
	s.gate.Redeeming = func(principal string) {
		if principal == "canary-2" {
			s.gate.Refuse(5, "ConsentWithdrawn") // drawn already, with everybody else
		}
	}
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, h := range s.handed() {
		if h.Line["principal"] == "canary-5" {
			t.Error("who withdrew was handed over")
		}
	}
}

func TestAddressesComeFromTheResolver(t *testing.T) {
	t.Parallel()
	s := tell(t, 5, "good").withResolver("nobody:2")
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, h := range s.handed() {
		if want := h.Line["principal"] + "@mail.example"; h.Line["address"] != want {
			t.Errorf("%s got the address %q", h.Line["principal"], h.Line["address"])
		}
	}
	if diff := cmp.Diff(map[string]int{"Sent: 250 queued": 4, "Failed: no address": 1}, s.outcomes()); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

func TestDetailsNameNobody(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü", 200)
	for said, want := range map[string]string{
		"550 no such user":              "550 no such user",
		"550 ADDRESS unknown":           "withheld: it named somebody",
		"550 PRINCIPAL unknown":         "withheld: it named somebody",
		"550 another@example refused":   "withheld: it named somebody",
		"two\nlines \x1b[31m":           "two lines  [31m",
		long:                            strings.Repeat("?", 125) + "...",
		"5.7.1 policy (see the manual)": "5.7.1 policy (see the manual)",
	} {
		s := tell(t, 1, "details:"+said).withResolver("")
		if err := s.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := s.gate.Permits()[0].Detail; got != want {
			t.Errorf("%q is reported as %q, want %q", said, got, want)
		}
	}
}

func TestWhatAResolverMustNotAnswer(t *testing.T) {
	t.Parallel()
	for trick, want := range map[string]string{
		"other":  "line 3 of the resolver answers another question",
		"header": "line 3 of the resolver: the address has more than 1024 bytes, or control characters",
		"long":   "line 3 of the resolver: the address has more than 1024 bytes, or control characters",
		"dies":   "the resolver ended",
		"text":   "line 3 of the resolver is not the JSON that is expected",
	} {
		t.Run(trick, func(t *testing.T) {
			t.Parallel()
			s := tell(t, 5, "good").withResolver(trick + ":2")
			err := s.run(t.Context())
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
			for _, h := range s.handed() {
				if h.Line["principal"] == "canary-2" {
					t.Error("handed over all the same")
				}
			}
		})
	}
}

func TestWhatASenderMustNotSay(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		"hello":               "line 2 of the sender is not the JSON that is expected",
		`["PERMIT"]`:          "line 2 of the sender is not the JSON that is expected",
		`{"permit":"PERMIT"}`: `line 2 of the sender: outcome ""`,
		`{"permit":"PERMIT","outcome":"Delivered"}`: `line 2 of the sender: outcome "Delivered": say one of Sent, Failed`,
		`{"permit":"permit-0","outcome":"Sent"}`:    "line 2 of the sender: the permit is not one",
		`{"permit":"permit-9","outcome":"Sent"}`:    "line 2 of the sender: the permit is not one",
		`{"outcome":"Sent"}`:                        "line 2 of the sender: the permit is not one",
		strings.Repeat("x", 5000):                   "line 2 of the sender has more than 4096 bytes",
		`{"permit":"PERMIT","outcome":"Sent","detail":"` + strings.Repeat("x", 5000) + `"}`: "line 2 of the sender has more than 4096 bytes",
	} {
		s := tell(t, 5, "says:"+said)
		s.options.Grace = time.Second
		err := s.run(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "what became of 1 person") {
			t.Errorf("%.60q: got %v, want %q and one person unknown", said, err, want)
		}
		if n := s.outcomes()["Sent"]; n != 1 {
			t.Errorf("%.60q: %d were reported, want the one before", said, n)
		}
	}
}

func TestASenderThatDoesNotPlayAlong(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		want    []string
		handed  int
		unknown int
	}{
		"dies-at:3":    {[]string{"exit status 3", "what became of 1 person that the sender had in hand is unknown"}, 4, 1},
		"mute":         {[]string{"has not said for too long", "what became of 1 person"}, 1, 1},
		"deaf":         {[]string{"has not said for too long", "signal: killed", "what became of 1 person"}, 0, 1},
		"quits":        {[]string{"the sender ended before the campaign was exhausted"}, 0, 0},
		"hangs-at-end": {[]string{"signal: killed"}, 5, 0},
		"fails-at-end": {[]string{"the sender ended with exit status 4"}, 5, 0},
	}
	for role, tc := range tests {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			s := tell(t, 5, role)
			s.options.Grace = 500 * time.Millisecond
			if role == "mute" || role == "deaf" || role == "hangs-at-end" {
				s.options.Patience = 2 * time.Second
			}
			err := s.run(t.Context())
			if err == nil {
				t.Fatal("nobody complained")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want %q", err, want)
				}
			}
			unknown := 0
			for _, p := range s.gate.Permits() {
				if p.State == "Redeemed" && p.Outcome == "" {
					unknown++
				}
			}
			if role == "quits" {
				return // whether somebody was handed over before it was gone is a race, and either is right
			}
			if len(s.handed()) > tc.handed || unknown != tc.unknown { // it may be killed before it has read
				t.Errorf("%d handed over and %d unknown, want at most %d and %d", len(s.handed()), unknown, tc.handed, tc.unknown)
			}
		})
	}
}

func TestAnotherRunGoesOnWhereOneDied(t *testing.T) {
	t.Parallel()
	s := tell(t, 6, "dies-at:2")
	if s.run(t.Context()) == nil {
		t.Fatal("nobody complained")
	}
	s.gate.Idle()
	first := s.options
	for _, p := range s.gate.Permits() {
		if p.State == "Redeemed" && p.Outcome == "" {
			s.gate.Settle(p.ID) // the gate gives up waiting for it
		}
	}
	s.gate.Expire()
	s.options = first
	s.options.Command = append([]string{}, first.Command...)
	s.options.Command[1] = roleEnv + "=good"
	if err := s.run(t.Context()); err != nil { // which fails if somebody is handed over twice
		t.Fatal(err)
	}
	if n := len(s.handed()); n != 6 {
		t.Errorf("%d people were handed over, want 6", n)
	}
}

func TestStoppingLetsTheSenderAnswer(t *testing.T) {
	t.Parallel()
	s := tell(t, 100, "last-word")
	ctx, stop := context.WithCancelCause(t.Context())
	s.gate.Fault = func(verb string, n int) fakegate.Fault {
		if verb == "draw" && n == 2 || verb == "redeem" && n == 1 {
			time.AfterFunc(200*time.Millisecond, func() { stop(errors.New("told to stop")) })
		}
		return fakegate.Fault{}
	}
	err := s.run(ctx)
	if err == nil || err.Error() != "stopped before the campaign was exhausted" {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff(map[string]int{"Sent": 1, "": 99}, s.outcomes()); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

func TestWhoStopsGivesBackWhatItHolds(t *testing.T) {
	t.Parallel()
	s := tell(t, 100, "last-word")
	ctx, stop := context.WithCancel(t.Context())
	s.gate.Fault = func(verb string, n int) fakegate.Fault {
		if verb != "draw" || n < 2 {
			return fakegate.Fault{}
		}
		<-ctx.Done() // nobody else is on the way
		return fakegate.Fault{Status: 503}
	}
	s.gate.Redeeming = func(string) { stop() }
	if s.run(ctx) == nil {
		t.Fatal("nobody complained")
	}
	s.gate.Idle()
	for _, p := range s.gate.Permits() {
		if p.State == "Drawn" {
			t.Errorf("%s is still held", p.ID)
		}
	}
	if n := s.gate.Calls("release"); n == 0 {
		t.Error("nothing was given back")
	}
}

// The answer to a redemption is lost for good; the gate has redeemed them all
// the same, and is told that nobody got the message.
func TestWhatIsGivenBackMayHaveBeenRedeemed(t *testing.T) {
	t.Parallel()
	s := tell(t, 3, "good")
	s.gate.Fault = func(verb string, n int) fakegate.Fault {
		switch {
		case verb == "redeem" && n == 1:
			return fakegate.Fault{Lost: true}
		case verb == "redeem":
			return fakegate.Fault{Status: 403}
		}
		return fakegate.Fault{}
	}
	if s.run(t.Context()) == nil {
		t.Fatal("nobody complained")
	}
	if n := s.outcomes()["Failed: not handed over: the answer was lost"]; n != 1 {
		t.Errorf("outcomes %v, want one whose answer was lost", s.outcomes())
	}
	if n := len(s.handed()); n != 0 {
		t.Errorf("%d were handed over", n)
	}
}

func TestStoppingDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	s := tell(t, 100, "mute")
	s.options.Grace = 300 * time.Millisecond
	ctx, stop := context.WithCancel(t.Context())
	s.gate.Redeeming = func(string) { time.AfterFunc(200*time.Millisecond, stop) }
	began := time.Now()
	err := s.run(ctx)
	if err == nil || !strings.Contains(err.Error(), "stopped before the campaign was exhausted") || !strings.Contains(err.Error(), "what became of 1 person") {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestAGateThatDoesNotLetUsWaitIsNotAskedInACircle(t *testing.T) {
	t.Parallel()
	s := tell(t, 0, "good")
	s.gate.Impatient, s.gate.Forever = true, true
	ctx, stop := context.WithCancel(t.Context())
	var asked []time.Time
	s.gate.Fault = func(_ string, n int) fakegate.Fault {
		if asked = append(asked, time.Now()); n == 2 {
			stop()
		}
		return fakegate.Fault{}
	}
	_ = s.run(ctx)
	if pause := asked[1].Sub(asked[0]); pause < 900*time.Millisecond {
		t.Errorf("asked again after %s, want a second", pause)
	}
}

func TestOptionsThatCannotWork(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*sender.Options){
		"CODB_GATE":       func(o *sender.Options) { o.Gate = "" },
		"CODB_GATE_CA":    func(o *sender.Options) { o.CA = "" },
		"CODB_GATE_TOKEN": func(o *sender.Options) { o.Token = "" },
		"https://host":    func(o *sender.Options) { o.Gate = "http://localhost" },
		"no sender":       func(o *sender.Options) { o.Command = nil },
		"--at-once 0":     func(o *sender.Options) { o.AtOnce = 0 },
		"--at-once 1001":  func(o *sender.Options) { o.AtOnce = 1001 },
		"--patience":      func(o *sender.Options) { o.Patience = 0 },
		"start the sender": func(o *sender.Options) {
			o.Command = []string{"/no/such/program"}
		},
		"start the resolver": func(o *sender.Options) { o.Resolver = []string{"/no/such/program"} },
	} {
		s := tell(t, 1, "good")
		spoil(&s.options)
		if err := s.run(t.Context()); !errors.Is(err, sender.ErrUsage) || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want a usage error with %q", err, name)
		}
	}
}
