package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
	"github.com/codb-dev/codb/policies"
)

// crowd is a source of customers, who are the same for every brand but for their
// buckets.
type crowd struct {
	chunks   []decision.Chunk
	subjects []decision.Subject
}

// newCrowd is a source of n customers, who are those of subjects again and again.
func newCrowd(subjects []decision.Subject, n int) *crowd {
	c := &crowd{subjects: subjects}
	wide := audience.NewColumns()
	for lo := 0; lo < n; lo += expr.Chunk {
		wide.Reset()
		hi := min(lo+expr.Chunk, n)
		chunk := decision.Chunk{Dicts: wide.Dicts, Live: expr.NewBits(hi - lo)}
		for i := lo; i < hi; i++ {
			wide.Add(c.at(i))
			chunk.Live.Set(i - lo)
		}
		chunk.Odd = slices.Clone(wide.Odd())
		chunk.Columns = wide.Narrow()
		c.chunks = append(c.chunks, chunk)
	}
	return c
}

func (c *crowd) at(i int) *decision.Subject { return &c.subjects[i%len(c.subjects)] }

func (c *crowd) Chunks() int                          { return len(c.chunks) }
func (c *crowd) Chunk(i int, _ string) decision.Chunk { return c.chunks[i] }

func (c *crowd) Buckets(i, lo, hi int, campaign *decision.Campaign, into []int64) {
	for row := lo; row < hi; row++ {
		into[row] = int64(c.bucket(i, row, campaign))
	}
}

func (c *crowd) bucket(chunk, row int, campaign *decision.Campaign) int {
	return (c.at(chunk*expr.Chunk+row).Person.Bucket + 17*len(campaign.Name)) % 10000
}

func (c *crowd) Subject(chunk, row int, campaign *decision.Campaign) decision.Subject {
	s := *c.at(chunk*expr.Chunk + row)
	s.Person.Bucket = c.bucket(chunk, row, campaign)
	return s
}

// heard is what a sweep says of each customer.
type heard struct {
	mu      sync.Mutex
	answers map[string]string // by campaign and customer
}

func (h *heard) answer(campaign, chunk int, b *decision.Bulk) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := b.Left.Count(); n > 0 {
		return fmt.Errorf("%d are left", n)
	}
	counts := b.Counts()
	if counts.Targeted != int64(b.Customers) {
		return fmt.Errorf("%d customers, %d targeted", b.Customers, counts.Targeted)
	}
	for i := range b.Reasons {
		for row := range b.Reasons[i].Who.All {
			key := fmt.Sprint(campaign, " ", chunk*expr.Chunk+row)
			h.answers[key] += fmt.Sprintf("%s %s/%s %q; ", b.Reasons[i].Code, b.Reasons[i].Policy, b.Reasons[i].Rule, b.Reasons[i].Message)
		}
	}
	return nil
}

// campaignsOf are campaigns of many kinds that some facts tell apart, and many
// don't.
func campaignsOf(n int) []decision.Campaign {
	out := make([]decision.Campaign, n)
	for i := range out {
		out[i] = decision.Campaign{
			Name: fmt.Sprintf("campaign-%d", i), Namespace: "shop", Brand: "acme", PurposeClass: "Marketing",
			Purpose: purposes[i%4], Channel: channels[i/4%4], Depth: []string{"Basic", "Profiling"}[i/16%2],
			HoldoutPercent: int32(i / 32 % 2 * 10),
		}
		if i%3 > 0 {
			out[i].Topic = topics[i%3]
		}
	}
	return out
}

// Whatever campaigns share, each is answered as if it were alone, and as OPA does.
func TestManyCampaignsAreAnsweredLikeEachAlone(t *testing.T) {
	lib := load(t, policies.FS)
	for seed := range uint64(3) {
		c := newChance(100 + seed)
		q := c.question(40)
		e, opa, _ := fronted(t, lib, c.policies(lib)...)
		campaigns := append(campaignsOf(8)[seed:], q.Campaign)
		for i := range campaigns {
			campaigns[i].Brand = q.Campaign.Brand
		}
		source := newCrowd(q.Subjects, len(q.Subjects))
		h := &heard{answers: map[string]string{}}
		if err := e.Sweep(t.Context(), decision.Sweep{Now: q.Now, Campaigns: campaigns, Source: source, Answer: h.answer}); err != nil {
			t.Fatalf("world %d: %v", seed, err)
		}
		for i := range campaigns {
			asked := decision.Question{Now: q.Now, Campaign: campaigns[i]}
			for row := range q.Subjects {
				asked.Subjects = append(asked.Subjects, source.Subject(0, row, &campaigns[i]))
			}
			for row, a := range mustJudge(t, opa.Interpreter, asked) {
				want := ""
				for _, r := range inBulk(&a) {
					want += fmt.Sprintf("%s %s/%s %q; ", r.Code, r.Policy, r.Rule, r.Message)
				}
				got := h.answers[fmt.Sprint(i, " ", row)]
				if sorted(got) != sorted(want) {
					t.Fatalf("world %d, %+v, customer %d: %s; OPA says %s", seed, campaigns[i], row, got, want)
				}
			}
		}
	}
}

