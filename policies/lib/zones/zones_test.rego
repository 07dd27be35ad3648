package codb.lib.zones_test

import rego.v2

import data.codb.lib.fixtures_test as f
import data.codb.lib.zones

test_known if {
	every zone in ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Australia/Lord_Howe"] {
		zones.known(zone)
	}
}

test_not_known if {
	every zone in ["Mars/Olympus", "europe/berlin", "", "Local", "+02:00", 5] {
		not zones.known(zone)
	}
}

test_every_name_is_one_that_the_builtins_take if {
	every zone in zones.names {
		time.clock([f.now, zone])
	}
}

codes(zone) := f.codes(refusals) if {
	refusals := zones.refusals with input as f.of({"timeZone": zone})
}

test_refusals if {
	codes("Europe/Berlin") == set()
	codes("Mars/Olympus") == {"UnknownTimeZone"}
	codes("") == {"UnknownTimeZone"}
	refusals := zones.refusals with input as f.without(f.question, "/customer/timeZone")
	f.codes(refusals) == {"MissingTimeZone"}
}
