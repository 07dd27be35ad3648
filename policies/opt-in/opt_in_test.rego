package codb.rules.opt_in_test

import rego.v2

import data.codb.lib.fixtures_test as f
import data.codb.rules.opt_in

defaults := {
	"marketingBases": ["Consent"],
	"serviceBases": ["Consent", "Contract", "LegalObligation", "VitalInterest", "PublicInterest"],
}

denied(question) := f.codes(reasons) if {
	reasons := opt_in.deny with input as question with data.parameters as defaults
}

woken(question) := instants if {
	instants := opt_in.wake with input as question with data.parameters as defaults
}

test_given_passes if denied(f.question) == set()

test_renewed_passes if denied(f.answered({"status": "RenewedConsentGiven"})) == set()

test_no_relationship if denied(f.without(f.question, "/customer/relationship")) == {"NoGrant"}

test_no_customer if denied(f.without(f.question, "/customer")) == {"NoGrant"}

test_no_grants if denied(f.without(f.question, "/customer/relationship/grants")) == {"NoGrant"}

test_empty_grants if denied(f.of({"relationship": {"grants": []}})) == {"NoGrant"}

test_other_purpose_only if denied(f.answered({"purpose": "Newsletter"})) == {"NoGrant"}

test_other_channel_only if denied(f.answered({"channel": "Phone"})) == {"ChannelNotGranted"}

test_other_channel_refused_is_no_grant if {
	denied(f.answered({"channel": "Phone", "status": "ConsentRefused"})) == {"NoGrant"}
}

test_no_purpose_in_the_campaign if denied(f.without(f.question, "/campaign/purpose")) == {"NoGrant"}

test_no_campaign if denied(f.without(f.question, "/campaign")) == {"NoGrant"}

test_one_of_several_matches if {
	grants := [
		object.union(f.grant, {"channel": "Phone", "status": "ConsentRefused"}),
		f.grant,
		object.union(f.grant, {"purpose": "Newsletter", "status": "ConsentWithdrawn"}),
	]
	denied(f.of({"relationship": {"grants": grants}})) == set()
}

test_each_status_that_is_not_given if {
	every status, code in {
		"ConsentRequested": "ConsentPending",
		"ConsentRequestDeferred": "ConsentPending",
		"ConsentRefused": "ConsentRefused",
		"ConsentExpired": "ConsentExpired",
		"ConsentWithdrawn": "ConsentWithdrawn",
		"ConsentRevoked": "ConsentWithdrawn",
		"ConsentInvalidated": "ConsentWithdrawn",
		"ConsentUnknown": "ConsentUnknown",
		"y": "ConsentUnknown",
		"": "ConsentUnknown",
	} {
		denied(f.answered({"status": status})) == {code}
	}
}

test_no_status if {
	denied(f.without(f.question, "/customer/relationship/grants/0/status")) == {"ConsentUnknown"}
}

test_marketing_needs_consent if {
	every basis in ["Contract", "LegalObligation", "VitalInterest", "PublicInterest", "LegitimateInterest", ""] {
		denied(f.answered({"legalBasis": basis})) == {"LegalBasisMissing"}
	}
}

test_no_basis if {
	denied(f.without(f.question, "/customer/relationship/grants/0/legalBasis")) == {"LegalBasisMissing"}
}

test_no_class if denied(f.without(f.question, "/campaign/purposeClass")) == {"LegalBasisMissing"}

test_unknown_class if denied(f.by({"purposeClass": "Other"})) == {"LegalBasisMissing"}

service(basis) := object.union(f.answered({"legalBasis": basis}), {"campaign": {"purposeClass": "Service"}})

test_service_by_contract if denied(service("Contract")) == set()

test_service_by_legitimate_interest if denied(service("LegitimateInterest")) == {"LegalBasisMissing"}

test_bases_are_parameters if {
	question := f.answered({"legalBasis": "LegitimateInterest"})
	reasons := opt_in.deny with input as question with data.parameters as {
		"marketingBases": ["LegitimateInterest"],
		"serviceBases": ["Contract"],
	}
	reasons == set()
}

implied(event, date) := f.answered({
	"consentType": "ImpliedConsent",
	"impliedBy": {"event": event, "eventDate": f.ns(date)},
})

test_implied_within_the_law if {
	every event, date in {
		"Purchase": "2024-06-15T10:00:01Z",
		"Contract": "2024-06-15T10:00:01Z",
		"Inquiry": "2025-12-15T10:00:01Z",
	} {
		denied(implied(event, date)) == set()
	}
}

test_implied_lapses_at_the_instant if {
	every event, date in {
		"Purchase": "2024-06-15T10:00:00Z",
		"Contract": "2024-06-15T10:00:00Z",
		"Inquiry": "2025-12-15T10:00:00Z",
	} {
		denied(implied(event, date)) == {"ImpliedConsentLapsed"}
	}
}

test_implied_by_nothing if denied(f.answered({"consentType": "ImpliedConsent"})) == {"ImpliedConsentLapsed"}

test_implied_by_an_unknown_act if denied(implied("Visit", "2026-06-01T00:00:00Z")) == {"ImpliedConsentLapsed"}

test_unknown_type_is_implied_at_most if {
	denied(f.without(f.question, "/customer/relationship/grants/0/consentType")) == {"ImpliedConsentLapsed"}
	denied(f.answered({"consentType": "UninformedConsent"})) == {"ImpliedConsentLapsed"}
}

test_withdrawn_implied_is_only_withdrawn if {
	question := f.answered({"consentType": "ImpliedConsent", "status": "ConsentWithdrawn"})
	denied(question) == {"ConsentWithdrawn"}
}

test_wakes_when_the_implied_consent_lapses if {
	woken(implied("Purchase", "2025-03-01T00:00:00Z")) == {f.ns("2027-03-01T00:00:00Z")}
	woken(implied("Inquiry", "2026-06-01T00:00:00Z")) == {f.ns("2026-12-01T00:00:00Z")}
}

test_wakes_for_nothing_else if {
	woken(f.question) == set()
	woken(implied("Purchase", "2020-03-01T00:00:00Z")) == set()
	woken(f.without(f.question, "/customer")) == set()
}

test_message_names_purpose_and_channel if {
	reasons := opt_in.deny with input as f.answered({"channel": "Phone"}) with data.parameters as defaults
	{reason.message | some reason in reasons} == {"the customer allows the purpose Marketing, but not over Email"}
}

test_an_expressed_consent_has_no_clock_whatever_the_ledger_knows if {
	purchase := {"type": "Purchase", "at": f.ns("2026-01-01T00:00:00Z"), "brand": "acme"}
	woken(object.union(f.question, {"contacts": {"events": [purchase]}})) == set()
}

test_the_basis_of_a_no_does_not_matter if {
	denied(f.answered({"status": "ConsentWithdrawn", "legalBasis": "Contract"})) == {"ConsentWithdrawn"}
}
