package audience_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/consent"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/feed"
)

// Whoever is asked about alone is as their consent says, in a chunk that is full,
// in the one that is written to, and where columns can't hold them.
func TestARecordIsWhatTheConsentSays(t *testing.T) {
	c, s := newCrowd(21), newStore()
	for i := range 5000 {
		id := fmt.Sprint("c-", i)
		s.put(id, c.customer(id, i%7 == 0))
	}
	campaign := &decision.Campaign{Namespace: "n", Name: "a", Brand: "acme"}
	past := decision.Contacts{Sent: []decision.Contact{{At: 1, Brand: "acme"}}}
	for id, o := range s.consents {
		r, ok := s.Get(id)
		if !ok {
			t.Fatalf("%s is not there", id)
		}
		want := decision.Subject{Person: consent.For(&o.Spec, "acme"), Contacts: past}
		want.Person.Bucket = consent.Bucket("n/a", id)
		if diff := cmp.Diff(want, r.Subject(campaign, past)); diff != "" {
			t.Fatalf("%s (-consent +record):\n%s", id, diff)
		}
		if r.Language() != string(o.Spec.Language) {
			t.Fatalf("%s speaks %q", id, r.Language())
		}
	}
	if _, ok := s.Get("nobody"); ok {
		t.Error("somebody who never was is there")
	}
}

// A consent that arrives after the contacts, and one that changes, has all of them.
func TestWhoJoinsLaterHasAPast(t *testing.T) {
	c, s := newCrowd(5), newStore()
	l := &told{Log: feed.Log{Keep: 1000}, past: map[string]decision.Contacts{}}
	for i := range 300 {
		id := fmt.Sprint("c-", i)
		l.past[id] = decision.Contacts{Sent: []decision.Contact{{At: int64(i), Brand: "acme"}}}
		l.Add(id)
	}
	for round := range 3 {
		for i := range 100 * (round + 1) {
			id := fmt.Sprint("c-", i)
			s.put(id, c.customer(id, false))
		}
		snapshot, n := s.Follow(l), 0
		for i := range snapshot.Chunks() {
			for row := range snapshot.Chunk(i, "acme").Live.All {
				n++
				want := l.past[snapshot.Name(i, row)]
				if got := snapshot.Subject(i, row, &decision.Campaign{Brand: "acme"}).Contacts; !cmp.Equal(want, got) {
					t.Fatalf("round %d: %s has the past %v, want %v", round, snapshot.Name(i, row), got, want)
				}
			}
		}
		if n != 100*(round+1) {
			t.Fatalf("round %d: %d customers", round, n)
		}
	}
}

var _ audience.Records = audience.NewTable()

// What is said of a customer is as of when it was asked for.
func TestARecordStaysAsItWas(t *testing.T) {
	s := newStore()
	s.put("a", customer(false))
	before, _ := s.Get("a")
	s.put("a", customer(true))
	after, _ := s.Get("a")
	if before.Person("").OptOut != nil || after.Person("").OptOut == nil {
		t.Errorf("before %v, after %v", before.Person(""), after.Person(""))
	}
	if !s.Remove("a") || s.Remove("a") {
		t.Error("somebody goes once")
	}
	if _, ok := s.Get("a"); ok || before.Person("").OptOut != nil {
		t.Error("gone is gone, and what was read stays")
	}
	if names, _, all := s.Since(0); all || len(names) != 3 {
		t.Errorf("three changes, told of %v", names)
	}
}
