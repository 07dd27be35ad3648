# METADATA
# scope: package
# title: Age
# description: |-
#   Nobody below adult is contacted, with or without a guardian; nobody below
#   guardianBelow is without a guardian's authorisation. To admit minors with a
#   guardian, set adult lower than guardianBelow. Of the two ages that a birth year
#   leaves possible the younger counts.
# related_resources:
# - ref: https://eur-lex.europa.eu/eli/reg/2016/679/oj
#   description: GDPR article 8(1), 16 years, by member state down to 13, a guardian below
# - ref: https://eur-lex.europa.eu/eli/reg/2022/2065/oj
#   description: Digital Services Act, article 28(2), no advertising by profiling to minors
# custom:
#   codes: [UnderAge, GuardianMissing, AgeUnknown]
package codb.rules.age

import rego.v2

import data.codb.lib.calendar
import data.codb.lib.scope

deny contains {
	"code": "UnderAge",
	"message": sprintf("the customer may be younger than %d", [data.parameters.adult]),
} if {
	scope.applies(data.parameters.classes)
	younger < data.parameters.adult
}

deny contains {
	"code": "GuardianMissing",
	"message": sprintf("the customer may be younger than %d, and no guardian authorised the answers", [data.parameters.guardianBelow]),
} if {
	scope.applies(data.parameters.classes)
	younger < data.parameters.guardianBelow
	not input.customer.guardian.authorizedAt <= input.now
}

deny contains {"code": "AgeUnknown", "message": "the customer's year of birth is not known"} if {
	scope.applies(data.parameters.classes)
	data.parameters.unknown == "Deny"
	not input.customer.birthYear
}

# younger is the age of a customer who was born on the last day of the year.
younger := (time.date(input.now)[0] - input.customer.birthYear) - 1

wake contains birthday if {
	scope.applies(data.parameters.classes)
	some age in [data.parameters.adult, data.parameters.guardianBelow]
	birthday := calendar.new_year((input.customer.birthYear + age) + 1)
	input.now < birthday
	birthday < calendar.last
}

wake contains input.customer.guardian.authorizedAt if {
	scope.applies(data.parameters.classes)
	input.now < input.customer.guardian.authorizedAt
	input.customer.guardian.authorizedAt < calendar.last
}
