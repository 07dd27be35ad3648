// Package audience says who is meant by a campaign, and keeps the latest answer
// for each of them. It is pure: no clock, no client, no logger, and it does not
// know how policies are evaluated.
package audience

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/decision"
)

// Feed tells what changed.
type Feed interface {
	// Since is as in feed.Log.
	Since(mark uint64) (changed []string, now uint64, all bool)
}

// Ledger says what is known of customers' past.
type Ledger interface {
	Feed
	// Contacts of the principal, without those of the runs that are open, and a
	// version that changes whenever they do.
	Contacts(principal string) (c decision.Contacts, version uint64)
	// Version of Contacts alone.
	Version(principal string) uint64
	// Present says whether a run that is left out has contacted the principal.
	Present(principal string) bool
}

// Evaluation keeps what follows for each customer of one campaign, as bitmaps by
// verdict and by reason, and their sum, so that a change costs what it concerns
// and not what there is.
type Evaluation struct {
	key, runs string
	at        time.Time // of the latest look
	snapshot  *Snapshot // of the latest look
	chunks    []decided // by chunk of the snapshot
	chosen    *chosen
	sum       decision.Tally // of chunks
	recount   bool           // sum does not know the ends of reasons
	first     int64          // when the first answer of chunks is stale; later: or later
	later     bool
	told      uint64    // of news that were looked at
	doubted   uint64    // what the judge had found wrong, see decision.Sweeper
	since     time.Time // see Since

	apart contacted
}

// Since is when the first changed consent arrived that was asked about after
// the last Settle; zero: none was.
func (e *Evaluation) Since() time.Time { return e.since }

// Settle says that what followed from the answers is done.
func (e *Evaluation) Settle() { e.since = time.Time{} }

// Asked is one look at a campaign's customers.
type Asked struct {
	// Key names everything that the answers depend on besides customers and
	// time: the campaign's spec and the policies. Another key forgets all answers.
	Key string
	// Runs names the runs whose contacts Ledger leaves out and Running knows of;
	// empty: there are none.
	Runs     string
	Now      time.Time
	Campaign decision.Campaign
	Audience *v1alpha1.Audience
	Judge    decision.Judge
	// Table has all customers; it follows Past, which leaves nothing out.
	Table  *Table
	Past   Ledger
	Ledger Ledger
	// Running is what the ledger says of the runs that contact people right now;
	// nil: none does. Whom they contact stays meant, in the audience or not: a
	// sender with a list of its own does not hear of who left.
	Running Ledger
}

// contacts says whether a run contacts the principal right now.
func (a *Asked) contacts(id string) bool { return a.Running != nil && a.Running.Present(id) }

// hides says whether Ledger may say less of the principal than the table.
func (a *Asked) hides(id string) bool {
	return a.Runs != "" && (a.Ledger.Present(id) || a.contacts(id))
}

// Refresh asks about every customer whose answer is missing, outdated or
// stale, and returns the sum of all, which is the evaluation's own. When it
// returns an error nothing may be concluded from it; the next Refresh asks about
// everybody again.
func (e *Evaluation) Refresh(ctx context.Context, a Asked) (*decision.Tally, error) {
	judge := decision.SweeperOf(a.Judge)
	for {
		doubted := judge.Doubted()
		tally, err := e.refresh(ctx, a, doubted)
		if judge.Doubted() == doubted {
			return tally, err
		} // what was wrong is asked of others now, and all of it anew
	}
}

func (e *Evaluation) refresh(ctx context.Context, a Asked, doubted uint64) (*decision.Tally, error) {
	s := a.Table.Follow(a.Past)
	// Answers from a later time than now, of a clock that was put back, say
	// nothing of now.
	if e.key != a.Key || e.doubted != doubted || e.snapshot == nil || e.snapshot.dicts[0] != s.dicts[0] || a.Now.Before(e.at) {
		*e = Evaluation{key: a.Key, doubted: doubted, runs: a.Runs, since: e.since, told: s.told, chosen: newChosen(a.Audience), first: decision.Never}
	}
	e.at = a.Now
	e.since, e.told = decision.Sooner(e.since, s.since(e.told)), s.told
	was := e.snapshot
	e.snapshot = s
	l := e.look(&a, was, e.runs != a.Runs)
	e.runs = a.Runs
	err := l.ask(ctx)
	if err == nil {
		err = l.ends(ctx)
	}
	if err == nil {
		err = e.apart.ask(ctx, &a, s, e.chosen)
	}
	if err != nil {
		*e = Evaluation{since: e.since}
		return nil, err
	}
	if e.later {
		e.first, e.later = decision.Never, false
		for i := range e.chunks {
			e.first = sooner(e.first, e.chunks[i].staleAt)
		}
	}
	e.sum.StaleAt = decision.Instant(e.first)
	if e.apart.empty() {
		return &e.sum, nil
	}
	return e.sum.With(&e.apart.tally), nil
}

// sooner is the earlier of two instants.
func sooner(a, b int64) int64 {
	if a == decision.Never || (b != decision.Never && b < a) {
		return b
	}
	return a
}

// Targeted lists the principals in the audience, sorted.
func (e *Evaluation) Targeted() []string {
	var out []string
	for _, p := range e.targeted() {
		out = append(out, p.name)
	}
	return out
}

// targeted are those in the audience, by name; at is where: -1 for who is gone.
func (e *Evaluation) targeted() []located {
	var out []located
	for i := range e.chunks {
		for row := range e.chunks[i].in.All {
			out = append(out, located{e.snapshot.Name(i, row), i, row})
		}
	}
	out = append(out, e.apart.targeted()...)
	slices.SortFunc(out, func(a, b located) int { return strings.Compare(a.name, b.name) })
	return out
}

// located is somebody and where in a snapshot; chunk is -1 for who is not there.
type located struct {
	name       string
	chunk, row int
}

// Consents identifies the consents that the answers are from.
func (e *Evaluation) Consents(revision string) v1alpha1.ConsentSet {
	h := sha256.New()
	all := e.targeted()
	for _, p := range all {
		var uid types.UID
		var generation int64
		if p.chunk >= 0 {
			uid, generation = e.snapshot.version(p.chunk, p.row)
		}
		_, _ = fmt.Fprintf(h, "%s %s %d\n", p.name, uid, generation)
	}
	return v1alpha1.ConsentSet{
		Revision: revision, Count: int64(len(all)), Digest: "sha256:" + hex.EncodeToString(h.Sum(nil)),
	}
}
