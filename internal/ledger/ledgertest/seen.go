package ledgertest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/ledger"
)

func onlyIfNothingIsNewer(t *testing.T, open Open) {
	type past struct{ first, latest, end uint64 }
	for name, tc := range map[string]struct {
		principal string
		seen      func(past) map[string]uint64
		moved     bool
	}{
		"NothingSeen":        {"c-1", func(past) map[string]uint64 { return nil }, true},
		"SomebodyElseSeen":   {"c-1", func(p past) map[string]uint64 { return map[string]uint64{"c-10": p.end} }, true},
		"OlderSeen":          {"c-1", func(p past) map[string]uint64 { return map[string]uint64{"c-1": p.first} }, true},
		"JustNotTheLatest":   {"c-1", func(p past) map[string]uint64 { return map[string]uint64{"c-1": p.latest - 1} }, true},
		"TheLatestSeen":      {"c-1", func(p past) map[string]uint64 { return map[string]uint64{"c-1": p.latest} }, false},
		"TheWholeLedgerSeen": {"c-1", func(p past) map[string]uint64 { return map[string]uint64{"c-1": p.end} }, false},
		"NobodyAndNothing":   {"c", func(past) map[string]uint64 { return nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, open)
			// On another's records, and on times, nothing depends.
			var p past
			p.first = appendAll(t, s, sent("1", "c-1", noon), sent("2", "c-10", noon))[0].Sequence
			p.latest = appendAll(t, s, sent("3", "c-1", noon.Add(-99*time.Hour)))[0].Sequence
			p.end = appendAll(t, s, sent("4", "c-10", noon))[0].Sequence
			results, err := s.AppendIf(t.Context(), []ledger.Record{sent("5", tc.principal, noon)}, tc.seen(p))
			if err != nil || len(results) != 1 {
				t.Fatalf("got %+v, %v", results, err)
			}
			want, n := ledger.Result{Sequence: s.Sequence()}, 5
			if tc.moved {
				want, n = ledger.Result{Sequence: p.latest, Moved: true}, 4
			}
			if results[0] != want || len(feed(t, s)) != n {
				t.Errorf("got %+v and %d records, want %+v and %d", results[0], len(feed(t, s)), want, n)
			}
			if !tc.moved && s.Sequence() <= p.end {
				t.Errorf("the ledger is at %d after %d", s.Sequence(), p.end)
			}
		})
	}
}

// oneBatchStandsTogether: what is there already, what is new and what is
// refused, in one call and in the same call again.
func oneBatchStandsTogether(t *testing.T, open Open) {
	s := start(t, open)
	old := appendAll(t, s, sent("old", "c-2", noon))[0].Sequence
	batch := []ledger.Record{
		sent("a", "c-1", noon), sent("b", "c-2", noon), sent("c", "c-1", noon), sent("a", "c-1", noon),
		sent("b", "c-2", noon), sent("old", "c-2", noon),
	}
	first, err := s.AppendIf(t.Context(), batch, nil)
	if err != nil || len(first) != len(batch) {
		t.Fatalf("got %+v, %v", first, err)
	}
	a, c := first[0].Sequence, first[2].Sequence
	if a <= old || c <= a {
		t.Errorf("sequences %d and %d follow %d", a, c, old)
	}
	want := []ledger.Result{
		{Sequence: a}, {Sequence: old, Moved: true}, {Sequence: c}, {Sequence: a, Duplicate: true},
		{Sequence: old, Moved: true}, {Sequence: old, Duplicate: true},
	}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	// The answer got lost, and the caller asks again.
	want[0].Duplicate, want[2].Duplicate = true, true
	again, err := s.AppendIf(t.Context(), batch, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, again); diff != "" {
		t.Errorf("results of the same call again (-want +got):\n%s", diff)
	}
	// It has looked again, and seen what moved.
	seen := map[string]uint64{"c-2": s.Sequence()}
	if got, err := s.AppendIf(t.Context(), batch[1:2], seen); err != nil || got[0].Moved || got[0].Sequence <= c {
		t.Errorf("after another look: got %+v, %v", got, err)
	}
	if n := len(feed(t, s)); n != 4 {
		t.Errorf("the feed has %d records, want 4", n)
	}
}

// aRefusedRecordKeepsItsKey: a key whose record was not appended is free, but
// not for two records of one call; and what is not well-formed is refused.
func aRefusedRecordKeepsItsKey(t *testing.T, open Open) {
	s := start(t, open)
	appendAll(t, s, sent("old", "c-1", noon))
	two := []ledger.Record{sent("k", "c-1", noon), sent("k", "c-2", noon)}
	if _, err := s.AppendIf(t.Context(), two, nil); !errors.Is(err, contacts.ErrConflict) {
		t.Errorf("two records under one key, the first one refused: got %v, want a conflict", err)
	}
	if got, err := s.AppendIf(t.Context(), two[:1], nil); err != nil || !got[0].Moved {
		t.Errorf("got %+v, %v; want it refused", got, err)
	}
	if got, err := s.AppendIf(t.Context(), two[1:], nil); err != nil || got[0].Moved || got[0].Duplicate {
		t.Errorf("another record under the free key: got %+v, %v", got, err)
	}
	bad := sent("bad", "c-3", noon)
	bad.Brand = ""
	var field *contacts.FieldError
	if _, err := s.AppendIf(t.Context(), []ledger.Record{bad}, nil); !errors.As(err, &field) {
		t.Errorf("got %v, want it refused", err)
	}
}

// onlyOneOfManyGetsThrough lets many decide on the same past: of each
// customer's, one contact is appended, however they race.
func onlyOneOfManyGetsThrough(t *testing.T, open Open) {
	s := start(t, open)
	const deciders, customers = 8, 25
	var (
		mu sync.Mutex
		wg sync.WaitGroup
	)
	through := map[string]int{}
	for d := range deciders {
		wg.Go(func() {
			var records []ledger.Record
			for c := range customers {
				records = append(records, sent(fmt.Sprintf("%d/%d", d, c), fmt.Sprint("c-", (c+d*7)%customers), noon))
			}
			for from := 0; from < customers; from += 5 {
				results, err := s.AppendIf(t.Context(), records[from:from+5], nil)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for i, r := range results {
					if !r.Moved {
						through[records[from+i].Principal]++
					}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	recorded := map[string]int{}
	for _, r := range feed(t, s) {
		recorded[r.Principal]++
	}
	for c := range customers {
		if id := fmt.Sprint("c-", c); through[id] != 1 || recorded[id] != 1 {
			t.Errorf("customer %d: %d were let through and %d recorded, want one", c, through[id], recorded[id])
		}
	}
}
