package importer

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/codb-dev/codb/internal/contacts"
)

const header = `"age";"job";"marital";"contact";"campaign";"pdays";"previous";"poutcome";"y"` + "\n"

func TestRead(t *testing.T) {
	tests := map[string]struct {
		in      string
		want    []Row
		wantErr []string // parts of the error; none: no error
	}{
		"ReadsARowWithQuotesAndCarriageReturns": {
			in: strings.ReplaceAll(header, "\n", "\r\n") + "56;\"housemaid\";\"married\";\"telephone\";1;999;0;\"nonexistent\";\"no\"\r\n",
			want: []Row{{Line: 2, Number: 1, Age: 56, Job: "housemaid", Marital: "married", Calls: 1,
				DaysSince: NeverBefore, Outcome: "nonexistent", Phone: "telephone"}},
		},
		"TakesColumnsInAnyOrderAndPassesOverOthers": {
			in: "y;poutcome;previous;pdays;euribor3m;campaign;contact;marital;job;age\nyes;success;2;3;4.857;5;cellular;single;student;20\n",
			want: []Row{{Line: 2, Number: 1, Age: 20, Job: "student", Marital: "single", Calls: 5,
				DaysSince: 3, Previous: 2, Outcome: "success", Phone: "cellular"}},
		},
		"CountsLinesAndRowsApart": {
			in: header + "\n56;services;married;telephone;1;999;0;nonexistent;no\n",
			want: []Row{{Line: 3, Number: 1, Age: 56, Job: "services", Marital: "married", Calls: 1,
				DaysSince: NeverBefore, Outcome: "nonexistent", Phone: "telephone"}},
		},
		"RefusesAnEmptyFile":         {in: "", wantErr: []string{"header", "empty", "bank-additional-full.csv"}},
		"RefusesAnotherFile":         {in: "name,address\n", wantErr: []string{"header", `"age"`, "semicolons"}},
		"RefusesTooFewColumns":       {in: header + "56;services\n", wantErr: []string{"line 2", "2 columns", "9", "complete"}},
		"RefusesAnOpenQuote":         {in: header + `56;"services`, wantErr: []string{"line 2", "leave it out"}},
		"RefusesAnAgeThatIsNone":     {in: header + "old;services;married;telephone;1;999;0;nonexistent;no\n", wantErr: []string{"line 2", "age", `"old"`, "0 to 120", "correct"}},
		"RefusesAnAgeBeyondBounds":   {in: header + "121;services;married;telephone;1;999;0;nonexistent;no\n", wantErr: []string{"line 2", "age", `"121"`, "0 to 120"}},
		"RefusesACampaignWithoutAny": {in: header + "56;services;married;telephone;0;999;0;nonexistent;no\n", wantErr: []string{"campaign", `"0"`, "1 to 1000"}},
		"RefusesAJobItDoesNotKnow":   {in: header + "56;pilot;married;telephone;1;999;0;nonexistent;no\n", wantErr: []string{"job", `"pilot"`, "admin."}},
		"RefusesAnOutcomeOfNoCall":   {in: header + "56;services;married;telephone;1;999;0;success;no\n", wantErr: []string{"poutcome", `"success"`, "previous"}},
		"RefusesCallsWithoutOutcome": {in: header + "56;services;married;telephone;1;3;2;nonexistent;no\n", wantErr: []string{"poutcome", "previous, 2"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var got []Row
			err := Read(strings.NewReader(tc.in), func(r Row) error { got = append(got, r); return nil })
			if (err != nil) != (tc.wantErr != nil) {
				t.Fatalf("error %v, want one: %v", err, tc.wantErr != nil)
			}
			for _, part := range tc.wantErr {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q doesn't say %q", err, part)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadStopsAtTheCallersError(t *testing.T) {
	stop := errors.New("enough")
	rows := strings.Repeat("56;services;married;telephone;1;999;0;nonexistent;no\n", 3)
	n := 0
	err := Read(strings.NewReader(header+rows), func(Row) error { n++; return stop })
	if !errors.Is(err, stop) || n != 1 {
		t.Errorf("error %v after %d rows, want %v after 1", err, n, stop)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(header + "56;\"housemaid\";married;telephone;1;999;0;nonexistent;no\r\n")
	f.Add(header + "20;student;single;cellular;1000;0;100;success;yes\n")
	f.Add(header + "\"\n")
	f.Add("age;age\n1;2\n")
	m := Mapper{AsOf: asOf, Profile: profiles["demo"], Brand: "acme"}
	f.Fuzz(func(t *testing.T, in string) {
		line := 1
		err := Read(strings.NewReader(in), func(r Row) error {
			if r.Line <= line || r.Age < 0 || r.Age > 120 || r.Calls < 1 || r.Calls > 1000 || r.Previous > 100 {
				t.Errorf("a row out of bounds: %+v", r)
			}
			line = r.Line
			if r.Number > 3 {
				return nil
			}
			_, past := m.Map(r)
			for some := range slices.Chunk(past, contacts.MaxBatch) {
				if err := contacts.Validate(some, asOf.Add(-contacts.Skew)); err != nil {
					t.Errorf("a past that is none, for %+v: %v", r, err)
				}
			}
			return nil
		})
		if err != nil && len(err.Error()) > 400 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	})
}
