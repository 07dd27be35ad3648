package codb.lib.windows_test

import rego.v2

import data.codb.lib.fixtures_test as f
import data.codb.lib.windows

daily := ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]

window(days, start, end) := {"days": days, "start": windows.minutes(start), "end": windows.minutes(end)}

# closed is [now inside?, end, next begin] in the reading that lasts longest.
closed(some_windows, zone, now) := seen(windows.closed(some_windows, zone, f.ns(now)), f.ns(now))

# open is the same in the reading that lasts shortest.
open(some_windows, zone, now) := seen(windows.open(some_windows, zone, f.ns(now)), f.ns(now))

seen(spans, now) := time.format(windows.ends(spans, now)) if windows.inside(spans, windows.minute(now))

seen(spans, now) := concat(" ", ["from", time.format(windows.begins(spans, now))]) if {
	not windows.inside(spans, windows.minute(now))
}

test_minutes if {
	windows.minutes("00:00") == 0
	windows.minutes("08:05") == 485
	windows.minutes("23:59") == 1439
	windows.minutes("24:00") == 1440
}

night := [window(daily, "21:00", "08:00")]

test_start_is_inside_and_end_is_not if {
	every now, want in {
		"2026-06-15T18:59:59Z": "from 2026-06-15T19:00:00Z",
		"2026-06-15T19:00:00Z": "2026-06-16T06:00:00Z",
		"2026-06-15T21:59:59Z": "2026-06-16T06:00:00Z",
		"2026-06-15T22:00:00Z": "2026-06-16T06:00:00Z",
		"2026-06-16T05:59:59Z": "2026-06-16T06:00:00Z",
		"2026-06-16T06:00:00Z": "from 2026-06-16T19:00:00Z",
	} {
		closed(night, "Europe/Berlin", now) == want
		open(night, "Europe/Berlin", now) == want
	}
}

test_a_night_counts_to_the_day_on_which_it_starts if {
	friday := [window(["Fri"], "21:00", "08:00")]
	every now, want in {
		"2026-06-19T18:59:00Z": "from 2026-06-19T19:00:00Z",
		"2026-06-19T19:00:00Z": "2026-06-20T06:00:00Z",
		"2026-06-20T05:59:00Z": "2026-06-20T06:00:00Z",
		"2026-06-20T06:00:00Z": "from 2026-06-26T19:00:00Z",
		"2026-06-20T19:00:00Z": "from 2026-06-26T19:00:00Z",
	} {
		closed(friday, "Europe/Berlin", now) == want
		open(friday, "Europe/Berlin", now) == want
	}
}

test_sunday_night_lasts_into_monday if {
	sunday := [window(["Sun"], "22:00", "06:00")]
	closed(sunday, "UTC", "2026-06-21T22:00:00Z") == "2026-06-22T06:00:00Z"
	closed(sunday, "UTC", "2026-06-22T05:59:59Z") == "2026-06-22T06:00:00Z"
	closed(sunday, "UTC", "2026-06-22T06:00:00Z") == "from 2026-06-28T22:00:00Z"
}

test_until_midnight if {
	evening := [window(daily, "20:00", "24:00")]
	closed(evening, "UTC", "2026-06-15T23:59:59Z") == "2026-06-16T00:00:00Z"
	closed(evening, "UTC", "2026-06-16T00:00:00Z") == "from 2026-06-16T20:00:00Z"
}

test_from_midnight if {
	morning := [window(daily, "00:00", "06:00")]
	closed(morning, "UTC", "2026-06-15T00:00:00Z") == "2026-06-15T06:00:00Z"
	closed(morning, "UTC", "2026-06-15T23:59:59Z") == "from 2026-06-16T00:00:00Z"
}

test_windows_that_touch_or_overlap_are_one if {
	touching := [window(daily, "20:00", "24:00"), window(daily, "00:00", "08:00")]
	overlapping := [window(daily, "20:00", "01:00"), window(daily, "00:30", "08:00"), window(daily, "02:00", "03:00")]
	every all in [touching, overlapping] {
		closed(all, "UTC", "2026-06-15T20:00:00Z") == "2026-06-16T08:00:00Z"
		closed(all, "UTC", "2026-06-16T02:30:00Z") == "2026-06-16T08:00:00Z"
		closed(all, "UTC", "2026-06-16T08:00:00Z") == "from 2026-06-16T20:00:00Z"
	}
}

test_windows_that_never_end if {
	spans := windows.closed([window(daily, "00:00", "24:00")], "UTC", f.now)
	windows.inside(spans, windows.minute(f.now))
	not windows.ends(spans, f.now)
}

