package decision_test

import (
	"testing"

	"github.com/codb-dev/codb/internal/consent"
	"github.com/codb-dev/codb/internal/decision"
)

func TestANoNeedsNoPolicy(t *testing.T) {
	answered := func(purpose, channel, status string) consent.Person {
		return consent.Person{Relationship: &consent.Relationship{Grants: []consent.Grant{{Purpose: purpose, Channel: channel, Status: status}}}}
	}
	objects := func(purpose string) consent.Person {
		return consent.Person{Relationship: &consent.Relationship{Objections: []consent.Objection{{Purpose: purpose}}}}
	}
	tests := map[string]struct {
		person consent.Person
		class  string
		want   bool
	}{
		"SaysNothing":               {class: "Marketing"},
		"OptedOut":                  {person: consent.Person{OptOut: &consent.Since{}}, class: "Marketing", want: true},
		"OptedOutOfWhoKnowsWhat":    {person: consent.Person{OptOut: &consent.Since{}}, want: true},
		"OptedOutIsNotService":      {person: consent.Person{OptOut: &consent.Since{}}, class: "Service"},
		"Withdrawn":                 {person: answered("Offers", "Email", "ConsentWithdrawn"), class: "Service", want: true},
		"Revoked":                   {person: answered("Offers", "Email", "ConsentRevoked"), class: "Marketing", want: true},
		"Refused":                   {person: answered("Offers", "Email", "ConsentRefused"), class: "Marketing", want: true},
		"OfAnotherChannel":          {person: answered("Offers", "Phone", "ConsentWithdrawn"), class: "Marketing"},
		"OfAnotherPurpose":          {person: answered("Research", "Email", "ConsentWithdrawn"), class: "Marketing"},
		"Given":                     {person: answered("Offers", "Email", "ConsentGiven"), class: "Marketing"},
		"ObjectsToThis":             {person: objects("Offers"), class: "Service", want: true},
		"ObjectsToMarketing":        {person: objects("DirectMarketing"), class: "Marketing", want: true},
		"ObjectingIsNotAboutRecall": {person: objects("DirectMarketing"), class: "Service"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := decision.Campaign{Purpose: "Offers", Channel: "Email", PurposeClass: tc.class}
			if got := decision.SaidNo(&tc.person, &c); got != tc.want {
				t.Errorf("SaidNo = %t, want %t", got, tc.want)
			}
		})
	}
}
