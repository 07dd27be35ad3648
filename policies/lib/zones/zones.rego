package codb.lib.zones

import rego.v2

# known holds for a name that the time builtins take without an error.
known(zone) if zone in names

# refusals say why the customer's own clock can't be read; none where it can.
refusals contains {
	"code": "MissingTimeZone",
	"message": "the rule needs the customer's local time, and the customer has no time zone",
} if {
	not input.customer.timeZone
}

refusals contains {
	"code": "UnknownTimeZone",
	"message": "the rule needs the customer's local time, and the customer's time zone is not in the IANA database",
} if {
	input.customer.timeZone
	not known(input.customer.timeZone)
}
