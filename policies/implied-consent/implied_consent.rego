# METADATA
# scope: package
# title: Implied consent
# description: |-
#   A consent that a purchase, a contract or an inquiry implies lapses after some
#   calendar months, at the same time of day in UTC; in a shorter month on its last
#   day. A purchase or an inquiry with the same brand that the ledger knows of starts
#   the clock anew. opt-in keeps to the law's own limits in any case; this rule makes
#   them narrower.
# related_resources:
# - ref: https://laws-lois.justice.gc.ca/eng/acts/E-1.6/page-2.html
#   description: "CASL, S.C. 2010 c. 23, section 10(9)-(10): two years after a purchase or a contract, six months after an inquiry"
# - ref: https://crtc.gc.ca/eng/com500/guide.htm
#   description: CRTC's guide to consent under CASL
# custom:
#   codes: [ImpliedConsentLapsed]
package codb.rules.implied_consent

import rego.v2

import data.codb.lib.grants
import data.codb.lib.implied

deny contains {
	"code": "ImpliedConsentLapsed",
	"message": sprintf("the consent is implied, and no purchase or contract within %d months nor inquiry within %d implies it", [
		data.parameters.purchaseMonths,
		data.parameters.inquiryMonths,
	]),
} if {
	some i in grants.matching
	grants.implied(grants.all[i])
	not implied.holds(grants.all[i], data.parameters.purchaseMonths, data.parameters.inquiryMonths)
}

wake contains instant if {
	some i in grants.matching
	grants.implied(grants.all[i])
	some instant in implied.changes(grants.all[i], data.parameters.purchaseMonths, data.parameters.inquiryMonths)
}
