package codb.lib.calendar_test

import rego.v2

import data.codb.lib.calendar
import data.codb.lib.fixtures_test as f

first(reading, zone) := time.format([calendar.first(f.ns(reading), zone), "UTC"])

final(reading, zone) := time.format([calendar.final(f.ns(reading), zone), "UTC"])

test_a_reading_that_comes_once if {
	every zone, want in {
		"UTC": "2026-06-15T21:00:00Z",
		"Europe/Berlin": "2026-06-15T19:00:00Z",
		"America/New_York": "2026-06-16T01:00:00Z",
		"Asia/Kathmandu": "2026-06-15T15:15:00Z",
		"Australia/Lord_Howe": "2026-06-15T10:30:00Z",
		"Pacific/Kiritimati": "2026-06-15T07:00:00Z",
	} {
		first("2026-06-15T21:00:00Z", zone) == want
		final("2026-06-15T21:00:00Z", zone) == want
	}
}

test_spring_skips_to_the_first_instant_after_the_gap if {
	every zone, case in {
		"Europe/Berlin": ["2026-03-29T02:30:00Z", "2026-03-29T01:00:00Z"],
		"America/New_York": ["2026-03-08T02:01:00Z", "2026-03-08T07:00:00Z"],
		"Australia/Lord_Howe": ["2026-10-04T02:10:00Z", "2026-10-03T15:30:00Z"],
		"Africa/Cairo": ["2026-04-24T00:00:00Z", "2026-04-23T22:00:00Z"],
	} {
		first(case[0], zone) == case[1]
		final(case[0], zone) == case[1]
	}
}

test_the_edges_of_a_gap if {
	first("2026-03-29T01:59:00Z", "Europe/Berlin") == "2026-03-29T00:59:00Z"
	first("2026-03-29T02:00:00Z", "Europe/Berlin") == "2026-03-29T01:00:00Z"
	first("2026-03-29T02:59:00Z", "Europe/Berlin") == "2026-03-29T01:00:00Z"
	first("2026-03-29T03:00:00Z", "Europe/Berlin") == "2026-03-29T01:00:00Z"
	first("2026-03-29T03:01:00Z", "Europe/Berlin") == "2026-03-29T01:01:00Z"
}

test_autumn_comes_twice if {
	every zone, case in {
		"Europe/Berlin": ["2026-10-25T02:30:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"],
		"America/New_York": ["2026-11-01T01:00:00Z", "2026-11-01T05:00:00Z", "2026-11-01T06:00:00Z"],
		"Australia/Lord_Howe": ["2026-04-05T01:45:00Z", "2026-04-04T14:45:00Z", "2026-04-04T15:15:00Z"],
	} {
		first(case[0], zone) == case[1]
		final(case[0], zone) == case[2]
	}
}

test_the_edges_of_an_overlap if {
	final("2026-10-25T01:59:00Z", "Europe/Berlin") == "2026-10-24T23:59:00Z"
	first("2026-10-25T02:00:00Z", "Europe/Berlin") == "2026-10-25T00:00:00Z"
	final("2026-10-25T02:59:00Z", "Europe/Berlin") == "2026-10-25T01:59:00Z"
	first("2026-10-25T03:00:00Z", "Europe/Berlin") == "2026-10-25T02:00:00Z"
}

test_midnight_of_the_customers_day if {
	every instant, want in {
		"2026-06-15T21:59:59Z": "2026-06-15T00:00:00Z",
		"2026-06-15T22:00:00Z": "2026-06-16T00:00:00Z",
	} {
		calendar.midnight(f.ns(instant), "Europe/Berlin") == f.ns(want)
	}
}

test_weeks_begin_on_monday if {
	every instant, want in {
		"2026-06-14T00:00:00Z": "2026-06-08T00:00:00Z",
		"2026-06-15T00:00:00Z": "2026-06-15T00:00:00Z",
		"2026-06-21T00:00:00Z": "2026-06-15T00:00:00Z",
	} {
		calendar.monday(f.ns(instant)) == f.ns(want)
	}
}

test_steady_is_false_near_a_change if {
	every instant in ["2026-10-08T00:00:00Z", "2026-11-04T12:00:00Z"] {
		calendar.steady("Europe/Berlin", f.ns(instant))
	}
	every instant in ["2026-10-09T12:00:00Z", "2026-11-02T12:00:00Z"] {
		not calendar.steady("Europe/Berlin", f.ns(instant))
	}
}

test_months if {
	every case in [
		["2024-06-15T10:00:00Z", 24, "2026-06-15T10:00:00Z"],
		["2024-02-29T10:00:00Z", 12, "2025-02-28T10:00:00Z"],
		["2024-02-29T10:00:00Z", 24, "2026-02-28T10:00:00Z"],
		["2024-02-29T10:00:00Z", 48, "2028-02-29T10:00:00Z"],
		["2025-08-31T23:59:59Z", 6, "2026-02-28T23:59:59Z"],
		["2025-10-31T00:00:00Z", 6, "2026-04-30T00:00:00Z"],
		["1969-12-31T00:00:00Z", 2, "1970-02-28T00:00:00Z"],
	] {
		calendar.plus_months(f.ns(case[0]), case[1]) == f.ns(case[2])
	}
}

test_months_beyond_time_are_never if {
	calendar.plus_months(9223372036854775807, 24) == calendar.last
	calendar.plus_months(f.ns("2250-01-01T00:00:00Z"), 1) == calendar.last
	calendar.plus_months(0 - 9223372036854775808, 6) < 0
}

test_later_stays_within_time if {
	calendar.later(1, 2) == 3
	calendar.later(calendar.last, 1) == calendar.last
}

test_new_year if {
	calendar.new_year(2027) == f.ns("2027-01-01T00:00:00Z")
	calendar.new_year(2261) == f.ns("2261-01-01T00:00:00Z")
	calendar.new_year(2262) == calendar.last
}
