package sender_test

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/codb-dev/codb/internal/sender"
	"github.com/codb-dev/codb/internal/sender/fakegate"
)

// The tests' own binary plays the senders and the resolvers.
const (
	roleEnv    = "CODB_TEST_ROLE"
	journalEnv = "CODB_TEST_JOURNAL"
	trickEnv   = "CODB_TEST_TRICK"
	// quickly, because under the race detector a program takes a second to end.
	quickly = "GORACE=atexit_sleep_ms=0"
)

func TestMain(m *testing.M) {
	role, arg, _ := strings.Cut(os.Getenv(roleEnv), ":")
	if f, ok := roles[role]; ok && len(os.Args) > 1 && os.Args[1] == "play" {
		f(arg)
		return
	}
	sender.PauseBriefly()
	if err := flag.Set("test.parallel", "8"); err != nil { // they wait more than they work
		panic(err)
	}
	os.Exit(m.Run())
}

// handed is a line that a sender got, and when.
type handed struct {
	At   time.Time
	Line map[string]string
}

// roles of senders: each gets every line through play, which keeps a journal.
var roles = map[string]func(arg string){
	"good": func(string) { good() },
	"all-outcomes": func(string) {
		words := []string{"Sent", "Failed", "Bounced", "HardBounce", "Complained", "Unsubscribed", "Converted", "Replied"}
		play(func(n int, p map[string]string) { answer(p["permit"], words[n%len(words)], "") })
	},
	"slow-at": func(arg string) {
		at, _ := strconv.Atoi(arg)
		play(func(n int, p map[string]string) {
			if n == at || n == at+1 {
				<-time.After(1500 * time.Millisecond)
			}
			answer(p["permit"], "Sent", "")
		})
	},
	"dies-at": func(arg string) {
		at, _ := strconv.Atoi(arg)
		play(func(n int, p map[string]string) {
			if n == at {
				os.Exit(3)
			}
			answer(p["permit"], "Sent", "")
		})
	},
	"says": func(arg string) {
		play(func(n int, p map[string]string) {
			if n == 1 {
				fmt.Println(strings.ReplaceAll(arg, "PERMIT", p["permit"]))
			} else {
				answer(p["permit"], "Sent", "")
			}
		})
	},
	"details": func(arg string) {
		play(func(_ int, p map[string]string) {
			answer(p["permit"], "Bounced", strings.NewReplacer("PRINCIPAL", strings.ToUpper(p["principal"]), "ADDRESS", p["address"]).Replace(arg))
		})
	},
	"mute":         func(string) { play(func(int, map[string]string) {}) },
	"deaf":         func(string) { select {} },
	"hangs-at-end": func(string) { good(); select {} },
	"fails-at-end": func(string) { good(); os.Exit(4) },
	"quits":        func(string) {},
	"last-word": func(string) { // answers only when told to end
		var last map[string]string
		play(func(_ int, p map[string]string) { last = p })
		if last != nil {
			answer(last["permit"], "Sent", "")
		}
	},
	"resolver": func(string) {
		in := bufio.NewScanner(os.Stdin)
		for n := 0; in.Scan(); n++ {
			var q map[string]string
			_ = json.Unmarshal(in.Bytes(), &q)
			a := map[string]string{"principal": q["principal"], "address": q["principal"] + "@mail.example"}
			switch trick, at, _ := strings.Cut(os.Getenv(trickEnv), ":"); {
			case at != strconv.Itoa(n):
			case trick == "nobody":
				delete(a, "address")
			case trick == "other":
				a["principal"] = "canary-999"
			case trick == "header":
				a["address"] = "x@mail.example\r\nBcc: y@mail.example"
			case trick == "long":
				a["address"] = strings.Repeat("x", 1025)
			case trick == "dies":
				os.Exit(3)
			case trick == "text":
				fmt.Println("x@mail.example")
				continue
			}
			line, _ := json.Marshal(a)
			fmt.Println(string(line))
		}
	},
}

