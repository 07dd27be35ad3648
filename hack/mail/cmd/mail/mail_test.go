package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const people = "c-1,one@mail.example\nc-2,two@mail.example\n"

func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "mailboxes.csv")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// server runs until the end of the test, or until stop.
func server(t *testing.T) (address string, said *bytes.Buffer, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	known, err := mailboxes(file(t, people))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	said = &bytes.Buffer{}
	go func() { ended <- serve(ctx, l, &postOffice{boxes: boxes(known), out: said}) }()
	stop = func() {
		if cancel(); ended != nil {
			if err := <-ended; err != nil {
				t.Error(err)
			}
			ended = nil
		}
	}
	t.Cleanup(stop)
	return l.Addr().String(), said, stop
}

func sends(t *testing.T, server, lines string) string {
	t.Helper()
	var out bytes.Buffer
	if err := run([]string{"send", "--server", server, "--from", "news@acme.example"}, strings.NewReader(lines), &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestMailReachesItsMailbox(t *testing.T) {
	address, said, stop := server(t)
	got := sends(t, address, `{"permit":"p-1","principal":"c-1","address":"one@mail.example","topic":"Savings","language":"de"}
{"permit":"p-2","principal":"c-9","address":"nobody@mail.example","topic":"Savings"}
{"permit":"p-3","principal":"c-2","address":"two@mail.example","topic":"Savings","language":"en"}
`)
	want := `{"permit":"p-1","outcome":"Sent"}
{"permit":"p-2","outcome":"HardBounce","detail":"550 5.1.1"}
{"permit":"p-3","outcome":"Sent"}
`
	if got != want {
		t.Errorf("outcomes\n%swant\n%s", got, want)
	}
	stop()
	if want := "one@mail.example p-1@acme.example\ntwo@mail.example p-3@acme.example\n"; said.String() != want {
		t.Errorf("the mailboxes got\n%swant\n%s", said, want)
	}
}

func TestAServerThatIsNotThereIsAFailure(t *testing.T) {
	address, _, stop := server(t)
	stop()
	got := sends(t, address, `{"permit":"p-1","address":"one@mail.example"}`+"\n")
	if want := `{"permit":"p-1","outcome":"Failed","detail":"the mail server could not be reached"}` + "\n"; got != want {
		t.Errorf("outcomes %swant %s", got, want)
	}
}

// A server that goes away with the message leaves open what became of it.
func TestAConnectionThatBreaksLeavesNoOutcome(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "220 hello\r\n250 hello\r\n250 from\r\n250 to\r\n354 go on\r\n")
		seen := make([]byte, 0, 4096)
		for buf := make([]byte, 256); !bytes.Contains(seen, []byte("You asked us")); {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			seen = append(seen, buf[:n]...)
		}
	}()
	var out bytes.Buffer
	err = run([]string{"send", "--server", l.Addr().String(), "--from", "news@acme.example"},
		strings.NewReader(`{"permit":"p-1","address":"one@mail.example"}`+"\n"), &out)
	if err == nil || !strings.Contains(err.Error(), "whether it was taken is unknown") || strings.Contains(err.Error(), "mail.example") || out.Len() > 0 {
		t.Errorf("got %v and %q", err, out.String())
	}
}

func TestTheResolverRepeatsWhomItWasAskedFor(t *testing.T) {
	const questions = `{"principal":"c-2","channel":"Email"}` + "\n" + `{"principal":"c-9"}` + "\n"
	for name, tc := range map[string]struct{ where, want string }{
		"by a file":   {file(t, people), `{"principal":"c-2","address":"two@mail.example"}` + "\n" + `{"principal":"c-9"}` + "\n"},
		"by a domain": {"--domain=b.example", `{"principal":"c-2","address":"c-2@b.example"}` + "\n" + `{"principal":"c-9","address":"c-9@b.example"}` + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := run([]string{"resolve", tc.where}, strings.NewReader(questions), &out); err != nil {
				t.Fatal(err)
			}
			if out.String() != tc.want {
				t.Errorf("got\n%swant\n%s", out.String(), tc.want)
			}
		})
	}
}

func TestMailboxesHaveAPersonAndAnAddress(t *testing.T) {
	err := run([]string{"resolve", file(t, "c-1,one@mail.example\nc-2\n")}, strings.NewReader(""), io.Discard)
	if err == nil || !strings.Contains(err.Error(), "line 2: want principal,address") {
		t.Errorf("got %v", err)
	}
}
