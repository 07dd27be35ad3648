package policy

import (
	"encoding/json"
	"flag"
	"math/rand/v2"
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
	p, refused, i := compiledOnly(t, lib, q, ps...)
	want, err := i.Judge(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return p, refused, want
}

// compiledOnly is a plan with a question's customers, and who it is to agree with.
func compiledOnly(t testing.TB, lib *Library, q decision.Question, ps ...Policy) (*plan, []Refused, *Interpreter) {
	t.Helper()
	i, err := NewInterpreter(lib, ps)
	if err != nil {
		t.Fatal(err)
	}
	p, refused := newPlan(i, new(sync.Mutex), &q.Campaign)
	p.at(newAsked(&q))
	for n := range q.Subjects {
		p.columns.Add(&q.Subjects[n])
	}
	return p, refused, i
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

// mutationRows is how many customers are there to tell a faulty plan from a good
// one, for each campaign.
var mutationRows = flag.Int("mutation-rows", 40000, "customers of TestNoFaultOfAPlanGoesUnseen")

var onlyRule = flag.String("only-rule", "", "the rule of TestNoFaultOfAPlanGoesUnseen; empty: each")

func TestNativeAnswersLikeOPA(t *testing.T) {
	lib := load(t, policies.FS)
	pairs, hard, slow := 0, 0, 0
	for seed := range *worlds {
		c := newChance(uint64(seed))
		q := c.question(250)
		p, refused, want := compiled(t, lib, q, c.policies(lib)...)
		if len(refused) > 0 {
			t.Fatalf("world %d: not native: %+v", seed, refused)
		}
		bulk := inColumns(p, p.columns.Odd())
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
			if !bulk.Left.Has(row) && !bulk.agrees(row, &want[row]) {
				text, _ := json.Marshal(q.Subjects[row])
				t.Fatalf("world %d, row %d at %s: OPA says %+v, in bulk it is %+v\n%+v\n%s", seed, row, q.Now, want[row], ofBulk(bulk, row), q.Campaign, text)
			}
			if bulk.Left.Has(row) {
				slow++
			}
		}
	}
	t.Logf("%d pairs, %d of them left to OPA, %d more not answered in bulk", pairs, hard, slow)
}

// inColumns is what a plan says of all rows of its columns, when these are kept
// in little space.
func inColumns(p *plan, odd []int) *bulk {
	wide := p.machine.Columns
	defer func() { p.machine.Columns = wide; p.machine.Renew() }()
	p.read(wide.Narrow(), p.columns.Dicts)
	p.look(0, wide.Rows, nil)
	p.lookAgain()
	return p.bulk(p, p.all, odd)
}

func ofBulk(b *bulk, row int) decision.Answer {
	a := decision.Answer{StaleAt: stale(b.StaleAt[row]), Reasons: []decision.Reason{}}
	for i := range b.Reasons {
		if r := &b.Reasons[i]; r.Who.Has(row) {
			a.Reasons = append(a.Reasons, r.Reason)
		}
	}
	slices.SortFunc(a.Reasons, compareReasons)
	return a
}

// FuzzNative compares what a world of chance gets from OPA and from its plan.
func FuzzNative(f *testing.F) {
	lib := load(f, policies.FS)
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, world, customer uint64) {
		c := newChance(world)
		q := c.question(0)
		ps := c.policies(lib)
		c.Rand = rand.New(rand.NewPCG(customer, 11))
		q.Subjects = append(q.Subjects, c.subject(&q.Campaign))
		p, _, want := compiled(t, lib, q, ps...)
		if got, ok := p.answer(0); ok && len(p.columns.Odd()) == 0 {
			if diff := cmp.Diff(want[0], got); diff != "" {
				t.Errorf("%+v at %s (-OPA +native):\n%s", q.Campaign, q.Now, diff)
			}
		}
	})
}
