package codb.rules.suppression_test

import rego.v2

import data.codb.lib.fixtures_test as f
import data.codb.rules.suppression

defaults := {
	"after": ["HardBounce", "Complaint", "Unsubscribe"],
	"bouncesOf": "Same",
	"complaintsTo": "Same",
	"classes": ["Marketing"],
	"renewedConsent": "Lifts",
}

denied(question) := deniedWith(question, {})

deniedWith(question, parameters) := f.codes(reasons) if {
	reasons := suppression.deny with input as question with data.parameters as object.union(defaults, parameters)
}

after(event) := object.union(f.question, {"contacts": {"events": [event]}})

here(type) := {"type": type, "at": f.ns("2026-05-01T00:00:00Z"), "brand": "acme", "channel": "Email"}

other_brand(type) := object.union(here(type), {"brand": "globex"})

other_channel(type) := object.union(here(type), {"channel": "Phone"})

test_no_events if {
	denied(f.question) == set()
	denied(f.without(f.question, "/contacts")) == set()
}

test_each_type if {
	every type in ["HardBounce", "Complaint", "Unsubscribe"] {
		denied(after(here(type))) == {"Suppressed"}
	}
}

test_purchases_do_not_suppress if {
	every type in ["Purchase", "Inquiry"] {
		denied(after(here(type))) == set()
	}
}

test_bounce_is_about_its_channel if {
	denied(after(other_channel("HardBounce"))) == set()
	denied(after(other_brand("HardBounce"))) == {"Suppressed"}
	deniedWith(after(other_channel("HardBounce")), {"bouncesOf": "Any"}) == {"Suppressed"}
}

test_unsubscribe_and_complaint_are_about_their_brand if {
	every type in ["Complaint", "Unsubscribe"] {
		denied(after(other_channel(type))) == {"Suppressed"}
		denied(after(other_brand(type))) == set()
		deniedWith(after(other_brand(type)), {"complaintsTo": "Any"}) == {"Suppressed"}
	}
}

test_what_is_not_said_counts if {
	denied(f.without(after(here("HardBounce")), "/contacts/events/0/channel")) == {"Suppressed"}
	denied(f.without(after(here("Unsubscribe")), "/contacts/events/0/brand")) == {"Suppressed"}
}

test_only_the_types_asked_for if {
	deniedWith(after(here("Complaint")), {"after": ["HardBounce"]}) == set()
	deniedWith(after(here("HardBounce")), {"after": ["HardBounce"]}) == {"Suppressed"}
}

test_service if {
	service := {"campaign": {"purposeClass": "Service"}}
	denied(object.union(after(here("Unsubscribe")), service)) == set()
	denied(object.union(after(here("HardBounce")), service)) == {"Suppressed"}
	deniedWith(object.union(after(here("Unsubscribe")), service), {"classes": ["Marketing", "Service"]}) == {"Suppressed"}
}

test_an_event_of_the_future_counts if {
	denied(after(object.union(here("Unsubscribe"), {"at": f.ns("2026-07-01T00:00:00Z")}))) == {"Suppressed"}
}

captured(instant, fields) := object.union(
	after(here("Unsubscribe")),
	{"customer": {"relationship": {"grants": [object.union(
		object.union(f.grant, {"captureDate": f.ns(instant)}),
		fields,
	)]}}},
)

test_consent_anew_lifts if {
	every instant, want in {
		"2026-04-30T23:59:59Z": {"Suppressed"},
		"2026-05-01T00:00:00Z": {"Suppressed"},
		"2026-05-01T00:00:01Z": set(),
		"2026-06-15T10:00:00Z": set(),
		"2026-06-15T10:00:01Z": {"Suppressed"},
	} {
		denied(captured(instant, {})) == want
	}
}

test_only_a_given_and_expressed_consent_lifts if {
	every fields in [
		{"status": "ConsentRequested"},
		{"consentType": "ImpliedConsent"},
		{"channel": "Phone"},
		{"purpose": "Newsletter"},
	] {
		denied(captured("2026-06-01T00:00:00Z", fields)) == {"Suppressed"}
	}
}

test_renewal_can_be_ignored if {
	deniedWith(captured("2026-06-01T00:00:00Z", {}), {"renewedConsent": "Ignored"}) == {"Suppressed"}
}

test_a_later_event_suppresses_again if {
	events := [here("Complaint"), object.union(here("Unsubscribe"), {"at": f.ns("2026-06-10T00:00:00Z")})]
	denied(object.union(captured("2026-06-01T00:00:00Z", {}), {"contacts": {"events": events}})) == {"Suppressed"}
}

test_wakes_when_a_consent_is_captured if {
	woken := suppression.wake with input as captured("2026-06-15T10:00:01Z", {})
	woken == {f.ns("2026-06-15T10:00:01Z")}
	none := suppression.wake with input as captured("2026-06-15T10:00:00Z", {})
	none == set()
	never := suppression.wake with input as object.union(
		after(here("Complaint")),
		{"customer": {"relationship": {"grants": [object.union(f.grant, {"captureDate": 9223372036854775807})]}}},
	)
	never == set()
}

test_message if {
	reasons := suppression.deny with input as after(here("Complaint")) with data.parameters as defaults
	{reason.message | some reason in reasons} == {"an earlier contact ended in a Complaint"}
}

test_wakes_only_where_something_suppresses if {
	question := f.answered({"captureDate": f.ns("2026-07-01T00:00:00Z")})
	woken := suppression.wake with input as question
	woken == set()
}

test_the_latest_consent_lifts if {
	grants := [object.union(f.grant, {"captureDate": f.ns(date)}) | some date in ["2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z"]]
	denied(object.union(after(here("Unsubscribe")), {"customer": {"relationship": {"grants": grants}}})) == set()
}
