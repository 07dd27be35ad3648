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

// moved are samples that a reader of all pages has moved.
var moved = []string{
	`consent_admission_in_force`, `consent_consents`, `consent_store_synced`, `consent_store_proven_timestamp_seconds`,
	`consent_policies{in_force="latest"}`, `consent_releases_total`, `consent_evaluated_customers_total`,
	`consent_decisions_total{verdict="Allowed"}`, `consent_decisions_total{verdict="Held"}`,
	`consent_holds_total{reason="by_hand"}`, `consent_holds_total{reason="withdrawn"}`,
	`consent_withdrawal_to_hold_seconds_count`, `consent_decision_duration_seconds_count`, `consent_evaluation_duration_seconds_count`,
	`consent_fence_duration_seconds_count{result="passed"}`, `consent_campaigns{verdict="Blocked",workload="Suspended"}`,
}

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
	for _, sample := range moved {
		if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(sample) + ` [1-9]`).Match(raw) {
			t.Errorf("all pages were typed, and %s stands at zero", sample)
		}
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
