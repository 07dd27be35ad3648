package gate

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/codb-dev/codb/internal/contacts"
)

// ErrConsents says that the store of the consents did not prove what it has.
var ErrConsents = errors.New("the store of the customers' consents does not answer in time")

// errUnproven says that something else could not be proven.
var errUnproven = errors.New("what permits depend on could not be proven")

// away is which stores did not answer when they were last asked. Who waits for
// others that wait for a store is told of the store, not of the others.
type away struct{ ledger, consents atomic.Bool }

// why is nil while both answer.
func (a *away) why() error {
	switch {
	case a.ledger.Load():
		return contacts.ErrUnavailable
	case a.consents.Load():
		return ErrConsents
	}
	return nil
}

// heard takes note of how a question to a store ended. Any other error says
// nothing about it.
func heard(away *atomic.Bool, err, absent error) {
	if err == nil || errors.Is(err, absent) {
		away.Store(err != nil)
	}
}

// current is what the world proves within the caller's time.
func (d *Desk) current(ctx context.Context, h Holder) (*Case, error) {
	c, err := d.world.Current(ctx, h)
	switch {
	case err != nil && ctx.Err() != nil: // perhaps for having waited for others before
		return nil, fmt.Errorf("%w: %w", errBusy, ctx.Err())
	case err != nil && !errors.Is(err, ErrForbidden):
		err = fmt.Errorf("%w: %w", errUnproven, err)
	}
	heard(&d.away.consents, err, ErrConsents)
	return c, err
}
