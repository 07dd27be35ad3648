package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/codb-dev/codb/internal/sender/fakegate"
)

// The tests' own binary is codb-run when it is told so, and a sender.
func TestMain(m *testing.M) {
	if os.Getenv("CODB_TEST_PLAY") != "" {
		if len(os.Args) > 1 && os.Args[1] == "echo-sender" {
			echo()
			return
		}
		main()
	}
	os.Exit(m.Run())
}

// echo answers Sent to everybody.
func echo() {
	var line string
	for {
		if _, err := fmt.Scanln(&line); err != nil {
			return
		}
		_, rest, _ := strings.Cut(line, `"permit":"`)
		id, _, _ := strings.Cut(rest, `"`)
		fmt.Printf("{\"permit\":%q,\"outcome\":\"Sent\"}\n", id)
	}
}

func codbRun(t *testing.T, g *fakegate.Gate, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self, args...)
	c.Env = append(os.Environ(), "CODB_TEST_PLAY=yes", "GORACE=atexit_sleep_ms=0")
	if g != nil {
		c.Env = append(c.Env, "CODB_GATE="+g.URL, "CODB_GATE_CA="+g.CA, "CODB_GATE_TOKEN="+g.Token)
	}
	return c
}

func self(t *testing.T) string {
	t.Helper()
	name, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func TestItEndsWellWhenEverybodyWasSentTo(t *testing.T) {
	g := fakegate.New(t, 12)
	out, err := codbRun(t, g, "--", self(t), "echo-sender").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if want := "codb-run: 12 drawn, 12 sent, nobody is left\n"; string(out) != want {
		t.Errorf("it said %q, want %q", out, want)
	}
}

// A run that can be taken up again ends with 1, so that the Job tries again;
// one that can't ends with 2. Neither names anybody.
func TestExitCodes(t *testing.T) {
	g := fakegate.New(t, 3)
	for name, tc := range map[string]struct {
		gate *fakegate.Gate
		args []string
		code int
		want string
	}{
		"NoGate":         {nil, []string{"--", "/bin/true"}, 2, "set CODB_GATE"},
		"NoSender":       {g, nil, 2, "write codb-run -- my-sender"},
		"NoSuchSender":   {g, []string{"--", "/no/such"}, 2, "start the sender"},
		"BadFlag":        {g, []string{"--at-once", "many", "--", "/bin/true"}, 2, "see codb-run --help"},
		"Help":           {g, []string{"--help"}, 0, "Exit codes: 0 the campaign is exhausted"},
		"SenderGivesUp":  {g, []string{"--", "/bin/false"}, 1, "the sender ended with exit status 1"},
		"InstallNowhere": {g, []string{"--install", "/no/such/folder/codb-run"}, 1, "copy this program"},
	} {
		t.Run(name, func(t *testing.T) {
			c := codbRun(t, tc.gate, tc.args...)
			out, err := c.CombinedOutput()
			if code := c.ProcessState.ExitCode(); code != tc.code || !strings.Contains(string(out), tc.want) {
				t.Errorf("%v, exit code %d, said:\n%s\nwant %d and %q", err, code, out, tc.code, tc.want)
			}
			if strings.Contains(string(out), "canary") {
				t.Errorf("somebody is named:\n%s", out)
			}
		})
	}
}

func TestTheEnvironmentSetsWhatTheMarketerMay(t *testing.T) {
	env := map[string]string{
		"CODB_GATE": "https://gate", "CODB_GATE_CA": "/ca", "CODB_GATE_TOKEN": "/token", "CODB_RUN_RESOLVER": "/mail resolve /boxes.csv",
		"CODB_RUN_AT_ONCE": "8", "CODB_RUN_PATIENCE": "1m", "CODB_RUN_GRACE": "20s",
	}
	o, _, err := options([]string{"--at-once", "4", "--", "/mail", "send"}, func(n string) string { return env[n] }, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if o.Gate != "https://gate" || o.CA != "/ca" || o.Token != "/token" || o.AtOnce != 4 || o.Patience != time.Minute || o.Grace != 20*time.Second ||
		!slices.Equal(o.Resolver, []string{"/mail", "resolve", "/boxes.csv"}) || !slices.Equal(o.Command, []string{"/mail", "send"}) {
		t.Errorf("got %+v", o)
	}
	for _, name := range []string{"CODB_RUN_AT_ONCE", "CODB_RUN_PATIENCE", "CODB_RUN_GRACE"} {
		bad := func(n string) string { return map[string]string{name: "soon"}[n] }
		if _, _, err := options([]string{"--", "/mail"}, bad, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), name+`="soon"`) {
			t.Errorf("%s=soon: got %v", name, err)
		}
	}
}

func TestItCopiesItselfWhole(t *testing.T) {
	to := filepath.Join(t.TempDir(), "codb-run")
	for range 2 { // an init container may run twice
		if out, err := codbRun(t, nil, "--install", to).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	original, err := os.ReadFile(self(t))
	if err != nil {
		t.Fatal(err)
	}
	copied, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(to)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(original, copied) || info.Mode().Perm() != 0o555 {
		t.Errorf("the copy has %d of %d bytes and mode %v", len(copied), len(original), info.Mode())
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(to), ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestASignalStopsItInOrder(t *testing.T) {
	g := fakegate.New(t, 5)
	g.Forever = true // more people may come
	c := codbRun(t, g, "--", self(t), "echo-sender")
	var said bytes.Buffer
	c.Stderr = &said
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; {
		reported := 0
		for _, p := range g.Permits() {
			if p.Outcome == "Sent" {
				reported++
			}
		}
		if reported == 5 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d were reported; it said %s", reported, said.String())
		}
		<-time.After(10 * time.Millisecond)
	}
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if want := "5 drawn, 5 sent\ncodb-run: stopped before the campaign was exhausted\n"; c.ProcessState.ExitCode() != 1 || !strings.HasSuffix(said.String(), want) {
		t.Errorf("exit code %d, said %q, want %q", c.ProcessState.ExitCode(), said.String(), want)
	}
}

// The helper goes into every pod: what makes it large stays out.
func TestItIsLight(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"github.com/codb-dev/codb/", "github.com/cenkalti/backoff/v5", "golang.org/x/term", "golang.org/x/sys/"}
	for _, dep := range strings.Fields(string(out)) {
		if !slices.ContainsFunc(want, func(p string) bool { return strings.HasPrefix(dep, p) }) {
			t.Errorf("it contains %s", dep)
		}
	}
}
