package codb.rules.objection_test

import rego.v2

import data.codb.lib.fixtures_test as f
import data.codb.rules.objection

defaults := {"marketing": ["Marketing", "DirectMarketing"], "profiling": ["Profiling"]}

denied(question) := f.codes(reasons) if {
	reasons := objection.deny with input as question with data.parameters as defaults
}

objected(purpose) := f.of({"relationship": {"objections": [{"purpose": purpose, "since": f.ns("2026-01-01T00:00:00Z")}]}})

test_no_objection if {
	denied(f.question) == set()
	denied(f.without(f.question, "/customer/relationship")) == set()
}

test_to_the_purpose if denied(objected("Marketing")) == {"Objected"}

test_to_another_purpose if denied(objected("Research")) == set()

test_counts_at_once if {
	question := f.of({"relationship": {"objections": [{"purpose": "Marketing", "since": 9223372036854775807}]}})
	denied(question) == {"Objected"}
}

test_to_direct_marketing_covers_all_of_it if {
	newsletter := {"campaign": {"purpose": "Newsletter"}}
	denied(object.union(objected("DirectMarketing"), newsletter)) == {"Objected"}
	denied(object.union(objected("Marketing"), newsletter)) == {"Objected"}
}

test_but_not_service if {
	invoice := {"campaign": {"purpose": "Invoice", "purposeClass": "Service"}}
	denied(object.union(objected("DirectMarketing"), invoice)) == set()
	denied(object.union(objected("Invoice"), invoice)) == {"Objected"}
}

test_an_unknown_class_is_not_spared if {
	denied(f.without(objected("DirectMarketing"), "/campaign/purposeClass")) == {"Objected"}
}

test_to_profiling if {
	denied(objected("Profiling")) == set()
	denied(object.union(objected("Profiling"), {"campaign": {"depth": "Profiling"}})) == {"Objected"}
}

test_another_objection_does_not_stop_profiling if {
	denied(object.union(objected("Research"), {"campaign": {"depth": "Profiling"}})) == set()
}
