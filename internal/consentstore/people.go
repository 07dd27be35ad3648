package consentstore

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/feed"
)

// people are the consents that a store has seen so far, for any number of
// readers.
type people struct {
	mu      sync.RWMutex
	records map[string]audience.Record
	changes feed.Log      // its marks are the records' versions
	changed chan struct{} // closed and replaced at each change
}

// remembered is how many changes a reader may lag behind before it has to look
// at everybody again.
const remembered = 1 << 16

func newPeople() people {
	return people{records: map[string]audience.Record{}, changes: feed.Log{Keep: remembered}, changed: make(chan struct{})}
}

// Since lists whose consent changed after the mark; see feed.Log.
func (p *people) Since(mark uint64) (changed []string, now uint64, all bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.changes.Since(mark)
}

// Principals lists everybody on record, in no order.
func (p *people) Principals() []string {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return slices.Collect(maps.Keys(p.records))
}

// Get is one customer's consent.
func (p *people) Get(principal string) (audience.Record, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	r, ok := p.records[principal]
	return r, ok
}

// Len is how many customers there are.
func (p *people) Len() int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return len(p.records)
}

// Changed is closed at the next change of any consent.
func (p *people) Changed() <-chan struct{} {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.changed
}

// set takes a customer's consent; the caller holds the lock.
func (p *people) set(c *v1alpha1.CustomerConsent) {
	if old, ok := p.records[c.Name]; ok && sameAnswer(old.Consent, c) {
		p.records[c.Name] = audience.Record{Version: old.Version, Consent: c, Seen: old.Seen}
		return // a status write changes nobody's answer
	}
	p.records[c.Name] = audience.Record{Version: p.changes.Add(c.Name), Consent: c, Seen: time.Now()}
	p.announce()
}

// forget forgets a customer; the caller holds the lock.
func (p *people) forget(name string) {
	if _, ok := p.records[name]; !ok {
		return
	}
	p.changes.Add(name)
	delete(p.records, name)
	p.announce()
}

func (p *people) announce() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// sameAnswer says whether two states of one consent are the same to every
// policy and audience: spec, labels and deletion are all that they look at.
func sameAnswer(a, b *v1alpha1.CustomerConsent) bool {
	return a.UID == b.UID && a.Generation == b.Generation &&
		a.DeletionTimestamp.IsZero() == b.DeletionTimestamp.IsZero() && maps.Equal(a.Labels, b.Labels)
}
