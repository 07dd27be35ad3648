package policies_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/rego"
)

// readings are the first and the last instant at which a clock shows a reading,
// in nanoseconds.
type readings struct{ First, Final int64 }

// TestCalendarAgreesWithGo compares the library's calendar with a walk through
// every minute of Go's own, around changes of clocks of all shapes.
func TestCalendarAgreesWithGo(t *testing.T) {
	options := []func(*rego.Rego){rego.Query("data.compare.answers")}
	for name, text := range sources(t) {
		options = append(options, rego.Module(name, text))
	}
	options = append(options, rego.StrictBuiltinErrors(true), rego.Module("compare.rego", `package compare

import data.codb.lib.calendar

answers := [{"First": calendar.first(r, input.zone), "Final": calendar.final(r, input.zone)} | some r in input.readings]
`))
	query, err := rego.New(options...).PrepareForEval(context.Background())
	if err != nil {
		t.Fatal(err)
	}

	tests := map[string]struct {
		zone, around string
	}{
		"Spring, an hour":                         {"Europe/Berlin", "2026-03-29T02:00:00Z"},
		"Autumn, an hour":                         {"Europe/Berlin", "2026-10-25T02:00:00Z"},
		"Spring, west of Greenwich":               {"America/New_York", "2026-03-08T02:00:00Z"},
		"Autumn, west of Greenwich":               {"America/New_York", "2026-11-01T02:00:00Z"},
		"Spring, half an hour":                    {"Australia/Lord_Howe", "2026-10-04T02:00:00Z"},
		"Autumn, half an hour":                    {"Australia/Lord_Howe", "2026-04-05T02:00:00Z"},
		"Spring at midnight":                      {"Africa/Cairo", "2026-04-24T00:00:00Z"},
		"Autumn back to the day before":           {"Africa/Cairo", "2026-10-30T00:00:00Z"},
		"Autumn at one, midnight twice":           {"America/Havana", "2026-11-01T00:30:00Z"},
		"A zone a quarter of an hour off":         {"Pacific/Chatham", "2026-09-27T03:00:00Z"},
		"An offset that shrinks in winter":        {"Europe/Dublin", "2026-10-25T02:00:00Z"},
		"A month without summer time":             {"Africa/Casablanca", "2026-02-15T03:00:00Z"},
		"No change at all":                        {"Asia/Kathmandu", "2026-06-15T00:00:00Z"},
		"A zone that changed its standard time":   {"Asia/Pyongyang", "2018-05-05T00:00:00Z"},
		"Two hours at a station in the far south": {"Antarctica/Troll", "2026-03-29T02:00:00Z"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			around, err := time.Parse(time.RFC3339, tc.around)
			if err != nil {
				t.Fatal(err)
			}
			zone, err := time.LoadLocation(tc.zone)
			if err != nil {
				t.Fatal(err)
			}
			shown := walk(zone, around)
			var asked []int64
			want := []readings{}
			for minute := around.Add(-4 * time.Hour); minute.Before(around.Add(4 * time.Hour)); minute = minute.Add(7 * time.Minute) {
				asked = append(asked, minute.UnixNano())
				want = append(want, expected(shown, minute))
			}
			set, err := query.Eval(context.Background(), rego.EvalInput(map[string]any{"zone": tc.zone, "readings": asked}))
			if err != nil || len(set) != 1 {
				t.Fatalf("evaluate: %v", err)
			}
			raw, err := json.Marshal(set[0].Expressions[0].Value)
			if err != nil {
				t.Fatal(err)
			}
			var got []readings
			if err := json.Unmarshal(raw, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("readings around %s (-Go +Rego):\n%s", tc.around, diff)
			}
		})
	}
}

// shown is what a clock shows at an instant, minute by minute.
type shown struct{ reading, instant time.Time }

func walk(zone *time.Location, around time.Time) []shown {
	var out []shown
	for at := around.Add(-36 * time.Hour); at.Before(around.Add(36 * time.Hour)); at = at.Add(time.Minute) {
		local := at.In(zone)
		_, offset := local.Zone()
		out = append(out, shown{reading: at.Add(time.Duration(offset) * time.Second), instant: at})
	}
	return out
}

// expected looks a reading up: the first and last minute that show it, or else
// the first minute that shows more than it does.
func expected(clock []shown, reading time.Time) readings {
	var out readings
	for _, c := range clock {
		if c.reading.Equal(reading) {
			if out.First == 0 {
				out.First = c.instant.UnixNano()
			}
			out.Final = c.instant.UnixNano()
		}
	}
	for _, c := range clock {
		if out.First == 0 && c.reading.After(reading) {
			return readings{c.instant.UnixNano(), c.instant.UnixNano()}
		}
	}
	return out
}
