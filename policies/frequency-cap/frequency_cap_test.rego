package codb.rules.frequency_cap_test

import rego.v2

import data.codb.lib.fixtures_test as f
import data.codb.rules.frequency_cap

defaults := {
	"max": 3,
	"window": "Rolling",
	"length": "168h",
	"zone": "Customer",
	"counts": ["Marketing"],
	"channels": [],
	"brands": "Same",
	"conflict": "MostRestrictive",
}

# answer is [codes of denials, ends of holds, wakes].
answer(question, parameters) := [f.codes(deny), f.untils(held), wake] if {
	deny := frequency_cap.deny with input as question with data.parameters as object.union(defaults, parameters)
	held := frequency_cap.hold with input as question with data.parameters as object.union(defaults, parameters)
	wake := frequency_cap.wake with input as question with data.parameters as object.union(defaults, parameters)
	{"FrequencyCapping"} | f.codes(held) == {"FrequencyCapping"}
}

free := [set(), set(), set()]

held_until(instant) := [set(), {f.ns(instant)}, {f.ns(instant)}]

denied(code) := [{code}, set(), set()]

contact(instant) := {
	"at": f.ns(instant),
	"brand": "acme",
	"purpose": "Marketing",
	"class": "Marketing",
	"channel": "Email",
}

sent(instants) := object.union(f.question, {"contacts": {"sent": [contact(instant) | some instant in instants]}})

three := ["2026-06-14T10:00:00Z", "2026-06-12T10:00:00Z", "2026-06-10T10:00:00Z"]

test_nothing_sent if {
	answer(f.question, {}) == free
	answer(f.without(f.question, "/contacts"), {}) == free
}

test_below_at_and_above_the_cap if {
	answer(sent(three), {"max": 4}) == free
	answer(sent(three), {"max": 3}) == held_until("2026-06-17T10:00:00Z")
	answer(sent(three), {"max": 2}) == held_until("2026-06-19T10:00:00Z")
	answer(sent(three), {"max": 1}) == held_until("2026-06-21T10:00:00Z")
}

test_order_does_not_matter if {
	answer(sent([three[1], three[2], three[0]]), {"max": 2}) == held_until("2026-06-19T10:00:00Z")
}

test_rolling_is_to_the_second if {
	every instant, want in {
		"2026-06-08T10:00:01Z": held_until("2026-06-15T10:00:01Z"),
		"2026-06-08T10:00:00Z": free,
		"2026-06-08T09:59:59Z": free,
	} {
		answer(sent([instant]), {"max": 1}) == want
	}
}

test_contacts_of_one_instant_are_several if {
	again := ["2026-06-14T10:00:00Z", "2026-06-14T10:00:00Z", "2026-06-14T10:00:00Z"]
	answer(sent(again), {}) == held_until("2026-06-21T10:00:00Z")
	answer(sent(again), {"max": 4}) == free
}

test_a_contact_to_come_counts if answer(sent(["2026-06-16T10:00:00Z"]), {"max": 1}) == held_until("2026-06-23T10:00:00Z")

test_a_cap_of_zero_denies if {
	answer(f.question, {"max": 0}) == denied("FrequencyCapping")
	answer(sent(three), {"max": 0}) == denied("FrequencyCapping")
}

test_classes if {
	mixed := object.union(f.question, {"contacts": {"sent": [
		object.union(contact("2026-06-14T10:00:00Z"), {"class": "Service"}),
		contact("2026-06-13T10:00:00Z"),
	]}})
	answer(mixed, {"max": 2}) == free
	answer(mixed, {"max": 1}) == held_until("2026-06-20T10:00:00Z")
	answer(mixed, {"max": 2, "counts": ["Marketing", "Service"]}) == held_until("2026-06-20T10:00:00Z")
}

test_a_service_campaign_is_not_capped_by_a_marketing_cap if {
	service := object.union(sent(three), {"campaign": {"purposeClass": "Service"}})
	answer(service, {"max": 1}) == free
	answer(service, {"max": 1, "counts": ["Marketing", "Service"]}) == held_until("2026-06-21T10:00:00Z")
}

test_an_unknown_class_is_capped if {
	answer(f.without(sent(three), "/campaign/purposeClass"), {"max": 1}) == held_until("2026-06-21T10:00:00Z")
}

