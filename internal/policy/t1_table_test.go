package policy

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/audience"
	ledger "github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/importer"
	"github.com/codb-dev/codb/policies"
)

var june = time.Date(2026, 6, 15, 10, 0, 0, 0, time.UTC)

// bank has customers as the importer makes them, and their past.
type bank struct {
	records map[string]*v1alpha1.CustomerConsent
	names   []string
	past    *ledger.Projection
	told    uint64
	table   *audience.Table
	rand    *rand.Rand
}

func newBank(t testing.TB, customers int) *bank {
	t.Helper()
	b := &bank{
		records: map[string]*v1alpha1.CustomerConsent{}, past: ledger.NewProjection(ledger.LookBack),
		table: audience.NewTable(), rand: rand.New(rand.NewPCG(5, 5)),
	}
	profile, err := importer.ProfileNamed("demo")
	if err != nil {
		t.Fatal(err)
	}
	m := importer.Mapper{Seed: importer.DefaultSeed, AsOf: june, Profile: profile, Brand: "acme"}
	for i := range customers {
		c, past := m.Map(importer.Row{
			Number: i + 1, Age: 17 + b.rand.IntN(70), Job: []string{"student", "retired", "services", "unknown"}[b.rand.IntN(4)],
			Calls: 1 + b.rand.IntN(6), DaysSince: importer.NeverBefore, Previous: b.rand.IntN(2), Outcome: []string{"success", "failure", "nonexistent"}[b.rand.IntN(3)],
		})
		b.put(&c)
		b.tell(t, past...)
	}
	return b
}

func (b *bank) put(c *v1alpha1.CustomerConsent) {
	if _, known := b.records[c.Name]; !known {
		b.names = append(b.names, c.Name)
	}
	c.Generation++
	b.records[c.Name] = c
	b.table.Put(c.Name, c, time.Time{})
}

func (b *bank) tell(t testing.TB, records ...ledger.Record) {
	t.Helper()
	if len(records) == 0 {
		return
	}
	page := ledger.Page{Ledger: "l", After: b.told}
	for _, r := range records {
		b.told++
		r.Sequence = b.told
		page.Records = append(page.Records, r)
	}
	page.Sequence = b.told
	if err := b.past.Apply(page); err != nil {
		t.Fatal(err)
	}
}

// change is what happens to somebody: a no, a pause, a contact, an erasure.
func (b *bank) change(t testing.TB, now time.Time) {
	id := b.names[b.rand.IntN(len(b.names))]
	was, ok := b.records[id]
	if !ok {
		return
	}
	c := was.DeepCopy()
	switch b.rand.IntN(5) {
	case 0:
		c.Spec.OptOut = &v1alpha1.OptOut{Since: metav1.NewTime(now.Add(-time.Hour))}
	case 1:
		c.Spec.Pause = &v1alpha1.Pause{From: metav1.NewTime(now), Until: metav1.NewTime(now.Add(time.Duration(1+b.rand.IntN(72)) * time.Hour))}
	case 2:
		b.tell(t, ledger.Record{
			Key: fmt.Sprint("k-", b.told), At: now, Principal: id, Brand: "acme", Purpose: "Marketing",
			Class: v1alpha1.ClassMarketing, Channel: v1alpha1.ChannelEmail, Event: ledger.Sent,
		})
		return
	case 3:
		delete(b.records, id)
		b.table.Remove(id)
		return
	default:
		c.Spec.OptOut, c.Spec.Pause = nil, nil
	}
	b.put(c)
}

// asked is a look at everybody for one of many campaigns.
func (b *bank) asked(n int, now time.Time, j decision.Judge) audience.Asked {
	c := decision.Campaign{
		Name: fmt.Sprint("campaign-", n), Namespace: "shop", Brand: "acme", Purpose: "Marketing", PurposeClass: "Marketing",
		Channel: []string{"Email", "Phone"}[n%2], Depth: []string{"Basic", "Profiling"}[n/2%2], HoldoutPercent: int32(n / 4 % 2 * 10),
	}
	past := b.past.View(now)
	return audience.Asked{
		Key: "k", Now: now, Campaign: c, Judge: j, Table: b.table, Past: past, Ledger: past,
		Audience: &v1alpha1.Audience{Everyone: &v1alpha1.Everyone{}},
	}
}

