# METADATA
# scope: package
# title: Life stage
# description: |-
#   Some topics are kept away from people in some stages of life. A campaign that
#   states no topic could be about any.
# related_resources:
# - ref: https://eur-lex.europa.eu/eli/dir/2005/29/oj
#   description: Unfair Commercial Practices Directive, article 5(3), consumers who are particularly vulnerable
# custom:
#   codes: [LifeStageExcluded, LifeStageUnknown]
package codb.rules.life_stage

import rego.v2

import data.codb.lib.scope

deny contains {
	"code": "LifeStageExcluded",
	"message": "the policy keeps the campaign's topic away from people in the customer's stage of life",
} if {
	sensitive
	input.customer.lifeStage in data.parameters.stages
}

deny contains {"code": "LifeStageUnknown", "message": "the customer's stage of life is not known"} if {
	sensitive
	count(data.parameters.stages) > 0
	data.parameters.unknown == "Deny"
	not input.customer.lifeStage
}

sensitive if {
	scope.applies(data.parameters.classes)
	about_topic
}

about_topic if count(data.parameters.topics) == 0

about_topic if input.campaign.topic in data.parameters.topics

about_topic if not input.campaign.topic
