// Package decision says what follows from the answers for each customer: one
// verdict per person, one per campaign, reasons, digests, and until when they
// hold. It is pure: no clock, no client, no logger, and it does not know how
// policies are evaluated.
package decision

import (
	"context"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consent"
)

// Campaign is what policies may know about a campaign.
type Campaign struct {
	Name         string `json:"name"`
	Namespace    string `json:"namespace"`
	Brand        string `json:"brand"`
	Purpose      string `json:"purpose"`
	PurposeClass string `json:"purposeClass"` // Marketing or Service
	Channel      string `json:"channel"`
	Topic        string `json:"topic,omitempty"`
	Depth        string `json:"depth"`
	Owner        string `json:"owner,omitempty"`
	// HoldoutPercent is 0 where the campaign has no holdout.
	HoldoutPercent int32 `json:"holdoutPercent"`
}

// Contacts is what the ledger says of one customer's past. Contacts that the
// campaign's own present run made are not in it.
type Contacts struct {
	// Sent are contacts that happened or were released, newest first, as far
	// back as the longest cap looks.
	Sent []Contact `json:"sent,omitempty"`
	// Events are what came back or happened: HardBounce, Complaint,
	// Unsubscribe, Purchase, Inquiry; newest first.
	Events []Event `json:"events,omitempty"`
}

// Contact is one contact of the past.
type Contact struct {
	At      int64  `json:"at"` // nanoseconds since 1970 UTC
	Brand   string `json:"brand"`
	Purpose string `json:"purpose,omitempty"`
	Class   string `json:"class"`
	Channel string `json:"channel"`
	Topic   string `json:"topic,omitempty"`
}

// Event is something of the past that starts or stops a clock.
type Event struct {
	Type    string `json:"type"`
	At      int64  `json:"at"`
	Brand   string `json:"brand,omitempty"`
	Channel string `json:"channel,omitempty"`
}

// Subject is one customer with the past, as policies see them.
type Subject struct {
	Person   consent.Person `json:"customer"`
	Contacts Contacts       `json:"contacts"`
}

// Question asks about many customers of one campaign at one instant.
type Question struct {
	// Now has whole seconds; policies see it in nanoseconds.
	Now      time.Time
	Campaign Campaign
	Subjects []Subject
}

// Answer is what the policies say of one customer: no reasons mean Allow.
type Answer struct {
	// Reasons are sorted and without duplicates.
	Reasons []Reason
	// StaleAt is the first instant at which the answer can change by itself;
	// zero: never.
	StaleAt time.Time
}

// Reason is one ground for not contacting a customer now.
type Reason struct {
	Code    string
	Verdict v1alpha1.Verdict // Deny or Hold
	Message string
	Policy  string
	Rule    string
	Mode    v1alpha1.PolicyMode
	// Until is when a Hold ends; zero: unknown.
	Until time.Time
}

// Judge answers questions under one fixed set of policies. A policy that is
// broken for a customer is an answer (Deny, CodeEvaluationFailed); an error
// means that the question could not be asked, and then nothing may be released.
type Judge interface {
	Judge(ctx context.Context, q Question) ([]Answer, error)
	// Digest identifies everything that the answers depend on besides the
	// question: sha256:<hex>.
	Digest() string
}