// The engine's sweep over resident columns and OPA, which is asked about each
// customer alone, come to the same sums, at first and after each change.
func TestResidentColumnsAreAnsweredLikeOPA(t *testing.T) {
	lib := load(t, policies.FS)
	e, opa, _ := fronted(t, lib, everyRule(lib)...)
	b := newBank(t, 400)
	now := june
	native, reference := make([]audience.Evaluation, 3), make([]audience.Evaluation, 3)
	for round := range 5 {
		for i, n := range []int{0, 3, 5} { // the last has a holdout
			got, err := native[i].Refresh(t.Context(), b.asked(n, now, e))
			if err != nil {
				t.Fatal(err)
			}
			want, err := reference[i].Refresh(t.Context(), b.asked(n, now, opa))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.Counts, got.Counts); diff != "" {
				t.Fatalf("round %d, campaign %d: counts (-OPA +native):\n%s", round, n, diff)
			}
			if diff := cmp.Diff(want.Reasons(), got.Reasons()); diff != "" {
				t.Fatalf("round %d, campaign %d: reasons (-OPA +native):\n%s", round, n, diff)
			}
			if !want.StaleAt.Equal(got.StaleAt) {
				t.Fatalf("round %d, campaign %d: wakes at %s, OPA at %s", round, n, got.StaleAt, want.StaleAt)
			}
		}
		for range 25 {
			b.change(t, now)
		}
		now = now.Add(time.Duration(b.rand.IntN(20)) * time.Hour)
	}
	if e.Doubted() > 0 {
		t.Error("OPA answers otherwise")
	}
}

// Campaigns that hear of a change one after the other have what regards none of
// them found out once.
func TestOneChangeIsLookedAtOnceForManyCampaigns(t *testing.T) {
	lib := load(t, policies.FS)
	e, _, _ := fronted(t, lib, everyRule(lib)...)
	b := newBank(t, 100)
	kept := make([]audience.Evaluation, 4)
	look := func() (looked int) {
		before := map[*program]int{}
		for _, p := range e.sweeping.idle {
			before[p] = p.chunk
		}
		for i := range kept {
			if _, err := kept[i].Refresh(t.Context(), b.asked(i, june, e)); err != nil {
				t.Fatal(err)
			}
		}
		for _, p := range e.sweeping.idle {
			looked += p.chunk - before[p]
		}
		return looked
	}
	look()
	c := b.records[b.names[0]].DeepCopy()
	c.Spec.OptOut = &v1alpha1.OptOut{Since: metav1.NewTime(june.Add(-time.Hour))}
	b.put(c)
	if looked := look(); looked != 1 {
		t.Errorf("%d looks at the columns for one change, want 1", looked)
	}
}

// BenchmarkTable measures columns that stay in memory, for -rows customers: what
// they take, filling them, a campaign's first evaluation, and one changed consent
// until 100 campaigns know what follows.
func BenchmarkTable(b *testing.B) {
	lib := load(b, policies.FS)
	world := newBank(b, *rows)
	s := sandbox(b, lib, workerReal, Options{})
	ps := everyRule(lib)
	i, err := NewInterpreter(lib, ps)
	if err != nil {
		b.Fatal(err)
	}
	e := newEngine(s, ps, i)
	b.Run("Fill", func(b *testing.B) {
		for b.Loop() {
			world.table = audience.NewTable()
			for id, c := range world.records {
				world.table.Put(id, c, time.Time{})
			}
			world.table.Follow(world.past.View(june))
		}
		nsPerCustomer(b, *rows)
		b.ReportMetric(float64(world.table.Bytes())/float64(*rows), "B/customer")
	})
	b.Run("First", func(b *testing.B) {
		a := world.asked(0, june, e)
		for b.Loop() {
			var fresh audience.Evaluation
			if _, err := fresh.Refresh(b.Context(), a); err != nil {
				b.Fatal(err)
			}
		}
		nsPerCustomer(b, *rows)
	})
	b.Run("Change", func(b *testing.B) {
		const campaigns = 100
		kept, asked := make([]audience.Evaluation, campaigns), make([]audience.Asked, campaigns)
		look := func() {
			for n := range kept {
				if _, err := kept[n].Refresh(b.Context(), asked[n]); err != nil {
					b.Fatal(err)
				}
			}
		}
		for n := range kept {
			asked[n] = world.asked(n, june, e)
		}
		look()
		before := cpu()
		for b.Loop() {
			c := world.records[world.names[world.rand.IntN(len(world.names))]].DeepCopy()
			c.Spec.OptOut = &v1alpha1.OptOut{Since: metav1.NewTime(june.Add(-time.Hour))}
			world.put(c)
			look()
		}
		b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
	})
}
