package audience_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/consent"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
)

// crowd makes customers of chance, with what columns like least among them.
type crowd struct{ *rand.Rand }

func newCrowd(seed uint64) crowd { return crowd{rand.New(rand.NewPCG(seed, 2))} }

func oneOf[T any](c crowd, of ...T) T { return of[c.IntN(len(of))] }

// instant has days, seconds and nanoseconds; it is rarely beyond what columns
// hold.
func (c crowd) instant() metav1.Time {
	switch c.IntN(40) {
	case 0:
		return metav1.NewTime(time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC))
	case 1:
		return metav1.NewTime(time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC))
	case 2:
		return metav1.NewTime(noon.Add(time.Duration(c.Int64())))
	}
	return metav1.NewTime(noon.AddDate(0, 0, -c.IntN(400)))
}

func (c crowd) maybe() *metav1.Time {
	if c.IntN(3) > 0 {
		return nil
	}
	t := c.instant()
	return &t
}

// brand is one of a few; wide: of more than columns have room for.
func (c crowd) brand(wide bool) string {
	if wide {
		return fmt.Sprintf("brand-%d", c.IntN(90))
	}
	return oneOf(c, "acme", "globex")
}

func (c crowd) grant() v1alpha1.Grant {
	g := v1alpha1.Grant{
		Purpose: oneOf[v1alpha1.Purpose](c, "Marketing", "Service"), Channel: oneOf[v1alpha1.Channel](c, "Email", "Phone"),
		Status: oneOf(c, v1alpha1.ConsentGiven, v1alpha1.ConsentWithdrawn), CaptureDate: c.instant(),
		CaptureSource: oneOf(c, "", "Web"), DoubleConsentCaptureDate: c.maybe(), EffectiveFrom: c.maybe(), EffectiveTo: c.maybe(),
	}
	if c.IntN(4) == 0 {
		g.Topics = []v1alpha1.Topic{"Savings", oneOf[v1alpha1.Topic](c, "Loans", "Cards")}
		g.ImpliedBy = &v1alpha1.ImpliedBy{Event: v1alpha1.EventPurchase, EventDate: c.instant()}
		g.PrivacyNotice = &v1alpha1.PrivacyNotice{Version: "3"}
	}
	return g
}

func (c crowd) cap() v1alpha1.FrequencyCap {
	return v1alpha1.FrequencyCap{
		Name: oneOf(c, "weekly", "daily"), Max: int32(c.IntN(3)), Window: v1alpha1.WindowRolling, Length: oneOf(c, "24h", "168h"),
		Counts: []v1alpha1.PurposeClass{v1alpha1.ClassMarketing},
	}
}

func (c crowd) customer(id string, wide bool) *v1alpha1.CustomerConsent {
	o := &v1alpha1.CustomerConsent{ObjectMeta: metav1.ObjectMeta{
		Name: id, Generation: int64(c.IntN(5)),
		UID: oneOf[types.UID](c, "", "7e0f7f0a-5a0d-4ce7-9a55-0d5d1b1f2a3b", "7E0F7F0A-5a0d-4ce7-9a55-0d5d1b1f2a3b", "uid-1"),
	}}
	if c.IntN(2) == 0 {
		o.Labels = map[string]string{"in": oneOf(c, "yes", "no")}
	}
	if c.IntN(20) == 0 {
		o.DeletionTimestamp = &metav1.Time{Time: noon}
	}
	s := &o.Spec
	s.TimeZone, s.Jurisdiction = oneOf[v1alpha1.TimeZone](c, "", "Europe/Berlin"), oneOf[v1alpha1.Jurisdiction](c, "", "DE", "DE-BY")
	s.Language, s.LifeStage = oneOf[v1alpha1.Language](c, "", "de"), oneOf[v1alpha1.LifeStage](c, "", "Student")
	if c.IntN(2) == 0 {
		year := int32(c.IntN(3) + 1980)
		s.BirthYear, s.BlockedTopics = &year, []v1alpha1.Topic{"Loans"}
	}
	if c.IntN(4) == 0 {
		s.OptOut = &v1alpha1.OptOut{Since: c.instant()}
	}
	if c.IntN(4) == 0 {
		s.Guardian = &v1alpha1.Guardian{AuthorizedAt: c.maybe()}
		s.Pause = &v1alpha1.Pause{From: c.instant(), Until: metav1.NewTime(noon.Add(time.Duration(c.IntN(3)) * time.Minute))}
		s.QuietHours = []v1alpha1.DailyWindow{{Days: []v1alpha1.Weekday{"Mon"}, Start: "21:00", End: oneOf(c, "08:00", "09:00")}}
		s.LifeEvents = []v1alpha1.LifeEvent{{EventType: "Relocation", EventDate: oneOf[v1alpha1.Date](c, "2026-06-15", "2026-06-16", "2026-02-30"), ExpirationDate: "2026-06-17"}}
	}
	for range c.IntN(2) {
		s.Caps = append(s.Caps, c.cap())
	}
	brands := map[string]bool{}
	for range c.IntN(4) {
		brands[c.brand(wide)] = true
	}
	for _, b := range slices.Sorted(maps.Keys(brands)) {
		r := v1alpha1.Relationship{Brand: b}
		for range c.IntN(3) {
			r.Grants = append(r.Grants, c.grant())
		}
		if c.IntN(3) == 0 {
			r.Objections = []v1alpha1.Objection{{Purpose: "Marketing", Since: c.instant()}}
			r.Caps = []v1alpha1.FrequencyCap{c.cap()}
		}
		s.Relationships = append(s.Relationships, r)
	}
	return o
}