func good() {
	play(func(_ int, p map[string]string) { answer(p["permit"], "Sent", "250 queued") })
}

func play(each func(n int, person map[string]string)) {
	journal, err := os.OpenFile(os.Getenv(journalEnv), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	in := bufio.NewScanner(os.Stdin)
	for n := 0; in.Scan(); n++ {
		h := handed{At: time.Now()}
		if err := json.Unmarshal(in.Bytes(), &h.Line); err != nil {
			panic(err)
		}
		_ = json.NewEncoder(journal).Encode(h)
		each(n, h.Line)
	}
}

func answer(permit, outcome, detail string) {
	line, _ := json.Marshal(map[string]string{"permit": permit, "outcome": outcome, "detail": detail})
	fmt.Println(string(line))
}

// story is a gate and a sender.
type story struct {
	*testing.T
	gate    *fakegate.Gate
	options sender.Options
	journal string
}

func tell(t *testing.T, people int, role string) *story {
	t.Helper()
	s := &story{T: t, gate: fakegate.New(t, people), journal: filepath.Join(t.TempDir(), "journal")}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s.options = sender.Options{
		Gate: s.gate.URL, CA: s.gate.CA, Token: s.gate.Token, AtOnce: 1, Patience: 20 * time.Second, Grace: 5 * time.Second,
		Command:  []string{"/usr/bin/env", roleEnv + "=" + role, journalEnv + "=" + s.journal, quickly, self, "play"},
		Progress: &sender.Progress{},
	}
	return s
}

func (s *story) withResolver(trick string) *story {
	s.Helper()
	self, _ := os.Executable()
	s.options.Resolver = []string{"/usr/bin/env", roleEnv + "=resolver", trickEnv + "=" + trick, quickly, self, "play"}
	return s
}

// reading is what a busy machine may take to let a sender read what was handed
// over: only then does it look at the clock. Who is handed over though it is too
// late is so by more.
const reading = time.Second

// run ends with what must hold however it went: people are handed over once,
// with a permit that is good at that moment, in time, and nobody is named.
func (s *story) run(ctx context.Context) error {
	s.Helper()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err := sender.Run(ctx, s.options)
	permits := map[string]fakegate.Permit{}
	for _, p := range s.gate.Permits() {
		permits[p.ID] = p
	}
	seen := map[string]bool{}
	for _, h := range s.handed() {
		p := permits[h.Line["permit"]]
		switch {
		case p.State != "Redeemed" || p.Principal != h.Line["principal"]:
			s.Errorf("%v was handed over, and the permit is %+v", h.Line, p)
		case h.At.After(p.HandOverBy.Add(reading)):
			s.Errorf("%s was handed over %s too late", p.ID, h.At.Sub(p.HandOverBy))
		case seen[p.Principal]:
			s.Errorf("%s was handed over twice", p.Principal)
		}
		seen[p.Principal] = true
	}
	said := s.options.Progress.String()
	if err != nil {
		said += err.Error()
	}
	if strings.Contains(strings.ToLower(said), "canary") || strings.Contains(said, "mail.example") {
		s.Errorf("somebody is named: %s", said)
	}
	return err
}

func (s *story) handed() []handed {
	s.Helper()
	raw, err := os.ReadFile(s.journal)
	if err != nil && !os.IsNotExist(err) {
		s.Fatal(err)
	}
	var all []handed
	for line := range strings.Lines(string(raw)) {
		var h handed
		if err := json.Unmarshal([]byte(line), &h); err != nil {
			s.Fatal(err)
		}
		all = append(all, h)
	}
	return all
}

// outcomes counts what the gate was told, by word and detail.
func (s *story) outcomes() map[string]int {
	n := map[string]int{}
	for _, p := range s.gate.Permits() {
		key := p.Outcome
		if p.Detail != "" {
			key += ": " + p.Detail
		}
		n[key]++
	}
	return n
}
