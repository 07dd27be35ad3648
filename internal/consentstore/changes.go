package consentstore

import (
	"context"
	"fmt"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// Change is what somebody's consent came to at a revision.
type Change struct {
	Name     string
	Revision int64
	// Before and After are nil where there was nothing, and where it was erased
	// since. Both have this revision.
	Before, After *v1alpha1.CustomerConsent
	// Erased says that all that the customer ever said was erased by this change.
	Erased bool
}

// Changes lists up to limit changes that follow a revision, in order, and tells
// the latest revision that there is.
func (d *Database) Changes(ctx context.Context, after int64, limit int) (changes []Change, head int64, err error) {
	err = d.retry(ctx, func(ctx context.Context) error {
		changes = nil
		var id string
		if err := d.db.QueryRow(ctx, selectHead).Scan(&id, &head); err != nil {
			return err
		}
		if id != d.id {
			return ErrReplaced
		}
		if head <= after {
			return nil
		}
		found, err := d.db.Query(ctx, `SELECT r.name, r.revision, r.object, r.write, (
SELECT p.object FROM codb_consent_revisions p WHERE p.name = r.name AND p.revision < r.revision ORDER BY p.revision DESC LIMIT 1
) FROM codb_consent_revisions r WHERE r.revision > $1 AND r.revision <= $2 ORDER BY r.revision LIMIT $3`, after, head, limit)
		if err != nil {
			return err
		}
		defer found.Close()
		for found.Next() {
			var (
				write  string
				before []byte
			)
			c, err := d.scan(more{found, []any{&write, &before}})
			if err != nil {
				return err
			}
			was, err := d.read(c.name, c.revision, before)
			if err != nil {
				return err
			}
			changes = append(changes, Change{c.name, c.revision, was, c.object, write == erasing})
		}
		return found.Err()
	})
	if err != nil {
		return nil, 0, fmt.Errorf("list changes of consents: %w", err)
	}
	return changes, head, nil
}

// erasing is the write of an erasure, which may be made twice.
const erasing = ""

// look notices that there is news, for a store that keeps nobody at hand.
func (d *Database) look(ctx context.Context) error {
	var (
		id   string
		head int64
	)
	err := d.db.QueryRow(ctx, selectHead).Scan(&id, &head)
	if err == nil && id != d.id {
		err = ErrReplaced
	}
	if err == nil {
		d.mu.Lock()
		if d.revision != head {
			d.revision = head
			d.announce()
		}
		d.mu.Unlock()
	}
	d.heard(err)
	return err
}
