package codb.rules.validity_test

import rego.v2

import data.codb.lib.fixtures_test as f
import data.codb.rules.validity

from_to := f.answered({
	"effectiveFrom": f.ns("2026-03-01T00:00:00Z"),
	"effectiveTo": f.ns("2028-03-01T00:00:00Z"),
})

asked(instant) := object.union(from_to, {"now": f.ns(instant)})

test_no_end if {
validity.deny |
	validity.hold == set() with input as f.question
	validity.wake == set() with input as f.question
}

test_counts_in_from_to if {
	every instant, want in {
		"2026-02-28T23:59:59Z": [set(), {"ConsentNotYetEffective"}],
		"2026-03-01T00:00:00Z": [set(), set()],
		"2028-02-29T23:59:59Z": [set(), set()],
		"2028-03-01T00:00:00Z": [{"ConsentExpired"}, set()],
		"2028-03-01T00:00:01Z": [{"ConsentExpired"}, set()],
	} {
		denied := validity.deny with input as asked(instant)
		held := validity.hold with input as asked(instant)
		[f.codes(denied), f.codes(held)] == want
	}
}

test_held_until_it_counts if {
	held := validity.hold with input as asked("2026-02-01T00:00:00Z")
	f.untils(held) == {f.ns("2026-03-01T00:00:00Z")}
}

test_never_before_it_was_captured if {
	question := f.answered({"captureDate": f.ns("2026-07-01T00:00:00Z"), "effectiveFrom": f.ns("2026-01-01T00:00:00Z")})
	held := validity.hold with input as question
	f.untils(held) == {f.ns("2026-07-01T00:00:00Z")}
}

test_no_start_is_not_yet_effective if {
	question := f.without(f.question, "/customer/relationship/grants/0/captureDate")
	held := validity.hold with input as question
	f.codes(held) == {"ConsentNotYetEffective"}
	woken := validity.wake with input as question
	woken == set()
}

test_status_expired if {
	denied := validity.deny with input as f.answered({"status": "ConsentExpired"})
	f.codes(denied) == {"ConsentExpired"}
}

test_wakes_at_the_edges_to_come if {
	every instant, want in {
		"2026-02-28T23:59:59Z": {f.ns("2026-03-01T00:00:00Z"), f.ns("2028-03-01T00:00:00Z")},
		"2026-03-01T00:00:00Z": {f.ns("2028-03-01T00:00:00Z")},
		"2028-02-29T23:59:59Z": {f.ns("2028-03-01T00:00:00Z")},
		"2028-03-01T00:00:00Z": set(),
	} {
		woken := validity.wake with input as asked(instant)
		woken == want
	}
}

test_end_beyond_time_never_comes if {
	question := f.answered({"effectiveTo": 9223372036854775807})
	denied := validity.deny with input as question
	woken := validity.wake with input as question
	denied | woken == set()
}

test_other_answers_do_not_count if {
	question := f.answered({"channel": "Phone", "effectiveTo": f.ns("2026-02-01T00:00:00Z")})
	denied := validity.deny with input as question
	denied == set()
}

test_no_relationship_is_not_a_matter_of_time if {
	question := f.without(f.question, "/customer/relationship")
	denied := validity.deny with input as question
	held := validity.hold with input as question
	denied | held == set()
}
