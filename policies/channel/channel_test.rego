package codb.rules.channel_test

import rego.v2

import data.codb.lib.fixtures_test as f
import data.codb.rules.channel

defaults := {
	"allowed": ["Email", "SMS", "Phone", "Post", "Push", "InApp", "Social", "Web"],
	"expressed": [],
}

denied(question, parameters) := f.codes(reasons) if {
	reasons := channel.deny with input as question with data.parameters as object.union(defaults, parameters)
}

test_every_channel_by_default if {
	every name in defaults.allowed {
		denied(f.by({"channel": name}), {}) == set()
	}
}

test_a_channel_that_is_not_allowed if {
	denied(f.by({"channel": "Phone"}), {"allowed": ["Email"]}) == {"ChannelNotAllowed"}
	denied(f.question, {"allowed": ["Email"]}) == set()
}

test_no_channel if denied(f.without(f.question, "/campaign/channel"), {}) == {"ChannelNotAllowed"}

test_implied_is_not_enough_where_told if {
	implied := f.answered({"consentType": "ImpliedConsent"})
	denied(implied, {}) == set()
	denied(implied, {"expressed": ["Email"]}) == {"ExpressedConsentMissing"}
	denied(implied, {"expressed": ["Phone"]}) == set()
	denied(f.question, {"expressed": ["Email"]}) == set()
}

test_no_type_is_not_expressed if {
	question := f.without(f.question, "/customer/relationship/grants/0/consentType")
	denied(question, {"expressed": ["Email"]}) == {"ExpressedConsentMissing"}
}
