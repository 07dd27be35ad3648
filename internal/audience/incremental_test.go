package audience_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/consent"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
	"github.com/codb-dev/codb/internal/feed"
)

// store is a table, and the consents that were put into it.
type store struct {
	*audience.Table
	consents map[string]*v1alpha1.CustomerConsent
}

func newStore() *store {
	return &store{Table: audience.NewTable(), consents: map[string]*v1alpha1.CustomerConsent{}}
}

func (s *store) put(id string, c *v1alpha1.CustomerConsent) {
	s.consents[id] = c
	s.Put(id, c, time.Time{})
}

func (s *store) remove(id string) {
	delete(s.consents, id)
	s.Remove(id)
}

// again is another table of the same consents.
func (s *store) again() *audience.Table {
	t := audience.NewTable()
	for id, c := range s.consents {
		t.Put(id, c, time.Time{})
	}
	return t
}

// past counts contacts; an open run hides those of everybody.
type past struct {
	feed.Log
	contacts map[string]uint64
	hidden   bool
}

func (p *past) Version(id string) uint64 {
	if p.hidden {
		return 0
	}
	return p.contacts[id]
}

// Present says whom the open run has contacted, as a Ledger of running runs.
func (p *past) Present(id string) bool { return p.contacts[id] > 0 }

func (p *past) running() audience.Ledger {
	if p.hidden {
		return p
	}
	return nil
}

// whole is the past of which no run hides anything.
type whole struct{ *past }

func (w whole) Version(id string) uint64 { return w.contacts[id] }

func (w whole) Contacts(id string) (decision.Contacts, uint64) {
	return decision.Contacts{Sent: make([]decision.Contact, w.contacts[id])}, w.contacts[id]
}

func (p *past) Contacts(id string) (decision.Contacts, uint64) {
	c := decision.Contacts{}
	for range p.Version(id) {
		c.Sent = append(c.Sent, decision.Contact{})
	}
	return c, p.Version(id)
}

// rules: opted out denies, a pause holds until its end, three contacts hold
// without an end.
type rules struct{}

func (rules) Digest() string { return "sha256:0" }

func (rules) Judge(_ context.Context, q decision.Question) ([]decision.Answer, error) {
	out := make([]decision.Answer, len(q.Subjects))
	for i, s := range q.Subjects {
		if s.Person.OptOut != nil {
			out[i].Reasons = append(out[i].Reasons, decision.Reason{Code: "OptedOut", Verdict: v1alpha1.VerdictDeny})
		}
		if p := s.Person.Pause; p != nil && q.Now.UnixNano() >= p.From && q.Now.UnixNano() < p.Until {
			until := time.Unix(0, p.Until).UTC()
			out[i].Reasons = append(out[i].Reasons, decision.Reason{Code: "Paused", Verdict: v1alpha1.VerdictHold, Until: until})
			out[i].StaleAt = until
		}
		if len(s.Contacts.Sent) >= 3 {
			out[i].Reasons = append(out[i].Reasons, decision.Reason{Code: "FrequencyCapping", Verdict: v1alpha1.VerdictHold})
		}
	}
	return out, nil
}