test_the_local_clock_counts_and_not_utc if {
	every zone, want in {
		"UTC": "from 2026-06-15T21:00:00Z",
		"Asia/Kolkata": "from 2026-06-15T15:30:00Z",
		"America/New_York": "2026-06-15T12:00:00Z",
		"Pacific/Kiritimati": "2026-06-15T18:00:00Z",
	} {
		closed(night, zone, "2026-06-15T10:00:00Z") == want
	}
}

test_summer_and_winter_differ if {
	closed(night, "Europe/Berlin", "2026-01-15T19:30:00Z") == "from 2026-01-15T20:00:00Z"
	closed(night, "Europe/Berlin", "2026-07-15T19:30:00Z") == "2026-07-16T06:00:00Z"
}

test_the_night_of_the_spring_change if {
	closed(night, "Europe/Berlin", "2026-03-28T22:00:00Z") == "2026-03-29T06:00:00Z"
	closed(night, "America/New_York", "2026-03-08T03:00:00Z") == "2026-03-08T12:00:00Z"
}

test_the_night_of_the_autumn_change if {
	closed(night, "Europe/Berlin", "2026-10-24T22:00:00Z") == "2026-10-25T07:00:00Z"
	closed(night, "America/New_York", "2026-11-01T03:00:00Z") == "2026-11-01T13:00:00Z"
}

test_an_end_in_the_gap_is_the_end_of_the_gap if {
	late := [window(daily, "22:00", "02:30")]
	closed(late, "Europe/Berlin", "2026-03-29T00:59:59Z") == "2026-03-29T01:00:00Z"
	closed(late, "Europe/Berlin", "2026-03-29T01:00:00Z") == "from 2026-03-29T20:00:00Z"
}

test_a_window_inside_the_gap_is_left_out_that_day if {
	early := [window(daily, "02:10", "02:50")]
	closed(early, "Europe/Berlin", "2026-03-29T00:59:00Z") == "from 2026-03-30T00:10:00Z"
	open([window(["Sun"], "02:10", "02:50")], "Europe/Berlin", "2026-03-28T12:00:00Z") == "from 2026-04-05T00:10:00Z"
}

# On 25 October 2026 a clock in Berlin shows 02:00 to 03:00 twice: from 00:00 and from 01:00 UTC.
test_closed_holds_through_both_passes if {
	late := [window(daily, "22:00", "02:30")]
	every now, want in {
		"2026-10-25T00:29:59Z": "2026-10-25T01:30:00Z",
		"2026-10-25T00:30:00Z": "2026-10-25T01:30:00Z",
		"2026-10-25T01:29:59Z": "2026-10-25T01:30:00Z",
		"2026-10-25T01:30:00Z": "from 2026-10-25T21:00:00Z",
	} {
		closed(late, "Europe/Berlin", now) == want
	}
	early := [window(daily, "02:30", "04:00")]
	closed(early, "Europe/Berlin", "2026-10-25T00:29:59Z") == "from 2026-10-25T00:30:00Z"
	closed(early, "Europe/Berlin", "2026-10-25T01:10:00Z") == "2026-10-25T03:00:00Z"
}

test_open_is_short_where_time_comes_twice if {
	late := [window(daily, "22:00", "02:30")]
	open(late, "Europe/Berlin", "2026-10-25T00:29:59Z") == "2026-10-25T00:30:00Z"
	open(late, "Europe/Berlin", "2026-10-25T01:10:00Z") == "from 2026-10-25T21:00:00Z"
	early := [window(daily, "02:30", "04:00")]
	open(early, "Europe/Berlin", "2026-10-25T01:10:00Z") == "from 2026-10-25T01:30:00Z"
	open(early, "Europe/Berlin", "2026-10-25T01:30:00Z") == "2026-10-25T03:00:00Z"
}

test_a_change_of_half_an_hour if {
	closed(night, "Australia/Lord_Howe", "2026-10-03T14:00:00Z") == "2026-10-03T21:00:00Z"
	closed(night, "Australia/Lord_Howe", "2026-04-04T14:00:00Z") == "2026-04-04T21:30:00Z"
}

test_a_leap_day_is_a_day if {
	tuesday := [window(["Tue"], "10:00", "12:00")]
	closed(tuesday, "UTC", "2028-02-29T11:00:00Z") == "2028-02-29T12:00:00Z"
	closed(tuesday, "UTC", "2028-02-29T12:00:00Z") == "from 2028-03-07T10:00:00Z"
}

test_no_windows if {
	windows.closed([], "UTC", f.now) == set()
	windows.open([], "Europe/Berlin", f.ns("2026-10-24T12:00:00Z")) == set()
}

test_an_end_at_its_start_lies_on_the_next_day if {
	whole := [window(["Mon"], "08:00", "08:00")]
	closed(whole, "UTC", "2026-06-15T08:00:00Z") == "2026-06-16T08:00:00Z"
	closed(whole, "UTC", "2026-06-16T08:00:00Z") == "from 2026-06-22T08:00:00Z"
}
