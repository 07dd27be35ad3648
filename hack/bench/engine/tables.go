package main

import (
	"slices"

	"github.com/codb-dev/codb/internal/expr"
)

// dictionaries are those whose values the expert looks at.
type dictionaries struct {
	timeZone, birthYear, lifeStage, quietHours, contactWindows, blockedTopics, depth, cap, objectionPurpose *expr.Dict
	grantPurpose, grantChannel, grantTopics, grantStatus, grantType, grantBasis, grantEvent                 *expr.Dict
	sentBrand, sentClass, sentChannel, eventType, eventBrand, eventChannel                                  *expr.Dict
}

// grantTables say by id what an answer is.
type grantTables struct {
	purpose, channel              []bool // the campaign's
	given                         []bool
	code                          []uint8 // of codes
	expressed, implied            []bool
	carries, excused              []bool
	topicMissing                  []bool
	purchase, inquiry, contracted []bool // what implied it
}

// eventTables say by id what came back.
type eventTables struct {
	bounce, complaint, unsubscribe []bool
	purchase, inquiry              []bool
	brand, brandOrNone             []bool
	channelOrNone                  []bool
}

// sentTables say by id what counts for the policy's own cap.
type sentTables struct{ class, brand []bool }

func isOneOf(d *expr.Dict, words ...string) []bool {
	return byID(d, func(w string, there bool) bool { return there && slices.Contains(words, w) })
}

func (x *expert) grants(d dictionaries) {
	c := x.campaign
	t := &x.grant
	t.purpose, t.channel = isOneOf(d.grantPurpose, c.Purpose), isOneOf(d.grantChannel, c.Channel)
	t.given = isOneOf(d.grantStatus, "ConsentGiven", "RenewedConsentGiven")
	t.code = byID(d.grantStatus, func(status string, _ bool) uint8 {
		switch status {
		case "ConsentRequested", "ConsentRequestDeferred":
			return 1
		case "ConsentRefused":
			return 2
		case "ConsentExpired":
			return 3
		case "ConsentWithdrawn", "ConsentRevoked", "ConsentInvalidated":
			return 4
		}
		return 5
	})
	t.expressed = isOneOf(d.grantType, "ExplicitlyExpressedConsent", "ExpressedConsent")
	t.implied = isOneOf(d.grantType, "ImpliedConsent")
	carrying := []string{"Consent"}
	if c.PurposeClass == "Service" {
		carrying = []string{"Consent", "Contract", "LegalObligation", "VitalInterest", "PublicInterest"}
	}
	t.carries = isOneOf(d.grantBasis, carrying...)
	t.excused = isOneOf(d.grantBasis, "Contract", "LegalObligation", "VitalInterest", "PublicInterest", "LegitimateInterest")
	t.topicMissing = byID(d.grantTopics, func(ts []string, _ bool) bool { return len(ts) > 0 && !slices.Contains(ts, c.Topic) })
	t.purchase = isOneOf(d.grantEvent, "Purchase", "Contract")
	t.inquiry = isOneOf(d.grantEvent, "Inquiry")
	t.contracted = isOneOf(d.grantEvent, "Contract")
}

func (x *expert) history(d dictionaries) {
	c := x.campaign
	x.sent = sentTables{class: isOneOf(d.sentClass, "Marketing"), brand: isOneOf(d.sentBrand, c.Brand)}
	or := func(d *expr.Dict, mine string) []bool {
		return byID(d, func(w string, there bool) bool { return !there || w == mine })
	}
	x.event = eventTables{
		bounce: isOneOf(d.eventType, "HardBounce"), complaint: isOneOf(d.eventType, "Complaint"), unsubscribe: isOneOf(d.eventType, "Unsubscribe"),
		purchase: isOneOf(d.eventType, "Purchase"), inquiry: isOneOf(d.eventType, "Inquiry"),
		brand: isOneOf(d.eventBrand, c.Brand), brandOrNone: or(d.eventBrand, c.Brand), channelOrNone: or(d.eventChannel, c.Channel),
	}
}
