// Package ledgertest says what every contact ledger promises, as tests. It
// knows stores by their interface alone.
package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/ledger"
)

// Open opens the ledger at a place, which is an empty directory when the ledger
// is new. The ledger holds records against the clock.
type Open func(place string, clock func() time.Time) (ledger.Store, error)

// noon is the clock of all tests.
var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func atNoon() time.Time { return noon }

// Run runs the suite on the store that Main, which the package's TestMain must
// call, knows by the name.
func Run(t *testing.T, name string, open Open) {
	for name, test := range map[string]func(*testing.T, Open){
		"RecordsComeBackAsTheyWere":         comeBack,
		"SequencesAscendInOrderOfAppends":   ascend,
		"ADuplicateKeepsTheFirstSequence":   duplicate,
		"AnotherRecordUnderAKeyIsRefused":   conflict,
		"ARefusedBatchLeavesNothing":        allOrNothing,
		"TheClockBoundsRecords":             clock,
		"OneCustomersRecordsNewestFirst":    byPrincipal,
		"CountsWhatTheQuerySays":            count,
		"ConcurrentAppendsKeepTheFeedWhole": concurrent,
		"ConcurrentDuplicatesAppendOnce":    concurrentDuplicates,
		"AppendsOnlyIfNothingIsNewer":       onlyIfNothingIsNewer,
		"ABatchOfAppendIfStandsTogether":    oneBatchStandsTogether,
		"ARefusedRecordKeepsItsKeyFree":     aRefusedRecordKeepsItsKey,
		"OnlyOneOfManyGetsThrough":          onlyOneOfManyGetsThrough,
		"WaitWakesOnNews":                   wait,
		"ADoneContextIsAnError":             doneContext,
		"AClosedLedgerRefuses":              closed,
		"TheIDStaysWithTheLedger":           identity,
		"NothingAcknowledgedIsLostByAKill":  func(t *testing.T, open Open) { crash(t, name, open) },
		"BehavesLikeTheModel":               model,
	} {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
}

func start(t *testing.T, open Open) ledger.Store {
	t.Helper()
	return startAt(t, open, t.TempDir(), atNoon)
}

func startAt(t *testing.T, open Open, place string, clock func() time.Time) ledger.Store {
	t.Helper()
	s, err := open(place, clock)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// sent is a plain contact.
func sent(key, principal string, at time.Time) ledger.Record {
	return ledger.Record{
		Key: key, Principal: principal, At: at, Brand: "acme", Purpose: "DirectMarketing",
		Class: v1alpha1.ClassMarketing, Channel: v1alpha1.ChannelEmail, Event: contacts.Sent,
	}
}

// whole has every field set.
func whole(key string) ledger.Record {
	r := sent(key, "c-1", noon.Add(-time.Hour+123*time.Nanosecond))
	r.Topic = "Garden"
	r.Campaign = contacts.Campaign{Namespace: "acme-shop", Name: "spring", UID: "0b1f6c1e-5a3e-4d0c-9d53-0a2f6f0b7a11", Generation: 3, Job: "5e2c8f60-77aa-4b35-8a8c-2f6b1c9d0e42"}
	r.Event, r.Permit, r.State, r.Until = contacts.Redeemed, "p-1", contacts.StateRedeemed, noon.Add(123*time.Nanosecond)
	r.Reasons, r.Pod, r.Detail = []string{"OptedOut", "QuietHours"}, "9c8f6c1e-5a3e-4d0c-9d53-0a2f6f0b7a11", "250 queued"
	r.PolicyDigest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	r.ConsentRevision = "crs:4711"
	return r
}

func appendAll(t *testing.T, s ledger.Store, records ...ledger.Record) []ledger.Result {
	t.Helper()
	results, err := s.Append(t.Context(), records)
	if err != nil {
		t.Fatalf("append: %v", err)
	}
	if len(results) != len(records) {
		t.Fatalf("append: %d records, %d results", len(records), len(results))
	}
	return results
}

// feed reads everything, some at a time.
func feed(t *testing.T, s ledger.Store) []ledger.Record {
	t.Helper()
	var out []ledger.Record
	for after := uint64(0); ; {
		page, err := s.After(t.Context(), after, 7)
		if err != nil {
			t.Fatalf("after %d: %v", after, err)
		}
		if page.Ledger != s.ID() || page.After != after {
			t.Fatalf("after %d: the page is of ledger %q after %d", after, page.Ledger, page.After)
		}
		if len(page.Records) == 0 {
			if after != page.Sequence {
				t.Fatalf("the feed ends at %d, the ledger at %d", after, page.Sequence)
			}
			return out
		}
		for _, r := range page.Records {
			if r.Sequence <= after {
				t.Fatalf("sequence %d follows %d", r.Sequence, after)
			}
			after = r.Sequence
		}
		out = append(out, page.Records...)
	}
}

func comeBack(t *testing.T, open Open) {
	for field, v := range reflect.ValueOf(whole("k")).Fields() {
		if v.IsZero() && field.Name != "Sequence" {
			t.Errorf("the suite's record has no %s: it would not be noticed when a store loses it", field.Name)
		}
	}
	for field, v := range reflect.ValueOf(whole("k").Campaign).Fields() {
		if v.IsZero() {
			t.Errorf("the suite's record has no campaign's %s", field.Name)
		}
	}
	place := t.TempDir()
	bare := ledger.Record{Key: "k-2", Principal: "c-2", Brand: "acme", Event: contacts.Purchase, At: noon}
	want := []ledger.Record{whole("k-1"), bare}
	s, err := open(place, atNoon)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range appendAll(t, s, want...) {
		if r.Duplicate {
			t.Errorf("record %d is called a duplicate", i)
		}
		want[i].Sequence = r.Sequence
	}
	if diff := cmp.Diff(want, feed(t, s)); diff != "" {
		t.Errorf("feed (-want +got):\n%s", diff)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, feed(t, startAt(t, open, place, atNoon))); diff != "" {
		t.Errorf("feed after opening again (-want +got):\n%s", diff)
	}
}

func ascend(t *testing.T, open Open) {
	s := start(t, open)
	if s.Sequence() != 0 {
		t.Errorf("an empty ledger is at %d", s.Sequence())
	}
	last := uint64(0)
	for i := range 5 {
		// Older and older: the feed is in the order of appends, not of time.
		at := noon.Add(-time.Duration(i) * time.Hour)
		for _, r := range appendAll(t, s, sent(fmt.Sprint("a", i), "c-1", at), sent(fmt.Sprint("b", i), "c-2", at)) {
			if r.Sequence <= last {
				t.Fatalf("sequence %d follows %d", r.Sequence, last)
			}
			last = r.Sequence
		}
	}
	if s.Sequence() != last {
		t.Errorf("the ledger is at %d, want %d", s.Sequence(), last)
	}
	var keys string
	for _, r := range feed(t, s) {
		keys += r.Key + " "
	}
	if want := "a0 b0 a1 b1 a2 b2 a3 b3 a4 b4 "; keys != want {
		t.Errorf("the feed has %q, want %q", keys, want)
	}
}

func duplicate(t *testing.T, open Open) {
	s := start(t, open)
	first := appendAll(t, s, whole("k-1"))[0]
	// In another zone it is the same instant.
	again := whole("k-1")
	again.At = again.At.In(time.FixedZone("", 3600))
	got := appendAll(t, s, sent("k-2", "c-9", noon), again, sent("k-2", "c-9", noon))
	second := first.Sequence + 1
	want := []ledger.Result{{Sequence: second}, {Sequence: first.Sequence, Duplicate: true}, {Sequence: second, Duplicate: true}}
	if len(feed(t, s)) != 2 {
		t.Errorf("the feed has %d records, want 2", len(feed(t, s)))
	}
	if got[0].Sequence <= first.Sequence {
		t.Errorf("sequence %d follows %d", got[0].Sequence, first.Sequence)
	}
	want[0].Sequence, want[2].Sequence = got[0].Sequence, got[0].Sequence // a store may leave numbers out
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

func conflict(t *testing.T, open Open) {
	s := start(t, open)
	first := appendAll(t, s, whole("k-1"))[0]
	for name, change := range map[string]func(*ledger.Record){
		"At":         func(r *ledger.Record) { r.At = r.At.Add(1) },
		"Principal":  func(r *ledger.Record) { r.Principal = "c-2" },
		"Brand":      func(r *ledger.Record) { r.Brand = "globex" },
		"Purpose":    func(r *ledger.Record) { r.Purpose = "" },
		"Class":      func(r *ledger.Record) { r.Class = v1alpha1.ClassService },
		"Channel":    func(r *ledger.Record) { r.Channel = v1alpha1.ChannelSMS },
		"Topic":      func(r *ledger.Record) { r.Topic = "Sport" },
		"Event":      func(r *ledger.Record) { r.Event, r.State = contacts.Expired, contacts.StateExpired },
		"Namespace":  func(r *ledger.Record) { r.Campaign.Namespace = "other" },
		"Name":       func(r *ledger.Record) { r.Campaign.Name = "other" },
		"UID":        func(r *ledger.Record) { r.Campaign.UID = "other" },
		"Generation": func(r *ledger.Record) { r.Campaign.Generation++ },
		"Job":        func(r *ledger.Record) { r.Campaign.Job = "other" },
		"Permit":     func(r *ledger.Record) { r.Permit = "p-2" },
		"Until":      func(r *ledger.Record) { r.Until = r.Until.Add(1) },
		"Reasons":    func(r *ledger.Record) { r.Reasons = r.Reasons[:1] },
		"Pod":        func(r *ledger.Record) { r.Pod = "other" },
		"Detail":     func(r *ledger.Record) { r.Detail = "" },
		"Digest":     func(r *ledger.Record) { r.PolicyDigest = "" },
		"Revision":   func(r *ledger.Record) { r.ConsentRevision = "crs:4712" },
	} {
		other := whole("k-1")
		change(&other)
		_, err := s.Append(t.Context(), []ledger.Record{sent("new", "c-3", noon), other})
		var c *contacts.ConflictError
		if !errors.As(err, &c) || !errors.Is(err, contacts.ErrConflict) || c.Index != 1 || c.Sequence != first.Sequence {
			t.Errorf("%s: got %v, want a conflict of record 1 with sequence %d", name, err, first.Sequence)
		}
	}
	// Within one append too.
	_, err := s.Append(t.Context(), []ledger.Record{sent("twice", "c-3", noon), sent("twice", "c-4", noon)})
	if !errors.Is(err, contacts.ErrConflict) {
		t.Errorf("two records under one key: got %v, want a conflict", err)
	}
	if n := len(feed(t, s)); n != 1 {
		t.Errorf("the feed has %d records, want 1: a refused batch leaves nothing", n)
	}
}

func allOrNothing(t *testing.T, open Open) {
	s := start(t, open)
	bad := sent("k-2", "c-2", noon)
	bad.Channel = "Fax"
	_, err := s.Append(t.Context(), []ledger.Record{sent("k-1", "c-1", noon), bad})
	var field *contacts.FieldError
	if !errors.As(err, &field) || field.Field != "records[1].channel" || field.Value != "Fax" || field.Remedy == "" {
		t.Errorf("got %v, want records[1].channel refused with value and remedy", err)
	}
	many := make([]ledger.Record, contacts.MaxBatch+1)
	for i := range many {
		many[i] = sent(fmt.Sprint("m", i), "c-1", noon)
	}
	if _, err := s.Append(t.Context(), many); !errors.As(err, &field) || field.Field != "records" {
		t.Errorf("got %v, want too many records refused", err)
	}
	if n := len(feed(t, s)); n != 0 {
		t.Errorf("the feed has %d records, want none", n)
	}
	appendAll(t, s, many[:contacts.MaxBatch]...)
	if results, err := s.Append(t.Context(), nil); err != nil || len(results) != 0 {
		t.Errorf("nothing to append: got %v, %v", results, err)
	}
}

func clock(t *testing.T, open Open) {
	var mu sync.Mutex
	now := noon
	s := startAt(t, open, t.TempDir(), func() time.Time { mu.Lock(); defer mu.Unlock(); return now })
	ahead := sent("k-1", "c-1", noon.Add(contacts.Skew))
	appendAll(t, s, ahead)
	late := sent("k-2", "c-1", noon.Add(contacts.Skew+1))
	var field *contacts.FieldError
	if _, err := s.Append(t.Context(), []ledger.Record{late}); !errors.As(err, &field) || field.Field != "records[0].at" {
		t.Errorf("got %v, want the future refused", err)
	}
	mu.Lock()
	now = noon.Add(-24 * time.Hour) // somebody set the clock back
	mu.Unlock()
	if _, err := s.Append(t.Context(), []ledger.Record{sent("k-3", "c-1", noon)}); !errors.As(err, &field) {
		t.Errorf("got %v, want what is the future now refused", err)
	}
	appendAll(t, s, sent("k-4", "c-1", now))
	var keys string
	for _, r := range feed(t, s) {
		keys += r.Key + " "
	}
	if keys != "k-1 k-4 " {
		t.Errorf("the feed has %q, want k-1 k-4: it doesn't follow the clock", keys)
	}
}

func doneContext(t *testing.T, open Open) {
	s := start(t, open)
	appendAll(t, s, sent("k-1", "c-1", noon))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.After(ctx, 0, 10); !errors.Is(err, context.Canceled) {
		t.Errorf("After: got %v", err)
	}
	if _, err := s.ByPrincipal(ctx, "c-1", time.Time{}, 10); !errors.Is(err, context.Canceled) {
		t.Errorf("ByPrincipal: got %v", err)
	}
	if _, err := s.Count(ctx, "c-1", ledger.CountQuery{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Count: got %v", err)
	}
	if err := s.Wait(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait: got %v", err)
	}
}

func closed(t *testing.T, open Open) {
	s, err := open(t.TempDir(), atNoon)
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, s, sent("k-1", "c-1", noon))
	waits := make(chan error, 1)
	go func() { waits <- s.Wait(context.Background(), s.Sequence()) }()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-waits; !errors.Is(err, ledger.ErrClosed) {
		t.Errorf("Wait: got %v", err)
	}
	if _, err := s.Append(t.Context(), []ledger.Record{sent("k-2", "c-1", noon)}); !errors.Is(err, ledger.ErrClosed) {
		t.Errorf("Append: got %v", err)
	}
	if _, err := s.After(t.Context(), 0, 1); !errors.Is(err, ledger.ErrClosed) {
		t.Errorf("After: got %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("a second Close: got %v", err)
	}
}

func identity(t *testing.T, open Open) {
	place := t.TempDir()
	s, err := open(place, atNoon)
	if err != nil {
		t.Fatal(err)
	}
	id := s.ID()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if again := startAt(t, open, place, atNoon).ID(); id == "" || again != id {
		t.Errorf("opened again: id %q, was %q", again, id)
	}
	if other := start(t, open).ID(); other == id {
		t.Errorf("two ledgers have the id %q", id)
	}
}
