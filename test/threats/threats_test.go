// Package threats_test keeps docs/threat-model.md honest, and the self-assessment:
// every test that they name is there, and every threat is answered.
package threats_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// named is a test as the document writes it: folder, function and case.
var named = regexp.MustCompile("`([a-z0-9/]+) ((?:Test|Fuzz)[A-Za-z0-9]+)(?:/([A-Za-z0-9/]+))?`")

const model, assessment = "docs/threat-model.md", "docs/self-assessment.md"

func document(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestEveryNamedTestExists(t *testing.T) {
	sources := map[string]string{}
	found := named.FindAllStringSubmatch(document(t, model), -1)
	also := named.FindAllStringSubmatch(document(t, assessment), -1)
	if len(found) < 40 || len(also) < 20 {
		t.Fatalf("only %d and %d tests are named: the documents were misread", len(found), len(also))
	}
	found = append(found, also...)
	for _, m := range found {
		folder, function, sub := m[1], m[2], m[3]
		if _, read := sources[folder]; !read {
			sources[folder] = testsOf(t, folder)
		}
		if !strings.Contains(sources[folder], "func "+function+"(") {
			t.Errorf("%s has no %s", folder, function)
			continue
		}
		for _, part := range strings.Split(sub, "/") {
			if part != "" && !strings.Contains(sources[folder], `"`+part+`"`) {
				t.Errorf("%s has no case %s of %s", folder, part, function)
			}
		}
	}
}

func testsOf(t *testing.T, folder string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(raw)
	}
	return all.String()
}

// TestEveryThreatIsAnswered wants a test for each threat, or the words that
// say that what it threatens is not there.
func TestEveryThreatIsAnswered(t *testing.T) {
	rows := map[string]string{}
	for _, line := range strings.Split(document(t, model), "\n") {
		if cells := strings.Split(line, "|"); len(cells) == 6 {
			rows[strings.TrimSpace(cells[1])] = line
		}
	}
	for i := 1; i <= 20; i++ {
		row, ok := rows[fmt.Sprintf("T%d", i)]
		switch {
		case !ok:
			t.Errorf("T%d is missing", i)
		case !named.MatchString(row) && !strings.Contains(strings.ToLower(row), "not yet built"):
			t.Errorf("T%d has neither a test nor the words not yet built", i)
		}
	}
}
