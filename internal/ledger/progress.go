package ledger

import (
	"context"
	"fmt"
	"sync"
)

// progress is how far a ledger is, for those who wait for more.
type progress struct {
	mu       sync.Mutex
	sequence uint64        // the latest that is on the disk for sure
	grown    chan struct{} // closed and replaced when sequence or broken changes
	broken   error
}

// Sequence implements Store.
func (p *progress) Sequence() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sequence
}

// Wait implements Store.
func (p *progress) Wait(ctx context.Context, sequence uint64) error {
	for {
		p.mu.Lock()
		latest, broken := p.sequence, p.broken
		if p.grown == nil {
			p.grown = make(chan struct{})
		}
		grown := p.grown
		p.mu.Unlock()
		if broken != nil {
			return fmt.Errorf("wait for records: %w", broken)
		}
		if latest > sequence {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-grown:
		}
	}
}

// advance takes note of what is on the disk.
func (p *progress) advance(to uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if to > p.sequence {
		p.sequence = to
		p.wake()
	}
}

// fail makes everything be refused from now on.
func (p *progress) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken == nil {
		p.broken = err
	}
	p.wake()
}

func (p *progress) wake() {
	if p.grown != nil {
		close(p.grown)
		p.grown = nil
	}
}

func (p *progress) failed() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.broken
}