func sorted(s string) string {
	parts := strings.Split(s, "; ")
	slices.Sort(parts)
	return strings.Join(parts, "; ")
}

// confident is an engine that has had enough of its answers confirmed: OPA is
// not asked any more.
type confident struct {
	*program
	*sweeping
}

func newConfident(tb testing.TB, source decision.Source, now time.Time, campaigns []decision.Campaign) confident {
	tb.Helper()
	lib := load(tb, policies.FS)
	i, err := NewInterpreter(lib, everyRule(lib))
	if err != nil {
		tb.Fatal(err)
	}
	s := &sweeping{
		Sweep:  &decision.Sweep{Now: now, Campaigns: campaigns, Source: source},
		engine: &engine{metrics: newNativeMetrics(nil), opa: i, sandbox: &Sandbox{}}, asked: newAsked(&decision.Question{Now: now}),
	}
	s.Answer = func(int, int, *decision.Bulk) error { return nil }
	for range campaigns {
		s.stands = append(s.stands, &standing{native: true})
	}
	c := confident{newProgram(i, new(sync.Mutex)), s}
	c.program.at(s.asked)
	for range confirmed + 2 {
		c.all(tb)
	}
	return c
}

// all asks about everybody.
func (c confident) all(tb testing.TB) {
	for n := range c.Source.Chunks() {
		if err := c.sweeping.chunk(tb.Context(), c.program, n); err != nil {
			tb.Fatal(err)
		}
	}
}

// In the long run a decision costs no memory.
func TestDecisionsAllocateNothing(t *testing.T) {
	q := people(expr.Chunk)
	c := newConfident(t, newCrowd(q.Subjects, expr.Chunk), q.Now, campaignsOf(20))
	if n := testing.AllocsPerRun(5, func() { c.all(t) }); n > 0 {
		t.Errorf("%v allocations for %d decisions", n, 20*expr.Chunk)
	}
}

func TestNobodyIsAllowedBeyondTheInstants(t *testing.T) {
	lib := load(t, policies.FS)
	e, _, _ := fronted(t, lib, lib.Floor())
	q := people(5)
	denied := 0
	err := e.Sweep(t.Context(), decision.Sweep{
		Now: time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), Campaigns: campaignsOf(1), Source: newCrowd(q.Subjects, 5),
		Answer: func(_, _ int, b *decision.Bulk) error { denied += int(b.Counts().Denied); return nil },
	})
	if err != nil || denied != 5 {
		t.Errorf("%d of 5 are denied, %v", denied, err)
	}
}

// What OPA says otherwise counts for nothing that was answered, and from then on
// OPA is asked alone.
func TestADifferenceEndsASweep(t *testing.T) {
	lib := load(t, policies.FS)
	e, opa, metrics := fronted(t, lib, lib.Floor())
	opa.lie = func(a *decision.Answer) {
		a.Reasons = []decision.Reason{{Code: "Other", Verdict: v1alpha1.VerdictDeny}}
	}
	q := people(20)
	h := &heard{answers: map[string]string{}}
	s := decision.Sweep{Now: q.Now, Campaigns: campaignsOf(1), Source: newCrowd(q.Subjects, 20), Answer: h.answer}
	for range len(e.asked.uses) + 1 { // rule by rule, until there is nothing left to find wrong
		doubted := e.Doubted()
		clear(h.answers)
		err := e.Sweep(t.Context(), s)
		if e.Doubted() == doubted {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		if !errors.Is(err, errDiffers) {
			t.Fatalf("Sweep: %v", err)
		}
	}
	if n := counted(t, metrics, "consent_policy_differences_total"); n == 0 || uint64(n) != e.Doubted() {
		t.Errorf("%v differences are counted of %d", n, e.Doubted())
	}
	for row := range q.Subjects {
		if got := h.answers[fmt.Sprint("0 ", row)]; !strings.HasPrefix(got, "Other ") {
			t.Errorf("customer %d: %s", row, got)
		}
	}
}

// Whom nobody asks about, nobody answers for; and what the plan leaves out,
// others add.
func TestASweepOfSomeAsksAboutNoOthers(t *testing.T) {
	lib := load(t, policies.FS)
	e, _, _ := fronted(t, lib, append(everyRule(lib), own(general["Every"]))...)
	q := people(300)
	some := expr.NewBits(300)
	some.Set(70)
	some.Set(250)
	asked := 0
	err := e.Sweep(t.Context(), decision.Sweep{
		Now: q.Now, Campaigns: campaignsOf(2), Source: newCrowd(q.Subjects, 300), Chunks: []int{0},
		Rows: func(campaign, _ int) expr.Bits {
			if campaign == 0 {
				return some
			}
			return expr.NewBits(300)
		},
		Answer: func(campaign, _ int, b *decision.Bulk) error {
			asked += 1000*campaign + b.Customers
			for i := range b.Reasons {
				b.Reasons[i].Who.Drop(some)
				if n := b.Reasons[i].Who.Count(); n > 0 {
					t.Errorf("%d others have %s", n, b.Reasons[i].Code)
				}
			}
			return nil
		},
	})
	if err != nil || asked != 2 {
		t.Errorf("asked about %d of 2, %v", asked, err)
	}
}
