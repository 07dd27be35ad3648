// Package alerts tries the alerts of config/prometheus with Prometheus' own
// rules: each fires on a series that means trouble, and on none that doesn't.
// It is a module of its own, so that codb needs no Prometheus.
package alerts

import (
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
	"go.yaml.in/yaml/v3"
)

const file = "../../config/prometheus/alerts.yaml"

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// alerting are the rules, as Prometheus reads them.
func alerting(t *testing.T) map[string]rulefmt.Rule {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var resource struct{ Spec any }
	if err := yaml.Unmarshal(raw, &resource); err != nil {
		t.Fatal(err)
	}
	spec, err := yaml.Marshal(resource.Spec)
	if err != nil {
		t.Fatal(err)
	}
	groups, errs := rulefmt.Parse(spec, false, model.UTF8Validation)
	if len(errs) > 0 {
		t.Fatalf("%s: %v", file, errs)
	}
	out := map[string]rulefmt.Rule{}
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			out[r.Alert] = r
		}
	}
	return out
}

// healthy is half an hour of two operators and a gate that have work, in
// samples 15 s apart.
var healthy = map[string]string{
	`consent_store_synced{pod="a"}`:                                 `1x120`,
	`consent_store_synced{pod="b"}`:                                 `1x120`,
	`consent_admission_in_force{pod="a"}`:                           `1x120`,
	`consent_admission_in_force{pod="b"}`:                           `1x120`,
	`consent_posture_violations{pod="a",kind="PolicyGone"}`:         `0x120`,
	`consent_fence_duration_seconds_count{pod="a",result="passed"}`: `0+3x120`,
	`consent_fence_duration_seconds_count{pod="a",result="failed"}`: `0x120`,
	`consent_withdrawal_to_hold_seconds_bucket{pod="a",le="0.5"}`:   `0+1x120`,
	`consent_withdrawal_to_hold_seconds_bucket{pod="a",le="10"}`:    `0+1x120`,
	`consent_withdrawal_to_hold_seconds_bucket{pod="a",le="+Inf"}`:  `0+1x120`,
	`consent_policies{pod="a",in_force="latest"}`:                   `2x120`,
	`consent_policies{pod="a",in_force="none"}`:                     `0x120`,
	`consent_policy_worker_kills_total{pod="a",cause="time"}`:       `0x120`,
	`consent_policy_differences_total{pod="a"}`:                     `0x120`,
	`consent_gate_feed_behind_records{pod="a"}`:                     `0 7 0 0 3 0x115`,
	`consent_gate_feed_failures_total{pod="a"}`:                     `0x120`,
	`consent_ledger_records_total{pod="c",result="appended"}`:       `0+100x120`,
	`consent_ledger_records_total{pod="c",result="duplicate"}`:      `0+1x120`,
	`consent_ledger_records_total{pod="c",result="failed"}`:         `0x120`,
	`consent_ledger_records_total{pod="c",result="full"}`:           `0x120`,
	`consent_ledger_records_total{pod="c",result="conflict"}`:       `0x120`,
}

// none is a series that is not there.
const none = "_x120"

