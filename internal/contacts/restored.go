package contacts

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// Everybody is the principal of what happened to the ledger itself: the name
// is reserved, no customer has it.
const Everybody = v1alpha1.FenceName

// ErrGap says that the ledger was brought back from a backup, and that nobody
// has vouched yet for what happened since the backup.
var ErrGap = errors.New("the ledger was restored from a backup")

// restoration is what the ledger says of one.
type restoration struct {
	key         string
	known, when time.Time
}

type restorations struct {
	open   map[string]restoration // by the key of the record that vouches for it
	latest time.Time

	consents string // the latest revision that a contact was decided on
}

// Restore is the record that a ledger was brought back at now, as it was when
// the backup was made. What identifies the backup makes its key.
func Restore(backup string, known, now time.Time) Record {
	return Record{Key: "restored/" + backup, At: now, Principal: Everybody, Event: Restored, Until: known}
}

// Vouch is the record that whatever happened since the backup is in the ledger
// again, or does not matter, and why.
func (g *GapError) Vouch(because string, now time.Time) Record {
	return Record{Key: "vouched/" + g.key, At: now, Principal: Everybody, Event: Vouched, Detail: because}
}

// GapError is an ErrGap that says from when to when nothing is known.
type GapError struct {
	From, To time.Time
	key      string
}

func (e *GapError) Error() string {
	return fmt.Sprintf("%v: what happened from %s to %s is not known; add what the senders know, then run codb ledger vouch", ErrGap, stamp(e.From), stamp(e.To))
}

// Is makes a GapError an ErrGap.
func (e *GapError) Is(target error) bool { return target == ErrGap }

// ofLedger checks a record of what happened to the ledger itself: it has
// nothing of a contact.
func ofLedger(r *Record) *FieldError {
	bare := Record{Key: r.Key, At: r.At, Principal: r.Principal, Event: r.Event, Until: r.Until, Detail: r.Detail}
	switch {
	case r.Principal != Everybody:
		return &FieldError{"principal", "", Everybody + ": " + string(r.Event) + " happens to the ledger"}
	case !reflect.DeepEqual(*r, bare):
		return &FieldError{"event", string(r.Event), "nothing but key, at, principal, until and detail: it happens to the ledger"}
	case r.Event == Restored && (r.Until.Before(time.Unix(0, 0)) || r.Until.After(r.At)):
		return &FieldError{"until", stamp(r.Until), "when the backup was made, before it was restored"}
	case r.Event == Vouched && r.Detail == "":
		return &FieldError{"detail", "", "say why nothing is missing"}
	}
	return nil
}

// Gap is a *GapError while nobody has vouched for what happened between a
// backup and its restoration, of several the one with the earliest backup.
func (p *Projection) Gap() error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	var out *GapError
	for _, g := range p.open {
		if out == nil || g.known.Before(out.From) {
			out = &GapError{From: g.known, To: g.when, key: g.key}
		}
	}
	if out == nil {
		return nil
	}
	return out
}

// Restored is when the ledger was last restored; zero: never. What began before
// may have done what nobody knows.
func (p *Projection) Restored() time.Time {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.latest
}

// happened takes a record of the ledger itself, and says whether it is one.
func (r *restorations) happened(to *Record) bool {
	switch to.Event {
	case Vouched:
		delete(r.open, to.Key)
	case Restored:
		if to.At.After(r.latest) {
			r.latest = to.At
		}
		r.open["vouched/"+to.Key] = restoration{key: to.Key, known: to.Until, when: to.At}
	default:
		return false
	}
	return true
}

// Consents is the latest revision of the consents that a contact was decided on.
func (p *Projection) Consents() string {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.consents
}

// decidedOn takes note of the consents that a record was decided on.
func (r *restorations) decidedOn(revision string) {
	if revision != "" && !Older(revision, r.consents) {
		r.consents = revision
	}
}

// Older compares revisions of the consents of one store; those of two have no
// order.
func Older(a, b string) bool {
	i, j := strings.LastIndexByte(a, '-')+1, strings.LastIndexByte(b, '-')+1
	if a[:i] != b[:j] {
		return false
	}
	a, b = a[i:], b[j:]
	return len(a) < len(b) || len(a) == len(b) && a < b
}

// ErrWentBack says that contacts were decided on consents that there are not any
// more.
var ErrWentBack = errors.New("the consents are older than those that contacts were decided on: they were restored from a backup, without raising the revision")
