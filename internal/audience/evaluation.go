package audience

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consent"
	"github.com/codb-dev/codb/internal/decision"
)

// Record is one customer as the store has it. Version changes whenever
// anything about the customer does; the object is shared and never written to.
type Record struct {
	Version uint64
	Consent *v1alpha1.CustomerConsent
	// Seen is when this version arrived, for measuring how soon it counts.
	Seen time.Time
}

// Feed tells what changed.
type Feed interface {
	// Since is as in feed.Log.
	Since(mark uint64) (changed []string, now uint64, all bool)
}

// Records are all customers.
type Records interface {
	Feed
	Get(principal string) (Record, bool)
	Principals() []string
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

// Evaluation keeps the latest answer for each customer of one campaign, and
// their sum, so that a change costs what it concerns and not what there is.
type Evaluation struct {
	key, runs       string
	at              time.Time // of the latest look
	rows            map[string]row
	tally           decision.Tally
	records, ledger uint64    // marks of the feeds up to which rows are current
	since           time.Time // see Since
}

type row struct {
	consent, ledger uint64
	in              bool
	answer          decision.Answer

	// Which consent was judged.
	uid        types.UID
	generation int64
}

// Since is when the first changed consent arrived that was asked about after
// the last Settle; zero: none was.
func (e *Evaluation) Since() time.Time { return e.since }

// Settle says that what followed from the answers is done.
func (e *Evaluation) Settle() { e.since = time.Time{} }

// Size is how many customers the evaluation remembers.
func (e *Evaluation) Size() int { return len(e.rows) }

// Asked is one look at a campaign's customers.
type Asked struct {
	// Key names everything that the answers depend on besides customers and
	// time: the campaign's spec and the policies. Another key forgets all rows.
	Key string
	// Runs names the runs whose contacts Ledger leaves out and Running knows of.
	Runs     string
	Now      time.Time
	Campaign decision.Campaign
	Audience *v1alpha1.Audience
	Judge    decision.Judge
	Records  Records
	Ledger   Ledger
	// Running is what the ledger says of the runs that contact people right now;
	// nil: none does. Whom they contact stays meant, in the audience or not: a
	// sender with a list of its own does not hear of who left.
	Running Ledger
}

// gone is the answer for somebody who is being contacted and whose consent is
// no longer there.
var gone = decision.Answer{Reasons: []decision.Reason{{
	Code: v1alpha1.CodeNoConsent, Verdict: v1alpha1.VerdictDeny, Message: "there is no record of this customer any more",
}}}

func (a *Asked) contacts(id string) bool { return a.Running != nil && a.Running.Present(id) }

// Refresh asks about every customer whose answer is missing, outdated or
// stale, and returns the sum of all, which is the evaluation's own. When it
// returns an error nothing may be concluded from the rows; the next Refresh
// asks again.
func (e *Evaluation) Refresh(ctx context.Context, a Asked) (*decision.Tally, error) {
	// Answers from a later time than now, of a clock that was put back, say
	// nothing of now.
	if e.key != a.Key || e.rows == nil || a.Now.Before(e.at) {
		*e = Evaluation{key: a.Key, runs: a.Runs, rows: map[string]row{}, since: e.since}
	}
	e.at = a.Now
	changed, records, allRecords := a.Records.Since(e.records)
	past, ledger, allPast := a.Ledger.Since(e.ledger)
	changed = append(changed, past...)
	stale := !e.tally.StaleAt.IsZero() && !a.Now.Before(e.tally.StaleAt)
	whole := allRecords || allPast || stale || e.runs != a.Runs || e.records == 0
	if whole {
		changed = e.everybody(a.Records)
	}
	if err := e.ask(ctx, &a, changed); err != nil {
		return nil, err
	}
	e.records, e.ledger, e.runs = records, ledger, a.Runs
	if whole || e.tally.Torn() {
		e.recount()
	}
	return &e.tally, nil
}

// everybody lists who is on record, and who was.
func (e *Evaluation) everybody(records Records) []string {
	all := records.Principals()
	for id := range e.rows {
		if _, ok := records.Get(id); !ok {
			all = append(all, id)
		}
	}
	return all
}

type dueRow struct {
	id      string
	row     row
	staleAt time.Time
}

// ask puts the question for those of the principals whose answer does not hold
// any more.
func (e *Evaluation) ask(ctx context.Context, a *Asked, principals []string) error {
	due, subjects := e.due(a, principals)
	if len(due) == 0 {
		return nil
	}
	answers, err := a.Judge.Judge(ctx, decision.Question{Now: a.Now, Campaign: a.Campaign, Subjects: subjects})
	if err != nil {
		return fmt.Errorf("judge %d customers: %w", len(due), err)
	}
	if len(answers) != len(due) {
		return fmt.Errorf("judge %d customers: got %d answers", len(due), len(answers))
	}
	for i, d := range due {
		d.row.answer = answers[i]
		d.row.answer.StaleAt = decision.Sooner(d.row.answer.StaleAt, d.staleAt)
		e.put(d.id, d.row)
	}
	return nil
}

// due lists who must be asked about, and places those outside the audience.
func (e *Evaluation) due(a *Asked, principals []string) ([]dueRow, []decision.Subject) {
	var (
		due      []dueRow
		subjects []decision.Subject
		place    = a.Campaign.Namespace + "/" + a.Campaign.Name
	)
	slices.Sort(principals)
	for _, id := range slices.Compact(principals) {
		rec, ok := a.Records.Get(id)
		if !ok {
			e.miss(a, id)
			continue
		}
		old, known := e.rows[id]
		if known && old.consent == rec.Version && old.ledger == a.Ledger.Version(id) &&
			(old.answer.StaleAt.IsZero() || a.Now.Before(old.answer.StaleAt)) && (old.in || !a.contacts(id)) {
			continue
		}
		if known && old.consent != rec.Version {
			e.since = decision.Sooner(e.since, rec.Seen)
		}
		contacts, version := a.Ledger.Contacts(id)
		r := row{consent: rec.Version, ledger: version, uid: rec.Consent.UID, generation: rec.Consent.Generation}
		in, staleAt := Targets(a.Audience, rec.Consent, a.Now)
		if !in && !a.contacts(id) {
			r.answer.StaleAt = staleAt
			e.put(id, r)
			continue
		}
		r.in = true
		p := consent.For(&rec.Consent.Spec, a.Campaign.Brand)
		p.Bucket = consent.Bucket(place, id)
		due = append(due, dueRow{id: id, row: r, staleAt: staleAt})
		subjects = append(subjects, decision.Subject{Person: p, Contacts: contacts})
	}
	return due, subjects
}

func (e *Evaluation) put(id string, r row) {
	e.drop(id)
	e.rows[id] = r
	e.count(&r)
}

func (e *Evaluation) count(r *row) {
	if r.in {
		e.tally.Add(&r.answer)
	} else {
		e.tally.StaleAt = decision.Sooner(e.tally.StaleAt, r.answer.StaleAt)
	}
}

// miss is about somebody of whom there is no record, or none any more.
func (e *Evaluation) miss(a *Asked, id string) {
	if old, known := e.rows[id]; known && old.in && a.contacts(id) {
		e.put(id, row{in: true, answer: gone})
	} else {
		e.drop(id)
	}
}

func (e *Evaluation) drop(id string) {
	if old, ok := e.rows[id]; ok && old.in {
		e.tally.Remove(&old.answer)
	}
	delete(e.rows, id)
}

// recount sums up anew what can't be taken out of a sum: the earliest and the
// latest of many instants.
func (e *Evaluation) recount() {
	e.tally = decision.Tally{}
	for _, r := range e.rows {
		e.count(&r)
	}
}

// Targeted lists the principals in the audience, sorted.
func (e *Evaluation) Targeted() []string {
	out := make([]string, 0, len(e.rows))
	for id, r := range e.rows {
		if r.in {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// Consents identifies the consents that the rows were answered from.
func (e *Evaluation) Consents(revision string) v1alpha1.ConsentSet {
	ids := e.Targeted()
	h := sha256.New()
	for _, id := range ids {
		r := e.rows[id]
		_, _ = fmt.Fprintf(h, "%s %s %d\n", id, r.uid, r.generation)
	}
	return v1alpha1.ConsentSet{
		Revision: revision, Count: int64(len(ids)), Digest: "sha256:" + hex.EncodeToString(h.Sum(nil)),
	}
}
