package policy

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
	"github.com/codb-dev/codb/policies"
)

// mutant is one fault that can be put into a plan and taken out again.
type mutant struct {
	where, what string
	put         func() (undo func())
}

// mutants are all single faults of a plan's conditions and numbers.
func mutants(p *plan) []mutant {
	var out []mutant
	seen := map[any]bool{}
	for _, u := range p.units {
		for n, c := range u.clauses {
			where := fmt.Sprintf("%s, %s %d", u.uses[0].rule, c.set, n)
			walk := &mutating{where: where, seen: seen, out: &out, wake: c.wake}
			for i := range c.steps {
				if c.steps[i].Loop.Var == 0 {
					walk.condition(&c.steps[i].If)
				}
			}
			if c.until != nil {
				walk.number(&c.until)
				walk.add("no end", func() func() { was := c.until; c.until = nil; return func() { c.until = was } })
			}
			if c.wake != nil {
				walk.number(&c.wake)
			}
			walk.add("said never", func() func() {
				was := c.steps
				c.steps = []expr.Step{{If: expr.Lit(false)}}
				return func() { c.steps = was }
			})
		}
	}
	return out
}

type mutating struct {
	where string
	seen  map[any]bool
	out   *[]mutant
	wake  expr.Num // of the clause, if it wakes
}

func (w *mutating) add(what string, put func() func()) {
	*w.out = append(*w.out, mutant{where: w.where, what: what, put: put})
}

func (w *mutating) swap(what string, at *expr.Bool, with expr.Bool) {
	w.add(what+" "+(*at).Key(), func() func() {
		was := *at
		*at = with
		return func() { *at = was }
	})
}

// condition lists the faults of a condition. A mutant that no row can tell from
// the original is left out, for a reason that is said.
func (w *mutating) condition(at *expr.Bool) {
	if w.seen[*at] {
		return
	}
	w.seen[*at] = true
	if !w.idle(*at) {
		w.swap("always", at, expr.Lit(true))
		w.swap("not", at, &expr.NotOf{Term: *at})
	}
	switch b := (*at).(type) {
	case *expr.AndOf:
		for i := range b.Terms {
			w.condition(&b.Terms[i])
		}
	case *expr.OrOf:
		for i := range b.Terms {
			w.condition(&b.Terms[i])
			w.swap("never", &b.Terms[i], expr.Lit(false))
		}
	case *expr.NotOf:
		w.condition(&b.Term)
	case *expr.Exists:
		w.condition(&b.If)
	case *expr.In:
		for i := range b.Values {
			w.add(fmt.Sprintf("without %d", b.Values[i]), func() func() {
				was := b.Values
				b.Values = slices.Delete(slices.Clone(was), i, i+1)
				return func() { b.Values = was }
			})
		}
		w.number(&b.Num)
	case *expr.Cmp:
		if w.idle(b) {
			return
		}
		for op := expr.EQ; op <= expr.GE; op++ {
			if op == b.Op || b.R.Key() == theLast && b.Op == expr.LT && op == expr.NE { // nothing is beyond the last instant
				continue
			}
			w.add(fmt.Sprintf("op %d instead of %d in %s", op, b.Op, b.Key()), func() func() {
				was := b.Op
				b.Op = op
				return func() { b.Op = was }
			})
		}
		w.number(&b.L)
		w.number(&b.R)
	}
}

var theLast = expr.Const(math.MaxInt64).Key()

// idle says of a condition that it changes nothing: instants that are past wake
// nobody; a count need not be bounded; what only says that something is there is
// kept for failures that are not to be had.
func (w *mutating) idle(b expr.Bool) bool {
	switch b := b.(type) {
	case *expr.Known:
		return true
	case *expr.Test:
		return b.Table.Defines
	case *expr.Some:
		return true
	case *expr.Cmp:
		if _, bound := b.L.(*expr.Len); bound {
			return true
		}
		return false
	}
	return false
}

