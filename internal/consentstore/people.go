package consentstore

import (
	"sync"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/audience"
)

// people are the customers that a store has seen so far, in columns: no object of
// theirs is kept.
type people struct {
	table *audience.Table

	mu      sync.RWMutex
	changed chan struct{} // closed and replaced at each change
}

func newPeople() people {
	return people{table: audience.NewTable(), changed: make(chan struct{})}
}

// Customers are all of them.
func (p *people) Customers() *audience.Table { return p.table }

// Changed is closed at the next change of any consent.
func (p *people) Changed() <-chan struct{} {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.changed
}

// take takes in consents, of which a status is no news to anybody.
func (p *people) take(consents ...*v1alpha1.CustomerConsent) {
	news, now := false, time.Now()
	for _, c := range consents {
		news = p.table.Put(c.Name, c, now) || news
	}
	if news {
		p.tell()
	}
}

func (p *people) forget(name string) {
	if p.table.Remove(name) {
		p.tell()
	}
}

func (p *people) tell() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.announce()
}

// announce is for who holds the lock.
func (p *people) announce() {
	close(p.changed)
	p.changed = make(chan struct{})
}
