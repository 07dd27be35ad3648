package policy

import (
	"encoding/json"
	"os"
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
	t.Logf("%d pairs; natively answered %d, in bulk %d, by plans %d", d.pairs.Load(), d.native.Load(), d.bulk.Load(), d.planned.Load())
	if least := d.pairs.Load() * 3 / 4; d.native.Load() < least || d.bulk.Load() < least || d.planned.Load() < least {
		t.Error("too little is compared")
	}
}

// FuzzRandomPolicies goes on for as long as it may.
func FuzzRandomPolicies(f *testing.F) {
	lib := load(f, policies.FS)
	f.Add(uint64(1))
	f.Add(uint64(246)) // what is remembered for elements, asked for rows
	f.Fuzz(func(t *testing.T, seed uint64) { (&differential{}).compare(t, lib, seed) })
}

// differential counts what was compared.
type differential struct{ pairs, native, bulk, planned atomic.Int64 }

// compare asks everybody about one policy and its customers.
func (d *differential) compare(t *testing.T, lib *Library, seed uint64) {
	c := newChance(seed)
	q := c.question(customersEach / 2)
	policy := newGrammar(seed, q.Now).policy()
	i, err := NewInterpreter(lib, []Policy{policy})
	if err != nil {
		t.Fatalf("seed %d: %v\n%s", seed, err, policy.Rego)
	}
	p, refused, _ := compiledOnly(t, lib, decision.Question{Now: q.Now, Campaign: q.Campaign}, policy)
	if len(refused) > 0 {
		t.Fatalf("seed %d: not native: %+v\n%s", seed, refused, policy.Rego)
	}
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
	for n := range q.Subjects {
		p.columns.Add(&q.Subjects[n])
	}
	plans, _ := newPlanned(t.Context(), i)
	want := mustJudge(t, i, q)
	asked := newAsked(&q)
	odd := map[int]bool{}
	for _, row := range p.columns.Odd() {
		odd[row] = true
	}
	bulk := inColumns(p, p.columns.Odd())
	for row := range want {
		d.pairs.Add(1)
		tell := func(who, diff string) {
			text, _ := json.Marshal(q.Subjects[row])
			t.Fatalf("seed %d, row %d at %s (-OPA +%s):\n%s\n%+v\n%s\n%s", seed, row, q.Now, who, diff, q.Campaign, text, policy.Rego)
		}
		if plans != nil && plans.machine != nil {
			if got, ok := plans.answer(t.Context(), asked, &q.Subjects[row], neverCancelled); ok {
				d.planned.Add(1)
				if diff := cmp.Diff(want[row], got); diff != "" {
					tell("plan", diff)
				}
			}
		}
		if odd[row] {
			continue
		}
		if got, ok := p.answer(row); ok {
			d.native.Add(1)
			if diff := cmp.Diff(want[row], got); diff != "" {
				tell("native", diff)
			}
		}
		if !bulk.Left.Has(row) {
			d.bulk.Add(1)
			if !bulk.agrees(row, &want[row]) {
				tell("in bulk", cmp.Diff(want[row], ofBulk(bulk, row)))
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
