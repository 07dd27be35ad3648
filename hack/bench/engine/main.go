// Command engine measures what one decision costs, next to OPA, CEL and a loop
// written by hand, and writes the tables of docs/benchmarks.md. It fails where any
// of them answers otherwise than the others; how quick they must be it does not
// know.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/codb-dev/codb/internal/policy"
	"github.com/codb-dev/codb/policies"
)

// options say how much is measured.
type options struct {
	root   string // of the repository
	sizes  []int  // numbers of customers, ascending; the first table is about main
	main   int
	rounds int
	slow   int // customers whom OPA and CEL are asked about in a round
	many   int // campaigns at once
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "policy-worker" { // the engine has OPA confirm what it says
		worker()
	}
	root := flag.String("root", ".", "folder of the repository")
	sizes := flag.String("customers", "100000,1000000,10000000", "numbers of customers, ascending")
	rounds := flag.Int("rounds", 7, "rounds, of which the median counts")
	quick := flag.Bool("quick", false, "measure little, in half a minute, and write no document")
	flag.Parse()
	o := options{root: *root, rounds: *rounds, main: 1_000_000, slow: 150, many: 100}
	for _, s := range strings.Split(*sizes, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			log.Fatalf("%q is no number of customers", s)
		}
		o.sizes = append(o.sizes, n)
	}
	if *quick {
		o.sizes, o.main, o.rounds, o.slow, o.many = []int{10_000, 50_000}, 50_000, 3, 20, 10
	}
	debug.SetMemoryLimit(memory() * 8 / 10) // many customers leave no room for twice as much
	text, err := o.measure(context.Background())
	if err == nil && !*quick {
		err = publish(o.root+"/docs/benchmarks.md", text)
	}
	fmt.Print(text)
	if err != nil {
		log.Fatal(err)
	}
}

// worker is what the sandbox starts.
func worker() {
	lib, err := policy.LoadLibrary(policies.FS)
	if err != nil {
		log.Fatal(err)
	}
	os.Exit(policy.WorkerMain(lib, os.Stdin, os.Stdout))
}

// measure makes the report.
func (o *options) measure(ctx context.Context) (text string, err error) {
	b, err := newBench(o)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	var r report
	b.intro(&r)
	for _, part := range []func(context.Context, *report) error{b.decisions, b.sizes, b.manyCampaigns, b.policies, b.others} {
		if err := part(ctx, &r); err != nil {
			return "", err
		}
		debug.FreeOSMemory()
	}
	return r.String(), nil
}
