# METADATA
# scope: package
# title: Windows
# description: |-
#   Daily windows of a wall clock as spans of time: {from, until}, until excluded,
#   in minutes since 1970 UTC. A window belongs to the day on which it starts; an
#   end at or before its start lies on the next day. Spans that overlap or touch
#   are one.
package codb.lib.windows

import rego.v2

import data.codb.lib.calendar

# weekdays from the day before a Monday on.
weekdays := [
	"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat",
	"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat",
	"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun",
]

# Days from yesterday on: yesterday's window may last until today; a weekly one
# comes back in 7 days. A change of clocks may leave an open one empty once: then
# the second week counts.
week := [0, 1, 2, 3, 4, 5, 6, 7, 8]

fortnight := array.concat(week, [9, 10, 11, 12, 13, 14, 15])

# closed are the spans around now, as long as they can be: a window that starts or
# ends at a time that the clock shows twice holds through both passes.
closed(windows, zone, now) := steady(windows, zone, now) if calendar.steady(zone, now)

closed(windows, zone, now) := {span |
	midnight := calendar.midnight(now, zone)
	some reading in spans(windows, midnight, midnight / calendar.minute, week)
	span := {
		"from": calendar.first(reading.from * calendar.minute, zone) / calendar.minute,
		"until": calendar.final(reading.until * calendar.minute, zone) / calendar.minute,
	}
	span.from < span.until
} if {
	not calendar.steady(zone, now)
}

# open are the spans around now, as short as they can be: at a time that the clock
# shows twice, a window starts at the second pass and ends at the first.
open(windows, zone, now) := steady(windows, zone, now) if calendar.steady(zone, now)

open(windows, zone, now) := {span |
	midnight := calendar.midnight(now, zone)
	some reading in spans(windows, midnight, midnight / calendar.minute, fortnight)
	span := {
		"from": calendar.final(reading.from * calendar.minute, zone) / calendar.minute,
		"until": calendar.first(reading.until * calendar.minute, zone) / calendar.minute,
	}
	span.from < span.until
} if {
	not calendar.steady(zone, now)
}

# steady are the spans while no clock is put forward or back.
steady(windows, zone, now) := spans(windows, midnight, (midnight - ahead) / calendar.minute, week) if {
	midnight := calendar.midnight(now, zone)
	ahead := calendar.offset(now, zone)
}

# spans are those of windows that start on some days around midnight, where today
# begins at the minute start.
spans(windows, midnight, start, days) := {span |
	today := calendar.weekday(midnight)
	some window in windows
	first := (start + window.start) - 1440
	length := minutes_long(window)
	some day in days
	weekdays[today + day] in window.days
	from := first + (day * 1440)
	span := {"from": from, "until": from + length}
}

minutes_long(window) := window.end - window.start if window.end > window.start

minutes_long(window) := (window.end + 1440) - window.start if window.end <= window.start

# minute is the minute of an instant.
minute(ns) := floor(ns / calendar.minute)

inside(spans, at) if {
	some span in spans
	span.from <= at
	at < span.until
}

# ends is when the spans that now lies in are over: the first end that no other
# span covers. Undefined where there is none within a week: they never end.
ends(spans, now) := calendar.minute * min({span.until |
	at := minute(now)
	some span in spans
	at < span.until
	span.until <= at + (7 * 1440)
	not inside(spans, span.until)
})

# begins is when the next span begins.
begins(spans, now) := calendar.minute * min({span.from |
	at := minute(now)
	some span in spans
	at < span.from
})

# minutes after midnight of HH:MM, up to 24:00.
minutes("24:00") := 1440

minutes(clock) := time.parse_rfc3339_ns(sprintf("1970-01-01T%s:00Z", [clock])) / calendar.minute if clock != "24:00"
