package codb.rules.life_stage_test

import rego.v2

import data.codb.lib.fixtures_test as f
import data.codb.rules.life_stage

defaults := {"stages": ["Student", "Unemployed"], "topics": ["Credit"], "unknown": "Deny", "classes": ["Marketing"]}

denied(customer, campaign, parameters) := f.codes(reasons) if {
	reasons := life_stage.deny with input as object.union(f.of(customer), {"campaign": campaign})
		with data.parameters as object.union(defaults, parameters)
}

test_excluded if {
	denied({"lifeStage": "Student"}, {"topic": "Credit"}, {}) == {"LifeStageExcluded"}
	denied({"lifeStage": "Working"}, {"topic": "Credit"}, {}) == set()
	denied({"lifeStage": "Student"}, {"topic": "Garden"}, {}) == set()
}

test_a_campaign_without_a_topic_may_be_about_any if {
	denied({"lifeStage": "Student"}, {}, {}) == {"LifeStageExcluded"}
}

test_every_topic if denied({"lifeStage": "Student"}, {"topic": "Garden"}, {"topics": []}) == {"LifeStageExcluded"}

test_unknown_stage if {
	denied({}, {"topic": "Credit"}, {}) == {"LifeStageUnknown"}
	denied({}, {"topic": "Credit"}, {"unknown": "Allow"}) == set()
	denied({}, {"topic": "Garden"}, {}) == set()
}

test_no_stages_exclude_nobody if {
	denied({"lifeStage": "Student"}, {"topic": "Credit"}, {"stages": []}) == set()
	denied({}, {"topic": "Credit"}, {"stages": []}) == set()
}

test_service if {
	service := {"topic": "Credit", "purposeClass": "Service"}
	denied({"lifeStage": "Student"}, service, {}) == set()
	denied({"lifeStage": "Student"}, service, {"classes": ["Service"]}) == {"LifeStageExcluded"}
}
