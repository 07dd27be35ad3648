package permit_test

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/permit"
)

// story is a book into which records go one by one.
type story struct {
	*testing.T
	book  *permit.Book
	terms permit.Terms
	n     uint64
}

func newStory(t *testing.T) *story {
	return &story{T: t, book: permit.NewBook(), terms: terms(1)}
}

func (s *story) happens(records ...contacts.Record) {
	s.Helper()
	for _, r := range records {
		if err := contacts.Validate([]contacts.Record{r}, noon); err != nil {
			s.Fatalf("%s: %v", r.Event, err)
		}
		s.n++
		r.Sequence = s.n
		s.book.Apply([]contacts.Record{r})
	}
}

func (s *story) drawn() permit.Permit {
	s.Helper()
	s.happens(s.terms.Draw("p-1", "pod-1", "c-1", noon))
	p, answer := s.book.Redeem("p-1", s.terms.Campaign.Run(), "pod-1", noon)
	if answer != "" {
		s.Fatalf("just drawn: %s", answer)
	}
	return p
}

var no = []decision.Reason{
	{Code: "OptedOut", Verdict: v1alpha1.VerdictDeny}, {Code: "Watched", Verdict: v1alpha1.VerdictDeny, Mode: v1alpha1.ModeAudit},
}

func TestWhatBecomesOfAPermit(t *testing.T) {
	run, other := terms(1).Campaign.Run(), terms(2).Campaign.Run()
	for name, tc := range map[string]struct {
		then     func(*permit.Terms, *permit.Permit) []contacts.Record
		at       time.Duration
		run      contacts.Run
		pod      string
		want     permit.Answer
		standing permit.Standing
	}{
		"Drawn":             {want: "", standing: permit.Outstanding},
		"JustBeforeItsEnd":  {at: permit.Life - 1, want: "", standing: permit.Outstanding},
		"AtItsEnd":          {at: permit.Life, want: permit.Expired, standing: permit.Outstanding},
		"OfAnotherCampaign": {run: other, want: permit.Unknown, standing: permit.Free},
		"OfAnotherPod":      {pod: "pod-2", want: permit.Unknown, standing: permit.Outstanding},
		"Redeemed": {then: func(t *permit.Terms, p *permit.Permit) []contacts.Record {
			return []contacts.Record{p.Redeem(t, "k", noon)}
		}, want: permit.AlreadyRedeemed, standing: permit.Done},
		"Reported": {then: func(t *permit.Terms, p *permit.Permit) []contacts.Record {
			return []contacts.Record{p.Redeem(t, "k", noon), p.Report("Sent", "", "k-2", noon)}
		}, want: permit.AlreadyRedeemed, standing: permit.Done},
		"Expired": {then: func(_ *permit.Terms, p *permit.Permit) []contacts.Record {
			return []contacts.Record{p.Expire("k", noon)}
		}, want: permit.Expired, standing: permit.Free},
		"Voided": {then: func(_ *permit.Terms, p *permit.Permit) []contacts.Record {
			return []contacts.Record{p.Void("k", noon, "OptedOut")}
		}, want: permit.Voided, standing: permit.Free},
		"Returned": {then: func(_ *permit.Terms, p *permit.Permit) []contacts.Record {
			return []contacts.Record{p.Return("k", noon)}
		}, want: permit.Voided, standing: permit.Free},
		"Refused": {then: func(t *permit.Terms, p *permit.Permit) []contacts.Record {
			return []contacts.Record{p.Refuse(t, "k", noon, no)}
		}, want: permit.Voided, standing: permit.Free},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			p := s.drawn()
			if tc.then != nil {
				s.happens(tc.then(&s.terms, &p)...)
			}
			of, pod := run, "pod-1"
			if tc.run != (contacts.Run{}) {
				of = tc.run
			}
			if tc.pod != "" {
				pod = tc.pod
			}
			if _, got := s.book.Redeem("p-1", of, pod, noon.Add(tc.at)); got != tc.want {
				t.Errorf("redeem: %q, want %q", got, tc.want)
			}
			if got := s.book.Standing(of, "c-1"); got != tc.standing {
				t.Errorf("standing %d, want %d", got, tc.standing)
			}
		})
	}
}

func TestAForgedPermitIsUnknown(t *testing.T) {
	s := newStory(t)
	if _, got := s.book.Redeem("p-1", s.terms.Campaign.Run(), "pod-1", noon); got != permit.Unknown {
		t.Errorf("redeem: %s", got)
	}
	if got := s.book.Report("p-1", s.terms.Campaign.Run(), "Sent"); got.Permit != nil || got.Why == "" {
		t.Errorf("report: %+v", got)
	}
}

func TestReports(t *testing.T) {
	type step struct {
		word  string
		takes bool // it is to be recorded
		known bool
	}
	for name, steps := range map[string][]step{
		"Sent":                 {{"Sent", true, false}},
		"TheSameTwice":         {{"Sent", true, false}, {"Sent", false, true}},
		"SentAndFailed":        {{"Sent", true, false}, {"Failed", false, false}},
		"SentBouncedComplains": {{"Sent", true, false}, {"HardBounce", true, false}, {"Complained", true, false}, {"Converted", true, false}},
		"NoSuchOutcome":        {{"Opened", false, false}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			p := s.drawn()
			if got := s.book.Report("p-1", s.terms.Campaign.Run(), "Sent"); got.Permit != nil || got.Why == "" {
				t.Errorf("before it was redeemed: %+v", got)
			}
			s.happens(p.Redeem(&s.terms, "k", noon))
			for i, step := range steps {
				got := s.book.Report("p-1", s.terms.Campaign.Run(), step.word)
				if (got.Permit != nil) != step.takes || got.Known != step.known || (got.Why == "") != (step.takes || step.known) {
					t.Fatalf("%s: %+v", step.word, got)
				}
				if got.Permit != nil {
					s.happens(got.Permit.Report(step.word, "250 queued", string(rune('a'+i)), noon))
				}
			}
		})
	}
	for _, word := range permit.Outcomes() {
		s := newStory(t)
		p := s.drawn()
		s.happens(p.Redeem(&s.terms, "k", noon), p.Report(word, "", "k-2", noon))
		if got := s.book.Report("p-1", s.terms.Campaign.Run(), word); !got.Known {
			t.Errorf("%s is not remembered", word)
		}
	}
}