func (c crowd) past() decision.Contacts {
	var p decision.Contacts
	for range c.IntN(3) {
		p.Sent = append(p.Sent, decision.Contact{At: consent.Nano(c.instant().Time), Brand: "acme", Class: "Marketing", Channel: oneOf(c, "Email", "Phone")})
	}
	for range c.IntN(2) {
		p.Events = append(p.Events, decision.Event{Type: "Complaint", At: consent.Nano(c.instant().Time), Brand: oneOf(c, "", "acme")})
	}
	return p
}

// world is what a table should say.
type world map[string]decision.Subject

// seen is what a snapshot says with regard to a campaign.
func seen(t testing.TB, s *audience.Snapshot, c *decision.Campaign) world {
	t.Helper()
	out := world{}
	for i := range s.Chunks() {
		ch := s.Chunk(i, c.Brand)
		buckets := make([]int64, expr.Chunk)
		s.Buckets(i, 0, ch.Columns.Rows, c, buckets)
		for row := range ch.Live.All {
			subject := s.Subject(i, row, c)
			if int(buckets[row]) != subject.Person.Bucket {
				t.Fatalf("bucket %d, that of the subject is %d", buckets[row], subject.Person.Bucket)
			}
			id := s.Name(i, row)
			if _, twice := out[id]; twice {
				t.Fatalf("%s is in two rows", id)
			}
			out[id] = subject
		}
	}
	return out
}

func compare(t testing.TB, what string, want, got world) {
	t.Helper()
	if reflect.DeepEqual(want, got) {
		return
	}
	t.Fatalf("%s (-want +got):\n%s", what, cmp.Diff(want, got))
}

type model struct {
	customers map[string]*v1alpha1.CustomerConsent
	past      map[string]decision.Contacts
}

func (m *model) world(c *decision.Campaign) world {
	out := world{}
	for id, o := range m.customers {
		p := consent.For(&o.Spec, c.Brand)
		p.Bucket = consent.Bucket(c.Namespace+"/"+c.Name, id)
		out[id] = decision.Subject{Person: p, Contacts: m.past[id]}
	}
	return out
}

// Whoever changes, comes and goes, in whatever order: a snapshot has everybody
// exactly as they were when it was taken.
func TestATableHasEverybodyExactly(t *testing.T) {
	for name, tc := range map[string]struct {
		ids, steps int
		wide       bool
	}{
		"Few":        {ids: 20, steps: 3000},
		"ManyChunks": {ids: 9000, steps: 25000},
		"ManyBrands": {ids: 300, steps: 1500, wide: true},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCrowd(7)
			table := audience.NewTable()
			m := &model{customers: map[string]*v1alpha1.CustomerConsent{}, past: map[string]decision.Contacts{}}
			campaigns := []decision.Campaign{{Namespace: "n", Name: "a", Brand: "acme"}, {Namespace: "n", Name: "b", Brand: "nobody"}, {Brand: "brand-89"}}
			type shot struct {
				at   int
				of   *audience.Snapshot
				want world
			}
			var shots []shot
			for step := range tc.steps {
				id := fmt.Sprintf("c-%d", c.IntN(tc.ids))
				switch _, known := m.customers[id]; {
				case !known || c.IntN(3) == 0:
					m.customers[id], m.past[id] = c.customer(id, tc.wide), c.past()
					table.Put(id, m.customers[id], time.Time{})
					table.Past(id, m.past[id])
				case c.IntN(4) == 0:
					delete(m.customers, id)
					table.Remove(id)
				default:
					m.past[id] = c.past()
					table.Past(id, m.past[id])
				}
				if step%(tc.steps/6) == 0 || step == tc.steps-1 {
					shots = append(shots, shot{step, table.Snapshot(), m.world(&campaigns[0])})
				}
			}
			for i := range campaigns {
				compare(t, "in the end, for "+campaigns[i].Brand, m.world(&campaigns[i]), seen(t, table.Snapshot(), &campaigns[i]))
			}
			for _, s := range shots {
				compare(t, fmt.Sprintf("the snapshot of step %d, at the end", s.at), s.want, seen(t, s.of, &campaigns[0]))
			}
			if table.Len() != len(m.customers) {
				t.Errorf("%d customers, want %d", table.Len(), len(m.customers))
			}
			if most := 2*len(m.customers)/4096 + 2; table.Snapshot().Chunks() > most {
				t.Errorf("%d chunks for %d customers: those that are dead are not left", table.Snapshot().Chunks(), len(m.customers))
			}
		})
	}
}

