package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/gate"
)

// lateGate is a gate that may not be there yet, or may come back elsewhere.
type lateGate struct {
	mu     sync.RWMutex
	client *gate.Client
	why    error
}

const redial = 2 * time.Second

// run finds the gate and feeds the projection until ctx ends.
func (l *lateGate) run(ctx context.Context, dial func(context.Context) (*gate.Client, error), p *contacts.Projection) error {
	said := ""
	for ctx.Err() == nil {
		c, err := dial(ctx)
		l.mu.Lock()
		l.client, l.why = c, err
		l.mu.Unlock()
		if err == nil {
			said = ""
			err = c.Feed(ctx, p)
		}
		if err != nil && ctx.Err() == nil && err.Error() != said {
			said = err.Error()
			log.FromContext(ctx).Info("the gate can't be followed; nothing is released until it can", "reason", said)
		}
		select {
		case <-ctx.Done():
		case <-time.After(redial):
		}
	}
	return nil
}

func (l *lateGate) get() (*gate.Client, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.client == nil {
		if l.why != nil {
			return nil, fmt.Errorf("%w: %w", gate.ErrUnreachable, l.why)
		}
		return nil, gate.ErrUnreachable
	}
	return l.client, nil
}

// Healthy is nil while the ledger can be read.
func (l *lateGate) Healthy() error {
	c, err := l.get()
	if err != nil {
		return err
	}
	return c.Healthy()
}

// Fence brings the projection up to everything acknowledged before the call.
func (l *lateGate) Fence(ctx context.Context, p *contacts.Projection) error {
	c, err := l.get()
	if err != nil {
		return err
	}
	_, err = c.Fence(ctx, p)
	return err
}

// Append appends records.
func (l *lateGate) Append(ctx context.Context, records []contacts.Record) error {
	c, err := l.get()
	if err != nil {
		return err
	}
	_, err = c.Append(ctx, records)
	return err
}
