# METADATA
# scope: package
# title: Scope
# description: Which campaigns a rule is about.
package codb.lib.scope

import rego.v2

# applies holds for a campaign whose purpose is of one of the classes, and for
# one whose class is not known: a rule is never skipped by leaving something out.
applies(classes) if not spared(classes)

spared(classes) if {
	some class in ["Marketing", "Service"]
	class == input.campaign.purposeClass
	not class in classes
}

default purpose := "(none)"

# purpose is the campaign's, for messages.
purpose := input.campaign.purpose

default channel := "(none)"

# channel is the campaign's, for messages.
channel := input.campaign.channel
