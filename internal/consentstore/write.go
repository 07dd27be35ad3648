package consentstore

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/postgres"
)

var (
	// ErrConflict says that a consent is not what the writer believed it to be.
	ErrConflict = errors.New("the consent has changed, or is there already: read it again")
	// ErrRefused says that a consent is not well-formed.
	ErrRefused = errors.New("the consent is refused")
	// ErrNotFound says that nothing is known of the customer.
	ErrNotFound = errors.New("there is no such customer")
)

// Revision is what somebody's consent was from an instant on.
type Revision struct {
	Revision int64
	At       time.Time
	Author   string
	// Consent is nil where it was erased.
	Consent *v1alpha1.CustomerConsent
}

// Put writes all the consents or, with an error, none, in the name of their
// author. One without a resourceVersion is new; another one changes what has
// just that version. It returns them as they are then: acknowledged is what is
// committed.
func (d *Database) Put(ctx context.Context, author string, consents []*v1alpha1.CustomerConsent) ([]*v1alpha1.CustomerConsent, error) {
	write, names := rand.Text(), make([]string, len(consents))
	for i, c := range consents {
		if names[i] = c.Name; slices.Contains(names[:i], c.Name) {
			return nil, fmt.Errorf("write consents: two are of one customer: %w", ErrConflict)
		}
	}
	var (
		out  []*v1alpha1.CustomerConsent
		next = make([]*v1alpha1.CustomerConsent, len(consents)) // an attempt that comes too late leaves its work to the next one
	)
	err := d.retry(ctx, func(ctx context.Context) error {
		known, err := d.known(ctx, d.db, names)
		if err != nil {
			return err
		}
		for i, c := range consents {
			if next[i] != nil && revisionOf(known[c.Name]) == revisionOf(c) {
				continue
			}
			n, err := d.next(c, known[c.Name])
			if err != nil {
				if found, ferr := d.written(ctx, write, len(names)); ferr != nil || found != nil {
					out = found // it is ours: the answer got lost
					return ferr
				}
				return err
			}
			next[i] = n
		}
		out, err = d.commit(ctx, write, author, names, next)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("write consents: %w", err)
	}
	return out, nil
}

// next is what the consent comes to, if it may be written.
func (d *Database) next(c, old *v1alpha1.CustomerConsent) (*v1alpha1.CustomerConsent, error) {
	if (old == nil) != (c.ResourceVersion == "") || (old != nil && old.ResourceVersion != c.ResourceVersion) {
		return nil, ErrConflict
	}
	n := &v1alpha1.CustomerConsent{TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "CustomerConsent"}, Spec: *c.Spec.DeepCopy()}
	n.Name, n.Namespace, n.Labels, n.ResourceVersion = c.Name, d.o.Namespace, maps.Clone(c.Labels), c.ResourceVersion
	n.Annotations, n.ManagedFields = maps.Clone(c.Annotations), slices.Clone(c.ManagedFields)
	if old == nil {
		n.UID, n.Generation = types.UID(uuid.NewString()), 1
		n.CreationTimestamp = metav1.NewTime(d.o.Clock().UTC().Truncate(time.Second))
	} else {
		n.UID, n.Generation, n.CreationTimestamp = old.UID, old.Generation, old.CreationTimestamp
		if !equality.Semantic.DeepEqual(n.Spec, old.Spec) {
			n.Generation++
		}
	}
	why, err := d.o.Refused(n, old)
	if err == nil && len(why) > 0 {
		err = fmt.Errorf("%w: %s", ErrRefused, strings.Join(why, "; "))
	}
	return n, err
}

// known reads customers as they are now.
func (d *Database) known(ctx context.Context, from interface {
	Query(context.Context, string, ...any) (pgx.Rows, error)
}, names []string,
) (map[string]*v1alpha1.CustomerConsent, error) {
	found, err := from.Query(ctx, findNames, names)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	out := map[string]*v1alpha1.CustomerConsent{}
	for found.Next() {
		c, err := d.scan(found)
		if err != nil {
			return nil, err
		}
		out[c.name] = c.object
	}
	return out, found.Err()
}

const (
	findNames    = `SELECT name, revision, object FROM codb_consents WHERE name = ANY($1)`
	begin        = `BEGIN ISOLATION LEVEL READ COMMITTED`
	lockHead     = selectHead + ` FOR UPDATE`
	findVersions = `SELECT name, revision FROM codb_consents WHERE name = ANY($1)`
	remember     = `INSERT INTO codb_consent_revisions (revision, name, at, author, write, object)
SELECT r.revision, r.name, $3::bigint, $4::text, $5::text, r.object::jsonb
FROM unnest($1::bigint[], $2::text[], $6::text[]) AS r(revision, name, object)`
	replace = `INSERT INTO codb_consents (name, revision, object)
SELECT r.name, r.revision, r.object::jsonb FROM unnest($1::bigint[], $2::text[], $3::text[]) AS r(revision, name, object)
ON CONFLICT (name) DO UPDATE SET revision = excluded.revision, object = excluded.object`
	moveHead = `UPDATE codb_consent_store SET revision = $1`
)

