# METADATA
# scope: package
# title: Refusal cool-down
# description: |-
#   Who refused is not asked again for a time. A refusal is an answer to the brand
#   that is refused, withdrawn, revoked or invalidated, an objection, or an opt-out,
#   over whatever channel; the latest counts. It is about campaigns whose purpose is
#   to ask for consent.
# related_resources:
# - ref: https://leginfo.legislature.ca.gov/faces/codes_displaySection.xhtml?lawCode=CIV&sectionNum=1798.135
#   description: "CCPA, Cal. Civ. Code 1798.135(c)(4): no asking again for at least 12 months"
# - ref: https://iabeurope.eu/tcf-faqs/
#   description: authorities' guidance on asking again, 6 to 24 months
# custom:
#   codes: [RefusalCoolDown]
package codb.rules.refusal_cool_down

import rego.v2

import data.codb.lib.calendar
import data.codb.lib.grants

asks if input.campaign.purpose in data.parameters.purposes

refused contains grant.captureDate if {
	some grant in grants.all
	grants.code(grant) in {"ConsentRefused", "ConsentWithdrawn"}
}

refused contains objection.since if some objection in input.customer.relationship.objections

refused contains input.customer.optOut.since

over := calendar.later(max(refused), data.parameters.days * calendar.day)

hold contains {
	"code": "RefusalCoolDown",
	"message": sprintf("the customer refused less than %d days ago and is not asked again", [data.parameters.days]),
	"until": over,
} if {
	asks
	input.now < over
}

wake contains over if {
	asks
	input.now < over
	over < calendar.last
}
