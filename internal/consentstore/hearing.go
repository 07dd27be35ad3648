package consentstore

import (
	"errors"
	"fmt"
	"time"

	"github.com/codb-dev/codb/internal/postgres"
)

// silence is how long a database may not be heard of before nobody is to be
// contacted: it is asked every second.
const silence = 5 * time.Second

// hearing is what a Database knows of being up to date. The lock is that of its
// people.
type hearing struct {
	hears bool // lately
	why   error
	timer *time.Timer
}

var errUnread = errors.New("customers' consents are still being read")

// Healthy is nil while the store follows the database, and else says why not. It
// proves nothing of what was just written: Fence does.
func (d *Database) Healthy() error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	switch {
	case d.hears:
		return nil
	case d.why != nil:
		return fmt.Errorf("%w: %w", ErrNotCurrent, d.why)
	case !d.full:
		return fmt.Errorf("%w: %w", ErrNotCurrent, errUnread)
	}
	return fmt.Errorf("%w: %w", ErrNotCurrent, postgres.ErrUnavailable)
}

// heard takes note of how an attempt ended to catch up with the database.
func (d *Database) heard(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.why = err; err != nil {
		return // one attempt is no silence
	}
	if d.timer == nil {
		d.timer = time.AfterFunc(silence, d.fellSilent)
	}
	d.timer.Reset(silence)
	if !d.hears {
		d.hears = true
		d.announce() // whoever waits for it may go on
	}
}

func (d *Database) fellSilent() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hears = false
	d.announce() // it is news, though nobody's consent has changed
}

func (d *Database) hush() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
}
