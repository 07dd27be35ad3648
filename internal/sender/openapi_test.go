package sender

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestTheGateSpeaksTheSame compares what goes over the wire with the gate's own
// description: what we send it must know, and what it always sends we must read.
func TestTheGateSpeaksTheSame(t *testing.T) {
	raw, err := os.ReadFile("../../docs/gate-openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	type schema struct {
		Properties map[string]struct {
			Enum []string `json:"enum"`
		} `json:"properties"`
		Required []string `json:"required"`
	}
	var doc struct {
		Paths      map[string]any `json:"paths"`
		Components struct {
			Schemas map[string]schema `json:"schemas"`
		} `json:"components"`
	}
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]any{
		"DrawRequest": drawRequest{}, "DrawResponse": drawAnswer{}, "Permit": permit{}, "RedeemRequest": redeemRequest{},
		"RedeemResponse": redeemAnswer{}, "Redeemed": redeemed{}, "Reason": reason{}, "ReportRequest": reportRequest{},
		"Outcome": outcome{}, "ReportResponse": reportAnswer{}, "Reported": recorded{}, "Problem": problem{},
		"ReleaseRequest": releaseRequest{}, "ReleaseResponse": releaseAnswer{}, "Released": given{},
	} {
		described := doc.Components.Schemas[name]
		var ours []string
		for f := range reflect.TypeOf(v).Fields() {
			field, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			ours = append(ours, field)
			if _, ok := described.Properties[field]; !ok {
				t.Errorf("%s has no %s", name, field)
			}
		}
		for _, field := range described.Required {
			if !slices.Contains(ours, field) && name != "Problem" {
				t.Errorf("%s: we don't know its %s", name, field)
			}
		}
	}
	if words := doc.Components.Schemas["Outcome"].Properties["outcome"].Enum; !slices.Equal(words, outcomes) {
		t.Errorf("the gate takes the outcomes %v, we know %v", words, outcomes)
	}
	states := doc.Components.Schemas["Redeemed"].Properties["state"].Enum
	for _, state := range []string{stateRedeemed, stateRefused, stateAlreadyRedeemed} {
		if !slices.Contains(states, state) {
			t.Errorf("the gate says %v, never %s", states, state)
		}
	}
	for _, verb := range []string{"draw", "redeem", "report", "release"} {
		if doc.Paths["/v1/permits/"+verb] == nil {
			t.Errorf("there is no /v1/permits/%s", verb)
		}
	}
}
