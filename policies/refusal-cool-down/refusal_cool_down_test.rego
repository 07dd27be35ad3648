package codb.rules.refusal_cool_down_test

import rego.v2

import data.codb.lib.fixtures_test as f
import data.codb.rules.refusal_cool_down

defaults := {"days": 366, "purposes": ["ObtainConsent", "ReaffirmConsent"]}

# answer is [ends of holds, wakes].
answer(question) := [f.untils(held), wake] if {
	held := refusal_cool_down.hold with input as question with data.parameters as defaults
	wake := refusal_cool_down.wake with input as question with data.parameters as defaults
	{"RefusalCoolDown"} | f.codes(held) == {"RefusalCoolDown"}
}

free := [set(), set()]

held_until(instant) := [{f.ns(instant)}, {f.ns(instant)}]

asks := {"campaign": {"purpose": "ObtainConsent", "purposeClass": "Service"}}

refused(instant) := object.union(f.answered({"status": "ConsentRefused", "captureDate": f.ns(instant)}), asks)

test_who_refused_is_not_asked_for_a_time if {
	every instant, want in {
		"2026-06-15T10:00:00Z": held_until("2027-06-16T10:00:00Z"),
		"2025-06-14T10:00:01Z": held_until("2026-06-15T10:00:01Z"),
		"2025-06-14T10:00:00Z": free,
	} {
		answer(refused(instant)) == want
	}
}

test_other_campaigns_do_not_ask if {
	answer(object.union(refused("2026-06-01T00:00:00Z"), {"campaign": {"purpose": "Marketing"}})) == free
}

test_who_consented_or_was_not_asked if {
	answer(object.union(f.question, asks)) == free
	answer(object.union(f.answered({"status": "ConsentRequested"}), asks)) == free
	answer(object.union(f.without(f.question, "/customer/relationship"), asks)) == free
}

test_every_kind_of_no if {
	every status in ["ConsentRefused", "ConsentWithdrawn", "ConsentRevoked", "ConsentInvalidated"] {
		no := f.answered({"status": status, "captureDate": f.ns("2026-06-01T00:00:00Z"), "channel": "Phone"})
		answer(object.union(no, asks)) == held_until("2027-06-02T00:00:00Z")
	}
	objected := f.of({"relationship": {"objections": [{"purpose": "Marketing", "since": f.ns("2026-06-01T00:00:00Z")}]}})
	answer(object.union(objected, asks)) == held_until("2027-06-02T00:00:00Z")
	opted_out := f.of({"optOut": {"since": f.ns("2026-06-01T00:00:00Z")}})
	answer(object.union(opted_out, asks)) == held_until("2027-06-02T00:00:00Z")
}

test_the_latest_no_counts if {
	question := object.union(refused("2026-01-01T00:00:00Z"), {"customer": {"optOut": {"since": f.ns("2026-06-01T00:00:00Z")}}})
	answer(question) == held_until("2027-06-02T00:00:00Z")
}

test_a_refusal_beyond_time_is_never_over if {
	question := object.union(f.answered({"status": "ConsentRefused", "captureDate": 9223372036854775807}), asks)
	answer(question) == [{9223372036854775807}, set()]
}
