# METADATA
# scope: package
# title: Opt-in
# description: |-
#   A campaign needs an answer that the customer gave: about its purpose, over its
#   channel, on a legal basis that carries its class. Defaulted, imported, requested
#   and unknown answers are not given ones. An implied consent is excused from being
#   expressed, but never beyond the law's own limits: the rule implied-consent only
#   makes them narrower. Time is judged by the rule validity.
# related_resources:
# - ref: https://eur-lex.europa.eu/eli/reg/2016/679/oj
#   description: GDPR articles 4(11), 6(1) and 7(1)
# - ref: https://eur-lex.europa.eu/eli/dir/2002/58/oj
#   description: ePrivacy directive, article 13
# - ref: https://w3c.github.io/dpv/2.3/dpv/modules/consent_status
#   description: "DPV consent status: what is valid for processing"
# custom:
#   codes: [NoGrant, ChannelNotGranted, ConsentUnknown, ConsentPending, ConsentRefused, ConsentWithdrawn, ConsentExpired, LegalBasisMissing, ImpliedConsentLapsed]
package codb.rules.opt_in

import rego.v2

import data.codb.lib.grants
import data.codb.lib.implied
import data.codb.lib.scope

deny contains {
	"code": "NoGrant",
	"message": sprintf("the customer gave the brand no answer about the purpose %s", [scope.purpose]),
} if {
	count(grants.matching) == 0
	not given_elsewhere
}

deny contains {
	"code": "ChannelNotGranted",
	"message": sprintf("the customer allows the purpose %s, but not over %s", [scope.purpose, scope.channel]),
} if {
	count(grants.matching) == 0
	given_elsewhere
}

given_elsewhere if {
	some grant in grants.all
	grant.purpose == input.campaign.purpose
	grants.given(grant)
}

deny contains {"code": code, "message": grants.messages[code]} if {
	some i in grants.matching
	not grants.given(grants.all[i])
	code := grants.code(grants.all[i])
}

deny contains {
	"code": "LegalBasisMissing",
	"message": "the legal basis of the customer's answer does not carry a campaign of this class",
} if {
	some i in grants.matching
	grants.given(grants.all[i])
	not carries(grants.all[i])
}

carries(grant) if {
	input.campaign.purposeClass == "Marketing"
	grant.legalBasis in data.parameters.marketingBases
}

carries(grant) if {
	input.campaign.purposeClass == "Service"
	grant.legalBasis in data.parameters.serviceBases
}

deny contains {
	"code": "ImpliedConsentLapsed",
	"message": "the consent is implied, and what implied it is too long ago, not known or still to come",
} if {
	some i in grants.matching
	grants.implied(grants.all[i])
	not implied.holds(grants.all[i], implied.purchase_months, implied.inquiry_months)
}

wake contains instant if {
	some i in grants.matching
	grants.implied(grants.all[i])
	some instant in implied.changes(grants.all[i], implied.purchase_months, implied.inquiry_months)
}
