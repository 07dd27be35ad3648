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
	records map[string]kept
	words   words
	changes feed.Log      // its marks are the records' versions
	changed chan struct{} // closed and replaced at each change
}

// remembered is how many changes a reader may lag behind before it has to look
// at everybody again.
const remembered = 1 << 16

func newPeople() people {
	return people{
		records: map[string]kept{}, words: words{numbers: map[string]uint64{}},
		changes: feed.Log{Keep: remembered}, changed: make(chan struct{}),
	}
}

// kept is what there is of one customer.
type kept struct {
	packed   packed
	version  uint64
	revision int64 // of a database
	seen     int64 // nanoseconds since 1970
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

// Get is one customer's consent, as far as it decides anything: without status
// and version.
func (p *people) Get(principal string) (audience.Record, bool) {
	p.mu.RLock()
	k, ok := p.records[principal]
	texts := p.words.texts
	p.mu.RUnlock()
	if !ok {
		return audience.Record{}, false
	}
	return audience.Record{Version: k.version, Consent: k.packed.unpack(principal, texts), Seen: time.Unix(0, k.seen)}, true
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
func (p *people) set(c *v1alpha1.CustomerConsent, revision int64) {
	k := kept{packed: p.words.pack(c), revision: revision}
	if old := p.records[c.Name]; old.packed == k.packed { // a status write changes nobody's answer
		k.packed, k.version, k.seen = old.packed, old.version, old.seen
		p.records[c.Name] = k
		return
	}
	k.version, k.seen = p.changes.Add(c.Name), time.Now().UnixNano()
	p.records[c.Name] = k
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
