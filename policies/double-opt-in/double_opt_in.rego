# METADATA
# scope: package
# title: Double opt-in
# description: |-
#   Over some channels a consent counts only once it was confirmed by the owner of
#   the address. Consents that are implied, and answers on another legal basis, have
#   nothing to confirm.
# related_resources:
# - ref: https://www.gesetze-im-internet.de/englisch_uwg/englisch_uwg.html
#   description: UWG section 7(2), prior express consent; German courts accept it as proven by double opt-in
# - ref: https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_contactpointtypeconsent.htm
#   description: DoubleConsentCaptureDate of ContactPointTypeConsent
# custom:
#   codes: [ConsentPending]
package codb.rules.double_opt_in

import rego.v2

import data.codb.lib.calendar
import data.codb.lib.grants
import data.codb.lib.scope

deny contains {
	"code": "ConsentPending",
	"message": sprintf("the customer has not confirmed the consent for %s", [scope.channel]),
} if {
	some i in unproven
	not confirmed(grants.all[i])
}

confirmed(grant) if {
	grants.given(grant)
	grant.doubleConsentCaptureDate <= input.now
}

unproven contains i if {
	demanded
	some i in grants.matching
	asked_or_given(grants.all[i])
	not excused(grants.all[i])
}

demanded if input.campaign.channel in data.parameters.channels

asked_or_given(grant) if grants.given(grant)

asked_or_given(grant) if grants.code(grant) == "ConsentPending"

excused(grant) if grant.consentType == "ImpliedConsent"

excused(grant) if {
	some basis in ["Contract", "LegalObligation", "VitalInterest", "PublicInterest", "LegitimateInterest"]
	basis == grant.legalBasis
}

wake contains grants.all[i].doubleConsentCaptureDate if {
	some i in unproven
	input.now < grants.all[i].doubleConsentCaptureDate
	grants.all[i].doubleConsentCaptureDate < calendar.last
}
