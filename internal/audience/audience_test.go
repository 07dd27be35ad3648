package audience_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
)

var noon = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

func day(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestTargets(t *testing.T) {
	mover := func(from, until v1alpha1.Date) *v1alpha1.CustomerConsent {
		return &v1alpha1.CustomerConsent{Spec: v1alpha1.CustomerConsentSpec{
			LifeEvents: []v1alpha1.LifeEvent{{EventType: "Relocation", EventDate: from, ExpirationDate: until}},
		}}
	}
	movers := v1alpha1.Audience{Selector: &v1alpha1.AudienceSelector{LifeEvents: []v1alpha1.LifeEventType{"Relocation"}}}
	in := func(s v1alpha1.AudienceSelector) v1alpha1.Audience { return v1alpha1.Audience{Selector: &s} }
	bavarian := &v1alpha1.CustomerConsent{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"segment": "club"}},
		Spec:       v1alpha1.CustomerConsentSpec{Jurisdiction: "DE-BY", Language: "de", LifeStage: "Retired"},
	}
	tests := map[string]struct {
		audience  v1alpha1.Audience
		customer  *v1alpha1.CustomerConsent
		want      bool
		wantStale time.Time
	}{
		"Everyone":                    {audience: v1alpha1.Audience{Everyone: &v1alpha1.Everyone{}}, customer: bavarian, want: true},
		"NothingSaidMeansNobody":      {customer: bavarian},
		"WhoIsBeingErasedIsNot":       {audience: v1alpha1.Audience{Everyone: &v1alpha1.Everyone{}}, customer: &v1alpha1.CustomerConsent{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &metav1.Time{Time: noon}}}},
		"CountryCoversItsParts":       {audience: in(v1alpha1.AudienceSelector{Jurisdictions: []v1alpha1.Jurisdiction{"DE"}}), customer: bavarian, want: true},
		"PartDoesNotCoverTheCountry":  {audience: in(v1alpha1.AudienceSelector{Jurisdictions: []v1alpha1.Jurisdiction{"DE-HE"}}), customer: bavarian},
		"NoCountryIsNotTargeted":      {audience: in(v1alpha1.AudienceSelector{Jurisdictions: []v1alpha1.Jurisdiction{"DE"}}), customer: &v1alpha1.CustomerConsent{}},
		"LanguageOfNobody":            {audience: in(v1alpha1.AudienceSelector{Languages: []v1alpha1.Language{"d"}}), customer: bavarian},
		"AllThatIsSetMustMatch":       {audience: in(v1alpha1.AudienceSelector{Languages: []v1alpha1.Language{"de"}, LifeStages: []v1alpha1.LifeStage{"Student"}}), customer: bavarian},
		"LabelHasTheValue":            {audience: in(v1alpha1.AudienceSelector{Labels: []v1alpha1.LabelMatch{{Key: "segment", Values: []string{"x", "club"}}}}), customer: bavarian, want: true},
		"LabelIsAbsent":               {audience: in(v1alpha1.AudienceSelector{Labels: []v1alpha1.LabelMatch{{Key: "other", Values: []string{""}}}}), customer: bavarian},
		"TheDayBeforeTheMove":         {audience: movers, customer: mover("2026-06-16", ""), wantStale: day("2026-06-16")},
		"TheDayOfTheMove":             {audience: movers, customer: mover("2026-06-15", ""), want: true},
		"MovedAndNotExpired":          {audience: movers, customer: mover("2026-01-01", "2026-06-16"), want: true, wantStale: day("2026-06-16")},
		"ExpiredToday":                {audience: movers, customer: mover("2026-01-01", "2026-06-15")},
		"ADateThatIsNoneIsNotCounted": {audience: movers, customer: mover("2026-02-30", "")},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r, _ := people(map[string]*v1alpha1.CustomerConsent{"a": tc.customer}).Get("a")
			got, stale := r.Targeted(&tc.audience, noon)
			if got != tc.want || !stale.Equal(tc.wantStale) {
				t.Errorf("Targeted = %t, stale at %s; want %t, %s", got, stale, tc.want, tc.wantStale)
			}
			if in, end := targets(&tc.audience, tc.customer, noon); in != got || !end.Equal(stale) {
				t.Errorf("of the consent itself %t, stale at %s", in, end)
			}
		})
	}
}

// judge denies who opted out, and remembers how many it was asked about.
type judge struct {
	asked []int
	err   error
	stale time.Time
}

func (j *judge) Digest() string { return "sha256:0" }

