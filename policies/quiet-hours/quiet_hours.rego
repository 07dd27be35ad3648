# METADATA
# scope: package
# title: Quiet hours
# description: |-
#   No contact in the law's or the company's quiet hours, nor in the customer's own,
#   by the customer's own clock: a window starts at start, included, and stops at
#   end, excluded; an end at or before start lies on the next day. Windows that
#   overlap or touch are one. Without a known time zone nothing is allowed, since no
#   other zone may stand in. A night in autumn on which an hour comes twice is quiet
#   in both passes; a time that spring skips is read as the first instant after it.
# related_resources:
# - ref: https://www.ecfr.gov/current/title-47/section-64.1200
#   description: 47 CFR 64.1200(c)(1), no telephone solicitation before 8 a.m. or after 9 p.m. at the called party's location
# - ref: https://www.trai.gov.in/telecom-commercial-communications-customer-preference-regulations
#   description: "TRAI TCCCPR 2018: time bands of a customer's preference"
# custom:
#   codes: [QuietHours, MissingTimeZone, UnknownTimeZone]
package codb.rules.quiet_hours

import rego.v2

import data.codb.lib.scope
import data.codb.lib.windows
import data.codb.lib.zones

default general := []

general := [{
	"days": data.parameters.days,
	"start": windows.minutes(data.parameters.start),
	"end": windows.minutes(data.parameters.end),
}] if {
	input.campaign.channel in data.parameters.channels
}

default own := []

own := input.customer.quietHours

all := array.concat(general, own)

needed if {
	scope.applies(data.parameters.classes)
	count(all) > 0
}

spans := windows.closed(all, input.customer.timeZone, input.now) if {
	needed
	zones.known(input.customer.timeZone)
}

deny contains refusal if {
	needed
	some refusal in zones.refusals
}

quiet if windows.inside(spans, windows.minute(input.now))

hold contains {"code": "QuietHours", "message": message, "until": windows.ends(spans, input.now)} if quiet

hold contains {"code": "QuietHours", "message": message} if {
	quiet
	not windows.ends(spans, input.now)
}

message := "it is quiet hours where the customer is"

wake contains windows.ends(spans, input.now) if quiet

wake contains windows.begins(spans, input.now) if not quiet
