package sender

import (
	"slices"
	"time"
)

// What the gate's API speaks; docs/gate-openapi.yaml describes it.
type (
	drawRequest struct {
		Max  int    `json:"max"`
		Wait string `json:"wait"`
	}
	drawAnswer struct {
		Permits   []permit  `json:"permits"`
		Exhausted bool      `json:"exhausted"`
		Held      int       `json:"held"`
		Next      time.Time `json:"next,omitzero"`
	}
	// permit is for one person, once.
	permit struct {
		ID        string    `json:"permit"`
		Principal string    `json:"principal"`
		Channel   string    `json:"channel"`
		Purpose   string    `json:"purpose"`
		Topic     string    `json:"topic,omitempty"`
		Language  string    `json:"language,omitempty"`
		Expires   time.Time `json:"expires,omitzero"`
	}

	redeemRequest struct {
		Permits []string `json:"permits"`
	}
	redeemAnswer struct {
		Results []redeemed `json:"results"`
	}
	redeemed struct {
		Permit     string    `json:"permit"`
		State      string    `json:"state"`
		HandOverBy time.Time `json:"handOverBy,omitzero"`
		Reasons    []reason  `json:"reasons,omitempty"`
	}
	reason struct {
		Code    string `json:"code"`
		Message string `json:"message,omitempty"`
	}

	releaseRequest struct {
		Permits []string `json:"permits"`
	}
	releaseAnswer struct {
		Results []given `json:"results"`
	}
	given struct {
		Permit string `json:"permit"`
		State  string `json:"state"`
	}

	reportRequest struct {
		Outcomes []outcome `json:"outcomes"`
	}
	reportAnswer struct {
		Results []recorded `json:"results"`
	}
	recorded struct {
		Permit   string `json:"permit"`
		Recorded bool   `json:"recorded"`
		Why      string `json:"why,omitempty"`
	}

	// problem is an error as the API tells it (RFC 9457).
	problem struct {
		Title  string `json:"title"`
		Detail string `json:"detail,omitempty"`
		Remedy string `json:"remedy,omitempty"`
	}
)

// The states of a permit after its redemption.
const (
	stateRedeemed        = "Redeemed"
	stateRefused         = "Refused"
	stateAlreadyRedeemed = "AlreadyRedeemed"
)

// What the sender and the resolver speak, a line each.
type (
	// person is what the sender reads.
	person struct {
		Permit    string `json:"permit"`
		Principal string `json:"principal"`
		Address   string `json:"address,omitempty"`
		Channel   string `json:"channel"`
		Purpose   string `json:"purpose"`
		Topic     string `json:"topic,omitempty"`
		Language  string `json:"language,omitempty"`
	}
	// outcome is what the sender writes, and what the gate is told.
	outcome struct {
		Permit  string `json:"permit"`
		Outcome string `json:"outcome"`
		Detail  string `json:"detail,omitempty"`
	}
	// whereabouts is what the resolver reads, without the address, and writes.
	whereabouts struct {
		Principal string `json:"principal"`
		Channel   string `json:"channel,omitempty"`
		Language  string `json:"language,omitempty"`
		Address   string `json:"address,omitempty"`
	}
)

const (
	outcomeSent   = "Sent"
	outcomeFailed = "Failed"
)

// outcomes are the words that a sender may say.
var outcomes = []string{outcomeSent, outcomeFailed, "Bounced", "HardBounce", "Complained", "Unsubscribed", "Converted", "Replied"}

func isOutcome(word string) bool { return slices.Contains(outcomes, word) }
