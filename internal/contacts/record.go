// Package contacts says what a record of the contact ledger is and what a
// customer's past amounts to. It is pure: no clock, no client, no logger, and
// it does not know where records are kept or how they travel.
package contacts

import (
	"errors"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// Event is what a record says happened. The list is closed: whoever reads an
// event that it doesn't know must not go on, for it may be a contact.
type Event string

const (
	// Sent: the customer was contacted. Under a permit it is the sender's word
	// that the message went out; the contact is then counted from Redeemed on.
	Sent Event = "Sent"
	// Released: a workload that has a list of its own was let run with the
	// customer in the audience. It counts as a contact from that moment on.
	Released Event = "Released"
	// HardBounce: the channel does not reach the customer.
	HardBounce Event = "HardBounce"
	// Complaint: the customer called a contact unwanted.
	Complaint Event = "Complaint"
	// Unsubscribe: the customer asked a sender for no more.
	Unsubscribe Event = "Unsubscribe"
	// Purchase: the customer bought something of the brand.
	Purchase Event = "Purchase"
	// Inquiry: the customer asked the brand something.
	Inquiry Event = "Inquiry"

	// Drawn: a sender holds a permit for the customer. It takes a place under
	// caps until the permit is redeemed, or is over.
	Drawn Event = "Drawn"
	// Redeemed: the sender was told to hand the message over. It is a contact
	// whatever becomes of the message: nobody knows what a customer saw.
	Redeemed Event = "Redeemed"
	// Expired: a permit was not redeemed in its time.
	Expired Event = "Expired"
	// Voided: a permit was taken back, because the answer for the customer
	// changed.
	Voided Event = "Voided"
	// Returned: a permit was given back unused, or never reached a sender.
	Returned Event = "Returned"
	// Refused: a run asked for the customer and was told no; with a permit, when
	// it was to be redeemed.
	Refused Event = "Refused"
	// Held: a run asked for the customer and was told not yet.
	Held Event = "Held"
	// Failed: the sender could not send.
	Failed Event = "Failed"
	// SoftBounce: the channel did not reach the customer this time.
	SoftBounce Event = "SoftBounce"
	// Converted: the customer did what the contact was for.
	Converted Event = "Converted"
	// Replied: the customer answered.
	Replied Event = "Replied"

	// Restored: the ledger was brought back from a backup. Until is when that was
	// made: what happened since is not known.
	Restored Event = "Restored"
	// Vouched: somebody has made sure that nothing of that is missing. Its key
	// names the restoration.
	Vouched Event = "Vouched"
)

// Contact says whether the record is a contact, which is what caps count.
func (r *Record) Contact() bool {
	switch r.Event {
	case Released, Redeemed:
		return true
	case Sent:
		return r.Permit == ""
	}
	return false
}

// State is where a permit stood when the record was made.
type State string

const (
	StateDrawn    State = "Drawn"
	StateRedeemed State = "Redeemed"
	StateReported State = "Reported"
	StateExpired  State = "Expired"
	StateVoided   State = "Voided"
	StateReleased State = "Released"
)

// Record is one thing that happened to one customer. It never changes once
// it is in the ledger.
type Record struct {
	// Sequence is the record's place in the ledger. The ledger assigns it, from
	// 1 on; it is 0 before.
	Sequence uint64 `json:"sequence,omitempty"`
	// Key makes an append idempotent: the same record under the same key is
	// appended once, another record under it is refused. It must be derived from
	// what happened, so that a retry, even after a crash, has the same one.
	Key string `json:"key"`
	// At is when it happened, by the clock of whoever saw it.
	At time.Time `json:"at"`
	// Principal is the opaque id of the customer.
	Principal string `json:"principal"`
	// Brand that the customer had to do with.
	Brand string `json:"brand"`
	// Purpose of the contact. Absent: unknown.
	Purpose string `json:"purpose,omitempty"`
	// Class of the purpose; a contact has one.
	Class v1alpha1.PurposeClass `json:"class,omitempty"`
	// Channel; contacts and hard bounces have one.
	Channel v1alpha1.Channel `json:"channel,omitempty"`
	// Topic of the contact. Absent: none.
	Topic string `json:"topic,omitempty"`
	// Event is what happened.
	Event Event `json:"event"`
	// Campaign that it happened for. Absent: none that codb knows.
	Campaign Campaign `json:"campaign,omitzero"`
	// Permit that it happened under. Absent: none.
	Permit string `json:"permit,omitempty"`
	// State of that permit.
	State State `json:"state,omitempty"`
	// PolicyDigest identifies the policies that allowed it: sha256:<hex>.
	PolicyDigest string `json:"policyDigest,omitempty"`
	// ConsentRevision is the revision of the consents that it was decided on.
	ConsentRevision string `json:"consentRevision,omitempty"`
	// Until is when a permit that was drawn expires, when a message of one that
	// was redeemed must be handed over, or when somebody held may be asked about
	// again. Of a ledger that was restored, when its backup was made. Absent:
	// unknown, or no such record.
	Until time.Time `json:"until,omitzero"`
	// Reasons are the codes of why the customer was refused or held, or a permit
	// voided; sorted.
	Reasons []string `json:"reasons,omitempty"`
	// Pod is the UID of the pod that drew the permit. Absent: no permit.
	Pod string `json:"pod,omitempty"`
	// Detail is what the sender said of an outcome, or why somebody vouched; it
	// never has an address.
	Detail string `json:"detail,omitempty"`
}

// Campaign is the Campaign object that a record belongs to.
type Campaign struct {
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
	UID        string `json:"uid"`
	Generation int64  `json:"generation"`
	// Job is the UID of the Job that was released. Absent: contacts were not
	// released with a Job.
	Job string `json:"job,omitempty"`
}

// Run is one release of a campaign: a Job, or else a generation of it.
func (c Campaign) Run() Run {
	if c.Job != "" {
		return Run{UID: c.UID, Job: c.Job}
	}
	return Run{UID: c.UID, Generation: c.Generation}
}

// Run tells the releases of one campaign apart.
type Run struct {
	UID        string
	Generation int64
	Job        string
}

// Result is what became of one record of an append.
type Result struct {
	// Sequence of the record; of the earlier one where it is a duplicate, and of
	// the customer's latest where it was not appended.
	Sequence uint64 `json:"sequence"`
	// Duplicate says that the very same record was in the ledger already.
	Duplicate bool `json:"duplicate,omitempty"`
	// Moved says that the record was not appended: the customer has a later one
	// than was seen. Look again, and decide again.
	Moved bool `json:"moved,omitempty"`
}

// Page is a part of the ledger in its order, as of one moment.
type Page struct {
	// Ledger identifies the ledger. Another id is another ledger: nothing that is
	// known of the old one holds.
	Ledger string `json:"ledger"`
	// Sequence is the latest in the ledger.
	Sequence uint64 `json:"sequence"`
	// After is the sequence that the page was asked to follow.
	After uint64 `json:"after"`
	// Records after it, in order, without gaps that will be filled later.
	Records []Record `json:"records"`
}

// CountQuery says which contacts to count.
type CountQuery struct {
	// Since and Until bound the time, [Since, Until). Zero: unbounded.
	Since, Until time.Time
	// Classes and Channels that count. Empty: all.
	Classes  []v1alpha1.PurposeClass
	Channels []v1alpha1.Channel
	// Brand that counts. Empty: all.
	Brand string
}

// ErrConflict says that a key is in the ledger already, for another record.
var ErrConflict = errors.New("the idempotency key belongs to another record")

// ErrFull says that the ledger has no room for the records; nothing of them was
// appended.
var ErrFull = errors.New("the ledger is full")

// ErrUnavailable says that what keeps the ledger does not answer.
var ErrUnavailable = errors.New("the ledger's database does not answer")

// ConflictError names the record of an append whose key is taken.
type ConflictError struct {
	// Index of the record in the append.
	Index int
	// Sequence of the record that has the key.
	Sequence uint64
}
