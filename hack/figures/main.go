// Command figures computes from the UCI bank campaign what policies would have
// prevented in it, and at most what that would have cost. It knows nothing of
// codb, so that its numbers can't lean on what they are about. docs/bank.md
// holds its output; a test compares.
package main

import (
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"strconv"
)

// person is one row: a customer who was called.
type person struct {
	age, calls int
	outcome    string // of an earlier campaign
	won        int    // 1: subscribed
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: figures bank-additional-full.csv.gz")
	}
	people, err := read(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	write(os.Stdout, people)
}

func read(path string) ([]person, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("unpack %s: %w", path, err)
	}
	in := csv.NewReader(z)
	in.Comma = ';'
	rows, err := in.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	at := func(column string) int { return slices.Index(rows[0], column) }
	age, calls, outcome, y := at("age"), at("campaign"), at("poutcome"), at("y")
	var people []person
	for i, row := range rows[1:] {
		p := person{outcome: row[outcome]}
		if _, err := fmt.Sscan(row[age]+" "+row[calls], &p.age, &p.calls); err != nil {
			return nil, fmt.Errorf("read %s: row %d, age and campaign: %w", path, i+1, err)
		}
		if row[y] == "yes" {
			p.won = 1
		}
		people = append(people, p)
	}
	return people, nil
}

// rule bars some people altogether and lets the others be called so often.
type rule struct {
	name string
	most int
	bars func(person) bool
}

func write(w io.Writer, people []person) {
	nobody := func(person) bool { return false }
	neverBought := func(p person) bool { return p.outcome != "success" }
	failedBefore := func(p person) bool { return p.outcome == "failure" }
	minor := func(p person) bool { return p.age < 18 }
	const uncapped = 1 << 30
	rules := []rule{{"At most 1 call a person", 1, nobody}}
	for _, n := range []int{2, 3, 4, 5, 6, 10} {
		rules = append(rules, rule{fmt.Sprintf("At most %d calls a person", n), n, nobody})
	}
	rules = append(rules,
		rule{"Opt-in, given: nobody's is on record", 0, nobody},
		rule{"Opt-in, given or implied by a purchase", uncapped, neverBought},
		rule{"Opt-in, given or implied, and at most 3 calls", 3, neverBought},
		rule{"No second try after a campaign that failed", uncapped, failedBefore},
		rule{"Nobody under 18", uncapped, minor},
	)
	var calls, won, top int
	for _, p := range people {
		calls, won, top = calls+p.calls, won+p.won, max(top, p.calls)
	}
	fmt.Fprintf(w, "%s people were called %s times, one of them %d times; %s subscribed.\n\n", thousands(len(people)), thousands(calls), top, thousands(won))
	fmt.Fprintln(w, "| Rule | Calls fewer | of all | People it concerns | Subscriptions lost, at most | of all |\n|---|--:|--:|--:|--:|--:|")
	for _, r := range rules {
		var fewer, concerned, lost int
		for _, p := range people {
			allowed := min(p.calls, r.most)
			if r.bars(p) {
				allowed = 0
			}
			if allowed < p.calls {
				fewer, concerned, lost = fewer+p.calls-allowed, concerned+1, lost+p.won
			}
		}
		fmt.Fprintf(w, "| %s | %s | %.1f%% | %s | %s | %.1f%% |\n", r.name, thousands(fewer), 100*float64(fewer)/float64(calls),
			thousands(concerned), thousands(lost), 100*float64(lost)/float64(won))
	}
}

func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
