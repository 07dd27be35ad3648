# METADATA
# scope: package
# title: Suppression
# description: |-
#   What came back from earlier contacts stops later ones. A bounce is about a
#   channel, whoever wrote; a complaint or an unsubscribe is about a brand, whatever
#   the channel. What an event does not say counts against the campaign. A customer
#   who consents anew after the event is no longer suppressed by it.
# related_resources:
# - ref: https://www.rfc-editor.org/rfc/rfc8058
#   description: One-click unsubscribe
# - ref: https://www.ftc.gov/business-guidance/resources/can-spam-act-compliance-guide-business
#   description: "CAN-SPAM: an opt-out is honoured and does not lapse"
# - ref: https://support.google.com/a/answer/81126
#   description: "Gmail's sender guidelines: unsubscribe, complaints, bounces"
# custom:
#   codes: [Suppressed]
package codb.rules.suppression

import rego.v2

import data.codb.lib.calendar
import data.codb.lib.grants
import data.codb.lib.scope

deny contains {
	"code": "Suppressed",
	"message": sprintf("an earlier contact ended in a %s", [event.type]),
} if {
	some event in input.contacts.events
	event.type in data.parameters.after
	concerns(event)
	not lifted(event)
}

concerns(event) if {
	event.type == "HardBounce"
	same(event, "channel", data.parameters.bouncesOf)
}

concerns(event) if {
	event.type in {"Complaint", "Unsubscribe"}
	scope.applies(data.parameters.classes)
	same(event, "brand", data.parameters.complaintsTo)
}

same(_, _, "Any")

same(event, field, "Same") if event[field] == input.campaign[field]

# An event that does not say where it happened counts everywhere.
same(event, field, "Same") if not event[field]

lifted(event) if {
	data.parameters.renewedConsent == "Lifts"
	event.at < renewed
}

# renewed is when the customer last consented in so many words.
renewed := max({grants.all[i].captureDate |
	some i in grants.matching
	grants.given(grants.all[i])
	grants.expressed(grants.all[i])
	grants.all[i].captureDate <= input.now
})

# A consent that is captured in time to come may lift a suppression then.
wake contains grants.all[i].captureDate if {
	count(input.contacts.events) > 0
	some i in grants.matching
	input.now < grants.all[i].captureDate
	grants.all[i].captureDate < calendar.last
}
