package policy

import (
	"encoding/json"
	"flag"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/policies"
)

// compiled is a plan for a question's campaign, and OPA's answers to it.
func compiled(t testing.TB, lib *Library, q decision.Question, ps ...Policy) (*plan, []Refused, []decision.Answer) {
	t.Helper()
	i, err := NewInterpreter(lib, ps)
	if err != nil {
		t.Fatal(err)
	}
	want, err := i.Judge(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	p, refused := newPlan(i, new(sync.Mutex), &q.Campaign)
	p.at(newAsked(&q))
	for n := range q.Subjects {
		p.columns.Add(&q.Subjects[n])
	}
	return p, refused, want
}

func TestTheWholeLibraryIsNative(t *testing.T) {
	lib := load(t, policies.FS)
	q := people(512)
	p, refused, want := compiled(t, lib, q, everyRule(lib)...)
	if len(refused) > 0 {
		t.Fatalf("not native: %+v", refused)
	}
	hard := 0
	for row := range want {
		got, ok := p.answer(row)
		if !ok {
			hard++
			continue
		}
		if diff := cmp.Diff(want[row], got); diff != "" {
			t.Fatalf("row %d (-OPA +native):\n%s\n%+v", row, diff, q.Subjects[row])
		}
	}
	if hard > 0 {
		t.Errorf("%d rows are hard", hard)
	}
}

// worlds is how many campaigns of how many customers TestNativeAnswersLikeOPA
// compares.
var worlds = flag.Int("worlds", 8, "campaigns that are compared with OPA, of 250 customers each")

func TestNativeAnswersLikeOPA(t *testing.T) {
	lib := load(t, policies.FS)
	pairs, hard := 0, 0
	for seed := range *worlds {
		c := newChance(uint64(seed))
		q := c.question(250)
		p, refused, want := compiled(t, lib, q, c.policies(lib)...)
		if len(refused) > 0 {
			t.Fatalf("world %d: not native: %+v", seed, refused)
		}
		odd := p.columns.Odd()
		for row := range want {
			pairs++
			if slices.Contains(odd, row) {
				hard++
				continue
			}
			got, ok := p.answer(row)
			if !ok {
				hard++
				continue
			}
			if diff := cmp.Diff(want[row], got); diff != "" {
				text, _ := json.Marshal(q.Subjects[row])
				t.Fatalf("world %d, row %d at %s (-OPA +native):\n%s\n%+v\n%s", seed, row, q.Now, diff, q.Campaign, text)
			}
		}
	}
	t.Logf("%d pairs, %d of them left to OPA", pairs, hard)
}