func TestARefusalIsNotedOnce(t *testing.T) {
	s := newStory(t)
	first := s.terms.Note("k-1", "c-1", noon, no)
	if s.book.Noted(&first) {
		t.Error("noted before it happened")
	}
	s.happens(first)
	again := s.terms.Note("k-2", "c-1", noon.Add(-time.Hour), no)
	hold := s.terms.Note("k-3", "c-1", noon, []decision.Reason{{Code: "OptedOut", Verdict: v1alpha1.VerdictHold, Until: noon.Add(time.Hour)}})
	if !s.book.Noted(&again) || s.book.Noted(&hold) {
		t.Error("the same reasons are noted again, or a hold passes for a refusal")
	}
	if hold.Event != contacts.Held || !hold.Until.Equal(noon.Add(time.Hour)) || first.Event != contacts.Refused {
		t.Errorf("hold: %+v, refusal: %+v", hold, first)
	}
	if diff := cmp.Diff([]string{"OptedOut"}, first.Reasons); diff != "" {
		t.Errorf("codes (-want +got):\n%s", diff)
	}
}

func TestOldRunsAreForgotten(t *testing.T) {
	s := newStory(t)
	p := s.drawn()
	s.book.Forget(noon.Add(time.Hour))
	if s.book.Standing(s.terms.Campaign.Run(), "c-1") != permit.Outstanding {
		t.Error("a run was forgotten while a permit of it is outstanding")
	}
	s.happens(p.Redeem(&s.terms, "k", noon))
	s.book.Forget(noon)
	if s.book.Standing(s.terms.Campaign.Run(), "c-1") != permit.Done {
		t.Error("a run was forgotten too early")
	}
	s.book.Forget(noon.Add(time.Hour))
	if _, got := s.book.Redeem("p-1", s.terms.Campaign.Run(), "pod-1", noon); got != permit.Unknown {
		t.Errorf("a forgotten permit is %q", got)
	}
}

func TestTheLine(t *testing.T) {
	l := permit.NewLine([]string{"a", "b", "c", "d"})
	next := func(n int, want ...string) {
		t.Helper()
		if got := l.Next(n); !slices.Equal(got, want) {
			t.Fatalf("next %v, want %v", got, want)
		}
	}
	next(2, "a", "b")
	l.Wait("a", true, noon.Add(time.Hour))
	l.Wait("b", false, noon.Add(2*time.Hour))
	if l.Held() != 1 || !l.Moment().Equal(noon.Add(time.Hour)) || !l.Wakes().Equal(noon.Add(time.Hour)) {
		t.Errorf("held %d until %s, wakes %s", l.Held(), l.Moment(), l.Wakes())
	}
	next(1, "c")
	l.Return("c")
	next(9, "c", "d")
	if !l.Asked() {
		t.Error("somebody is left")
	}
	l.Wake(noon)
	next(9)
	l.Meet("b")
	l.Meet("b")
	l.Wake(noon.Add(3 * time.Hour))
	next(9, "b", "a")
	if l.Held() != 0 || !l.Moment().IsZero() || !l.Wakes().IsZero() {
		t.Errorf("held %d, %s, %s", l.Held(), l.Moment(), l.Wakes())
	}
	l.Wait("a", true, time.Time{})
	l.Wake(noon.Add(1000 * time.Hour))
	if next(1); l.Held() != 1 {
		t.Error("who waits for a change came back by itself")
	}
	l.Wait("a", true, noon.Add(time.Hour)) // asked again, a new answer
	l.Wait("a", true, noon.Add(2*time.Hour))
	if l.Held() != 1 || !l.Moment().Equal(noon.Add(2*time.Hour)) {
		t.Errorf("held %d until %s", l.Held(), l.Moment())
	}
}

// passedBy is the line after everybody was asked about, and nobody meant.
func passedBy(ids []string) *permit.Line {
	l := permit.NewLine(slices.Clone(ids))
	for !l.Asked() {
		for _, id := range l.Next(256) {
			l.Wait(id, false, time.Time{})
		}
	}
	return l
}

func customers(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("c-%06d", i)
	}
	return out
}

// heapPerRun is what a run keeps of customers whom it passed by.
func heapPerRun(ids []string) uint64 {
	const runs = 8
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	lines := make([]*permit.Line, runs)
	for i := range lines {
		lines[i] = passedBy(ids)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(lines)
	return (max(after.HeapAlloc, before.HeapAlloc) - before.HeapAlloc) / runs
}

// Many runs go on over the same customers, of whom each means few.
func TestARunKeepsNothingOfWhoIsNotMeant(t *testing.T) {
	if got := heapPerRun(customers(20_000)); got > 64<<10 {
		t.Errorf("a run keeps %d bytes of 20,000 customers whom it passed by", got)
	}
}

func BenchmarkHeapOfARun(b *testing.B) {
	ids := customers(100_000)
	var last uint64
	for b.Loop() {
		last = heapPerRun(ids)
	}
	b.ReportMetric(float64(last), "heap-B/run")
}