func (w *mutating) number(at *expr.Num) {
	if c, ok := (*at).(expr.Const); ok {
		for _, by := range []expr.Const{-1, 1} {
			w.add(fmt.Sprintf("%d instead of %d", c+by, c), func() func() {
				*at = c + by
				return func() { *at = c }
			})
		}
		return
	}
	if reflect.TypeOf(*at).Kind() != reflect.Pointer || w.seen[*at] {
		return
	}
	w.seen[*at] = true
	flip := func(what string, b *bool) {
		w.add(what, func() func() { *b = !*b; return func() { *b = !*b } })
	}
	switch n := (*at).(type) {
	case *expr.Memo:
		w.number(&n.Num)
	case *expr.Sum:
		flip("+ for -", &n.Minus)
		w.number(&n.A)
		w.number(&n.B)
	case *expr.Product:
		w.number(&n.A)
		w.number(&n.B)
	case *expr.Rest:
		w.number(&n.A)
		w.number(&n.B)
	case *expr.Total:
		flip("equal ones count", &n.Distinct)
		w.items(n.Items)
	case *expr.Different:
		w.add("equal ones count", func() func() {
			was := *at
			*at = &expr.Count{Items: n.Items}
			return func() { *at = was }
		})
		w.items(n.Items)
	case *expr.Best:
		flip("min for max", &n.Least)
		for i := range n.Of {
			w.number(&n.Of[i])
		}
	case *expr.Otherwise:
		w.number(&n.Num)
		w.number(&n.Else)
	case *expr.Extreme:
		flip("min for max", &n.Least)
		w.items(n.Items)
	case *expr.Count:
		w.items(n.Items)
	case *expr.Last:
		w.items(n.Items)
	}
}

func (w *mutating) items(items []expr.Item) {
	inner := *w
	inner.wake = nil
	for i := range items {
		for s := range items[i].Steps {
			if items[i].Steps[s].Loop.Var == 0 {
				inner.condition(&items[i].Steps[s].If)
			}
		}
		inner.number(&items[i].Value)
	}
}

// worldsOfMutants are the campaigns and the parameters, by rule, among which the
// faults of that rule must show.
var worldsOfMutants = []struct {
	now      string
	campaign decision.Campaign
	with     map[string]string
}{
	{"2026-08-31T12:00:00Z", decision.Campaign{
		Purpose: "Marketing", PurposeClass: "Marketing", Channel: "Email", Topic: "Savings", Depth: "Profiling", HoldoutPercent: 10,
	}, map[string]string{
		"channel": `{"expressed": ["Email"]}`, "refusal-cool-down": `{"purposes": ["Marketing"]}`,
		"suppression": `{"after": ["HardBounce", "Complaint"]}`, "frequency-cap": `{"channels": ["Email", "Phone"], "max": 2}`,
	}},
	{"2026-10-25T00:30:00Z", decision.Campaign{
		Purpose: "ObtainConsent", PurposeClass: "Marketing", Channel: "SMS", Depth: "Basic",
	}, map[string]string{
		"suppression": `{"after": ["HardBounce", "Unsubscribe"]}`, "double-opt-in": `{"channels": ["SMS"]}`,
		"frequency-cap": `{"conflict": "MostSpecific", "channels": ["SMS", "Post"], "max": 1, "window": "CalendarDay", "zone": "Customer"}`,
	}},
}

// TestNoFaultOfAPlanGoesUnseen puts each single fault into each rule's plan:
// some customer among those of chance must be answered otherwise than OPA does.
// It is what says that comparing with OPA is worth something.
func TestNoFaultOfAPlanGoesUnseen(t *testing.T) {
	if raced {
		t.Skip("it has one goroutine, and minutes to run: hack/test.sh runs it without the race detector")
	}
	lib := load(t, policies.FS)
	killed, total := 0, 0
	for _, rule := range lib.Rules() {
		if *onlyRule != "" && rule.Name != *onlyRule {
			continue
		}
		for w := range worldsOfMutants {
			k, n := killRule(t, lib, rule.Name, w)
			killed, total = killed+k, total+n
		}
	}
	t.Logf("%d of %d faults seen", killed, total)
}

