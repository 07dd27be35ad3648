# METADATA
# scope: package
# title: Grants
# description: The customer's answers that a campaign can rest on.
package codb.lib.grants

import rego.v2

# all are the customer's answers to the campaign's brand; none, if there is no
# relationship.
default all := []

all := input.customer.relationship.grants

# matching are the places in all of the answers about the campaign's purpose and
# channel. The API admits one at most; were there several, each must do.
matching contains i if {
	some i, grant in all
	grant.purpose == input.campaign.purpose
	grant.channel == input.campaign.channel
}

# Only these two justify a contact.
given(grant) if grant.status in {"ConsentGiven", "RenewedConsentGiven"}

# Whatever is not known to be expressed is implied at most.
expressed(grant) if grant.consentType in {"ExplicitlyExpressedConsent", "ExpressedConsent"}

# implied holds for a given answer that rests on an act and not on words.
implied(grant) if {
	given(grant)
	not expressed(grant)
}

# code says why the status of a grant that is not given refuses.
code(grant) := object.get(codes, object.get(grant, "status", ""), "ConsentUnknown")

codes := {
	"ConsentRequested": "ConsentPending",
	"ConsentRequestDeferred": "ConsentPending",
	"ConsentRefused": "ConsentRefused",
	"ConsentExpired": "ConsentExpired",
	"ConsentWithdrawn": "ConsentWithdrawn",
	"ConsentRevoked": "ConsentWithdrawn",
	"ConsentInvalidated": "ConsentWithdrawn",
	"ConsentUnknown": "ConsentUnknown",
}

messages := {
	"ConsentPending": "the customer was asked and has not answered yet",
	"ConsentRefused": "the customer refused",
	"ConsentExpired": "the consent has expired",
	"ConsentWithdrawn": "the consent was withdrawn, revoked or invalidated",
	"ConsentUnknown": "it is not known that the customer consented; a defaulted answer is not a given one",
}

# starts is the first instant at which a grant counts: not before it was captured.
starts(grant) := max([
	object.get(grant, "captureDate", 9223372036854775807),
	object.get(grant, "effectiveFrom", 0),
])
