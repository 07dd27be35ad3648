package ledgertest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/ledger"
)

func byPrincipal(t *testing.T, open Open) {
	s := start(t, open)
	hour := func(h int) time.Time { return noon.Add(time.Duration(h-12) * time.Hour) }
	// One name is the beginning of another, and one follows in the alphabet.
	appendAll(t, s,
		sent("1", "c-1", hour(9)), sent("2", "c-1", hour(11)), sent("3", "c-10", hour(10)), sent("4", "c-1", hour(10)),
		sent("5", "c-1", hour(10)), sent("6", "c-2", hour(10)), sent("7", "c", hour(10)),
	)
	for name, tc := range map[string]struct {
		principal string
		since     time.Time
		limit     int
		want      string
	}{
		"All":                        {principal: "c-1", limit: 10, want: "2 5 4 1 "},
		"SinceIsIncluded":            {principal: "c-1", since: hour(10), limit: 10, want: "2 5 4 "},
		"NothingSince":               {principal: "c-1", since: hour(12), limit: 10},
		"TheNewestAreWithinTheLimit": {principal: "c-1", limit: 2, want: "2 5 "},
		"NoLimitNoRecords":           {principal: "c-1"},
		"ThePrefixIsSomebodyElse":    {principal: "c", limit: 10, want: "7 "},
		"TheLastOfAll":               {principal: "c-2", limit: 10, want: "6 "},
		"Nobody":                     {principal: "d", limit: 10},
		"NobodyBeforeAll":            {principal: "a", limit: 10},
	} {
		t.Run(name, func(t *testing.T) {
			records, err := s.ByPrincipal(t.Context(), tc.principal, tc.since, tc.limit)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, r := range records {
				if r.Principal != tc.principal || r.Sequence == 0 {
					t.Errorf("got record %d of %s", r.Sequence, r.Principal)
				}
				got += r.Key + " "
			}
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func count(t *testing.T, open Open) {
	s := start(t, open)
	n := 0
	with := func(hoursAgo int, change func(*ledger.Record)) ledger.Record {
		n++
		r := sent(fmt.Sprint(n), "c-1", noon.Add(-time.Duration(hoursAgo)*time.Hour))
		change(&r)
		return r
	}
	appendAll(t, s,
		with(1, func(*ledger.Record) {}),
		with(2, func(r *ledger.Record) { r.Event = contacts.Released }),
		with(3, func(r *ledger.Record) { r.Channel = v1alpha1.ChannelSMS }),
		with(4, func(r *ledger.Record) { r.Class = v1alpha1.ClassService }),
		with(5, func(r *ledger.Record) { r.Brand = "globex" }),
		with(1, func(r *ledger.Record) { r.Event = contacts.HardBounce }),
		with(1, func(r *ledger.Record) { r.Event = contacts.Purchase }),
		with(1, func(r *ledger.Record) { r.Principal = "c-10" }),
	)
	for name, tc := range map[string]struct {
		q    ledger.CountQuery
		want int
	}{
		"ContactsOnly":     {want: 5},
		"SinceIsIncluded":  {q: ledger.CountQuery{Since: noon.Add(-3 * time.Hour)}, want: 3},
		"UntilIsExcluded":  {q: ledger.CountQuery{Until: noon.Add(-3 * time.Hour)}, want: 2},
		"Between":          {q: ledger.CountQuery{Since: noon.Add(-4 * time.Hour), Until: noon.Add(-2 * time.Hour)}, want: 2},
		"EmptySpan":        {q: ledger.CountQuery{Since: noon.Add(-3 * time.Hour), Until: noon.Add(-3 * time.Hour)}},
		"Channel":          {q: ledger.CountQuery{Channels: []v1alpha1.Channel{v1alpha1.ChannelSMS}}, want: 1},
		"ChannelOfSeveral": {q: ledger.CountQuery{Channels: []v1alpha1.Channel{v1alpha1.ChannelSMS, v1alpha1.ChannelEmail}}, want: 5},
		"Class":            {q: ledger.CountQuery{Classes: []v1alpha1.PurposeClass{v1alpha1.ClassMarketing}}, want: 4},
		"Brand":            {q: ledger.CountQuery{Brand: "globex"}, want: 1},
		"AllOfThem":        {q: ledger.CountQuery{Brand: "acme", Since: noon.Add(-2 * time.Hour), Channels: []v1alpha1.Channel{v1alpha1.ChannelEmail}, Classes: []v1alpha1.PurposeClass{v1alpha1.ClassMarketing}}, want: 2},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := s.Count(t.Context(), "c-1", tc.q)
			if err != nil || got != tc.want {
				t.Errorf("got %d, %v; want %d", got, err, tc.want)
			}
		})
	}
}

// concurrent appends while a reader follows: what it has seen stays a prefix.
func concurrent(t *testing.T, open Open) {
	s := start(t, open)
	const writers, appends, batch = 8, 20, 5
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var followed []string
	reader := make(chan error, 1)
	go func() {
		for after := uint64(0); len(followed) < writers*appends*batch; {
			if err := s.Wait(ctx, after); err != nil {
				reader <- err
				return
			}
			page, err := s.After(ctx, after, 1000)
			if err != nil {
				reader <- err
				return
			}
			for _, r := range page.Records {
				followed, after = append(followed, r.Key), r.Sequence
			}
		}
		reader <- nil
	}()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for a := range appends {
				var records []ledger.Record
				for b := range batch {
					records = append(records, sent(fmt.Sprintf("%d/%d/%d", w, a, b), fmt.Sprint("c-", b), noon))
				}
				results, err := s.Append(ctx, records)
				if err != nil {
					t.Error(err)
					return
				}
				for i := range results {
					if i > 0 && results[i].Sequence <= results[i-1].Sequence {
						t.Errorf("sequence %d follows %d within one append", results[i].Sequence, results[i-1].Sequence)
					}
				}
			}
		})
	}
	wg.Wait()
	if err := <-reader; err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, r := range feed(t, s) {
		all = append(all, r.Key)
	}
	if diff := cmp.Diff(all, followed); diff != "" {
		t.Errorf("what the reader saw (-whole feed +seen):\n%s", diff)
	}
	slices.Sort(all)
	if n := len(slices.Compact(all)); n != writers*appends*batch {
		t.Errorf("the ledger has %d keys, want %d", n, writers*appends*batch)
	}
}

func concurrentDuplicates(t *testing.T, open Open) {
	s := start(t, open)
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		fresh int
		seen  = map[uint64]bool{}
	)
	for range 16 {
		wg.Go(func() {
			results, err := s.Append(t.Context(), []ledger.Record{whole("k-1")})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
				return
			}
			seen[results[0].Sequence] = true
			if !results[0].Duplicate {
				fresh++
			}
		})
	}
	wg.Wait()
	if fresh != 1 || len(seen) != 1 || len(feed(t, s)) != 1 {
		t.Errorf("%d were told that they were first, of sequences %v; the ledger has %d records; want one", fresh, seen, len(feed(t, s)))
	}
}

func wait(t *testing.T, open Open) {
	s := start(t, open)
	woken := make(chan error, 1)
	go func() { woken <- s.Wait(t.Context(), 0) }()
	appendAll(t, s, sent("k-1", "c-1", noon))
	if err := <-woken; err != nil {
		t.Errorf("got %v", err)
	}
	if err := s.Wait(t.Context(), 0); err != nil {
		t.Errorf("when there is news already: got %v", err)
	}
}