test_channels if {
	mixed := object.union(f.question, {"contacts": {"sent": [
		object.union(contact("2026-06-14T10:00:00Z"), {"channel": "Phone"}),
		contact("2026-06-13T10:00:00Z"),
	]}})
	answer(mixed, {"max": 2}) == held_until("2026-06-20T10:00:00Z")
	answer(mixed, {"max": 2, "channels": ["Email"]}) == free
	answer(mixed, {"max": 1, "channels": ["Email"]}) == held_until("2026-06-20T10:00:00Z")
	answer(mixed, {"max": 1, "channels": ["Phone"]}) == free
	answer(mixed, {"max": 0, "channels": ["Phone"]}) == free
}

test_brands if {
	mixed := object.union(f.question, {"contacts": {"sent": [
		object.union(contact("2026-06-14T10:00:00Z"), {"brand": "globex"}),
		contact("2026-06-13T10:00:00Z"),
	]}})
	answer(mixed, {"max": 2}) == free
	answer(mixed, {"max": 2, "brands": "Any"}) == held_until("2026-06-20T10:00:00Z")
}

# 15 June 2026 is a Monday; in Berlin it begins at 22:00 UTC on the 14th.
test_calendar_day if {
	every instant, want in {
		"2026-06-14T21:59:59Z": free,
		"2026-06-14T22:00:00Z": held_until("2026-06-15T22:00:00Z"),
		"2026-06-15T09:00:00Z": held_until("2026-06-15T22:00:00Z"),
	} {
		answer(sent([instant]), {"max": 1, "window": "CalendarDay"}) == want
	}
}

test_calendar_day_in_a_stated_zone if {
	every zone, want in {
		"UTC": held_until("2026-06-16T00:00:00Z"),
		"America/New_York": held_until("2026-06-16T04:00:00Z"),
		"Asia/Tokyo": free,
	} {
		answer(sent(["2026-06-15T09:00:00Z", "2026-06-15T04:00:00Z", "2026-06-14T23:00:00Z"]), {
			"max": {"UTC": 2, "America/New_York": 2, "Asia/Tokyo": 4}[zone],
			"window": "CalendarDay",
			"zone": zone,
		}) == want
	}
}

test_a_late_message_and_an_early_one_are_two_days if {
	early := object.union(sent(["2026-06-14T21:30:00Z"]), {"now": f.ns("2026-06-14T22:30:00Z")})
	answer(early, {"max": 1, "window": "CalendarDay"}) == free
	answer(early, {"max": 1, "length": "24h"}) == held_until("2026-06-15T21:30:00Z")
}

test_calendar_week_begins_on_monday if {
	week := {"max": 1, "window": "CalendarWeek"}
	answer(sent(["2026-06-14T21:59:59Z"]), week) == free
	answer(sent(["2026-06-14T22:00:00Z"]), week) == held_until("2026-06-21T22:00:00Z")
	sunday := object.union(sent(["2026-06-15T09:00:00Z"]), {"now": f.ns("2026-06-21T21:59:59Z")})
	answer(sunday, week) == held_until("2026-06-21T22:00:00Z")
	monday := object.union(sent(["2026-06-15T09:00:00Z"]), {"now": f.ns("2026-06-21T22:00:00Z")})
	answer(monday, week) == free
}

test_days_of_23_and_25_hours if {
	spring := object.union(sent(["2026-03-28T23:30:00Z"]), {"now": f.ns("2026-03-29T12:00:00Z")})
	answer(spring, {"max": 1, "window": "CalendarDay"}) == held_until("2026-03-29T22:00:00Z")
	autumn := object.union(sent(["2026-10-24T22:00:00Z"]), {"now": f.ns("2026-10-25T12:00:00Z")})
	answer(autumn, {"max": 1, "window": "CalendarDay"}) == held_until("2026-10-25T23:00:00Z")
	answer(autumn, {"max": 1, "window": "CalendarWeek"}) == held_until("2026-10-25T23:00:00Z")
}

test_calendar_caps_need_a_zone if {
	day := {"window": "CalendarDay"}
	answer(f.without(f.question, "/customer/timeZone"), day) == denied("MissingTimeZone")
	answer(f.of({"timeZone": "Mars/Olympus"}), day) == denied("UnknownTimeZone")
	answer(f.question, {"window": "CalendarDay", "zone": "Mars/Olympus"}) == denied("UnknownTimeZone")
	answer(f.without(f.question, "/customer/timeZone"), {"window": "CalendarDay", "zone": "UTC"}) == free
	answer(f.without(f.question, "/customer/timeZone"), {}) == free
}

