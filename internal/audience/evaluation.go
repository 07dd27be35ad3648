package audience

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

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

// Ledger says what is known of a customer's past.
type Ledger interface {
	// Contacts of the principal, without those of the runs that go on now, and a
	// version that changes whenever they do.
	Contacts(principal string) (c decision.Contacts, version uint64)
	// Version of Contacts alone.
	Version(principal string) uint64
	// Present says whether a run that is left out has contacted the principal.
	Present(principal string) bool
}

// Evaluation keeps the latest answer for each customer of one campaign, so
// that a change is answered by asking about those whom it concerns.
type Evaluation struct {
	key   string
	at    time.Time // of the latest look
	rows  map[string]row
	since time.Time // see Since
}

type row struct {
	consent, ledger uint64
	in              bool
	answer          decision.Answer
}

// Size is how many customers the evaluation remembers.
func (e *Evaluation) Size() int { return len(e.rows) }

// Since is when the first changed consent arrived that was asked about after
// the last Settle; zero: none was.
func (e *Evaluation) Since() time.Time { return e.since }

// Settle says that what followed from the answers is done.
func (e *Evaluation) Settle() { e.since = time.Time{} }

// Asked is one look at a campaign's customers.
type Asked struct {
	// Key names everything that the answers depend on besides customers and
	// time: the campaign's spec and the policies. Another key forgets all rows.
	Key      string
	Now      time.Time
	Campaign decision.Campaign
	Audience *v1alpha1.Audience
	Judge    decision.Judge
	Records  map[string]Record
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
// stale, and sums up all of them. When it returns an error nothing may be
// concluded from the rows; the next Refresh asks again.
func (e *Evaluation) Refresh(ctx context.Context, a Asked) (*decision.Tally, error) {
	// Answers from a later time than now, of a clock that was put back, say
	// nothing of now.
	if e.key != a.Key || e.rows == nil || a.Now.Before(e.at) {
		e.key, e.rows = a.Key, make(map[string]row, len(a.Records))
	}
	e.at = a.Now
	for id, r := range e.rows {
		if _, ok := a.Records[id]; ok {
			continue
		}
		if r.in && a.contacts(id) {
			e.rows[id] = row{in: true, answer: gone}
		} else {
			delete(e.rows, id)
		}
	}
	due, subjects := e.due(&a)
	if len(due) > 0 {
		answers, err := a.Judge.Judge(ctx, decision.Question{Now: a.Now, Campaign: a.Campaign, Subjects: subjects})
		if err != nil {
			return nil, fmt.Errorf("judge %d customers: %w", len(due), err)
		}
		if len(answers) != len(due) {
			return nil, fmt.Errorf("judge %d customers: got %d answers", len(due), len(answers))
		}
		for i, d := range due {
			d.row.answer = answers[i]
			d.row.answer.StaleAt = decision.Sooner(d.row.answer.StaleAt, d.staleAt)
			e.rows[d.id] = d.row
		}
	}
	t := &decision.Tally{}
	for _, r := range e.rows {
		if r.in {
			t.Add(&r.answer)
		} else {
			t.StaleAt = decision.Sooner(t.StaleAt, r.answer.StaleAt)
		}
	}
	return t, nil
}

type dueRow struct {
	id      string
	row     row
	staleAt time.Time
}

// due lists who must be asked about, and places those outside the audience.
func (e *Evaluation) due(a *Asked) ([]dueRow, []decision.Subject) {
	var (
		due      []dueRow
		subjects []decision.Subject
		place    = a.Campaign.Namespace + "/" + a.Campaign.Name
	)
	for id, rec := range a.Records {
		old, known := e.rows[id]
		if known && old.consent == rec.Version && old.ledger == a.Ledger.Version(id) &&
			(old.answer.StaleAt.IsZero() || a.Now.Before(old.answer.StaleAt)) && (old.in || !a.contacts(id)) {
			continue
		}
		contacts, version := a.Ledger.Contacts(id)
		if known && old.consent != rec.Version {
			e.since = decision.Sooner(e.since, rec.Seen)
		}
		r := row{consent: rec.Version, ledger: version}
		in, staleAt := Targets(a.Audience, rec.Consent, a.Now)
		if !in && !a.contacts(id) {
			r.answer.StaleAt = staleAt
			e.rows[id] = r
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
func (e *Evaluation) Consents(revision string, records map[string]Record) v1alpha1.ConsentSet {
	ids := e.Targeted()
	h := sha256.New()
	for _, id := range ids {
		if rec, ok := records[id]; ok {
			fmt.Fprintf(h, "%s %s %d\n", id, rec.Consent.UID, rec.Consent.Generation)
		}
	}
	return v1alpha1.ConsentSet{
		Revision: revision, Count: int64(len(ids)), Digest: "sha256:" + hex.EncodeToString(h.Sum(nil)),
	}
}
