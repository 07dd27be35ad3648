# METADATA
# scope: package
# title: Frequency cap
# description: |-
#   A ceiling on contacts, the policy's and the customer's own. A contact at t is in
#   a Rolling window of length l in [t, t+l); a calendar window runs from midnight, or
#   Monday's midnight, of a stated zone to the next. A cap is about campaigns of the
#   classes and channels that it counts. With MostRestrictive all caps hold; with
#   MostSpecific the customer's own caps, if any is about the campaign, replace the
#   policy's. A customer is held until the first instant at which a contact is free
#   again, and denied by a cap of 0.
# related_resources:
# - ref: https://www.braze.com/docs/user_guide/engagement_tools/campaigns/building_campaigns/rate-limiting
#   description: "Braze: caps per calendar day or week; the most restrictive one is applied"
# - ref: https://docs.mautic.org/en/5.x/contacts/frequency_rules.html
#   description: "Mautic: the contact's own rule replaces the default"
# - ref: https://customer.io/docs/journeys/message-limit/
#   description: "Customer.io: a rolling window, down to the second"
# custom:
#   codes: [FrequencyCapping, MissingTimeZone, UnknownTimeZone]
package codb.rules.frequency_cap

import rego.v2

import data.codb.lib.calendar
import data.codb.lib.scope
import data.codb.lib.zones

general := object.union(data.parameters, {"length": time.parse_duration_ns(data.parameters.length)})

# The policy's cap, where it is about the campaign and nothing replaces it.
caps contains object.union(general, {"whose": "policy's", "brand": input.campaign.brand}) if {
	governs(general)
	not replaced
	data.parameters.brands == "Same"
}

caps contains object.union(general, {"whose": "policy's"}) if {
	governs(general)
	not replaced
	data.parameters.brands == "Any"
}

caps contains object.union(cap, {"whose": "customer's own"}) if some cap in own

replaced if {
	data.parameters.conflict == "MostSpecific"
	count(own) > 0
}

own contains cap if {
	some cap in input.customer.caps
	governs(cap)
}

governs(cap) if {
	scope.applies(cap.counts)
	on_channel(cap)
}

on_channel(cap) if input.campaign.channel in cap.channels

on_channel(cap) if count(object.get(cap, "channels", [])) == 0

# times are the contacts from an instant on that count, oldest first. Two at the
# same instant are two.
times(cap, from) := sort([contact.at |
	brand := object.get(cap, "brand", "")
	some contact in input.contacts.sent
	contact.at >= from
	contact.class in cap.counts
	counted(cap, contact.channel)
	brand in ["", contact.brand]
])

# counted holds for the channels whose contacts a cap counts: those it names, or all.
counted(cap, channel) if channel in cap.channels

counted(cap, _) if count(object.get(cap, "channels", [])) == 0

deny contains {"code": "FrequencyCapping", "message": message(cap)} if {
	some cap in caps
	cap.max == 0
}

deny contains refusal if {
	some cap in caps
	on_customers_clock(cap)
	some refusal in zones.refusals
}

deny contains {
	"code": "UnknownTimeZone",
	"message": sprintf("the time zone of the %s cap is not in the IANA database", [cap.whose]),
} if {
	some cap in caps
	by_calendar(cap)
	not on_customers_clock(cap)
	not zones.known(cap.zone)
}

by_calendar(cap) if cap.window in {"CalendarDay", "CalendarWeek"}

on_customers_clock(cap) if {
	by_calendar(cap)
	cap.zone == "Customer"
}

zone(cap) := input.customer.timeZone if {
	on_customers_clock(cap)
	zones.known(input.customer.timeZone)
}

zone(cap) := cap.zone if zones.known(cap.zone)

hold contains {"code": "FrequencyCapping", "message": message(cap), "until": free(cap)} if some cap in caps

# free is when a contact is free again; undefined while one is.
free(cap) := calendar.later(reached[count(reached) - cap.max], length(cap)) if {
	cap.max > 0
	not by_calendar(cap)
	reached := times(cap, (input.now - length(cap)) + 1)
	count(reached) >= cap.max
}

free(cap) := calendar.first(start(cap) + days(cap), zone(cap)) if {
	cap.max > 0
	by_calendar(cap)
	count(times(cap, calendar.first(start(cap), zone(cap)))) >= cap.max
}

# A window without a length would never end.
length(cap) := object.get(cap, "length", calendar.last)

start(cap) := calendar.midnight(input.now, zone(cap)) if cap.window == "CalendarDay"

start(cap) := calendar.monday(calendar.midnight(input.now, zone(cap))) if cap.window == "CalendarWeek"

days(cap) := calendar.day if cap.window == "CalendarDay"

days(cap) := 7 * calendar.day if cap.window == "CalendarWeek"

message(cap) := sprintf("the %s cap of %d contacts (%s) in a %s window is reached", [
	cap.whose,
	cap.max,
	concat(" and ", cap.counts),
	cap.window,
])

wake contains free(cap) if {
	some cap in caps
	free(cap) < calendar.last
}
