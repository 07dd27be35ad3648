// Command mail is a sample sender for codb-run, with a resolver and a mail
// server to try it on. It knows nothing of codb but the lines that codb-run
// writes and reads:
//
//	codb-run --resolver "mail resolve mailboxes.csv" -- mail send --server=smtp:25 --from=news@acme.example
//
// It is there to be copied, and to be tested with.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

const usage = `usage:
  mail send --server HOST:PORT --from ADDRESS   reads people, a line of JSON each, and writes what became of them
  mail resolve MAILBOXES                        reads principals, and writes their addresses
  mail resolve --domain DOMAIN                  the same where everybody's address is their id at this domain
  mail serve --address HOST:PORT MAILBOXES      takes mail for these mailboxes, and says so

MAILBOXES is a file with a line for each person: principal,address`

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "mail:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	if len(args) == 0 {
		return fmt.Errorf("%s", usage)
	}
	f := flag.NewFlagSet(args[0], flag.ContinueOnError)
	server, from := f.String("server", "", "mail server, host:port"), f.String("from", "", "who sends")
	address := f.String("address", ":25", "where to listen")
	domain := f.String("domain", "", "where everybody has a mailbox named after their id")
	first := f.Duration("first-takes", 0, "how long the server takes over its first message")
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	switch {
	case args[0] == "send" && *server != "" && *from != "" && f.NArg() == 0:
		return send(&outbox{server: *server, from: *from}, in, out)
	case args[0] == "resolve" && f.NArg() == 1:
		known, err := mailboxes(f.Arg(0))
		if err != nil {
			return err
		}
		return resolve(func(principal string) string { return known[principal] }, in, out)
	case args[0] == "resolve" && *domain != "" && f.NArg() == 0:
		return resolve(func(principal string) string { return principal + "@" + *domain }, in, out)
	case args[0] == "serve" && f.NArg() == 1:
		known, err := mailboxes(f.Arg(0))
		if err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
		defer stop()
		l, err := net.Listen("tcp", *address)
		if err != nil {
			return err
		}
		return serve(ctx, l, &postOffice{boxes: boxes(known), out: out, first: *first})
	}
	return fmt.Errorf("%s", usage)
}

// mailboxes reads who has which address.
func mailboxes(file string) (map[string]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	known := map[string]string{}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		principal, address, ok := strings.Cut(strings.TrimSpace(lines.Text()), ",")
		if !ok || principal == "" || !strings.Contains(address, "@") {
			return nil, fmt.Errorf("%s: line %d: want principal,address", file, n)
		}
		known[principal] = address
	}
	return known, lines.Err()
}