// commit writes in two journeys: what was judged must still be so behind the
// lock.
func (d *Database) commit(ctx context.Context, write, author string, names []string, next []*v1alpha1.CustomerConsent) ([]*v1alpha1.CustomerConsent, error) {
	c, err := d.db.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer postgres.Release(ctx, c)
	head, versions, err := d.lock(ctx, c, names)
	if err != nil {
		return nil, err
	}
	revisions, texts := make([]int64, len(next)), make([]string, len(next))
	for i, n := range next {
		if was := versions[n.Name]; was != revisionOf(n) {
			return nil, errMovedOn
		}
		revisions[i] = head + int64(i) + 1
		text, err := json.Marshal(n)
		if err != nil {
			return nil, err
		}
		texts[i] = string(text)
	}
	var b pgx.Batch
	b.Queue(remember, revisions, names, d.o.Clock().UnixNano(), author, write, texts)
	b.Queue(replace, revisions, names, texts)
	b.Queue(moveHead, head+int64(len(next)))
	d.db.Tell(&b)
	b.Queue(`COMMIT`)
	if err := c.SendBatch(ctx, &b).Close(); err != nil {
		return nil, err
	}
	for i, n := range next {
		n.ResourceVersion = fmt.Sprint(revisions[i])
	}
	return next, nil
}

// errMovedOn says that somebody was faster; the next attempt says what it means.
var errMovedOn = errors.New("somebody else has just written")

// lock begins the transaction.
func (d *Database) lock(ctx context.Context, c *pgxpool.Conn, names []string) (head int64, versions map[string]int64, err error) {
	var (
		b  pgx.Batch
		id string
	)
	versions = map[string]int64{}
	b.Queue(begin)
	b.Queue(lockHead).QueryRow(func(row pgx.Row) error { return row.Scan(&id, &head) })
	b.Queue(findVersions, names).Query(func(found pgx.Rows) error {
		for found.Next() {
			var (
				name     string
				revision int64
			)
			if err := found.Scan(&name, &revision); err != nil {
				return err
			}
			versions[name] = revision
		}
		return found.Err()
	})
	if err := c.SendBatch(ctx, &b).Close(); err != nil {
		return 0, nil, err
	}
	if id != d.id {
		return 0, nil, ErrReplaced
	}
	return head, versions, nil
}

// written is what a write came to whose answer got lost; nil: it was not made.
func (d *Database) written(ctx context.Context, write string, n int) ([]*v1alpha1.CustomerConsent, error) {
	found, err := d.db.Query(ctx, `SELECT name, revision, object FROM codb_consent_revisions WHERE write = $1 ORDER BY revision`, write)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var out []*v1alpha1.CustomerConsent
	for found.Next() {
		c, err := d.scan(found)
		if err != nil {
			return nil, err
		}
		out = append(out, c.object)
	}
	if len(out) != n {
		out = nil
	}
	return out, found.Err()
}

// Now is one customer's consent as the database has it at this moment.
func (d *Database) Now(ctx context.Context, name string) (*v1alpha1.CustomerConsent, error) {
	var out *v1alpha1.CustomerConsent
	err := d.retry(ctx, func(ctx context.Context) error {
		known, err := d.known(ctx, d.db, []string{name})
		out = known[name]
		return err
	})
	if err == nil && out == nil {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read a consent: %w", err)
	}
	return out, nil
}

// History lists what a customer's consent was, the latest first.
func (d *Database) History(ctx context.Context, name string, limit int) ([]Revision, error) {
	var out []Revision
	err := d.retry(ctx, func(ctx context.Context) error {
		out = nil
		found, err := d.db.Query(ctx, `SELECT name, revision, object, at, author FROM codb_consent_revisions
WHERE name = $1 ORDER BY revision DESC LIMIT $2`, name, limit)
		if err != nil {
			return err
		}
		defer found.Close()
		for found.Next() {
			var (
				at     int64
				author string
			)
			c, err := d.scan(more{found, []any{&at, &author}})
			if err != nil {
				return err
			}
			out = append(out, Revision{c.revision, time.Unix(0, at).UTC(), author, c.object})
		}
		return found.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("read a consent's history: %w", err)
	}
	return out, nil
}

// more is a row with columns beyond those of a change.
type more struct {
	pgx.Row
	rest []any
}

func (m more) Scan(into ...any) error { return m.Row.Scan(append(into, m.rest...)...) }

// Erase forgets all that a customer ever said; that it was erased stays.
func (d *Database) Erase(ctx context.Context, author, name string) error {
	err := d.retry(ctx, func(ctx context.Context) error {
		c, err := d.db.Acquire(ctx)
		if err != nil {
			return err
		}
		defer postgres.Release(ctx, c)
		head, versions, err := d.lock(ctx, c, []string{name})
		if err != nil || versions[name] == 0 {
			return err
		}
		var b pgx.Batch
		b.Queue(`DELETE FROM codb_consents WHERE name = $1`, name)
		b.Queue(`UPDATE codb_consent_revisions SET object = NULL WHERE name = $1`, name)
		b.Queue(`INSERT INTO codb_consent_revisions (revision, name, at, author, write) VALUES ($1, $2, $3, $4, $5)`, head+1, name, d.o.Clock().UnixNano(), author, erasing)
		b.Queue(moveHead, head+1)
		d.db.Tell(&b)
		b.Queue(`COMMIT`)
		return c.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return fmt.Errorf("erase a consent: %w", err)
	}
	return nil
}