// What is the same changes nothing, so that nobody is asked about again.
func TestTheSameAgainIsNoChange(t *testing.T) {
	c := newCrowd(1)
	table := audience.NewTable()
	one := c.customer("c-1", false)
	for one.Spec.OptOut != nil || len(one.Spec.Relationships) == 0 {
		one = c.customer("c-1", false)
	}
	past := decision.Contacts{Sent: []decision.Contact{{At: 1, Brand: "acme"}}}
	if !table.Put("c-1", one, noon) {
		t.Error("somebody new is no news")
	}
	table.Past("c-1", past)
	before := table.Snapshot()
	if table.Put("c-1", one.DeepCopy(), noon) {
		t.Error("the same again is news")
	}
	table.Past("c-1", past)
	table.Past("c-2", past)
	if table.Snapshot() != before {
		t.Error("the same customer again made another snapshot")
	}
	other := one.DeepCopy()
	other.Generation++
	if !table.Put("c-1", other, noon) || table.Snapshot() == before {
		t.Error("another generation is another consent, and was not seen")
	}
}

// Readers look while the writer writes: the race detector watches.
func TestReadersNeedNoLock(t *testing.T) {
	table := audience.NewTable()
	c := newCrowd(3)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				s := table.Snapshot()
				n := 0
				for i := range s.Chunks() {
					for row := range s.Chunk(i, "acme").Live.All {
						if s.Subject(i, row, &decision.Campaign{Brand: "acme"}); s.Name(i, row) == "" {
							t.Error("a row without a name")
						}
						n++
					}
				}
				if n != s.Len() {
					t.Errorf("%d rows, the snapshot says %d", n, s.Len())
				}
			}
		})
	}
	for i := range 6000 {
		id := fmt.Sprintf("c-%d", i%500)
		table.Put(id, c.customer("", false), time.Time{})
		table.Past(id, c.past())
	}
	close(stop)
	wg.Wait()
}

// Words that nobody uses any more are forgotten, and everybody is still there.
func TestDictionariesDoNotGrowForEver(t *testing.T) {
	c := newCrowd(9)
	s := newStore()
	l := &told{past: map[string]decision.Contacts{}}
	table, m := s.Table, &model{customers: s.consents, past: map[string]decision.Contacts{}}
	a := audience.Asked{
		Key: "k", Now: noon, Judge: rules{}, Table: table, Past: l, Ledger: l, Campaign: decision.Campaign{Brand: "acme"},
		Audience: &v1alpha1.Audience{Selector: &v1alpha1.AudienceSelector{Labels: []v1alpha1.LabelMatch{{Key: "in", Values: []string{"yes"}}}}},
	}
	var kept audience.Evaluation
	first := table.Snapshot().Chunk(0, "acme").Dicts[0]
	for round := range 5 {
		for i := range 20000 {
			id := fmt.Sprintf("c-%d", i%300)
			o := c.customer(id, false)
			if i < 19000 {
				o.Labels = map[string]string{"in": "yes", "number": fmt.Sprintf("%d-%d", round, i)}
			}
			s.put(id, o)
		}
		got, err := kept.Refresh(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(anew(t, s, &a).Counts, got.Counts); diff != "" {
			t.Fatalf("round %d: counts (-anew +kept):\n%s", round, diff)
		}
		compare(t, fmt.Sprintf("round %d", round), m.world(&a.Campaign), seen(t, table.Snapshot(), &a.Campaign))
	}
	if table.Snapshot().Chunk(0, "acme").Dicts[0] == first {
		t.Error("the dictionaries were never renewed")
	}
}

// Campaigns that ask one after the other get the same columns, made once, and never
// those of another brand, chunk or snapshot.
func TestAChunkIsMadeOnceForWhoAsksAgain(t *testing.T) {
	s := newStore()
	for i := range expr.Chunk + 1 {
		s.put(fmt.Sprintf("c-%d", i), &v1alpha1.CustomerConsent{})
	}
	before := s.Snapshot()
	acme := before.Chunk(0, "acme").Columns
	if before.Chunk(0, "acme").Columns != acme {
		t.Error("the same is made again")
	}
	s.put("c-0", &v1alpha1.CustomerConsent{Spec: v1alpha1.CustomerConsentSpec{OptOut: &v1alpha1.OptOut{Since: metav1.NewTime(noon)}}})
	after := s.Snapshot()
	if before.Number() == after.Number() || before.Number() == 0 {
		t.Errorf("snapshots %d and %d", before.Number(), after.Number())
	}
	for other, columns := range map[string]*expr.Columns{
		"brand": before.Chunk(0, "globex").Columns, "chunk": before.Chunk(1, "globex").Columns, "snapshot": after.Chunk(1, "globex").Columns,
	} {
		if columns == acme {
			t.Errorf("another %s has the same columns", other)
		}
	}
	if before.Chunk(1, "globex").Columns.Rows == after.Chunk(1, "globex").Columns.Rows {
		t.Error("a snapshot has the rows of another")
	}
}
