package contacts_test

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/decision"
)

// A view is what evaluations ask.
var _ audience.Ledger = contacts.View{}

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

func sent(principal string, ago time.Duration, change ...func(*contacts.Record)) contacts.Record {
	r := contacts.Record{
		Key: "k", Principal: principal, At: noon.Add(-ago), Brand: "acme", Purpose: "DirectMarketing",
		Class: v1alpha1.ClassMarketing, Channel: v1alpha1.ChannelEmail, Event: contacts.Sent,
	}
	for _, f := range change {
		f(&r)
	}
	return r
}

func event(e contacts.Event) func(*contacts.Record) {
	return func(r *contacts.Record) { r.Event = e }
}

func of(uid string, generation int64, job string) func(*contacts.Record) {
	return func(r *contacts.Record) {
		r.Campaign = contacts.Campaign{Namespace: "n", Name: "m", UID: uid, Generation: generation, Job: job}
	}
}

// page numbers the records, following after.
func page(ledger string, after uint64, records ...contacts.Record) contacts.Page {
	for i := range records {
		records[i].Sequence = after + uint64(i) + 1
	}
	return contacts.Page{Ledger: ledger, After: after, Sequence: after + uint64(len(records)), Records: records}
}

func projection(t *testing.T, records ...contacts.Record) *contacts.Projection {
	t.Helper()
	p := contacts.NewProjection(30 * day)
	if err := p.Apply(page("l", 0, records...)); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestContacts(t *testing.T) {
	contact := func(ago time.Duration) decision.Contact {
		return decision.Contact{At: noon.Add(-ago).UnixNano(), Brand: "acme", Purpose: "DirectMarketing", Class: "Marketing", Channel: "Email"}
	}
	for name, tc := range map[string]struct {
		records []contacts.Record
		except  []contacts.Run
		want    decision.Contacts
	}{
		"NobodyKnown": {},
		"SomebodyElse": {
			records: []contacts.Record{sent("c-2", 0)},
		},
		"NewestFirstInWhateverOrderTheyCame": {
			records: []contacts.Record{sent("c-1", 2*day), sent("c-1", 1*day), sent("c-1", 3*day)},
			want:    decision.Contacts{Sent: []decision.Contact{contact(1 * day), contact(2 * day), contact(3 * day)}},
		},
		"AReleaseIsAContact": {
			records: []contacts.Record{sent("c-1", day, event(contacts.Released))},
			want:    decision.Contacts{Sent: []decision.Contact{contact(day)}},
		},
		"TheTopicIsToldToo": {
			records: []contacts.Record{sent("c-1", day, func(r *contacts.Record) { r.Topic = "Garden" })},
			want: decision.Contacts{Sent: []decision.Contact{{
				At: noon.Add(-day).UnixNano(), Brand: "acme", Purpose: "DirectMarketing", Class: "Marketing", Channel: "Email", Topic: "Garden",
			}}},
		},
		"TheLookBackIncludesItsFirstInstant": {
			records: []contacts.Record{sent("c-1", 30*day), sent("c-1", 30*day+1)},
			want:    decision.Contacts{Sent: []decision.Contact{contact(30 * day)}},
		},
		"ASuppressionIsNeverTooOld": {
			records: []contacts.Record{sent("c-1", 3000*day, event(contacts.Unsubscribe)), sent("c-1", 9*day, event(contacts.HardBounce))},
			want: decision.Contacts{Events: []decision.Event{
				{Type: "HardBounce", At: noon.Add(-9 * day).UnixNano(), Brand: "acme", Channel: "Email"},
				{Type: "Unsubscribe", At: noon.Add(-3000 * day).UnixNano(), Brand: "acme", Channel: "Email"},
			}},
		},
		"ThePresentRunDoesNotCount": {
			records: []contacts.Record{sent("c-1", 1*day, of("u", 2, "")), sent("c-1", 2*day, of("u", 1, "")), sent("c-1", 3*day, of("v", 2, "")), sent("c-1", 4*day)},
			except:  []contacts.Run{{UID: "u", Generation: 2}},
			want:    decision.Contacts{Sent: []decision.Contact{contact(2 * day), contact(3 * day), contact(4 * day)}},
		},
		"AnotherJobOfTheSameGenerationCounts": {
			records: []contacts.Record{sent("c-1", 1*day, of("u", 2, "j-2")), sent("c-1", 2*day, of("u", 2, "j-1"))},
			except:  []contacts.Run{{UID: "u", Job: "j-2"}},
			want:    decision.Contacts{Sent: []decision.Contact{contact(2 * day)}},
		},
		"NoRunHidesWhatHasNone": {
			records: []contacts.Record{sent("c-1", day)},
			except:  []contacts.Run{{}},
			want:    decision.Contacts{Sent: []decision.Contact{contact(day)}},
		},
		"AComplaintAboutThePresentRunCounts": {
			records: []contacts.Record{sent("c-1", day, of("u", 2, ""), event(contacts.Complaint))},
			except:  []contacts.Run{{UID: "u", Generation: 2}},
			want:    decision.Contacts{Events: []decision.Event{{Type: "Complaint", At: noon.Add(-day).UnixNano(), Brand: "acme", Channel: "Email"}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := projection(t, tc.records...).View(noon, tc.except...)
			got, version := v.Contacts("c-1")
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("contacts (-want +got):\n%s", diff)
			}
			if version != v.Version("c-1") {
				t.Error("Version differs from that of Contacts")
			}
		})
	}
}

func TestTheVersionChangesWithTheContacts(t *testing.T) {
	own := contacts.Run{UID: "u", Generation: 1}
	p := projection(t, sent("c-1", 29*day), sent("c-2", day))
	before := p.View(noon, own).Version("c-1")
	apply := func(r contacts.Record) {
		t.Helper()
		if err := p.Apply(page("l", p.Position().Sequence, r)); err != nil {
			t.Fatal(err)
		}
	}
	apply(sent("c-2", 0))
	apply(sent("c-1", 0, of("u", 1, "")))
	if p.View(noon, own).Version("c-1") != before {
		t.Error("neither another's nor the present run's contacts change it")
	}
	if p.View(noon).Version("c-1") == before {
		t.Error("the run's contacts do, for everybody else")
	}
	if p.View(noon.Add(day+1), own).Version("c-1") == before {
		t.Error("a contact that grew too old does")
	}
	apply(sent("c-1", 0))
	if p.View(noon, own).Version("c-1") == before {
		t.Error("a contact does")
	}
	p.Reset()
	if p.View(noon, own).Version("c-3") == contacts.NewProjection(day).View(noon).Version("c-3") {
		t.Error("a replaced ledger does, for everybody")
	}
}

func TestPagesThatDoNotFitAreRefused(t *testing.T) {
	swapped := page("l", 2, sent("c-1", 0), sent("c-1", 0))
	slices.Reverse(swapped.Records)
	beyond := page("l", 2, sent("c-1", 0))
	beyond.Sequence = 2
	for name, tc := range map[string]struct {
		page     contacts.Page
		replaced bool
	}{
		"AnotherLedger":     {page: page("m", 2, sent("c-1", 0)), replaced: true},
		"AnOlderState":      {page: contacts.Page{Ledger: "l", After: 2, Sequence: 1}, replaced: true},
		"NoLedger":          {page: page("", 2, sent("c-1", 0))},
		"AGap":              {page: page("l", 3, sent("c-1", 0))},
		"TheSameAgain":      {page: page("l", 0, sent("c-1", 0), sent("c-1", 0), sent("c-1", 0))},
		"OutOfOrder":        {page: swapped},
		"BeyondTheSequence": {page: beyond},
		"AnUnknownEvent":    {page: page("l", 2, sent("c-1", 0), sent("c-1", 0, event("Whispered")))},
	} {
		t.Run(name, func(t *testing.T) {
			p := projection(t, sent("c-1", 0), sent("c-1", 0))
			err := p.Apply(tc.page)
			if err == nil || errors.Is(err, contacts.ErrReplaced) != tc.replaced {
				t.Errorf("got %v, want it refused, as replaced: %v", err, tc.replaced)
			}
			if pos := p.Position(); pos != (contacts.Position{Ledger: "l", Sequence: 2}) {
				t.Errorf("the projection is at %+v: a refused page leaves nothing", pos)
			}
			if got, _ := p.View(noon).Contacts("c-1"); len(got.Sent) != 2 {
				t.Errorf("c-1 has %d contacts, want 2", len(got.Sent))
			}
		})
	}
}

func TestSinceNamesWhomItConcerns(t *testing.T) {
	p := projection(t, sent("c-1", 0), sent("c-2", 0), sent("c-1", 0))
	got, mark, all := p.Since(0)
	if diff := cmp.Diff([]string{"c-1", "c-2", "c-1"}, got); diff != "" || all {
		t.Errorf("all: %v (-want +got):\n%s", all, diff)
	}
	if got, _, all := p.Since(mark); len(got) != 0 || all {
		t.Errorf("nothing since: got %v, all: %v", got, all)
	}
	p.Reset()
	_, mark, all = p.Since(mark)
	if !all {
		t.Error("after a reset everybody may have changed")
	}
	if err := p.Apply(page("m", 0, sent("c-3", 0))); err != nil {
		t.Fatal(err)
	}
	if got, _, all := p.Since(mark); len(got) != 1 || all {
		t.Errorf("got %v, all: %v; want c-3 alone", got, all)
	}
}

func TestMovedTellsOfEachStep(t *testing.T) {
	p := contacts.NewProjection(day)
	for i, step := range []func() error{
		func() error { return p.Apply(page("l", 0, sent("c-1", 0))) },
		func() error { return p.Apply(page("l", 1, sent("c-1", 0))) },
		func() error { p.Reset(); return nil },
		func() error { return p.Apply(page("empty", 0)) },
	} {
		_, moved := p.Moved()
		select {
		case <-moved:
			t.Fatalf("step %d: moved before it", i)
		default:
		}
		if err := step(); err != nil {
			t.Fatal(err)
		}
		<-moved
	}
}

func TestForgetKeepsWhatViewsCanSee(t *testing.T) {
	p := projection(t, sent("c-1", 40*day), sent("c-1", 10*day), sent("c-2", 40*day), sent("c-3", 40*day, event(contacts.Complaint)), sent("c-4", 0))
	before, _ := p.View(noon).Contacts("c-1")
	p.Forget(noon)
	if customers, records := p.Size(); customers != 3 || records != 3 {
		t.Errorf("%d records of %d customers are left, want 3 of 3", records, customers)
	}
	after, _ := p.View(noon).Contacts("c-1")
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("c-1 (-before +after):\n%s", diff)
	}
	if got, _ := p.View(noon).Contacts("c-3"); len(got.Events) != 1 {
		t.Error("a complaint was forgotten")
	}
	if err := p.Apply(page("l", 5, sent("c-2", 40*day))); err != nil {
		t.Fatal(err)
	}
	if _, records := p.Size(); records != 3 {
		t.Errorf("%d records: what comes late and is too old is not kept", records)
	}
}

