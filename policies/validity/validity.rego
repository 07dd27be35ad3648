# METADATA
# scope: package
# title: Validity
# description: |-
#   An answer counts in [effectiveFrom, effectiveTo), and never before it was
#   captured. Before, the customer is held; from effectiveTo on, denied.
# related_resources:
# - ref: https://www.iso.org/standard/80392.html
#   description: "ISO/IEC TS 27560: event time and validity duration of a consent record"
# - ref: https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_contactpointtypeconsent.htm
#   description: "EffectiveFrom and EffectiveTo of ContactPointTypeConsent"
# custom:
#   codes: [ConsentExpired, ConsentNotYetEffective]
package codb.rules.validity

import rego.v2

import data.codb.lib.calendar
import data.codb.lib.grants

deny contains {"code": "ConsentExpired", "message": grants.messages.ConsentExpired} if {
	some i in grants.matching
	expired(grants.all[i])
}

expired(grant) if grant.effectiveTo <= input.now

expired(grant) if grant.status == "ConsentExpired"

hold contains {
	"code": "ConsentNotYetEffective",
	"message": "the consent does not count yet",
	"until": grants.starts(grants.all[i]),
} if {
	some i in grants.matching
	input.now < grants.starts(grants.all[i])
}

wake contains edge if {
	some i in grants.matching
	some edge in [grants.starts(grants.all[i]), object.get(grants.all[i], "effectiveTo", 0)]
	input.now < edge
	edge < calendar.last
}
