package consentstore

import (
	"context"
	"fmt"
	"strconv"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// Page lists up to limit customers after a name, in the database's order of
// names, as it has them at this moment; the page has every change up to the
// revision.
func (d *Database) Page(ctx context.Context, after string, limit int) (page []*v1alpha1.CustomerConsent, revision string, err error) {
	err = d.retry(ctx, func(ctx context.Context) error {
		page = nil
		var (
			id   string
			head int64
		)
		if err := d.db.QueryRow(ctx, selectHead).Scan(&id, &head); err != nil {
			return err
		}
		revision = strconv.FormatInt(head, 10)
		found, err := d.db.Query(ctx, selectPage, after, limit)
		if err != nil {
			return err
		}
		defer found.Close()
		for found.Next() {
			c, err := d.scan(found)
			if err != nil {
				return err
			}
			page = append(page, c.object)
		}
		return found.Err()
	})
	if err != nil {
		return nil, "", fmt.Errorf("list consents: %w", err)
	}
	return page, revision, nil
}
