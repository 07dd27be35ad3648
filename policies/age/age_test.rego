package codb.rules.age_test

import rego.v2

import data.codb.lib.fixtures_test as f
import data.codb.rules.age

defaults := {"adult": 18, "guardianBelow": 16, "unknown": "Deny", "classes": ["Marketing"]}

denied(question) := denied_with(question, {})

denied_with(question, parameters) := f.codes(reasons) if {
	reasons := age.deny with input as question with data.parameters as object.union(defaults, parameters)
}

woken(question) := instants if {
	instants := age.wake with input as question with data.parameters as defaults
}

born(year) := f.of({"birthYear": year})

test_the_younger_of_two_ages_counts if {
	denied(born(2007)) == set()
	denied(born(2008)) == {"UnderAge"}
}

test_a_year_later_in_the_first_instant if {
	denied(object.union(born(2008), {"now": f.ns("2026-12-31T23:59:59Z")})) == {"UnderAge"}
	denied(object.union(born(2008), {"now": f.ns("2027-01-01T00:00:00Z")})) == set()
}

test_guardian if {
	denied(born(2009)) == {"UnderAge"}
	denied(born(2010)) == {"UnderAge", "GuardianMissing"}
	denied(born(2030)) == {"UnderAge", "GuardianMissing"}
}

guarded(guardian) := f.of({"birthYear": 2011, "guardian": guardian})

test_a_guardian_does_not_make_an_adult if {
	denied(guarded({"authorizedAt": f.ns("2026-01-01T00:00:00Z")})) == {"UnderAge"}
}

test_minors_with_a_guardian_where_the_policy_admits_them if {
	admit := {"adult": 13}
	denied_with(guarded({"authorizedAt": f.ns("2026-06-15T10:00:00Z")}), admit) == set()
	denied_with(guarded({"authorizedAt": f.ns("2026-06-15T10:00:01Z")}), admit) == {"GuardianMissing"}
	denied_with(guarded({}), admit) == {"GuardianMissing"}
	denied_with(born(2011), admit) == {"GuardianMissing"}
	denied_with(born(2009), admit) == set()
}

test_unknown_age if {
	denied(f.question) == {"AgeUnknown"}
	denied_with(f.question, {"unknown": "Allow"}) == set()
	denied_with(born(2015), {"unknown": "Allow"}) == {"UnderAge", "GuardianMissing"}
}

test_service_is_not_about_age if {
	service := {"campaign": {"purposeClass": "Service"}}
	denied(object.union(born(2015), service)) == set()
	denied(object.union(f.question, service)) == set()
	woken(object.union(born(2015), service)) == set()
	denied(f.without(born(2015), "/campaign/purposeClass")) == {"UnderAge", "GuardianMissing"}
}

test_wakes_at_the_years_that_change_it if {
	woken(born(2007)) == set()
	woken(born(2008)) == {f.ns("2027-01-01T00:00:00Z")}
	woken(born(2010)) == {f.ns("2027-01-01T00:00:00Z"), f.ns("2029-01-01T00:00:00Z")}
	woken(born(2200)) == {f.ns("2217-01-01T00:00:00Z"), f.ns("2219-01-01T00:00:00Z")}
	woken(f.question) == set()
}

test_years_beyond_time_do_not_wake if {
	instants := age.wake with input as born(2200) with data.parameters as object.union(defaults, {"adult": 100})
	instants == {f.ns("2217-01-01T00:00:00Z")}
}

test_wakes_when_the_guardian_authorises if {
	f.ns("2026-07-01T00:00:00Z") in woken(guarded({"authorizedAt": f.ns("2026-07-01T00:00:00Z")}))
	not 9223372036854775807 in woken(guarded({"authorizedAt": 9223372036854775807}))
}

test_what_has_come_does_not_wake if {
	woken(object.union(born(2008), {"now": f.ns("2027-01-01T00:00:00Z")})) == set()
	not f.now in woken(guarded({"authorizedAt": f.now}))
	not f.ns("2026-01-01T00:00:00Z") in woken(guarded({"authorizedAt": f.ns("2026-01-01T00:00:00Z")}))
	service := {"campaign": {"purposeClass": "Service"}}
	woken(object.union(guarded({"authorizedAt": f.ns("2026-07-01T00:00:00Z")}), service)) == set()
}
