package main

import (
	"context"
	"fmt"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/consent"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
)

// store is what codb is told of customers and their past.
type store struct {
	people *customers
	table  *audience.Table
	next   map[string]*subject // who is going to change, made before it is timed
	out    map[string]bool     // who has opted out meanwhile
	turn   int
}

type subject struct {
	consent *v1alpha1.CustomerConsent
	past    decision.Contacts
}

func newStore(people *customers) *store {
	s := &store{people: people, table: audience.NewTable(), next: map[string]*subject{}, out: map[string]bool{}}
	for n := range people.rows() {
		name := object(n, &consent.Person{}).Name
		s.table.Put(name, s.find(name).consent, now)
	}
	return s
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

// past is what the ledger says of a store's customers; it does not change.
type past struct{ *store }

// Since implements audience.Feed.
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
	campaigns   []decision.Campaign
	evaluations []audience.Evaluation
}

func newLive(ctx context.Context, judge decision.Judge, people *customers, cs []decision.Campaign) (*live, error) {
	l := &live{store: newStore(people), judge: judge, campaigns: cs, evaluations: make([]audience.Evaluation, len(cs))}
	return l, l.refresh(ctx)
}

// refresh brings all campaigns up to date.
func (l *live) refresh(ctx context.Context) error {
	for i := range l.campaigns {
		c := &l.campaigns[i]
		_, err := l.evaluations[i].Refresh(ctx, audience.Asked{
			Key: c.Name, Now: now, Campaign: *c, Audience: &v1alpha1.Audience{Everyone: &v1alpha1.Everyone{}}, Judge: l.judge,
			Table: l.table, Past: past{l.store}, Ledger: past{l.store},
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
		l.table.Put(name, l.next[name].consent, now)
		if err := l.refresh(ctx); err != nil {
			return 0, err
		}
	}
	return len(names), nil
}
