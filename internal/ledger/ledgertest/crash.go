package ledgertest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/codb-dev/codb/internal/ledger"
)

// placeOfChild, in the environment, makes a test binary the process that is to
// be killed.
const placeOfChild = "LEDGERTEST_PLACE"

// Main runs a package's tests of stores, by name; in a process that the suite
// started to kill, it appends until it is.
func Main(m *testing.M, stores map[string]Open) {
	if place := os.Getenv(placeOfChild); place != "" {
		open := stores[os.Getenv(placeOfChild+"_STORE")]
		fmt.Fprintln(os.Stderr, appendForever(place, os.Getenv(placeOfChild+"_ROUND"), open))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// batchOf is one append of the child: its records stand or fall together.
const batchOf = 3

// appendForever writes a line for each append that was acknowledged.
func appendForever(place, round string, open Open) error {
	s, err := open(place, time.Now)
	if err != nil {
		return err
	}
	errs := make(chan error)
	var out sync.Mutex
	for w := range 4 {
		go func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("%s/%d/%d", round, w, n)
				results, err := s.Append(context.Background(), batch(id))
				if err != nil {
					errs <- err
					return
				}
				out.Lock()
				fmt.Printf("%s %d\n", id, results[0].Sequence)
				out.Unlock()
			}
		}()
	}
	return <-errs
}

func batch(id string) []ledger.Record {
	records := make([]ledger.Record, batchOf)
	for i := range records {
		records[i] = sent(fmt.Sprintf("%s/%d", id, i), fmt.Sprint("c-", i), noon)
	}
	return records
}

// crash kills a process in the middle of its appends, again and again.
func crash(t *testing.T, name string, open Open) {
	place := t.TempDir()
	acknowledged := map[string]uint64{}
	const rounds = 8
	for round := range rounds {
		// After how many lines: each round stops in another moment.
		for id, n := range killed(t, name, place, round, 5+round*9) {
			acknowledged[id] = n
		}
		s, err := open(place, time.Now)
		if err != nil {
			t.Fatalf("round %d: open after the kill: %v", round, err)
		}
		checkCrash(t, s, acknowledged)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func killed(t *testing.T, name, place string, round, lines int) map[string]uint64 {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), placeOfChild+"="+place, placeOfChild+"_STORE="+name, fmt.Sprintf("%s_ROUND=%d", placeOfChild, round))
	child.Stderr = os.Stderr
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	got := map[string]uint64{}
	// What it wrote before it was killed counts, also what is read afterwards. A
	// line that was cut off has no end.
	for r, n := bufio.NewReader(stdout), 0; ; n++ {
		if n == lines {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		line, err := r.ReadString('\n')
		if err != nil {
			break
		}
		var id string
		var sequence uint64
		if _, err := fmt.Sscan(line, &id, &sequence); err != nil {
			t.Fatalf("the child wrote %q: %v", line, err)
		}
		got[id] = sequence
	}
	if err := child.Wait(); err == nil || len(got) < lines {
		t.Fatalf("the child ended by itself after %d appends: %v", len(got), err)
	}
	return got
}

func checkCrash(t *testing.T, s ledger.Store, acknowledged map[string]uint64) {
	t.Helper()
	first, found := map[string]uint64{}, map[string]int{}
	for _, r := range feed(t, s) {
		id := r.Key[:strings.LastIndex(r.Key, "/")]
		if found[id] == 0 {
			first[id] = r.Sequence
		}
		found[id]++
	}
	for id, n := range found {
		if n != batchOf {
			t.Fatalf("append %s: %d of %d records are there", id, n, batchOf)
		}
		results, err := s.Append(t.Context(), batch(id)) // the indexes agree with the records
		if err != nil || !results[0].Duplicate || results[0].Sequence != first[id] {
			t.Fatalf("append %s again: got %v, %v; want a duplicate of %d", id, results, err, first[id])
		}
	}
	for id, n := range acknowledged {
		if first[id] != n {
			t.Fatalf("append %s was acknowledged as sequence %d, the ledger has it at %d", id, n, first[id])
		}
	}
	for i := range batchOf {
		records, err := s.ByPrincipal(t.Context(), fmt.Sprint("c-", i), time.Time{}, 1<<30)
		if err != nil || len(records) != len(found) {
			t.Fatalf("customer %d has %d records, %v; want %d", i, len(records), err, len(found))
		}
	}
}
