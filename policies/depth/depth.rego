# METADATA
# scope: package
# title: Depth
# description: |-
#   A campaign goes no deeper into the relationship than the customer agreed:
#   Basic, Analytics, Tracking, Profiling, each including those before it. They map
#   to the agreements SD-BASE, SD-BASE-A, SD-BASE-AT and SD-BASE-ATP.
# related_resources:
# - ref: https://standards.ieee.org/ieee/7012/7192/
#   description: IEEE 7012, machine readable personal privacy terms
# - ref: https://w3id.org/dpv/standards/p7012
#   description: "the same as modelled by DPV: parties, agreements, status"
# custom:
#   codes: [DepthExceeded]
package codb.rules.depth

import rego.v2

ladder := {"Basic": 1, "Analytics": 2, "Tracking": 3, "Profiling": 4}

deny contains {
	"code": "DepthExceeded",
	"message": "the campaign goes deeper than the customer agreed",
} if {
	not ladder[input.campaign.depth] <= ladder[input.customer.relationship.depth]
}