func TestAlerts(t *testing.T) {
	all := alerting(t)
	tested := map[string]bool{}
	for name, tc := range map[string]struct {
		alert  string // empty: none
		series map[string]string
	}{
		"Healthy":               {},
		"OneOfTwoOperatorsEnds": {series: map[string]string{`consent_store_synced{pod="a"}`: `1x40 _x80`, `consent_admission_in_force{pod="a"}`: `1x40 _x80`}},
		"NothingIsWithdrawn": {series: map[string]string{
			`consent_withdrawal_to_hold_seconds_bucket{pod="a",le="0.5"}`: `0x120`, `consent_withdrawal_to_hold_seconds_bucket{pod="a",le="10"}`: `0x120`, `consent_withdrawal_to_hold_seconds_bucket{pod="a",le="+Inf"}`: `0x120`,
		}},
		"AChangeOfTheGate":            {series: map[string]string{`consent_gate_feed_failures_total{pod="a"}`: `0x40 1x80`}},
		"APolicyThatIsMadeGoodAtOnce": {series: map[string]string{`consent_policies{pod="a",in_force="none"}`: `0x40 1x10 0x70`}},
		"AWorkerThatDiesNowAndThen":   {series: map[string]string{`consent_policy_worker_kills_total{pod="a",cause="time"}`: `0x40 1x80`}},

		"NobodyIsThere":        {alert: "CodbDown", series: map[string]string{`consent_store_synced{pod="a"}`: none, `consent_store_synced{pod="b"}`: none}},
		"NobodyHasAllConsents": {alert: "CodbDown", series: map[string]string{`consent_store_synced{pod="a"}`: `0x120`, `consent_store_synced{pod="b"}`: `1x40 0x80`}},
		"AdmissionIsGone":      {alert: "CodbAdmissionNotInForce", series: map[string]string{`consent_admission_in_force{pod="a"}`: `1x40 0x80`}},
		"APolicyIsDeleted":     {alert: "CodbPostureViolation", series: map[string]string{`consent_posture_violations{pod="a",kind="PolicyGone"}`: `0x40 1x80`}},
		"TheFirstFailedProof":  {alert: "CodbNotCurrent", series: map[string]string{`consent_fence_duration_seconds_count{pod="a",result="failed"}`: `0x60 1x60`}},
		"WithdrawalsTakeLong": {alert: "CodbWithdrawalSlow", series: map[string]string{
			`consent_withdrawal_to_hold_seconds_bucket{pod="a",le="0.5"}`: `0x120`,
		}},
		"NothingInForce":          {alert: "CodbPolicyBlocks", series: map[string]string{`consent_policies{pod="a",in_force="none"}`: `0x40 1x80`}},
		"WorkersAreKilled":        {alert: "CodbPolicyKilled", series: map[string]string{`consent_policy_worker_kills_total{pod="a",cause="time"}`: `0x40 0+1x80`}},
		"OPASaysOtherwise":        {alert: "CodbEnginesDiffer", series: map[string]string{`consent_policy_differences_total{pod="a"}`: `0x60 1x60`}},
		"AFeedThatIsBehind":       {alert: "CodbGateBehind", series: map[string]string{`consent_gate_feed_behind_records{pod="a"}`: `0x40 9x80`}},
		"AFeedThatFails":          {alert: "CodbGateBehind", series: map[string]string{`consent_gate_feed_failures_total{pod="a"}`: `0x40 0+1x80`}},
		"TheFirstRecordIsLost":    {alert: "CodbLedgerFailing", series: map[string]string{`consent_ledger_records_total{pod="c",result="failed"}`: `0x60 1x60`}},
		"TheDiskIsFull":           {alert: "CodbLedgerFailing", series: map[string]string{`consent_ledger_records_total{pod="c",result="full"}`: `0x60 1x60`}},
		"TwoTellDifferentStories": {alert: "CodbLedgerFailing", series: map[string]string{`consent_ledger_records_total{pod="c",result="conflict"}`: `0x60 1x60`}},
	} {
		tested[tc.alert] = true
		t.Run(name, func(t *testing.T) {
			var want []string
			if tc.alert != "" {
				want = []string{tc.alert}
			}
			if got := fired(t, all, tc.series); !slices.Equal(got, want) {
				t.Errorf("fired: %q, want %q", got, want)
			}
		})
	}
	for name := range all {
		if !tested[name] {
			t.Errorf("%s is not tried", name)
		}
	}
}

// fired are the alerts that reach a person within half an hour.
func fired(t *testing.T, all map[string]rulefmt.Rule, changed map[string]string) (out []string) {
	t.Helper()
	var load strings.Builder
	load.WriteString("load 15s\n")
	for series, values := range healthy {
		if other, ok := changed[series]; ok {
			values = other
		}
		load.WriteString("  " + series + " " + values + "\n")
	}
	for series := range changed {
		if _, known := healthy[series]; !known {
			t.Fatalf("%s is none of the healthy series", series)
		}
	}
	storage := promqltest.LoadedStorage(t, load.String())
	query := rules.EngineQueryFunc(promqltest.NewTestEngine(t, false, 5*time.Minute, 1_000_000), storage)
	for name, r := range all {
		expr, err := parser.ParseExpr(r.Expr)
		if err != nil {
			t.Fatal(err)
		}
		rule := rules.NewAlertingRule(name, expr, time.Duration(r.For), time.Duration(r.KeepFiringFor), labels.FromMap(r.Labels), labels.FromMap(r.Annotations), labels.EmptyLabels(), "", true, quiet)
		for at := 5 * time.Minute; at <= 30*time.Minute; at += 15 * time.Second {
			if _, err := rule.Eval(t.Context(), 0, time.Unix(0, 0).Add(at), query, nil, 0); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if slices.ContainsFunc(rule.ActiveAlerts(), func(a *rules.Alert) bool { return a.State == rules.StateFiring }) {
				out = append(out, name)
				break
			}
		}
	}
	slices.Sort(out)
	return out
}

// Whoever is woken must see how bad it is, and what to do.
func TestAlertsSayWhatToDo(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range alerting(t) {
		if s := r.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s has the severity %q", name, s)
		}
		if r.Annotations["summary"] == "" || !strings.Contains(string(page), "| `"+name+"` | ") {
			t.Errorf("%s has no summary, or docs/operations.md no row", name)
		}
	}
}
