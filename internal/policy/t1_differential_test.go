package policy

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/policies"
)

// customersEach is about how many customers each random policy is asked.
const customersEach = 100

// TestRandomPoliciesAnswerLikeOPA compares columns, OPA's plans and OPA itself on
// policies and customers of chance. PAIRS says how many pairs there are to be:
//
//	PAIRS=1000000 go test -run TestRandomPolicies -timeout 3h ./internal/policy
func TestRandomPoliciesAnswerLikeOPA(t *testing.T) {
	pairs := 4000
	if text := os.Getenv("PAIRS"); text != "" {
		var err error
		if pairs, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	lib := load(t, policies.FS)
	var d differential
	t.Run("policies", func(t *testing.T) {
		const parts = 4
		for part := range parts {
			t.Run(strconv.Itoa(part), func(t *testing.T) {
				t.Parallel()
				for seed := part; seed < pairs/customersEach; seed += parts {
					d.compare(t, lib, uint64(seed))
				}
			})
		}
	})
	t.Logf("%d pairs; natively answered %d, in bulk %d, by plans %d; policies of %d are not native",
		d.pairs.Load(), d.native.Load(), d.bulk.Load(), d.planned.Load(), d.refused.Load())
	if d.refused.Load() > d.pairs.Load()/100 {
		t.Error("too many policies are not native")
	}
	if least := d.pairs.Load() * 3 / 4; d.native.Load() < least || d.bulk.Load() < least || d.planned.Load() < least {
		t.Error("too little is compared")
	}
}

// FuzzRandomPolicies goes on for as long as it may.
func FuzzRandomPolicies(f *testing.F) {
	lib := load(f, policies.FS)
	f.Add(uint64(1))
	f.Add(uint64(246))  // what is remembered for elements, asked for rows
	f.Add(uint64(6085)) // a constant that is what stands for absence
	f.Add(uint64(7418))
	f.Fuzz(func(t *testing.T, seed uint64) { (&differential{}).compare(t, lib, seed) })
}

// differential counts what was compared.
type differential struct{ pairs, native, bulk, planned, refused atomic.Int64 }

// beyond is why a policy may not be native: its author's own constants come to
// more than a column's integer holds.
var beyond = regexp.MustCompile(`(-?\d{20,}|-9223372036854775808) where an integer is compared`)

// compare asks everybody about one policy and its customers.
func (d *differential) compare(t *testing.T, lib *Library, seed uint64) {
	c := newChance(seed)
	q := c.question(customersEach / 2)
	policy := newGrammar(seed, q.Now).policy()
	p, refused, i := compiledOnly(t, lib, decision.Question{Now: q.Now, Campaign: q.Campaign}, policy)
	c.consts(p)
	for len(q.Subjects) < customersEach {
		if c.IntN(2) == 0 {
			q.Subjects = append(q.Subjects, c.subject(&q.Campaign))
		} else {
			q.Subjects = append(q.Subjects, c.like(q.Subjects[c.IntN(len(q.Subjects))]))
		}
	}
	for range customersEach / 20 {
		c.huge(&q.Subjects[c.IntN(len(q.Subjects))])
	}
	a := answered{d: d, q: q, want: mustJudge(t, i, q), of: fmt.Sprintf("seed %d", seed), rego: policy.Rego}
	d.pairs.Add(int64(len(a.want)))
	a.byPlans(t, i)
	switch {
	case len(refused) == 0:
		a.byColumns(t, p)
	case beyond.MatchString(refused[0].Why):
		d.refused.Add(int64(len(a.want)))
	default:
		t.Fatalf("seed %d: not native: %+v\n%s", seed, refused, policy.Rego)
	}
}

// answered is what OPA says, to which others are held.
type answered struct {
	d        *differential
	q        decision.Question
	want     []decision.Answer
	of, rego string
}

func (a *answered) hold(t *testing.T, who string, row int, got decision.Answer) {
	t.Helper()
	if diff := cmp.Diff(a.want[row], got); diff != "" {
		a.differs(t, who, row, diff)
	}
}

func (a *answered) differs(t *testing.T, who string, row int, diff string) {
	t.Helper()
	text, _ := json.Marshal(a.q.Subjects[row])
	t.Fatalf("%s, row %d at %s (-OPA +%s):\n%s\n%+v\n%s\n%s", a.of, row, a.q.Now, who, diff, a.q.Campaign, text, a.rego)
}

// byPlans holds OPA's plans to it.
func (a *answered) byPlans(t *testing.T, i *Interpreter) {
	plans, err := newPlanned(t.Context(), i)
	if err != nil {
		return
	}
	asked := newAsked(&a.q)
	for row := range a.want {
		if got, ok := plans.answer(t.Context(), asked, &a.q.Subjects[row], neverCancelled); ok {
			a.d.planned.Add(1)
			a.hold(t, "plan", row, got)
		}
	}
}

// byColumns holds a plan over columns to it, row by row and in bulk.
func (a *answered) byColumns(t *testing.T, p *plan) {
	for n := range a.q.Subjects {
		p.columns.Add(&a.q.Subjects[n])
	}
	odd := p.columns.Odd()
	bulk := inColumns(p, odd)
	for row := range a.want {
		if slices.Contains(odd, row) {
			continue
		}
		if got, ok := p.answer(row); ok {
			a.d.native.Add(1)
			a.hold(t, "native", row, got)
		}
		if !bulk.Left.Has(row) {
			a.d.bulk.Add(1)
			if !bulk.agrees(row, &a.want[row]) {
				a.differs(t, "in bulk", row, cmp.Diff(a.want[row], ofBulk(bulk, row)))
			}
		}
	}
}

// huge makes something of a customer as long as nothing but the API's bounds
// keeps it from being.
func (c *chance) huge(s *decision.Subject) {
	long := strings.Repeat("ä", 1+c.IntN(2000))
	switch r := s.Person.Relationship; {
	case c.IntN(3) == 0:
		s.Person.Language = long
	case r != nil && len(r.Grants) > 0:
		r.Grants[c.IntN(len(r.Grants))].Purpose = long
	case len(s.Contacts.Sent) > 0:
		for range 200 {
			s.Contacts.Sent = append(s.Contacts.Sent, s.Contacts.Sent[0])
		}
	}
}
