# METADATA
# scope: package
# title: Channel
# description: |-
#   What a company or a law demands of a channel, whatever the customer granted:
#   channels that are not used at all, and channels over which an implied consent is
#   not enough. Whether the customer granted the channel is judged by opt-in.
# related_resources:
# - ref: https://eur-lex.europa.eu/eli/dir/2002/58/oj
#   description: ePrivacy directive, article 13(1), prior consent for calls by machine, fax and e-mail
# - ref: https://www.ecfr.gov/current/title-47/section-64.1200
#   description: 47 CFR 64.1200(a)(2), prior express written consent for telemarketing calls and texts
# custom:
#   codes: [ChannelNotAllowed, ExpressedConsentMissing]
package codb.rules.channel

import rego.v2

import data.codb.lib.grants
import data.codb.lib.scope

deny contains {
	"code": "ChannelNotAllowed",
	"message": sprintf("the policy does not allow campaigns over %s", [scope.channel]),
} if {
	not input.campaign.channel in data.parameters.allowed
}

deny contains {
	"code": "ExpressedConsentMissing",
	"message": sprintf("an implied consent is not enough for %s", [scope.channel]),
} if {
	input.campaign.channel in data.parameters.expressed
	some i in grants.matching
	not grants.expressed(grants.all[i])
}
