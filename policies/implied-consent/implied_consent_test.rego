package codb.rules.implied_consent_test

import rego.v2

import data.codb.lib.fixtures_test as f
import data.codb.rules.implied_consent

defaults := {"purchaseMonths": 24, "inquiryMonths": 6}

denied(question) := denied_with(question, {})

denied_with(question, parameters) := f.codes(reasons) if {
	reasons := implied_consent.deny with input as question with data.parameters as object.union(defaults, parameters)
}

woken(question) := instants if {
	instants := implied_consent.wake with input as question with data.parameters as defaults
}

implied(event, date) := f.answered({
	"consentType": "ImpliedConsent",
	"impliedBy": {"event": event, "eventDate": f.ns(date)},
})

test_expressed_consents_have_no_clock if denied(f.question) == set()

test_calendar_months_to_the_second if {
	every case in [
		["Purchase", "2024-06-15T10:00:01Z", set()],
		["Purchase", "2024-06-15T10:00:00Z", {"ImpliedConsentLapsed"}],
		["Contract", "2024-06-15T10:00:01Z", set()],
		["Contract", "2024-06-15T10:00:00Z", {"ImpliedConsentLapsed"}],
		["Inquiry", "2025-12-15T10:00:01Z", set()],
		["Inquiry", "2025-12-15T10:00:00Z", {"ImpliedConsentLapsed"}],
	] {
		denied(implied(case[0], case[1])) == case[2]
	}
}

test_an_inquiry_of_31_august_lapses_at_the_end_of_february if {
	question := implied("Inquiry", "2025-08-31T10:00:00Z")
	denied(object.union(question, {"now": f.ns("2026-02-28T09:59:59Z")})) == set()
	denied(object.union(question, {"now": f.ns("2026-02-28T10:00:00Z")})) == {"ImpliedConsentLapsed"}
}

test_a_purchase_on_a_leap_day if {
	question := implied("Purchase", "2024-02-29T10:00:00Z")
	denied(object.union(question, {"now": f.ns("2026-02-28T09:59:59Z")})) == set()
	denied(object.union(question, {"now": f.ns("2026-02-28T10:00:00Z")})) == {"ImpliedConsentLapsed"}
}

test_months_are_parameters if {
	denied_with(implied("Purchase", "2025-06-01T00:00:00Z"), {"purchaseMonths": 12}) == {"ImpliedConsentLapsed"}
	denied_with(implied("Inquiry", "2026-05-01T00:00:00Z"), {"inquiryMonths": 1}) == {"ImpliedConsentLapsed"}
}

test_nothing_implies if {
	denied(f.answered({"consentType": "ImpliedConsent"})) == {"ImpliedConsentLapsed"}
}

test_a_purchase_to_come_implies_nothing_yet if {
	denied(implied("Purchase", "2026-06-15T10:00:01Z")) == {"ImpliedConsentLapsed"}
	woken(implied("Purchase", "2026-06-15T10:00:01Z")) == {f.ns("2026-06-15T10:00:01Z")}
	denied(implied("Purchase", "2026-06-15T10:00:00Z")) == set()
}

test_a_contract_that_still_runs if {
	denied(implied("Contract", "2027-01-01T00:00:00Z")) == set()
	woken(implied("Contract", "2027-01-01T00:00:00Z")) == {f.ns("2029-01-01T00:00:00Z")}
}

recorded(event) := object.union(implied("Purchase", "2020-01-01T00:00:00Z"), {"contacts": {"events": [event]}})

purchase := {"type": "Purchase", "at": f.ns("2026-01-01T00:00:00Z"), "brand": "acme"}

test_a_later_purchase_starts_the_clock_anew if {
	denied(recorded(purchase)) == set()
	woken(recorded(purchase)) == {f.ns("2028-01-01T00:00:00Z")}
}

test_an_inquiry_in_the_ledger_has_the_shorter_clock if {
	denied(recorded(object.union(purchase, {"type": "Inquiry"}))) == set()
	woken(recorded(object.union(purchase, {"type": "Inquiry"}))) == {f.ns("2026-07-01T00:00:00Z")}
	denied(recorded({"type": "Inquiry", "at": f.ns("2025-12-01T00:00:00Z"), "brand": "acme"})) == {"ImpliedConsentLapsed"}
}

test_what_does_not_imply if {
	every event in [
		object.union(purchase, {"brand": "globex"}),
		{"type": "Purchase", "at": f.ns("2026-01-01T00:00:00Z")},
		object.union(purchase, {"type": "Complaint"}),
		object.union(purchase, {"at": f.ns("2026-06-16T00:00:00Z")}),
		object.union(purchase, {"at": f.ns("2024-06-15T10:00:00Z")}),
	] {
		denied(recorded(event)) == {"ImpliedConsentLapsed"}
	}
}

test_the_latest_act_counts if {
	question := object.union(implied("Purchase", "2026-03-01T00:00:00Z"), {"contacts": {"events": [purchase]}})
	woken(question) == {f.ns("2028-03-01T00:00:00Z")}
}

test_a_withdrawn_consent_has_no_clock if {
	question := f.answered({"consentType": "ImpliedConsent", "status": "ConsentWithdrawn"})
	denied(question) == set()
	woken(question) == set()
}

test_dates_beyond_time if {
	far := {"consentType": "ImpliedConsent", "impliedBy": {"event": "Contract", "eventDate": 9223372036854775807}}
	denied(f.answered(far)) == set()
	woken(f.answered(far)) == set()
	purchased := {"consentType": "ImpliedConsent", "impliedBy": {"event": "Purchase", "eventDate": 9223372036854775807}}
	denied(f.answered(purchased)) == {"ImpliedConsentLapsed"}
	woken(f.answered(purchased)) == set()
}

test_an_expressed_consent_has_no_clock_whatever_the_ledger_knows if {
	question := object.union(f.question, {"contacts": {"events": [purchase]}})
	denied(question) == set()
	woken(question) == set()
}

test_an_act_of_this_instant_counts if {
	denied(recorded(object.union(purchase, {"at": f.now}))) == set()
}

test_what_has_lapsed_does_not_wake if {
	woken(implied("Purchase", "2024-06-15T10:00:00Z")) == set()
	woken(implied("Purchase", "2024-06-15T10:00:01Z")) == {f.ns("2026-06-15T10:00:01Z")}
}