// Whatever happens in whatever order, the evaluation that follows changes says
// what one says that begins anew.
func TestFollowingChangesIsTheSameAsLookingAtEverybody(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keep := rapid.SampledFrom([]int{0, 2, 1000}).Draw(t, "keep")
		s := newStore()
		p := &past{Log: feed.Log{Keep: keep}, contacts: map[string]uint64{}}
		now := noon
		var kept audience.Evaluation
		look := func(e *audience.Evaluation, in *audience.Table) *decision.Tally {
			tally, err := e.Refresh(context.Background(), audience.Asked{
				Key: "k", Runs: fmt.Sprint(p.hidden), Now: now, Judge: rules{}, Ledger: p, Running: p.running(),
				Table: in, Past: whole{p},
				Audience: &v1alpha1.Audience{Selector: &v1alpha1.AudienceSelector{Labels: []v1alpha1.LabelMatch{{Key: "in", Values: []string{"yes"}}}}},
			})
			if err != nil {
				t.Fatal(err)
			}
			return tally
		}
		person := rapid.Custom(func(t *rapid.T) *v1alpha1.CustomerConsent {
			c := &v1alpha1.CustomerConsent{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"in": rapid.SampledFrom([]string{"yes", "yes", "no"}).Draw(t, "in")}}}
			if rapid.Bool().Draw(t, "out") {
				c.Spec.OptOut = &v1alpha1.OptOut{Since: metav1.NewTime(noon)}
			}
			if m := rapid.IntRange(0, 5).Draw(t, "pause"); m > 0 {
				c.Spec.Pause = &v1alpha1.Pause{From: metav1.NewTime(noon), Until: metav1.NewTime(noon.Add(time.Duration(m) * time.Minute))}
			}
			return c
		})
		id := rapid.StringMatching("c-[1-6]")
		t.Repeat(map[string]func(*rapid.T){
			"consent": func(t *rapid.T) { s.put(id.Draw(t, "id"), person.Draw(t, "person")) },
			"erase": func(t *rapid.T) {
				i := id.Draw(t, "id")
				if p.hidden && p.Present(i) {
					t.Skip("only who was there knows of somebody who is being contacted and has no record any more")
				}
				s.remove(i)
			},
			"contact": func(t *rapid.T) {
				i := id.Draw(t, "id")
				p.contacts[i]++
				p.Add(i)
			},
			"run":  func(*rapid.T) { p.hidden = !p.hidden },
			"wait": func(t *rapid.T) { now = now.Add(time.Duration(rapid.IntRange(1, 90).Draw(t, "seconds")) * time.Second) },
			"lose": func(*rapid.T) { p.Forget() },
			"": func(t *rapid.T) {
				got, want := look(&kept, s.Table), look(new(audience.Evaluation), s.again())
				if diff := cmp.Diff(want.Counts, got.Counts); diff != "" {
					t.Fatalf("counts (-anew +kept):\n%s", diff)
				}
				if diff := cmp.Diff(want.Reasons(), got.Reasons()); diff != "" {
					t.Fatalf("reasons (-anew +kept):\n%s", diff)
				}
				if late := !want.StaleAt.IsZero() && (got.StaleAt.IsZero() || got.StaleAt.After(want.StaleAt)); late {
					t.Fatalf("wakes at %s, must at %s", got.StaleAt, want.StaleAt)
				}
			},
		})
	})
}

