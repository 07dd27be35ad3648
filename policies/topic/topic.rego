# METADATA
# scope: package
# title: Topic
# description: |-
#   The answer must cover the campaign's topic, and the customer must not have
#   blocked it. A campaign that states no topic could be about any: an answer for
#   certain topics does not cover it, and a customer who blocks topics is not reached.
# related_resources:
# - ref: https://customer.io/docs/journeys/subscriptions/
#   description: "Customer.io's subscription centre: topic and channel must both be subscribed"
# - ref: https://www.trai.gov.in/telecom-commercial-communications-customer-preference-regulations
#   description: "TRAI TCCCPR 2018: preferences by category of content"
# custom:
#   codes: [TopicNotGranted, TopicBlocked, TopicNotStated]
package codb.rules.topic

import rego.v2

import data.codb.lib.grants

deny contains {
	"code": "TopicNotGranted",
	"message": "the customer's answer is for certain topics, and the campaign's is not among them",
} if {
	some i in grants.matching
	count(grants.all[i].topics) > 0
	not input.campaign.topic in grants.all[i].topics
}

deny contains {
	"code": "TopicBlocked",
	"message": "the customer blocked the campaign's topic",
} if {
	input.campaign.topic in input.customer.blockedTopics
}

deny contains {
	"code": "TopicNotStated",
	"message": "the customer blocked some topics, and the campaign does not state its own",
} if {
	count(input.customer.blockedTopics) > 0
	not input.campaign.topic
}
