# METADATA
# scope: package
# title: Implied consent
# description: How long a purchase, a contract or an inquiry implies a consent.
# related_resources:
# - ref: https://laws-lois.justice.gc.ca/eng/acts/E-1.6/page-2.html
#   description: "CASL, S.C. 2010 c. 23, section 10(9)-(10): two years after a purchase or a contract, six months after an inquiry"
package codb.lib.implied

import rego.v2

import data.codb.lib.calendar

# The law's own limits, in calendar months.
purchase_months := 24

inquiry_months := 6

# holds while at least one act still implies the consent.
holds(grant, purchase, inquiry) if {
	some lapse in lapses(grant, purchase, inquiry)
	input.now < lapse
}

# ends is the first instant after which nothing implies the consent any more.
ends(grant, purchase, inquiry) := max(lapses(grant, purchase, inquiry))

# lapses are the ends of what implies the consent: [act, act + months).
lapses(grant, purchase, inquiry) := stated(grant, purchase, inquiry) | recorded(purchase, inquiry)

stated(grant, purchase, inquiry) := {calendar.plus_months(grant.impliedBy.eventDate, months) |
	begun(grant.impliedBy)
	months := {"Purchase": purchase, "Contract": purchase, "Inquiry": inquiry}[grant.impliedBy.event]
}

# A contract may still be running; a purchase that has not happened implies nothing.
begun(act) if act.event == "Contract"

begun(act) if act.eventDate <= input.now

# Later acts that the ledger knows of start the clock anew, for their own brand.
recorded(purchase, inquiry) := {calendar.plus_months(event.at, months) |
	some event in input.contacts.events
	event.brand == input.campaign.brand
	event.at <= input.now
	months := {"Purchase": purchase, "Inquiry": inquiry}[event.type]
}

# changes are the instants at which holds may become true or false by itself.
changes(grant, purchase, inquiry) := {end |
	end := ends(grant, purchase, inquiry)
	input.now < end
	end < calendar.last
} | {grant.impliedBy.eventDate |
	not begun(grant.impliedBy)
	grant.impliedBy.eventDate < calendar.last
}
