package main

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const (
	root    = "../../"
	dataSet = root + "test/data/bank-additional-full.csv.gz"
)

func dataset(t *testing.T) []person {
	t.Helper()
	people, err := read(dataSet)
	if err != nil {
		t.Fatal(err)
	}
	return people
}

func document(t *testing.T) string {
	t.Helper()
	doc, err := os.ReadFile(root + "docs/bank.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(doc)
}

// between returns what stands between two marks, which must be there.
func between(t *testing.T, s, from, to string) string {
	t.Helper()
	_, rest, ok := strings.Cut(s, from)
	part, _, closed := strings.Cut(rest, to)
	if !ok || !closed {
		t.Fatalf("docs/bank.md has nothing between %q and %q", from, to)
	}
	return strings.TrimSpace(part)
}

func TestDocumentHasTheComputedFigures(t *testing.T) {
	var out bytes.Buffer
	write(&out, dataset(t))
	got := between(t, document(t), "<!-- figures: go run ./hack/figures test/data/bank-additional-full.csv.gz -->", "<!-- /figures -->")
	if want := strings.TrimSpace(out.String()); got != want {
		t.Errorf("docs/bank.md has\n%s\nand computed is\n%s", got, want)
	}
}

// TestProseAgreesWithTheRows recomputes what the text says beside the table.
func TestProseAgreesWithTheRows(t *testing.T) {
	var people, calls, won, first, firstWon [2]int // [1]: bought before
	for _, p := range dataset(t) {
		i := 0
		if p.outcome == "success" {
			i = 1
		}
		people[i]++
		calls[i] += p.calls
		won[i] += p.won
		first[i] += min(p.calls, 3)
		if p.calls <= 3 {
			firstWon[i] += p.won
		}
	}
	percent := func(n, of int) string { return strconv.FormatFloat(100*float64(n)/float64(of), 'f', 1, 64) }
	ratio := func(n, of int) string { return strconv.FormatFloat(float64(n)/float64(of), 'f', 1, 64) }
	threes, lateCalls := first[0]+first[1], calls[0]+calls[1]-first[0]-first[1]
	threesWon := firstWon[0] + firstWon[1]
	doc := strings.Join(strings.Fields(document(t)), " ")
	for _, want := range []string{
		"won " + percent(threesWon, threes) + " subscriptions per 100 calls, all later ones " + percent(won[0]+won[1]-threesWon, lateCalls),
		"Those " + thousands(people[1]) + " people** subscribed in " + percent(won[1], people[1]) + "% of cases with " + ratio(calls[1], people[1]) +
			" calls each; everybody else in " + percent(won[0], people[0]) + "% with " + ratio(calls[0], people[0]),
		"calling everybody else " + thousands(calls[0]) + " times",
	} {
		if !strings.Contains(doc, want) {
			t.Errorf("docs/bank.md doesn't say %q", want)
		}
	}
}

// TestSnippetComputesWhatItShows runs the document's own ten lines.
func TestSnippetComputesWhatItShows(t *testing.T) {
	doc := document(t)
	snippet := between(t, doc, "```sh\n", "\n```")
	if lines := strings.Count(snippet, "\n") + 1; lines > 10 {
		t.Errorf("the ten lines are %d", lines)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", snippet)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("run the snippet of docs/bank.md: %v", err)
	}
	_, after, _ := strings.Cut(doc, snippet)
	if got, want := strings.TrimSpace(string(out)), between(t, strings.TrimPrefix(after, "\n```"), "```\n", "\n```"); got != want {
		t.Errorf("the snippet says\n%s\nand docs/bank.md shows\n%s", got, want)
	}

	// The same numbers as the program's, in the program's order.
	var fewer, over, lost int
	for _, p := range dataset(t) {
		if p.calls > 3 {
			fewer, over, lost = fewer+p.calls-3, over+1, lost+p.won
		}
	}
	want := []string{"3", strconv.Itoa(fewer), strconv.Itoa(over), strconv.Itoa(lost)}
	_, line, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if got := regexp.MustCompile(`[0-9]+`).FindAllString(line, -1); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("the snippet's cap of 3 says %v, computed is %v", got, want)
	}
}
