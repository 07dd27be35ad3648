package codb.rules.contact_windows_test

import rego.v2

import data.codb.lib.fixtures_test as f
import data.codb.rules.contact_windows

daily := ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]

answer(question) := answer_with(question, ["Marketing", "Service"])

answer_with(question, classes) := {"deny": f.codes(deny), "hold": held, "wake": wake} if {
	deny := contact_windows.deny with input as question with data.parameters as {"classes": classes}
	held := contact_windows.hold with input as question with data.parameters as {"classes": classes}
	wake := contact_windows.wake with input as question with data.parameters as {"classes": classes}
}

asked(windows, instant) := object.union(f.of({"contactWindows": windows}), {"now": f.ns(instant)})

silent := {"deny": set(), "hold": set(), "wake": set()}

free_until(instant) := object.union(silent, {"wake": {f.ns(instant)}})

message := "it is not one of the times at which the customer wants to be contacted"

held_until(instant) := {
	"deny": set(),
	"hold": {{"code": "OutsideContactWindow", "message": message, "until": f.ns(instant)}},
	"wake": {f.ns(instant)},
}

saturday := [{"days": ["Sat"], "start": 9 * 60, "end": 12 * 60}]

test_no_windows if {
	answer(f.question) == silent
	answer(asked([], "2026-06-15T10:00:00Z")) == silent
}

test_start_is_inside_and_end_is_not if {
	every instant, want in {
		"2026-06-15T10:00:00Z": held_until("2026-06-20T07:00:00Z"),
		"2026-06-20T06:59:59Z": held_until("2026-06-20T07:00:00Z"),
		"2026-06-20T07:00:00Z": free_until("2026-06-20T10:00:00Z"),
		"2026-06-20T09:59:59Z": free_until("2026-06-20T10:00:00Z"),
		"2026-06-20T10:00:00Z": held_until("2026-06-27T07:00:00Z"),
	} {
		answer(asked(saturday, instant)) == want
	}
}

test_across_midnight if {
	late := [{"days": ["Fri"], "start": 22 * 60, "end": 60}]
	answer(asked(late, "2026-06-19T22:59:59Z")) == free_until("2026-06-19T23:00:00Z")
	answer(asked(late, "2026-06-19T23:00:00Z")) == held_until("2026-06-26T20:00:00Z")
}

test_windows_that_touch_are_one if {
	both := array.concat(saturday, [{"days": ["Sat"], "start": 12 * 60, "end": 14 * 60}])
	answer(asked(both, "2026-06-20T08:00:00Z")) == free_until("2026-06-20T12:00:00Z")
}

test_open_all_week_never_ends if {
	answer(asked([{"days": daily, "start": 0, "end": 1440}], "2026-06-15T10:00:00Z")) == silent
}

test_a_window_that_spring_leaves_out_comes_a_week_later if {
	sunday := [{"days": ["Sun"], "start": 130, "end": 170}]
	answer(asked(sunday, "2026-03-28T12:00:00Z")) == held_until("2026-04-05T00:10:00Z")
}

test_a_window_without_days_never_opens if {
	answer(asked([{"days": [], "start": 0, "end": 60}], "2026-06-15T10:00:00Z")) == {
		"deny": set(),
		"hold": {{"code": "OutsideContactWindow", "message": message}},
		"wake": set(),
	}
}

test_no_zone_refuses if {
	question := f.without(asked(saturday, "2026-06-20T08:00:00Z"), "/customer/timeZone")
	answer(question) == object.union(silent, {"deny": {"MissingTimeZone"}})
}

test_an_unknown_zone_refuses if {
	question := object.union(asked(saturday, "2026-06-20T08:00:00Z"), {"customer": {"timeZone": "Mars/Olympus"}})
	answer(question) == object.union(silent, {"deny": {"UnknownTimeZone"}})
}

test_classes if {
	service := object.union(asked(saturday, "2026-06-15T10:00:00Z"), {"campaign": {"purposeClass": "Service"}})
	answer(service) == held_until("2026-06-20T07:00:00Z")
	answer_with(service, ["Marketing"]) == silent
}

test_no_zone_is_needed_without_windows if {
	answer(f.without(f.question, "/customer/timeZone")) == silent
}