cap(fields) := object.union(
	{
		"name": "mine",
		"max": 1,
		"window": "Rolling",
		"length": (48 * 3600) * 1000000000,
		"counts": ["Marketing"],
	},
	fields,
)

capped(question, fields) := object.union(question, {"customer": {"caps": [cap(fields)]}})

test_the_customers_own_cap if {
	answer(capped(sent(three), {}), {"max": 9}) == held_until("2026-06-16T10:00:00Z")
	answer(capped(sent(three), {"max": 2}), {"max": 9}) == free
	answer(capped(sent(three), {"max": 0}), {"max": 9}) == denied("FrequencyCapping")
}

test_most_restrictive_keeps_both if {
	[deny, held, wake] := answer(capped(sent(three), {}), {})
	deny == set()
	held == {f.ns("2026-06-17T10:00:00Z"), f.ns("2026-06-16T10:00:00Z")}
	wake == held
}

test_most_specific_lets_the_customers_replace_the_policys if {
	specific := {"conflict": "MostSpecific"}
	answer(capped(sent(three), {}), specific) == held_until("2026-06-16T10:00:00Z")
	answer(capped(sent(three), {"max": 100}), specific) == free
	answer(sent(three), specific) == held_until("2026-06-17T10:00:00Z")
}

test_most_specific_only_where_the_customers_is_about_the_campaign if {
	specific := {"conflict": "MostSpecific"}
	answer(capped(sent(three), {"counts": ["Service"]}), specific) == held_until("2026-06-17T10:00:00Z")
	answer(capped(sent(three), {"channels": ["Phone"]}), specific) == held_until("2026-06-17T10:00:00Z")
}

test_the_customers_cap_over_all_brands_and_of_one if {
	globex := object.union(f.question, {"contacts": {"sent": [object.union(
		contact("2026-06-14T10:00:00Z"),
		{"brand": "globex"},
	)]}})
	answer(capped(globex, {}), {}) == held_until("2026-06-16T10:00:00Z")
	answer(capped(globex, {"brand": "acme"}), {}) == free
}

test_the_customers_cap_by_calendar if {
	week := {"window": "CalendarWeek", "zone": "Europe/Berlin", "length": 0}
	answer(capped(sent(["2026-06-15T09:00:00Z"]), week), {}) == held_until("2026-06-21T22:00:00Z")
	answer(capped(f.question, object.union(week, {"zone": "Mars/Olympus"})), {}) == denied("UnknownTimeZone")
}

test_a_cap_that_cannot_be_read_holds_for_good if {
	odd := f.without(capped(sent(three), {}), "/customer/caps/0/length")
	answer(odd, {"max": 9}) == [set(), {9223372036854775807}, set()]
	answer(f.without(capped(f.question, {"window": "CalendarDay"}), "/customer/caps/0/length"), {}) == denied("UnknownTimeZone")
}

test_messages_hold_nothing_of_the_customer_but_the_caps_figures if {
	question := capped(sent(three), {"max": 2, "length": (336 * 3600) * 1000000000})
	held := frequency_cap.hold with input as question with data.parameters as defaults
	{reason.message | some reason in held} == {
		"the policy's cap of 3 contacts (Marketing) in a Rolling window is reached",
		"the customer's own cap of 2 contacts (Marketing) in a Rolling window is reached",
	}
}

test_any_brand_changes_nothing_else if {
	any_brand := {"brands": "Any", "max": 1}
	answer(sent(three), any_brand) == held_until("2026-06-21T10:00:00Z")
	answer(object.union(sent(three), {"campaign": {"purposeClass": "Service"}}), any_brand) == free
	specific := object.union(any_brand, {"conflict": "MostSpecific"})
	answer(capped(sent(three), {"max": 100}), specific) == free
}

test_a_calendar_cap_of_zero_denies if {
	answer(sent(three), {"max": 0, "window": "CalendarDay"}) == denied("FrequencyCapping")
}

# On 1 November 2026 a clock in Havana shows midnight twice: at 04:00 and at 05:00 UTC.
test_a_day_begins_at_the_first_midnight if {
	havana := {"max": 1, "window": "CalendarDay", "zone": "America/Havana"}
	before := object.union(sent(["2026-10-31T12:00:00Z"]), {"now": f.ns("2026-10-31T20:00:00Z")})
	answer(before, havana) == held_until("2026-11-01T04:00:00Z")
	between := object.union(sent(["2026-11-01T04:30:00Z"]), {"now": f.ns("2026-11-01T12:00:00Z")})
	answer(between, havana) == held_until("2026-11-02T05:00:00Z")
}
