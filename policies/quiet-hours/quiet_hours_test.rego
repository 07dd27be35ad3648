package codb.rules.quiet_hours_test

import rego.v2

import data.codb.lib.fixtures_test as f
import data.codb.rules.quiet_hours

daily := ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]

defaults := {
	"start": "21:00",
	"end": "08:00",
	"days": daily,
	"channels": ["SMS", "Phone", "Push"],
	"classes": ["Marketing", "Service"],
}

answer(question, parameters) := {"deny": f.codes(deny), "hold": held, "wake": wake} if {
	deny := quiet_hours.deny with input as question with data.parameters as object.union(defaults, parameters)
	held := quiet_hours.hold with input as question with data.parameters as object.union(defaults, parameters)
	wake := quiet_hours.wake with input as question with data.parameters as object.union(defaults, parameters)
}

call(customer, instant) := object.union(
	f.of(customer),
	{"now": f.ns(instant), "campaign": {"channel": "Phone"}},
)

mail(customer, instant) := object.union(f.of(customer), {"now": f.ns(instant)})

silent := {"deny": set(), "hold": set(), "wake": set()}

free_until(instant) := object.union(silent, {"wake": {f.ns(instant)}})

held_until(instant) := {
	"deny": set(),
	"hold": {{
		"code": "QuietHours",
		"message": "it is quiet hours where the customer is",
		"until": f.ns(instant),
	}},
	"wake": {f.ns(instant)},
}

refused(code) := object.union(silent, {"deny": {code}})

test_the_laws_window if {
	every instant, want in {
		"2026-06-15T18:59:59Z": free_until("2026-06-15T19:00:00Z"),
		"2026-06-15T19:00:00Z": held_until("2026-06-16T06:00:00Z"),
		"2026-06-16T05:59:59Z": held_until("2026-06-16T06:00:00Z"),
		"2026-06-16T06:00:00Z": free_until("2026-06-16T19:00:00Z"),
	} {
		answer(call({}, instant), {}) == want
	}
}

test_the_laws_window_is_about_some_channels if {
	answer(mail({}, "2026-06-15T22:00:00Z"), {}) == silent
	answer(mail({}, "2026-06-15T22:00:00Z"), {"channels": ["Email"]}) == held_until("2026-06-16T06:00:00Z")
	answer(call({}, "2026-06-15T22:00:00Z"), {"channels": []}) == silent
}

test_the_laws_window_has_days if {
	answer(call({}, "2026-06-20T10:00:00Z"), {"start": "00:00", "end": "24:00", "days": ["Sun"]}) == free_until("2026-06-20T22:00:00Z")
	answer(call({}, "2026-06-21T10:00:00Z"), {"start": "00:00", "end": "24:00", "days": ["Sun"]}) == held_until("2026-06-21T22:00:00Z")
}

siesta := {"quietHours": [{"days": daily, "start": 13 * 60, "end": 15 * 60}]}

test_the_customers_own_hold_on_every_channel if {
	answer(mail(siesta, "2026-06-15T10:59:59Z"), {}) == free_until("2026-06-15T11:00:00Z")
	answer(mail(siesta, "2026-06-15T11:00:00Z"), {}) == held_until("2026-06-15T13:00:00Z")
	answer(mail(siesta, "2026-06-15T22:00:00Z"), {}) == free_until("2026-06-16T11:00:00Z")
}

test_both_are_united if {
	early := {"quietHours": [{"days": daily, "start": 8 * 60, "end": 10 * 60}]}
	answer(call(early, "2026-06-15T20:00:00Z"), {}) == held_until("2026-06-16T08:00:00Z")
	answer(call(siesta, "2026-06-15T10:00:00Z"), {}) == free_until("2026-06-15T11:00:00Z")
	answer(call(siesta, "2026-06-15T14:00:00Z"), {}) == free_until("2026-06-15T19:00:00Z")
}

test_no_zone_refuses if {
	answer(f.without(call({}, "2026-06-15T10:00:00Z"), "/customer/timeZone"), {}) == refused("MissingTimeZone")
	answer(f.without(mail(siesta, "2026-06-15T10:00:00Z"), "/customer/timeZone"), {}) == refused("MissingTimeZone")
}

test_an_unknown_zone_refuses if {
	answer(call({"timeZone": "Mars/Olympus"}, "2026-06-15T10:00:00Z"), {}) == refused("UnknownTimeZone")
	answer(call({"timeZone": "Local"}, "2026-06-15T10:00:00Z"), {}) == refused("UnknownTimeZone")
}

test_no_zone_is_needed_where_no_window_is if {
	answer(f.without(mail({}, "2026-06-15T10:00:00Z"), "/customer/timeZone"), {}) == silent
}

test_quiet_all_week_has_no_end if {
	always := {"quietHours": [{"days": daily, "start": 0, "end": 1440}]}
	got := answer(mail(always, "2026-06-15T10:00:00Z"), {})
	got == {
		"deny": set(),
		"hold": {{"code": "QuietHours", "message": "it is quiet hours where the customer is"}},
		"wake": set(),
	}
}

test_classes if {
	service := object.union(call(siesta, "2026-06-15T20:00:00Z"), {"campaign": {"purposeClass": "Service"}})
	answer(service, {}) == held_until("2026-06-16T06:00:00Z")
	answer(service, {"classes": ["Marketing"]}) == silent
}

test_the_night_of_the_autumn_change if {
	late := {"quietHours": [{"days": daily, "start": 22 * 60, "end": 150}]}
	answer(mail(late, "2026-10-25T00:30:00Z"), {}) == held_until("2026-10-25T01:30:00Z")
	answer(mail(late, "2026-10-25T01:30:00Z"), {}) == free_until("2026-10-25T21:00:00Z")
}

test_the_night_of_the_spring_change if {
	late := {"quietHours": [{"days": daily, "start": 22 * 60, "end": 150}]}
	answer(mail(late, "2026-03-29T00:59:59Z"), {}) == held_until("2026-03-29T01:00:00Z")
	answer(mail(late, "2026-03-29T01:00:00Z"), {}) == free_until("2026-03-29T20:00:00Z")
}
