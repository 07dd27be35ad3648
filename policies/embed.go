// Package policies carries the rule library: Rego with the schemas of its
// parameters. It knows nothing of how rules are evaluated.
package policies

import "embed"

//go:generate go run ./lib/zones/generate.go

// FS holds <rule>/<rule>.rego and <rule>/schema.json of every rule and
// lib/<topic>/*.rego of what they share. Tests are in it too, as *_test.rego.
//
//go:embed */*.rego */schema.json lib/*/*.rego
var FS embed.FS
