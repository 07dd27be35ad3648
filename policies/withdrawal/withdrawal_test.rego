package codb.rules.withdrawal_test

import rego.v2

import data.codb.lib.fixtures_test as f
import data.codb.rules.withdrawal

defaults := {"classes": ["Marketing"]}

denied(question) := f.codes(reasons) if {
	reasons := withdrawal.deny with input as question with data.parameters as defaults
}

test_given_passes if denied(f.question) == set()

test_opt_out if denied(f.of({"optOut": {"since": f.ns("2026-06-01T00:00:00Z")}})) == {"OptedOut"}

test_opt_out_dated_in_the_future_counts_at_once if {
	denied(f.of({"optOut": {"since": f.ns("2030-01-01T00:00:00Z")}})) == {"OptedOut"}
	denied(f.of({"optOut": {"since": 9223372036854775807}})) == {"OptedOut"}
}

test_opt_out_of_epoch_zero if denied(f.of({"optOut": {"since": 0}})) == {"OptedOut"}

test_opt_out_is_about_marketing if {
	question := object.union(f.of({"optOut": {"since": 0}}), {"campaign": {"purposeClass": "Service"}})
	denied(question) == set()
	reasons := withdrawal.deny with input as question with data.parameters as {"classes": ["Marketing", "Service"]}
	f.codes(reasons) == {"OptedOut"}
}

test_opt_out_stops_an_unknown_class if {
	denied(f.without(f.of({"optOut": {"since": 0}}), "/campaign/purposeClass")) == {"OptedOut"}
}

test_each_status if {
	every status, want in {
		"ConsentWithdrawn": {"ConsentWithdrawn"},
		"ConsentRevoked": {"ConsentWithdrawn"},
		"ConsentInvalidated": {"ConsentWithdrawn"},
		"ConsentRefused": {"ConsentRefused"},
		"ConsentGiven": set(),
		"RenewedConsentGiven": set(),
		"ConsentRequested": set(),
		"ConsentUnknown": set(),
	} {
		denied(f.answered({"status": status})) == want
	}
}

test_withdrawal_stops_service_too if {
	question := object.union(f.answered({"status": "ConsentWithdrawn"}), {"campaign": {"purposeClass": "Service"}})
	denied(question) == {"ConsentWithdrawn"}
}

test_one_withdrawal_is_about_its_channel if {
	grants := [object.union(f.grant, {"channel": "Phone", "status": "ConsentWithdrawn"}), f.grant]
	denied(f.of({"relationship": {"grants": grants}})) == set()
}

test_both_reasons_are_kept if {
	denied(f.of({
		"optOut": {"since": 0},
		"relationship": {"grants": [object.union(f.grant, {"status": "ConsentWithdrawn"})]},
	})) == {"OptedOut", "ConsentWithdrawn"}
}
