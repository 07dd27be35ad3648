package main

import (
	"context"
	"fmt"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/consent"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
	"github.com/codb-dev/codb/internal/feed"
)

// store is where codb finds customers and their past, and hears who changed.
type store struct {
	people *customers
	log    feed.Log
	next   map[string]*subject // who is going to change, made before it is timed
	out    map[string]bool     // who has opted out meanwhile
	turn   int
}

type subject struct {
	consent *v1alpha1.CustomerConsent
	past    decision.Contacts
}

func newStore(people *customers) *store {
	return &store{people: people, log: feed.Log{Keep: 1 << 16}, next: map[string]*subject{}, out: map[string]bool{}}
}

// find is a customer as the store has it.
func (s *store) find(name string) *subject {
	if known := s.next[name]; known != nil {
		return known
	}
	var n int
	if _, err := fmt.Sscanf(name, "c-%x", &n); err != nil || n >= s.people.rows() {
		return nil
	}
	is := s.people.Subject(n/expr.Chunk, n%expr.Chunk, &campaign)
	if s.out[name] {
		is.Person.OptOut = &consent.Since{Since: now.UnixNano()}
	}
	return &subject{consent: object(n, &is.Person), past: is.Contacts}
}

// Since implements audience.Feed.
func (s *store) Since(mark uint64) ([]string, uint64, bool) { return s.log.Since(mark) }

// Get implements audience.Records.
func (s *store) Get(name string) (audience.Record, bool) {
	if is := s.find(name); is != nil {
		return audience.Record{Version: s.log.Mark() + 1, Consent: is.consent, Seen: now}, true
	}
	return audience.Record{}, false
}

// Principals implements audience.Records.
func (s *store) Principals() []string {
	out := make([]string, s.people.rows())
	for n := range out {
		out[n] = object(n, &consent.Person{}).Name
	}
	return out
}

// past is what the ledger says of a store's customers; it does not change.
type past struct{ *store }

func (p past) Since(uint64) ([]string, uint64, bool) { return nil, 1, false }

func (p past) Contacts(name string) (decision.Contacts, uint64) {
	if is := p.find(name); is != nil {
		return is.past, 1
	}
	return decision.Contacts{}, 0
}

func (p past) Version(string) uint64 { return 1 }

func (p past) Present(string) bool { return false }

// live are campaigns whose answers are kept up to date.
type live struct {
	*store
	judge       decision.Judge
	table       *audience.Table
	campaigns   []decision.Campaign
	evaluations []audience.Evaluation
}

func newLive(ctx context.Context, judge decision.Judge, people *customers, cs []decision.Campaign) (*live, error) {
	l := &live{store: newStore(people), judge: judge, table: audience.NewTable(), campaigns: cs, evaluations: make([]audience.Evaluation, len(cs))}
	l.log.Add(object(0, &consent.Person{}).Name) // whoever comes from the beginning looks at everybody
	return l, l.refresh(ctx)
}

// refresh brings all campaigns up to date.
func (l *live) refresh(ctx context.Context) error {
	for i := range l.campaigns {
		c := &l.campaigns[i]
		_, err := l.evaluations[i].Refresh(ctx, audience.Asked{
			Key: c.Name, Now: now, Campaign: *c, Audience: &v1alpha1.Audience{Everyone: &v1alpha1.Everyone{}}, Judge: l.judge,
			Table: l.table, Records: l.store, Past: past{l.store}, Ledger: past{l.store},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// draft makes the next n changes: somebody opts out, or is back again.
func (l *live) draft(n int) []string {
	clear(l.next)
	var names []string
	for range n {
		l.turn += 7919 // a prime, so that it takes long until somebody's turn comes again
		at := l.turn % l.people.rows()
		name := object(at, &consent.Person{}).Name
		l.out[name] = !l.out[name]
		is := l.find(name)
		is.consent.Generation += int64(l.turn)
		l.next[name] = is
		names = append(names, name)
	}
	return names
}

// change has them happen, one after the other.
func (l *live) change(ctx context.Context, names []string) (changes int, err error) {
	for _, name := range names {
		l.log.Add(name)
		if err := l.refresh(ctx); err != nil {
			return 0, err
		}
	}
	return len(names), nil
}
