# METADATA
# scope: package
# title: Pause
# description: The customer takes a holiday from marketing, [from, until).
# related_resources:
# - ref: https://docs.mautic.org/en/5.x/contacts/frequency_rules.html
#   description: "Mautic: pause contacts from a date to a date"
# custom:
#   codes: [Paused]
package codb.rules.pause

import rego.v2

import data.codb.lib.calendar
import data.codb.lib.scope

hold contains {
	"code": "Paused",
	"message": "the customer paused all marketing",
	"until": input.customer.pause.until,
} if {
	scope.applies(data.parameters.classes)
	input.customer.pause.from <= input.now
	input.now < input.customer.pause.until
}

wake contains edge if {
	scope.applies(data.parameters.classes)
	some edge in [input.customer.pause.from, input.customer.pause.until]
	input.now < edge
	edge < calendar.last
}