func (j *judge) Judge(_ context.Context, q decision.Question) ([]decision.Answer, error) {
	j.asked = append(j.asked, len(q.Subjects))
	if j.err != nil {
		return nil, j.err
	}
	out := make([]decision.Answer, len(q.Subjects))
	for i, s := range q.Subjects {
		out[i].StaleAt = j.stale
		if s.Person.OptOut != nil {
			out[i].Reasons = []decision.Reason{{Code: "OptedOut", Verdict: v1alpha1.VerdictDeny}}
		}
	}
	return out, nil
}

// ledger is a version for each principal.
type ledger map[string]uint64

func (l ledger) Contacts(p string) (decision.Contacts, uint64) {
	return decision.Contacts{Sent: make([]decision.Contact, l[p])}, l[p]
}
func (l ledger) Version(p string) uint64               { return l[p] }
func (l ledger) Present(p string) bool                 { return l[p] > 0 }
func (l ledger) Since(uint64) ([]string, uint64, bool) { return nil, 1, true }

// people is a table of the consents.
func people(consents map[string]*v1alpha1.CustomerConsent) *audience.Table {
	return (&store{consents: consents}).again()
}

func customer(optOut bool) *v1alpha1.CustomerConsent {
	c := &v1alpha1.CustomerConsent{}
	if optOut {
		c.Spec.OptOut = &v1alpha1.OptOut{Since: metav1.Time{Time: noon}}
	}
	return c
}

func TestRefreshAsksOnlyAboutThoseWhomAChangeConcerns(t *testing.T) {
	j, l := &judge{stale: noon.Add(time.Hour)}, ledger{}
	table := people(map[string]*v1alpha1.CustomerConsent{"a": customer(false), "b": customer(false), "c": customer(false)})
	asked := audience.Asked{
		Key: "k", Now: noon, Audience: &v1alpha1.Audience{Everyone: &v1alpha1.Everyone{}}, Judge: j, Ledger: l, Past: l, Table: table,
	}
	var e audience.Evaluation
	step := func(what string, wantAsked []int, want v1alpha1.Counts) {
		t.Helper()
		j.asked = nil
		got, err := e.Refresh(context.Background(), asked)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if diff := cmp.Diff(wantAsked, j.asked); diff != "" {
			t.Errorf("%s: asked about (-want +got):\n%s", what, diff)
		}
		if diff := cmp.Diff(want, got.Counts); diff != "" {
			t.Errorf("%s: counts (-want +got):\n%s", what, diff)
		}
	}
	all := v1alpha1.Counts{Targeted: 3, Allowed: 3}
	step("the first look asks about everyone", []int{3}, all)
	step("an unchanged world asks about nobody", nil, all)
	table.Put("b", customer(true), noon)
	step("a withdrawal asks about one", []int{1}, v1alpha1.Counts{Targeted: 3, Allowed: 2, Denied: 1})
	l["c"] = 9
	step("a contact asks about one", []int{1}, v1alpha1.Counts{Targeted: 3, Allowed: 2, Denied: 1})
	asked.Now = noon.Add(time.Hour)
	j.stale = noon.Add(2 * time.Hour)
	step("a stale answer is asked for again", []int{3}, v1alpha1.Counts{Targeted: 3, Allowed: 2, Denied: 1})
	table.Remove("a")
	step("who is gone is not counted", nil, v1alpha1.Counts{Targeted: 2, Allowed: 1, Denied: 1})
	asked.Key = "other policies"
	step("other policies ask about everyone", []int{2}, v1alpha1.Counts{Targeted: 2, Allowed: 1, Denied: 1})
}

func TestAFailedRefreshIsAskedAgain(t *testing.T) {
	j := &judge{err: errors.New("worker died")}
	asked := audience.Asked{
		Key: "k", Now: noon, Audience: &v1alpha1.Audience{Everyone: &v1alpha1.Everyone{}}, Judge: j,
		Ledger: ledger{}, Past: ledger{}, Table: people(map[string]*v1alpha1.CustomerConsent{"a": customer(true)}),
	}
	var e audience.Evaluation
	if _, err := e.Refresh(context.Background(), asked); !errors.Is(err, j.err) {
		t.Fatalf("Refresh: %v", err)
	}
	j.err = nil
	got, err := e.Refresh(context.Background(), asked)
	if err != nil {
		t.Fatal(err)
	}
	if got.Counts.Denied != 1 {
		t.Errorf("counts = %+v, want one denied", got.Counts)
	}
}