// anew is what follows when everybody is looked at one by one.
func anew(t testing.TB, of *store, a *audience.Asked) *decision.Tally {
	t.Helper()
	sum := &decision.Tally{}
	q := decision.Question{Now: a.Now, Campaign: a.Campaign}
	var ends []time.Time
	for id, c := range of.consents {
		in, end := targets(a.Audience, c, a.Now)
		if !in {
			sum.StaleAt = decision.Sooner(sum.StaleAt, end)
			continue
		}
		s := decision.Subject{Person: consent.For(&c.Spec, a.Campaign.Brand)}
		s.Person.Bucket = consent.Bucket(a.Campaign.Namespace+"/"+a.Campaign.Name, id)
		s.Contacts, _ = a.Ledger.Contacts(id)
		q.Subjects, ends = append(q.Subjects, s), append(ends, end)
	}
	answers, err := a.Judge.Judge(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	for i := range answers {
		answers[i].StaleAt = decision.Sooner(answers[i].StaleAt, ends[i])
		sum.Add(&answers[i])
	}
	return sum
}

// told is a ledger of contacts.
type told struct {
	feed.Log
	past map[string]decision.Contacts
}

func (l *told) Contacts(id string) (decision.Contacts, uint64) { return l.past[id], 0 }
func (l *told) Version(string) uint64                          { return 0 }
func (l *told) Present(string) bool                            { return false }

// Thousands of customers who change in any way leave the sum exactly what it is
// when everybody is looked at, for every kind of audience.
func TestTheSumOfManyFollowsEveryChange(t *testing.T) {
	c := newCrowd(11)
	s := newStore()
	l := &told{Log: feed.Log{Keep: 1 << 16}, past: map[string]decision.Contacts{}}
	now := noon
	selector := func(s v1alpha1.AudienceSelector) v1alpha1.Audience { return v1alpha1.Audience{Selector: &s} }
	audiences := []v1alpha1.Audience{
		{Everyone: &v1alpha1.Everyone{}}, {},
		selector(v1alpha1.AudienceSelector{Jurisdictions: []v1alpha1.Jurisdiction{"DE"}, Languages: []v1alpha1.Language{"de"}}),
		selector(v1alpha1.AudienceSelector{LifeStages: []v1alpha1.LifeStage{"Student"}, Labels: []v1alpha1.LabelMatch{{Key: "in", Values: []string{"yes"}}}}),
		selector(v1alpha1.AudienceSelector{LifeEvents: []v1alpha1.LifeEventType{"Relocation"}}),
	}
	kept := make([]audience.Evaluation, len(audiences))
	for round := range 12 {
		for range 1500 {
			id := fmt.Sprintf("c-%d", c.IntN(6000))
			switch c.IntN(5) {
			case 0:
				s.remove(id)
			case 1:
				l.past[id] = c.past()
				l.Add(id)
			default:
				s.put(id, c.customer(id, false))
			}
		}
		now = now.Add(time.Duration(c.IntN(40)) * time.Hour)
		for i := range audiences {
			a := audience.Asked{
				Key: "k", Now: now, Judge: rules{}, Table: s.Table, Past: l, Ledger: l, Audience: &audiences[i],
				Campaign: decision.Campaign{Namespace: "n", Name: "c", Brand: "acme"},
			}
			got, err := kept[i].Refresh(t.Context(), a)
			if err != nil {
				t.Fatal(err)
			}
			want := anew(t, s, &a)
			if diff := cmp.Diff(want.Counts, got.Counts); diff != "" {
				t.Fatalf("round %d, audience %d: counts (-anew +kept):\n%s", round, i, diff)
			}
			if diff := cmp.Diff(want.Reasons(), got.Reasons()); diff != "" {
				t.Fatalf("round %d, audience %d: reasons (-anew +kept):\n%s", round, i, diff)
			}
			if late := !want.StaleAt.IsZero() && (got.StaleAt.IsZero() || got.StaleAt.After(want.StaleAt)); late {
				t.Fatalf("round %d, audience %d: wakes at %s, must at %s", round, i, got.StaleAt, want.StaleAt)
			}
			if n := len(kept[i].Targeted()); int64(n) != want.Counts.Targeted {
				t.Fatalf("round %d, audience %d: %d are named, %d targeted", round, i, n, want.Counts.Targeted)
			}
		}
	}
}

// A change costs what it concerns: nobody else is looked at.
func BenchmarkOneChangeOf(b *testing.B) {
	for _, n := range []int{1_000, 20_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := newStore()
			p := &past{Log: feed.Log{Keep: 1000}, contacts: map[string]uint64{}}
			for i := range n {
				s.put(fmt.Sprintf("c-%d", i), &v1alpha1.CustomerConsent{})
			}
			var e audience.Evaluation
			a := audience.Asked{
				Key: "k", Now: noon, Judge: rules{}, Ledger: p, Past: p, Table: s.Table, Audience: &v1alpha1.Audience{Everyone: &v1alpha1.Everyone{}},
			}
			look := func() {
				if _, err := e.Refresh(context.Background(), a); err != nil {
					b.Fatal(err)
				}
			}
			look()
			out := &v1alpha1.CustomerConsent{Spec: v1alpha1.CustomerConsentSpec{OptOut: &v1alpha1.OptOut{Since: metav1.NewTime(noon)}}}
			b.ResetTimer()
			for i := range b.N {
				s.put(fmt.Sprintf("c-%d", i%n), out)
				look()
			}
		})
	}
}

