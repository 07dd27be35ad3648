package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
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

const (
	// redialFirst and redial bound how soon a gate that isn't there is looked for
	// again, twice as late each time: one that starts beside us is there at once.
	redialFirst, redial = 50 * time.Millisecond, 2 * time.Second
	// lookout is how often it is asked whether the gate has moved or has another
	// certificate. It prepares those long before it serves them.
	lookout = 10 * time.Second
)

// run finds the gate and feeds the projection until ctx ends; it dials anew
// whenever the gate publishes another address or authority.
func (l *lateGate) run(ctx context.Context, where gateAddress, dial func(address) (*gate.Client, error), p *contacts.Projection) error {
	said, pause := "", redialFirst
	for ctx.Err() == nil {
		c, at, err := l.dial(ctx, where, dial)
		if err == nil {
			said, pause = "", redialFirst
			look := time.NewTicker(lookout)
			err = feedUntilMoved(ctx, where, at, look.C, func(ctx context.Context) error { return c.Feed(ctx, p) })
			look.Stop()
		}
		if err != nil && ctx.Err() == nil && err.Error() != said {
			said = err.Error()
			log.FromContext(ctx).Info("the gate can't be followed; nothing is released until it can", "reason", said)
		}
		if err == nil {
			continue // it has moved
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
			pause = min(2*pause, redial)
		}
	}
	return nil
}

func (l *lateGate) dial(ctx context.Context, where gateAddress, dial func(address) (*gate.Client, error)) (*gate.Client, address, error) {
	at, err := where.find(ctx)
	var c *gate.Client
	if err == nil {
		c, err = dial(at)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.client, l.why = c, err
	return c, at, err
}

// feedUntilMoved ends when the gate is not at the address any more; look says
// when to ask.
func feedUntilMoved(ctx context.Context, where gateAddress, at address, look <-chan time.Time, feed func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
				return
			case <-look:
			}
			if now, err := where.find(ctx); err == nil && now != at {
				cancel()
			}
		}
	}()
	return feed(ctx)
}

// replacing lets a new client of the gate take over the metrics of the former.
type replacing struct{ prometheus.Registerer }

// MustRegister puts the collectors in the place of those with their names.
func (r replacing) MustRegister(collectors ...prometheus.Collector) {
	for _, c := range collectors {
		var there prometheus.AlreadyRegisteredError
		if err := r.Register(c); errors.As(err, &there) {
			r.Unregister(there.ExistingCollector)
			r.Registerer.MustRegister(c)
		} else if err != nil {
			panic(err)
		}
	}
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

// Append appends the records of customers who have none later than seen.
func (l *lateGate) Append(ctx context.Context, records []contacts.Record, seen contacts.Position) ([]contacts.Result, error) {
	c, err := l.get()
	if err != nil {
		return nil, err
	}
	return c.AppendSeen(ctx, records, seen)
}
