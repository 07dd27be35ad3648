# METADATA
# scope: package
# title: Withdrawal
# description: |-
#   An opt-out stops all marketing at once, whatever its date. An answer that was
#   withdrawn, revoked, invalidated or refused stops campaigns of every class that
#   would rest on it.
# related_resources:
# - ref: https://eur-lex.europa.eu/eli/reg/2016/679/oj
#   description: GDPR article 7(3), withdrawing is as easy as giving
# - ref: https://www.ecfr.gov/current/title-47/section-64.1200
#   description: 47 CFR 64.1200(a)(10), revocation by any reasonable means
# - ref: https://www.rfc-editor.org/rfc/rfc8058
#   description: One-click unsubscribe
# custom:
#   codes: [OptedOut, ConsentWithdrawn, ConsentRefused]
package codb.rules.withdrawal

import rego.v2

import data.codb.lib.grants
import data.codb.lib.scope

deny contains {"code": "OptedOut", "message": "the customer opted out"} if {
	scope.applies(data.parameters.classes)
	input.customer.optOut
}

deny contains {"code": code, "message": grants.messages[code]} if {
	some i in grants.matching
	some code in ["ConsentWithdrawn", "ConsentRefused"]
	code == grants.code(grants.all[i])
}