// A clock that jumps ahead and back again must not cost anybody's contacts.
func TestAClockAloneForgetsNothing(t *testing.T) {
	p := projection(t, sent("c-1", day), sent("c-2", 40*day))
	since := p.Forget(noon.Add(4000 * day))
	if want := noon.Add(-31 * day); !since.Equal(want) {
		t.Errorf("all are kept since %s, want %s", since, want)
	}
	if err := p.Apply(page("l", 2, sent("c-1", 0))); err != nil {
		t.Fatal(err)
	}
	if got, _ := p.View(noon).Contacts("c-1"); len(got.Sent) != 2 {
		t.Errorf("%d contacts of c-1 are left, want 2", len(got.Sent))
	}
}

// TestViewsAgreeWithAPlainList compares with a scan over all records.
func TestViewsAgreeWithAPlainList(t *testing.T) {
	anyRecord := rapid.Custom(func(t *rapid.T) contacts.Record {
		return sent(
			rapid.SampledFrom([]string{"c-1", "c-2"}).Draw(t, "principal"),
			time.Duration(rapid.IntRange(0, 40).Draw(t, "days"))*day,
			event(rapid.SampledFrom([]contacts.Event{contacts.Sent, contacts.Released, contacts.HardBounce, contacts.Purchase}).Draw(t, "event")),
			of(rapid.SampledFrom([]string{"u", "v"}).Draw(t, "uid"), int64(rapid.IntRange(1, 2).Draw(t, "generation")), ""),
			func(r *contacts.Record) {
				r.Channel = rapid.SampledFrom([]v1alpha1.Channel{"Email", "SMS"}).Draw(t, "channel")
			},
		)
	})
	rapid.Check(t, func(t *rapid.T) {
		p, all := contacts.NewProjection(30*day), []contacts.Record(nil)
		for range rapid.IntRange(0, 4).Draw(t, "pages") {
			next := page("l", uint64(len(all)), rapid.SliceOfN(anyRecord, 0, 8).Draw(t, "records")...)
			if err := p.Apply(next); err != nil {
				t.Fatal(err)
			}
			all = append(all, next.Records...)
			if rapid.Bool().Draw(t, "forget") {
				p.Forget(noon)
			}
		}
		except := contacts.Run{UID: "u", Generation: 1}
		var want decision.Contacts
		newest := slices.Clone(all)
		slices.Reverse(newest)
		slices.SortStableFunc(newest, func(a, b contacts.Record) int { return b.At.Compare(a.At) })
		for _, r := range newest {
			at := r.At.UnixNano()
			switch contact := r.Event == contacts.Sent || r.Event == contacts.Released; {
			case r.Principal != "c-1":
			case !contact:
				want.Events = append(want.Events, decision.Event{Type: string(r.Event), At: at, Brand: r.Brand, Channel: string(r.Channel)})
			case noon.Sub(r.At) <= 30*day && r.Campaign.Run() != except:
				want.Sent = append(want.Sent, decision.Contact{At: at, Brand: r.Brand, Purpose: r.Purpose, Class: string(r.Class), Channel: string(r.Channel)})
			}
		}
		got, _ := p.View(noon, except).Contacts("c-1")
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("contacts (-want +got):\n%s", diff)
		}
	})
}