// counting counts who is asked about.
type counting struct {
	rules
	asked int
}

func (c *counting) Judge(ctx context.Context, q decision.Question) ([]decision.Answer, error) {
	c.asked += len(q.Subjects)
	return c.rules.Judge(ctx, q)
}

// One changed consent of somebody who is held asks about nobody else, unless
// nobody else is known to be held as long, in any chunk.
func TestOneChangeOfSomebodyHeldAsksAboutOne(t *testing.T) {
	const customers, paused = 3 * expr.Chunk, 300 // every tenth of the first 3,000, all in one chunk; two more in the next
	s := newStore()
	p := &past{Log: feed.Log{Keep: 1000}, contacts: map[string]uint64{}}
	until := func(hours int) *v1alpha1.CustomerConsent {
		c := &v1alpha1.CustomerConsent{}
		c.Spec.Pause = &v1alpha1.Pause{From: metav1.NewTime(noon), Until: metav1.NewTime(noon.Add(time.Duration(hours) * time.Hour))}
		return c
	}
	name := func(i int) string { return fmt.Sprintf("c-%05d", i) }
	for i := range customers {
		s.put(name(i), &v1alpha1.CustomerConsent{})
	}
	for i := range paused {
		s.put(name(10*i), until(1+i))
	}
	s.put(name(5000), until(paused))
	s.put(name(5001), until(paused+5))
	judge := &counting{}
	a := audience.Asked{
		Key: "k", Now: noon, Judge: judge, Table: s.Table, Past: whole{p}, Ledger: p, Audience: &v1alpha1.Audience{Everyone: &v1alpha1.Everyone{}},
	}
	var kept audience.Evaluation
	changed := func(id int, c *v1alpha1.CustomerConsent) (asked, hours int) {
		t.Helper()
		if c != nil {
			s.put(name(id), c)
		}
		judge.asked = 0
		tally, err := kept.Refresh(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		asked = judge.asked
		if diff := cmp.Diff(anew(t, s, &a).Reasons(), tally.Reasons()); diff != "" {
			t.Fatalf("reasons (-anew +kept):\n%s", diff)
		}
		return asked, int(tally.Reasons()[0].Until.Sub(noon).Hours())
	}
	if asked, hours := changed(0, nil); asked != customers || hours != paused+5 {
		t.Fatalf("first: asked about %d, held for %d hours", asked, hours)
	}
	free := &v1alpha1.CustomerConsent{}
	for _, c := range []struct {
		what        string
		id          int
		to          *v1alpha1.CustomerConsent
		most, hours int
	}{
		{"one of many who are held", 1000, free, 1, paused + 5},
		{"the last of a chunk, while another's last is later", 2990, free, 1, paused + 5},
		{"the last but one of all, of the chunk with the last", 5000, free, 1, paused + 5},
		{"the last of all, of whose chunk nobody else is held", 5001, free, 1 + paused, paused - 1},
		{"the last of all, again", 2980, free, 1 + paused, paused - 2},
		{"a later end for somebody", 2960, until(2 * paused), 1, 2 * paused},
		{"as late an end for somebody else", 7000, until(2 * paused), 1, 2 * paused},
		{"one of two who are held the longest", 2960, free, 1, 2 * paused},
	} {
		asked, hours := changed(c.id, c.to)
		if asked < 1 || asked > c.most {
			t.Errorf("%s: asked about %d, want at most %d", c.what, asked, c.most)
		}
		if hours != c.hours {
			t.Errorf("%s: held for %d hours, want %d", c.what, hours, c.hours)
		}
	}
}
