package codb.rules.holdout_test

import rego.v2

import data.codb.lib.fixtures_test as f
import data.codb.rules.holdout

denied(bucket, percent) := f.codes(reasons) if {
	reasons := holdout.deny with input as object.union(f.of({"bucket": bucket}), {"campaign": {"holdoutPercent": percent}})
}

test_no_holdout if {
	denied(0, 0) == set()
	denied(9999, 0) == set()
}

test_the_edge_of_the_share if {
	denied(0, 5) == {"HeldOut"}
	denied(499, 5) == {"HeldOut"}
	denied(500, 5) == set()
	denied(9999, 90) == set()
	denied(8999, 90) == {"HeldOut"}
}

test_everybody if denied(9999, 100) == {"HeldOut"}

test_no_place_is_held_out if {
	question := f.without(f.by({"holdoutPercent": 5}), "/customer/bucket")
	reasons := holdout.deny with input as question
	f.codes(reasons) == {"HeldOut"}
}

test_no_place_and_no_holdout if {
	reasons := holdout.deny with input as f.without(f.question, "/customer/bucket")
	reasons == set()
}