func killRule(t *testing.T, lib *Library, rule string, w int) (killed, total int) {
	t.Helper()
	world := &worldsOfMutants[w]
	c := newChance(uint64(1000 + w))
	now, err := time.Parse(time.RFC3339, world.now)
	if err != nil {
		t.Fatal(err)
	}
	q := decision.Question{Now: now, Campaign: world.campaign}
	q.Campaign.Brand, q.Campaign.Name = "acme", "spring"
	c.now = now.UnixNano()
	policy := Policy{Name: "p", Rules: []v1alpha1.RuleUse{with(rule, world.with[rule])}}
	if text, ok := ownOfMutants[rule]; ok {
		policy = own(text)
	}
	for range 200 {
		q.Subjects = append(q.Subjects, c.subject(&q.Campaign))
	}
	p, refused, _ := compiled(t, lib, q, policy)
	if len(refused) > 0 {
		t.Fatalf("%s: %+v", rule, refused)
	}
	if len(mutants(p)) == 0 {
		return 0, 0
	}
	for row := range q.Subjects {
		p.answer(row)
	}
	c.thresholds(p, 24, 6)
	b := &breeder{chance: c, campaign: &q.Campaign, watcher: watcher{plan: p}, byClause: map[int][]decision.Subject{}}
	p.columns.Reset()
	rows := *mutationRows
	if policy.Rego != "" {
		rows /= 4 // one fault at a time is easier to see
	}
	for range rows {
		b.breed()
	}
	i, err := NewInterpreter(lib, []Policy{policy})
	if err != nil {
		t.Fatal(err)
	}
	showing, killed, total := kill(t, p)
	for row := range 500 {
		showing[row] = true
	}
	for _, row := range p.columns.Odd() {
		delete(showing, row)
	}
	for row := range showing { // all that counts is what OPA says, too
		got, ok := b.observe(row)
		if want := fromOPA(t, i, p, &b.all[row]); ok && want != nil && !slices.Equal(got, want) {
			t.Errorf("%s: OPA says %v, the plan %v of %+v", rule, want, got, b.all[row])
		}
	}
	return killed, total
}

// equivalents are faults that can make no difference, and why.
var equivalents = []struct{ where, what, why string }{
	{"frequency-cap, ", `always test(test gt(at(object.union($1.customer.caps.*,{"whose": "customer's own"}),"max"),0)`, "where max is 0, there is no contact that so many follow"},
	{"frequency-cap, ", "always test(test call data.codb.p0.r0.by_calendar(", "only a calendar window has a start"},
	{"frequency-cap, wake", "always test(test lt(call data.codb.lib.calendar.first(", "no calendar window ends at the last instant"},
	{"implied-consent, wake", "9223372036854775806 instead", "no month ends a nanosecond before the last instant"},
	{"opt-in, wake", "9223372036854775806 instead", "no month ends a nanosecond before the last instant"},
	{"validity, wake", "1 instead of 0", "an instant that is long past wakes nobody, whichever it is"},
}

func equivalent(m *mutant) string {
	for _, e := range equivalents {
		if strings.HasPrefix(m.where, e.where) && strings.Contains(m.what, e.what) {
			return e.why
		}
	}
	return ""
}

// kill puts each fault into the plan and reports those that no row shows. It
// returns the rows that show some.
func kill(t *testing.T, p *plan) (showing map[int]bool, killed, total int) {
	t.Helper()
	w := &watcher{plan: p}
	var rows []int
	want := make([][]spoken, p.columns.Rows)
	odd := p.columns.Odd()
	for row := range want {
		if got, ok := w.observe(row); ok && !slices.Contains(odd, row) {
			want[row] = slices.Clone(got)
			rows = append(rows, row)
		}
	}
	showing = map[int]bool{}
	for _, m := range mutants(p) {
		total++
		if why := equivalent(&m); why != "" {
			total--
			continue
		}
		undo := m.put()
		p.machine.Renew()
		at := slices.IndexFunc(rows, func(row int) bool {
			got, ok := w.observe(row)
			return !ok || !slices.Equal(got, want[row])
		})
		undo()
		if at < 0 {
			t.Errorf("%s: %s makes no difference", m.where, clip(m.what, 600))
			continue
		}
		killed++
		row := rows[at] // who showed this one may well show the next
		showing[row] = true
		copy(rows[1:at+1], rows[:at])
		rows[0] = row
	}
	p.machine.Renew()
	return showing, killed, total
}
