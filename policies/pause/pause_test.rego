package codb.rules.pause_test

import rego.v2

import data.codb.lib.fixtures_test as f
import data.codb.rules.pause

defaults := {"classes": ["Marketing"]}

paused(from, until) := f.of({"pause": {"from": f.ns(from), "until": f.ns(until)}})

winter := paused("2026-12-20T00:00:00Z", "2027-01-06T00:00:00Z")

asked(question, instant) := object.union(question, {"now": f.ns(instant)})

test_no_pause if {
	held := pause.hold with input as f.question with data.parameters as defaults
	woken := pause.wake with input as f.question with data.parameters as defaults
	held | woken == set()
}

test_holds_in_from_until if {
	cases := {
		"2026-12-19T23:59:59Z": set(),
		"2026-12-20T00:00:00Z": {f.ns("2027-01-06T00:00:00Z")},
		"2027-01-05T23:59:59Z": {f.ns("2027-01-06T00:00:00Z")},
		"2027-01-06T00:00:00Z": set(),
	}
	every instant, want in cases {
		held := pause.hold with input as asked(winter, instant) with data.parameters as defaults
		f.untils(held) == want
	}
}

test_code if {
	held := pause.hold with input as asked(winter, "2026-12-25T00:00:00Z") with data.parameters as defaults
	f.codes(held) == {"Paused"}
}

test_wakes_at_both_ends_that_are_to_come if {
	cases := {
		"2026-06-15T10:00:00Z": {f.ns("2026-12-20T00:00:00Z"), f.ns("2027-01-06T00:00:00Z")},
		"2026-12-20T00:00:00Z": {f.ns("2027-01-06T00:00:00Z")},
		"2027-01-06T00:00:00Z": set(),
	}
	every instant, want in cases {
		woken := pause.wake with input as asked(winter, instant) with data.parameters as defaults
		woken == want
	}
}

test_service_goes_on if {
	question := object.union(asked(winter, "2026-12-25T00:00:00Z"), {"campaign": {"purposeClass": "Service"}})
	held := pause.hold with input as question with data.parameters as defaults
	woken := pause.wake with input as question with data.parameters as defaults
	held | woken == set()
}

test_service_too_if_told if {
	question := object.union(asked(winter, "2026-12-25T00:00:00Z"), {"campaign": {"purposeClass": "Service"}})
	held := pause.hold with input as question with data.parameters as {"classes": ["Marketing", "Service"]}
	f.codes(held) == {"Paused"}
}

test_unknown_class_is_not_spared if {
	question := f.without(asked(winter, "2026-12-25T00:00:00Z"), "/campaign/purposeClass")
	held := pause.hold with input as question with data.parameters as defaults
	f.codes(held) == {"Paused"}
}

test_pause_for_good_has_an_end_that_never_wakes if {
	question := f.of({"pause": {"from": 0, "until": 9223372036854775807}})
	held := pause.hold with input as question with data.parameters as defaults
	woken := pause.wake with input as question with data.parameters as defaults
	f.untils(held) == {9223372036854775807}
	woken == set()
}
