# METADATA
# scope: package
# title: Objection
# description: |-
#   An objection beats every answer of any date and counts at once. One to direct
#   marketing covers every campaign of class Marketing; one to profiling covers every
#   campaign of depth Profiling.
# related_resources:
# - ref: https://eur-lex.europa.eu/eli/reg/2016/679/oj
#   description: "GDPR article 21(2)-(3): after an objection, no processing for direct marketing, profiling included"
# custom:
#   codes: [Objected]
package codb.rules.objection

import rego.v2

deny contains {"code": "Objected", "message": "the customer objected to this use"} if {
	some objection in input.customer.relationship.objections
	covers(objection.purpose)
}

covers(purpose) if purpose == input.campaign.purpose

covers(purpose) if {
	purpose in data.parameters.marketing
	not input.campaign.purposeClass == "Service"
}

covers(purpose) if {
	purpose in data.parameters.profiling
	input.campaign.depth == "Profiling"
}
