# METADATA
# scope: package
# title: Holdout
# description: |-
#   A stable random share of the audience stays un-contacted, to measure what the
#   campaign does. A customer's place among 10,000 is fixed for the campaign.
# related_resources:
# - ref: https://www.braze.com/docs/user_guide/engagement_tools/testing/global_control_group
#   description: "Braze: ranges of random bucket numbers 0-9999"
# custom:
#   codes: [HeldOut]
package codb.rules.holdout

import rego.v2

deny contains {"code": "HeldOut", "message": "the campaign's holdout keeps the customer un-contacted"} if {
	input.campaign.holdoutPercent > 0
	not input.customer.bucket >= input.campaign.holdoutPercent * 100
}
