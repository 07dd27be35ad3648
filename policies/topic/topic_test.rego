package codb.rules.topic_test

import rego.v2

import data.codb.lib.fixtures_test as f
import data.codb.rules.topic

denied(question) := f.codes(reasons) if reasons := topic.deny with input as question

garden := {"campaign": {"topic": "Garden"}}

granted(topics) := f.answered({"topics": topics})

blocked(topics) := f.of({"blockedTopics": topics})

test_a_grant_without_topics_covers_all if {
	denied(f.question) == set()
	denied(object.union(f.question, garden)) == set()
	denied(object.union(granted([]), garden)) == set()
}

test_a_grant_for_certain_topics if {
	denied(object.union(granted(["Garden", "Travel"]), garden)) == set()
	denied(object.union(granted(["Travel"]), garden)) == {"TopicNotGranted"}
	denied(object.union(granted(["garden"]), garden)) == {"TopicNotGranted"}
}

test_a_campaign_without_a_topic_is_not_covered if denied(granted(["Garden"])) == {"TopicNotGranted"}

test_a_blocked_topic if {
	denied(object.union(blocked(["Gambling", "Garden"]), garden)) == {"TopicBlocked"}
	denied(object.union(blocked(["Gambling"]), garden)) == set()
	denied(object.union(blocked([]), garden)) == set()
}

test_a_campaign_without_a_topic_may_be_about_a_blocked_one if {
	denied(blocked(["Gambling"])) == {"TopicNotStated"}
	denied(blocked([])) == set()
}

test_blocked_beats_granted if {
	question := object.union(granted(["Garden"]), {"customer": {"blockedTopics": ["Garden"]}})
	denied(object.union(question, garden)) == {"TopicBlocked"}
}

test_other_answers_do_not_count if {
	denied(object.union(f.answered({"channel": "Phone", "topics": ["Travel"]}), garden)) == set()
}
