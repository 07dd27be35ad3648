// Package permit says what may become of a permit to contact one customer, and
// who is next to be asked about. It is pure: no clock, no client, no logger,
// and it does not know how policies answer or where records are kept.
//
// A permit is Drawn, and then either Redeemed and Reported, or over: Expired,
// Voided or Released. From Drawn on it takes a place under every cap. Redeemed
// keeps that place for good, whatever is reported of it; what is over gives it
// back. Time alone gives nothing back: a permit that has expired can't be
// redeemed any more, but its place is free only once the ledger says Expired, so
// that no two clocks can disagree about a cap. All there is to know follows from
// the ledger's records, so that a crash loses nothing.
//
//	Drawn     withdrawal, policy change, hold, end of the campaign: refused when
//	          redeemed, and voided as soon as that is noticed; the sender stops:
//	          released; its pod is gone: voided; crash: expires
//	Redeemed  nothing takes it back: the message may be on its way. It must be
//	          handed over within HandOver
//	over      the customer may be drawn again by the same run, if allowed then
package permit

import (
	"slices"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/decision"
)

const (
	// Life is how long a permit can be redeemed. A sender that dies keeps its
	// customers from others for so long.
	Life = 2 * time.Minute
	// HandOver is within what time after it was redeemed a message must be
	// handed over.
	HandOver = 10 * time.Second
)

// Permit is what the ledger says of one permit.
type Permit struct {
	ID        string
	Principal string
	Pod       string
	State     contacts.State
	// Until is when it expires; once it was redeemed, until when the message
	// must be handed over.
	Until time.Time

	about    *purpose
	outcomes uint16 // that were reported, by their place in the list
}

// purpose is what few permits differ in.
type purpose struct {
	campaign              contacts.Campaign
	brand, purpose, topic string
	class                 v1alpha1.PurposeClass
	channel               v1alpha1.Channel
}

// outcomes are what a sender may report, and what becomes of them in the ledger.
var outcomes = []struct {
	Outcome string
	event   contacts.Event
}{
	{"Sent", contacts.Sent}, {"Failed", contacts.Failed},
	{"Bounced", contacts.SoftBounce}, {"HardBounce", contacts.HardBounce},
	{"Complained", contacts.Complaint}, {"Unsubscribed", contacts.Unsubscribe},
	{"Converted", contacts.Converted}, {"Replied", contacts.Replied},
}

// Outcomes are the words for what a sender may report.
func Outcomes() []string {
	out := make([]string, len(outcomes))
	for i, o := range outcomes {
		out[i] = o.Outcome
	}
	return out
}

func outcome(word string) int {
	for i := range outcomes {
		if outcomes[i].Outcome == word {
			return i
		}
	}
	return -1
}

// Run that drew the permit.
func (p *Permit) Run() contacts.Run { return p.about.campaign.Run() }

// Campaign that the permit was drawn for, as it was then.
func (p *Permit) Campaign() contacts.Campaign { return p.about.campaign }

// Lapsed says that the permit can't be redeemed any more, but still takes its
// place.
func (p *Permit) Lapsed(now time.Time) bool {
	return p.State == contacts.StateDrawn && !now.Before(p.Until)
}

// Terms are what a permit is decided on.
type Terms struct {
	Campaign        contacts.Campaign
	Facts           decision.Campaign
	PolicyDigest    string
	ConsentRevision string
}

func (t *Terms) record(principal string, now time.Time) contacts.Record {
	return contacts.Record{
		At: now, Principal: principal, Brand: t.Facts.Brand, Purpose: t.Facts.Purpose,
		Class: v1alpha1.PurposeClass(t.Facts.PurposeClass), Channel: v1alpha1.Channel(t.Facts.Channel), Topic: t.Facts.Topic,
		Campaign: t.Campaign, PolicyDigest: t.PolicyDigest, ConsentRevision: t.ConsentRevision,
	}
}

// Draw is the record that makes a permit. The id must be new.
func (t *Terms) Draw(id, pod, principal string, now time.Time) contacts.Record {
	r := t.record(principal, now)
	r.Key, r.Event, r.Permit, r.State = "permit/"+id, contacts.Drawn, id, contacts.StateDrawn
	r.Pod, r.Until = pod, now.Add(Life)
	return r
}

// Note is the record that somebody was asked about and refused, or held until
// an instant. The key must be new.
func (t *Terms) Note(key, principal string, now time.Time, reasons []decision.Reason) contacts.Record {
	r := t.record(principal, now)
	r.Key, r.Event, r.Reasons = key, contacts.Refused, Codes(reasons)
	if decision.Personal(reasons) == v1alpha1.VerdictHold {
		r.Event, r.Until = contacts.Held, decision.Until(reasons)
	}
	return r
}

// Redeem is the record that the message may be handed over, on the terms of now.
func (p *Permit) Redeem(t *Terms, key string, now time.Time) contacts.Record {
	r := p.record(key, contacts.Redeemed, contacts.StateRedeemed, now)
	r.Until = now.Add(HandOver)
	r.PolicyDigest, r.ConsentRevision = t.PolicyDigest, t.ConsentRevision
	return r
}

// Refuse is the record that the permit was to be redeemed, and is void instead.
func (p *Permit) Refuse(t *Terms, key string, now time.Time, reasons []decision.Reason) contacts.Record {
	r := p.record(key, contacts.Refused, contacts.StateVoided, now)
	r.PolicyDigest, r.ConsentRevision, r.Reasons = t.PolicyDigest, t.ConsentRevision, Codes(reasons)
	return r
}

// Void is the record that the permit is taken back.
func (p *Permit) Void(key string, now time.Time, codes ...string) contacts.Record {
	r := p.record(key, contacts.Voided, contacts.StateVoided, now)
	r.Reasons = slices.Compact(slices.Sorted(slices.Values(codes)))
	return r
}

// Expire is the record that gives back the place of a lapsed permit.
func (p *Permit) Expire(key string, now time.Time) contacts.Record {
	return p.record(key, contacts.Expired, contacts.StateExpired, now)
}

// Return is the record that the permit is given back unused: by the sender, or
// because it never reached one.
func (p *Permit) Return(key string, now time.Time) contacts.Record {
	return p.record(key, contacts.Returned, contacts.StateReleased, now)
}

// Report is the record of an outcome; Book.Report says whether there is one to
// write.
func (p *Permit) Report(word, detail, key string, now time.Time) contacts.Record {
	r := p.record(key, outcomes[outcome(word)].event, contacts.StateReported, now)
	r.Detail = detail
	return r
}

func (p *Permit) record(key string, e contacts.Event, s contacts.State, now time.Time) contacts.Record {
	return contacts.Record{
		Key: key, At: now, Principal: p.Principal, Brand: p.about.brand, Purpose: p.about.purpose, Class: p.about.class,
		Channel: p.about.channel, Topic: p.about.topic, Campaign: p.about.campaign, Event: e, Permit: p.ID, State: s, Pod: p.Pod,
	}
}

// Codes are the codes of reasons that have an effect, sorted, each once.
func Codes(reasons []decision.Reason) []string {
	var out []string
	for i := range reasons {
		if reasons[i].Mode != v1alpha1.ModeAudit {
			out = append(out, reasons[i].Code)
		}
	}
	slices.Sort(out)
	out = slices.Compact(out)
	return out[:min(len(out), 64)] // as many as a record takes
}
