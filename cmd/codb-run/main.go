// Command codb-run makes any program that sends safe. It is put in front of the
// program in the pods of campaigns that draw permits:
//
//	codb-run [flags] -- my-sender arguments...
//
// It draws permits from codb's gate, asks once more whether each person may
// still be contacted, and only then writes one line of JSON about them to the
// sender's standard input. The sender answers with one line a person on its
// standard output. codb-run knows nothing of how messages are sent.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/codb-dev/codb/internal/sender"
)

// The exit codes. A Job that retries can repair what trying again can repair.
const (
	exitDone  = 0
	exitAgain = 1
	exitUsage = 2
)

func main() {
	os.Exit(run(os.Args[1:], os.Getenv, os.Stderr, term.IsTerminal(int(os.Stderr.Fd()))))
}

func run(args []string, env func(string) string, stderr io.Writer, terminal bool) int {
	o, install, err := options(args, env, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitDone
	case err == nil && install != "":
		err = copySelf(install)
	case err == nil:
		err = send(o, stderr, terminal)
	}
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, sender.ErrUsage):
		fmt.Fprintf(stderr, "codb-run: %v\n", err)
		return exitUsage
	}
	fmt.Fprintf(stderr, "codb-run: %v\n", err)
	return exitAgain
}

const help = `codb-run [flags] -- sender arguments...

Hands a campaign's people to the sender, each when codb's gate permits it at
that very moment. The sender reads a line for each, and writes one:

  < {"permit":"p-1","principal":"c-7f3a","address":"...","channel":"Email","purpose":"Marketing"}
  > {"permit":"p-1","outcome":"Sent"}

Outcomes: Sent, Failed, Bounced, HardBounce, Complained, Unsubscribed, Converted,
Replied; with "detail" of at most 128 characters that names nobody. A resolver
reads {"principal":"c-7f3a"} and writes the same with an "address", or without
one where there is none.

Exit codes: 0 the campaign is exhausted and every outcome is on record; 1 it is
not, and another run goes on where this one ended; 2 something must be changed.

Flags, and the variables that set them where a flag is not given:
`

// options reads the flags, and the environment for those that are not given:
// in a campaign's pod codb writes the command line, and the marketer the
// environment.
func options(args []string, env func(string) string, stderr io.Writer) (sender.Options, string, error) {
	o := sender.Options{Gate: env("CODB_GATE"), CA: env("CODB_GATE_CA"), Token: env("CODB_GATE_TOKEN")}
	f := flag.NewFlagSet("codb-run", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprint(stderr, help)
		f.PrintDefaults()
	}
	var resolver, install string
	f.StringVar(&resolver, "resolver", env("CODB_RUN_RESOLVER"), "`command` that maps principals to addresses, its words separated by spaces (CODB_RUN_RESOLVER)")
	f.StringVar(&install, "install", "", "copy this program to a `file`, and do nothing else")
	var bad []string
	f.IntVar(&o.AtOnce, "at-once", number(env, "CODB_RUN_AT_ONCE", 1, &bad), "how many people the sender works on at the same time (CODB_RUN_AT_ONCE)")
	f.DurationVar(&o.Patience, "patience", duration(env, "CODB_RUN_PATIENCE", 5*time.Minute, &bad), "how long the sender may take for a person, and the gate may be away (CODB_RUN_PATIENCE)")
	f.DurationVar(&o.Grace, "grace", duration(env, "CODB_RUN_GRACE", 7*time.Second, &bad), "what the sender gets for its last outcomes when everything must stop, at least 2s less than the pod gets (CODB_RUN_GRACE)")
	if err := f.Parse(args); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			err = fmt.Errorf("%w: see codb-run --help", sender.ErrUsage) // what is wrong was said already
		}
		return o, "", err
	}
	if len(bad) > 0 {
		return o, "", fmt.Errorf("%w: %s", sender.ErrUsage, strings.Join(bad, "; "))
	}
	o.Command, o.Resolver = f.Args(), strings.Fields(resolver)
	return o, install, nil
}

func number(env func(string) string, name string, fallback int, bad *[]string) int {
	v := env(name)
	if v == "" {
		return fallback
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		*bad = append(*bad, fmt.Sprintf("%s=%q: write a number, for example %d", name, v, fallback))
	}
	return n
}

func duration(env func(string) string, name string, fallback time.Duration, bad *[]string) time.Duration {
	v := env(name)
	if v == "" {
		return fallback
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		*bad = append(*bad, fmt.Sprintf("%s=%q: write a duration, for example %s", name, v, fallback))
	}
	return d
}

// send runs the sender until the campaign is exhausted, or we are told to stop.
func send(o sender.Options, stderr io.Writer, terminal bool) error {
	if err := o.Check(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o.Progress = &sender.Progress{}
	showing, hide := context.WithCancel(context.Background())
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		o.Progress.Show(showing, stderr, terminal)
	}()
	err := sender.Run(ctx, o)
	hide()
	<-shown
	return err
}
