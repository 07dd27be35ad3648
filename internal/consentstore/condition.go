package consentstore

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// findLater looks each customer up by itself, at the end of the index. An
// erasure is a revision, too.
const findLater = `SELECT s.id, l.place FROM codb_consent_store AS s LEFT JOIN (
SELECT p.place FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS p(place, name, revision)
CROSS JOIN LATERAL (SELECT revision FROM codb_consent_revisions WHERE name = p.name ORDER BY revision DESC LIMIT 1) AS c
WHERE c.revision > p.revision) AS l ON true`

// Ask adds to a transaction of whoever shares the database the question which
// principals, each decided on a revision, have said something since; outdated is
// told their places. A revision of another store is outdated, and another store
// in the place of this one is ErrReplaced. It lets a contact
// depend on the consent in the very transaction that records it, so that a
// process which was paused between proof and record records nothing.
func (d *Database) Ask(b *pgx.Batch, principals, revisions []string, outdated func(place int)) {
	places, on := make([]int64, len(revisions)), make([]int64, len(revisions))
	for i, r := range revisions {
		places[i], on[i] = int64(i), -1 // before any revision
		if n, ok := strings.CutPrefix(r, d.mark("")); ok {
			if at, err := strconv.ParseInt(n, 10, 64); err == nil {
				on[i] = at
			}
		}
	}
	b.Queue(findLater, places, principals, on).Query(func(found pgx.Rows) error {
		for found.Next() {
			var (
				id    string
				place *int64
			)
			if err := found.Scan(&id, &place); err != nil {
				return err
			}
			if id != d.id {
				return ErrReplaced
			}
			if place != nil {
				outdated(int(*place))
			}
		}
		return found.Err()
	})
}

// mark is an opaque revision with the store's identity in it.
func (d *Database) mark(revision string) string { return fmt.Sprintf("pg-%.8s-%s", d.id, revision) }