func TestReadersAndTheWriterTogether(t *testing.T) {
	p := contacts.NewProjection(30 * day)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for last := 0; ; {
				got, _ := p.View(noon).Contacts("c-1")
				if len(got.Sent) < last {
					t.Errorf("%d contacts after %d", len(got.Sent), last)
				}
				last = len(got.Sent)
				p.Since(0)
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for i := range uint64(500) {
		if err := p.Apply(page("l", i, sent("c-1", time.Duration(i)))); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
}

// BenchmarkLoad applies 400,000 contacts, of as many customers as the bank's
// campaign has and of as many as there are contacts, and says what a contact
// costs in memory.
func BenchmarkLoad(b *testing.B) {
	const n = 400_000
	for _, customers := range []int{41_188, n} {
		b.Run(fmt.Sprintf("contacts=%d/customers=%d", n, customers), func(b *testing.B) {
			pages := make([]contacts.Page, 0, n/1000)
			for i := 0; i < n; i += 1000 {
				records := make([]contacts.Record, 1000)
				for j := range records {
					records[j] = sent(fmt.Sprintf("c-%026d", (i+j)*7919%customers), time.Duration(n-i-j)*time.Second, of("u", int64(i/40_000)+1, ""))
				}
				pages = append(pages, page("l", uint64(i), records...))
			}
			var p *contacts.Projection
			before := heap()
			for b.Loop() {
				p = contacts.NewProjection(contacts.LookBack)
				for i := range pages {
					if err := p.Apply(pages[i]); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(heap()-before)/n, "B/contact")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/contact")
			runtime.KeepAlive(p)
			runtime.KeepAlive(pages)
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