func TestTheEarliestChangeWakesTheCampaign(t *testing.T) {
	soon := v1alpha1.Date(noon.AddDate(0, 0, 1).Format(time.DateOnly))
	mover := &v1alpha1.CustomerConsent{Spec: v1alpha1.CustomerConsentSpec{
		LifeEvents: []v1alpha1.LifeEvent{{EventType: "Relocation", EventDate: soon}},
	}}
	var e audience.Evaluation
	got, err := e.Refresh(context.Background(), audience.Asked{
		Key: "k", Now: noon, Judge: &judge{}, Ledger: ledger{}, Past: ledger{}, Table: people(map[string]*v1alpha1.CustomerConsent{"a": mover}),
		Audience: &v1alpha1.Audience{Selector: &v1alpha1.AudienceSelector{LifeEvents: []v1alpha1.LifeEventType{"Relocation"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := day(string(soon)); got.Counts.Targeted != 0 || !got.StaleAt.Equal(want) {
		t.Errorf("targeted %d, stale at %s; want nobody before %s", got.Counts.Targeted, got.StaleAt, want)
	}
}

func TestTheConsentsDigestFollowsTheAudience(t *testing.T) {
	consents := map[string]*v1alpha1.CustomerConsent{"a": customer(false), "b": customer(false)}
	look := func() v1alpha1.ConsentSet {
		var e audience.Evaluation
		if _, err := e.Refresh(context.Background(), audience.Asked{
			Key: "k", Now: noon, Judge: &judge{}, Ledger: ledger{}, Past: ledger{}, Table: people(consents), Audience: &v1alpha1.Audience{Everyone: &v1alpha1.Everyone{}},
		}); err != nil {
			t.Fatal(err)
		}
		return e.Consents("cr-1")
	}
	first := look()
	if again := look(); first != again {
		t.Errorf("the same consents have %s and %s", first.Digest, again.Digest)
	}
	consents["b"].Generation = 2
	if other := look(); other.Digest == first.Digest || other.Count != 2 {
		t.Errorf("a changed consent has the old digest: %+v", other)
	}
}

// swept allows everybody, many at once.
type swept struct{ judge }

func (*swept) Sweep(_ context.Context, s decision.Sweep) error {
	b := &decision.Bulk{Left: expr.NewBits(expr.Chunk), StaleAt: make([]int64, expr.Chunk)}
	for i := range b.StaleAt {
		b.StaleAt[i] = decision.Never
	}
	for _, chunk := range s.Chunks {
		if err := s.Answer(0, chunk, b); err != nil {
			return err
		}
	}
	return nil
}

func (*swept) Doubted() uint64 { return 0 }

// What an evaluation allocates is for its chunks, and for none of its customers.
func TestAnEvaluationAllocatesNothingForACustomer(t *testing.T) {
	const customers = 3 * expr.Chunk
	consents := map[string]*v1alpha1.CustomerConsent{}
	for i := range customers {
		consents[fmt.Sprint(i)] = customer(i%2 == 0)
	}
	a := audience.Asked{
		Key: "k", Now: noon, Judge: &swept{}, Ledger: still{}, Past: still{}, Table: people(consents),
		Audience: &v1alpha1.Audience{Everyone: &v1alpha1.Everyone{}},
	}
	look := func() {
		var e audience.Evaluation
		if got, err := e.Refresh(t.Context(), a); err != nil || got.Counts.Allowed != customers {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	if n := testing.AllocsPerRun(5, look); n > customers/100 {
		t.Errorf("%.0f allocations for %d customers", n, customers)
	}
}

// still is a ledger to which nothing happens.
type still struct{ ledger }

func (still) Since(mark uint64) ([]string, uint64, bool) { return nil, 1, mark != 1 }

// doubting finds wrong what it says first.
type doubting struct {
	swept
	doubts uint64
	sweeps int
}

func (d *doubting) Doubted() uint64 { return d.doubts }

func (d *doubting) Sweep(ctx context.Context, s decision.Sweep) error {
	d.sweeps++
	if d.doubts > 0 {
		return d.swept.Sweep(ctx, s)
	}
	err := d.swept.Sweep(ctx, s)
	d.doubts++
	return errors.Join(err, errors.New("it was wrong"))
}

// What is found wrong is asked anew in the same look, and what others found wrong
// in the next.
func TestWhatIsFoundWrongIsAskedAnew(t *testing.T) {
	judge, table := &doubting{}, people(map[string]*v1alpha1.CustomerConsent{"a": customer(false), "b": customer(false)})
	var e audience.Evaluation
	look := func() {
		t.Helper()
		got, err := e.Refresh(t.Context(), audience.Asked{
			Key: "k", Now: noon, Judge: judge, Ledger: still{}, Past: still{},
			Table: table, Audience: &v1alpha1.Audience{Everyone: &v1alpha1.Everyone{}},
		})
		if err != nil || got.Counts.Targeted != 2 || got.Counts.Allowed != 2 {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	for step, want := range []int{2, 2, 3} {
		if step == 2 {
			judge.doubts++
		}
		if look(); judge.sweeps != want {
			t.Errorf("step %d: asked %d times, want %d", step, judge.sweeps, want)
		}
	}
}
