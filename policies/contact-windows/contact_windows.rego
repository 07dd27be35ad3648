# METADATA
# scope: package
# title: Contact windows
# description: |-
#   A customer who states times for contacts is contacted at those times only, by
#   the customer's own clock; a customer who states none is not held by this rule. A
#   window starts at start, included, and stops at end, excluded. At a time that the
#   clock shows twice in autumn it starts at the second pass and ends at the first.
# related_resources:
# - ref: https://www.trai.gov.in/telecom-commercial-communications-customer-preference-regulations
#   description: "TRAI TCCCPR 2018: time bands and day types of a customer's preference"
# custom:
#   codes: [OutsideContactWindow, MissingTimeZone, UnknownTimeZone]
package codb.rules.contact_windows

import rego.v2

import data.codb.lib.scope
import data.codb.lib.windows
import data.codb.lib.zones

needed if {
	scope.applies(data.parameters.classes)
	count(input.customer.contactWindows) > 0
}

spans := windows.open(input.customer.contactWindows, input.customer.timeZone, input.now) if {
	needed
	zones.known(input.customer.timeZone)
}

deny contains refusal if {
	needed
	some refusal in zones.refusals
}

open if windows.inside(spans, windows.minute(input.now))

outside if {
	spans
	not open
}

hold contains {"code": "OutsideContactWindow", "message": message, "until": windows.begins(spans, input.now)} if outside

hold contains {"code": "OutsideContactWindow", "message": message} if {
	outside
	not windows.begins(spans, input.now)
}

message := "it is not one of the times at which the customer wants to be contacted"

wake contains windows.begins(spans, input.now) if outside

wake contains windows.ends(spans, input.now) if open
