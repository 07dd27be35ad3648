package docs

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	served     = regexp.MustCompile(`(?m)^# TYPE (consent_\w+) `)
	documented = regexp.MustCompile("(?m)^\\| `(consent_\\w+)` \\|")
	asked      = regexp.MustCompile(`consent_\w+`)
	suffix     = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// compareMetrics wants docs/operations.md to have every metric that codb
// serves and no other, and every alert to ask for one of them.
func (w *terminal) compareMetrics(t *testing.T) {
	t.Helper()
	resp, err := http.Get("http://" + w.metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	has := names(served, string(raw))
	page, err := os.ReadFile(filepath.Join(root, "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(has, names(documented, string(page))); diff != "" {
		t.Errorf("docs/operations.md does not list what is served (-served +listed):\n%s", diff)
	}
	rules, err := filepath.Glob(filepath.Join(root, "config", "prometheus", "*.yaml"))
	if err != nil || len(rules) == 0 {
		t.Fatalf("find the alerts: %v, %d files", err, len(rules))
	}
	for _, path := range rules {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range asked.FindAllString(string(raw), -1) {
			if !slices.Contains(has, name) && !slices.Contains(has, suffix.ReplaceAllString(name, "")) {
				t.Errorf("%s asks for %s, which nobody serves", filepath.Base(path), name)
			}
		}
	}
}

func names(pattern *regexp.Regexp, text string) []string {
	var out []string
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	slices.Sort(out)
	return slices.Compact(out)
}
