# METADATA
# scope: package
# title: Calendar
# description: |-
#   Instants of wall clocks. An instant is in nanoseconds since 1970 UTC; a wall
#   reading is what a clock shows, written as the instant at which a clock in UTC
#   shows the same; both are whole seconds. A zone must be one of codb.lib.zones: any
#   other name is a builtin error.
package codb.lib.calendar

import rego.v2

minute := 60 * 1000000000

day := (24 * 60) * minute

# The last instant that nanoseconds since 1970 can hold stands for all later ones.
last := 9223372036854775807

# later is ns + span, never beyond last.
later(ns, span) := min([ns + span, last])

# wall is what a clock in zone shows at ns.
wall(ns, zone) := time.parse_rfc3339_ns(time.format([ns, zone, "2006-01-02T15:04:05Z"]))

# midnight is the wall reading 00:00 of the day that it is in zone at ns.
midnight(ns, zone) := reading - (reading % day) if reading := wall(ns, zone)

# monday is the wall reading 00:00 of the Monday on or before the day of midnight.
monday(midnight) := midnight - (weekday(midnight) * day)

# weekday counts from Monday, 0, to Sunday, 6.
weekday(midnight) := ((midnight / day) + 3) % 7

# offset is how far zone is ahead of UTC at ns.
offset(ns, zone) := wall(ns, zone) - ns

# steady holds where no clock in zone is put forward or back from nine days before
# now to sixteen days after: then every reading is simply the offset away.
steady(zone, now) if offset(now - (9 * day), zone) == offset(now + (16 * day), zone)

# first is the first instant at which a clock in zone shows reading. A reading
# that is skipped in spring is reached at the first instant after the gap.
first(reading, zone) := min(instants(reading, zone))

# final is the last such instant: in autumn a clock shows some readings twice.
final(reading, zone) := max(instants(reading, zone))

instants(reading, zone) := {reading - before} if {
	before := offset(reading - day, zone)
	before == offset(reading + day, zone)
}

instants(reading, zone) := changing(reading, zone) if {
	offset(reading - day, zone) != offset(reading + day, zone)
}

changing(reading, zone) := passes(reading, zone) if count(passes(reading, zone)) > 0

changing(reading, zone) := {gap_end(reading, zone)} if count(passes(reading, zone)) == 0

passes(reading, zone) := {ns |
	some near in [reading - day, reading + day]
	ns := reading - offset(near, zone)
	wall(ns, zone) == reading
}

# In a gap, reading minus the later offset is before the change, and reading
# minus the earlier one is not. Clocks change at full minutes.
gap_end(reading, zone) := min([ns |
	before := offset(reading - day, zone)
	after := offset(reading + day, zone)
	some step in numbers.range(0, (after - before) / minute)
	ns := (reading - after) + (step * minute)
	offset(ns, zone) == after
])

# Beyond this instant, 2250-01-01, adding months could leave what nanoseconds hold.
far := 8835955200000000000

# plus_months adds calendar months in UTC. Where the month is too short, it ends
# on its last day: 31 August and 6 months is the end of February.
plus_months(ns, _) := last if ns >= far

plus_months(ns, months) := sum if {
	ns < far
	sum := time.add_date(ns, 0, months, 0)
	time.date(sum)[2] == time.date(ns)[2]
}

plus_months(ns, months) := time.add_date(sum, 0, 0, 0 - time.date(sum)[2]) if {
	ns < far
	sum := time.add_date(ns, 0, months, 0)
	time.date(sum)[2] != time.date(ns)[2]
}

# new_year is the first instant of a year in UTC.
new_year(year) := last if year > 2261

new_year(year) := time.parse_rfc3339_ns(sprintf("%d-01-01T00:00:00Z", [year])) if year <= 2261
