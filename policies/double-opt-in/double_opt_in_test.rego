package codb.rules.double_opt_in_test

import rego.v2

import data.codb.lib.fixtures_test as f
import data.codb.rules.double_opt_in

defaults := {"channels": ["Email"]}

denied(question) := f.codes(reasons) if {
	reasons := double_opt_in.deny with input as question with data.parameters as defaults
}

woken(question) := instants if {
	instants := double_opt_in.wake with input as question with data.parameters as defaults
}

confirmed(instant) := f.answered({"doubleConsentCaptureDate": f.ns(instant)})

test_not_confirmed if denied(f.question) == {"ConsentPending"}

test_confirmed_from_the_instant_on if {
	denied(confirmed("2026-06-15T09:59:59Z")) == set()
	denied(confirmed("2026-06-15T10:00:00Z")) == set()
	denied(confirmed("2026-06-15T10:00:01Z")) == {"ConsentPending"}
}

test_asked_and_not_answered if {
	every status in ["ConsentRequested", "ConsentRequestDeferred"] {
		denied(f.answered({"status": status})) == {"ConsentPending"}
		denied(f.answered({"status": status, "doubleConsentCaptureDate": 0})) == {"ConsentPending"}
	}
}

test_a_no_is_not_pending if {
	every status in ["ConsentRefused", "ConsentWithdrawn", "ConsentUnknown"] {
		denied(f.answered({"status": status})) == set()
	}
}

test_other_channels_need_none if {
	phone := object.union(f.answered({"channel": "Phone"}), {"campaign": {"channel": "Phone"}})
	denied(phone) == set()
	reasons := double_opt_in.deny with input as phone with data.parameters as {"channels": ["Email", "Phone"]}
	f.codes(reasons) == {"ConsentPending"}
}

test_implied_and_other_bases_have_nothing_to_confirm if {
	denied(f.answered({"consentType": "ImpliedConsent"})) == set()
	every basis in ["Contract", "LegalObligation", "VitalInterest", "PublicInterest", "LegitimateInterest"] {
		denied(f.answered({"legalBasis": basis})) == set()
	}
}

test_no_basis_and_no_type_excuse_nothing if {
	denied(f.without(f.question, "/customer/relationship/grants/0/legalBasis")) == {"ConsentPending"}
	denied(f.without(f.question, "/customer/relationship/grants/0/consentType")) == {"ConsentPending"}
}

test_wakes_at_the_confirmation_to_come if {
	woken(confirmed("2026-06-15T10:00:01Z")) == {f.ns("2026-06-15T10:00:01Z")}
	woken(confirmed("2026-06-15T10:00:00Z")) == set()
	woken(f.answered({"doubleConsentCaptureDate": 9223372036854775807})) == set()
}

test_no_relationship if denied(f.without(f.question, "/customer/relationship")) == set()
