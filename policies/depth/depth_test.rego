package codb.rules.depth_test

import rego.v2

import data.codb.lib.fixtures_test as f
import data.codb.rules.depth

denied(question) := f.codes(reasons) if reasons := depth.deny with input as question

asked(granted, wanted) := object.union(f.of({"relationship": {"depth": granted}}), {"campaign": {"depth": wanted}})

steps := ["Basic", "Analytics", "Tracking", "Profiling"]

test_up_to_the_agreed_step if {
	every i, granted in steps {
		every j, wanted in steps {
			denied(asked(granted, wanted)) == {"DepthExceeded" | j > i}
		}
	}
}

test_deeper if denied(asked("Tracking", "Profiling")) == {"DepthExceeded"}

test_what_is_absent_or_unknown_refuses if {
	denied(asked("Profiling", "Everything")) == {"DepthExceeded"}
	denied(asked("Everything", "Basic")) == {"DepthExceeded"}
	denied(f.without(f.question, "/campaign/depth")) == {"DepthExceeded"}
	denied(f.without(f.question, "/customer/relationship/depth")) == {"DepthExceeded"}
	denied(f.without(f.question, "/customer/relationship")) == {"DepthExceeded"}
}
