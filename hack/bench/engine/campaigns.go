package main

import (
	"fmt"
	"os"

	"sigs.k8s.io/yaml"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/policy"
	"github.com/codb-dev/codb/policies"
)

// campaign is the one that most rows are about: it reads every rule but the
// cool-down, whose campaigns ask for consent.
var campaign = decision.Campaign{
	Name: "spring", Namespace: "acme-marketing", Brand: brand, Purpose: "Marketing", PurposeClass: "Marketing",
	Channel: "Email", Topic: "Savings", Depth: "Analytics", HoldoutPercent: 10,
}

// campaigns are n different ones of one brand: over all channels, purposes, topics
// and depths.
func campaigns(n int) []decision.Campaign {
	out := make([]decision.Campaign, n)
	for i := range out {
		c := campaign
		c.Name = fmt.Sprintf("campaign-%d", i)
		c.Channel = []string{"Email", "Phone", "SMS", "Post", "Push"}[i%5]
		c.Purpose = []string{"Marketing", "Marketing", "Newsletter", "Survey", "ObtainConsent"}[i/5%5]
		c.Topic = topics[i%len(topics)]
		if i%10 == 9 {
			c.Topic = ""
		}
		c.Depth = depths[i/3%len(depths)]
		c.HoldoutPercent = int32(i % 3 * 10)
		out[i] = c
	}
	return out
}

// rules are the policies of the measurement: the floor, and the rule book that
// codb ships, with all 18 rules of the library.
func rules(path string) (*policy.Library, []policy.Policy, error) {
	lib, err := policy.LoadLibrary(policies.FS)
	if err != nil {
		return nil, nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read the baseline policy: %w", err)
	}
	var baseline v1alpha1.CampaignPolicy
	if err := yaml.Unmarshal(text, &baseline); err != nil {
		return nil, nil, fmt.Errorf("read the baseline policy: %w", err)
	}
	baseline.Spec.Tests = nil
	return lib, []policy.Policy{lib.Floor(), policy.FromObject(&baseline)}, nil
}
