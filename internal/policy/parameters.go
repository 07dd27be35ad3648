package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// parameters is what a rule's schema says.
type parameters struct {
	schema *jsonschema.Schema
}

// noLoader keeps a schema from reaching for files or the network.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("a schema can't refer to %s", url)
}

func newParameters(text string) (*parameters, error) {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7)
	c.UseLoader(noLoader{})
	const url = "codb:parameters"
	if err := c.AddResource(url, doc); err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	s, err := c.Compile(url)
	if err != nil {
		return nil, fmt.Errorf("compile schema: %w", err)
	}
	if s.AdditionalProperties != false {
		return nil, errors.New("schema must say additionalProperties: false, so that no parameter is ignored")
	}
	p := &parameters{schema: s}
	if _, problems := p.complete("", nil); len(problems) > 0 && len(s.Required) == 0 {
		return nil, fmt.Errorf("defaults: %s", problems[0])
	}
	return p, nil
}

// names of the parameters, sorted.
func (p *parameters) names() []string { return slices.Sorted(maps.Keys(p.schema.Properties)) }

// complete reads parameters, fills in the defaults, and says what the schema
// refuses.
func (p *parameters) complete(field string, raw []byte) (map[string]any, []Problem) {
	var given any = map[string]any{}
	if len(bytes.TrimSpace(raw)) > 0 {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			return nil, []Problem{{Field: field, Code: ProblemParameter, Message: oneLine(err.Error()), Remedy: "write an object"}}
		}
		given = v
	}
	fill(p.schema, given)
	var invalid *jsonschema.ValidationError
	if err := p.schema.Validate(given); errors.As(err, &invalid) {
		return nil, p.problems(field, given, invalid)
	}
	out, ok := given.(map[string]any)
	if !ok {
		return nil, []Problem{{Field: field, Code: ProblemParameter, Message: "is no object", Remedy: "write an object"}}
	}
	return out, nil
}

// fill puts defaults where nothing is given.
func fill(s *jsonschema.Schema, v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, sub := range s.Properties {
			if _, ok := v[name]; !ok && sub.Default != nil {
				v[name] = *sub.Default
			}
			if given, ok := v[name]; ok {
				fill(sub, given)
			}
		}
	case []any:
		if items, ok := s.Items.(*jsonschema.Schema); ok {
			for _, e := range v {
				fill(items, e)
			}
		}
	}
}

var english = message.NewPrinter(language.English)

// problems makes one problem of each leaf of a validation error.
func (p *parameters) problems(field string, given any, e *jsonschema.ValidationError) []Problem {
	var out []Problem
	for _, cause := range e.Causes {
		out = append(out, p.problems(field, given, cause)...)
	}
	if len(e.Causes) > 0 || len(out) > maxProblems {
		return out[:min(len(out), maxProblems)]
	}
	prob := Problem{Field: field, Code: ProblemParameter, Message: e.ErrorKind.LocalizedString(english)}
	for _, step := range e.InstanceLocation {
		if isIndex(step) {
			prob.Field += "[" + step + "]"
		} else {
			prob.Field += "." + step
		}
	}
	value := show(dig(given, e.InstanceLocation))
	switch k := e.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		return p.unknown(prob, e.InstanceLocation, k.Properties)
	case *kind.Required:
		prob.Message, prob.Remedy = "lacks "+strings.Join(k.Missing, ", "), "add it"
	case *kind.Type:
		prob.Message, prob.Remedy = fmt.Sprintf("%s is no %s", value, strings.Join(k.Want, " or ")), "write a value of that type"
	case *kind.Enum:
		prob.Message, prob.Remedy = value+" is not one of the values it can have", "write one of "+show(k.Want)
	case *kind.Minimum:
		prob.Message, prob.Remedy = value+" is too small", "write at least "+k.Want.RatString()
	case *kind.Maximum:
		prob.Message, prob.Remedy = value+" is too large", "write at most "+k.Want.RatString()
	case *kind.Pattern:
		prob.Message, prob.Remedy = value+" has the wrong form", "write what matches "+k.Want
	default:
		prob.Message, prob.Remedy = value+": "+prob.Message, "see the rule's schema.json"
	}
	prob.Message = oneLine(prob.Message)
	return []Problem{prob}
}

// unknown makes problems of names that no schema knows.
func (p *parameters) unknown(prob Problem, where []string, names []string) []Problem {
	known := p.names()
	if len(where) > 0 {
		known = nil // inside a parameter: its schema tells
	}
	var out []Problem
	for _, n := range slices.Sorted(slices.Values(names)) {
		u := prob
		u.Field += "." + clip(n, 64)
		u.Message = "there is no such parameter"
		switch near := nearest(n, known); {
		case near != "":
			u.Remedy = fmt.Sprintf("did you mean %s? The rule's parameters are %s", near, strings.Join(known, ", "))
		case len(known) > 0:
			u.Remedy = "the rule's parameters are " + strings.Join(known, ", ")
		case len(where) > 0:
			u.Remedy = "take it out; see the rule's schema.json"
		default:
			u.Remedy = "take it out: the rule has no parameters"
		}
		out = append(out, u)
	}
	return out
}

// isIndex tells an index of a list from a name.
func isIndex(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// dig finds the value at a place.
func dig(v any, where []string) any {
	for _, step := range where {
		switch c := v.(type) {
		case map[string]any:
			v = c[step]
		case []any:
			i := 0
			if _, err := fmt.Sscan(step, &i); err != nil || i >= len(c) {
				return nil
			}
			v = c[i]
		}
	}
	return v
}

// show writes a value as YAML people know it, shortened.
func show(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "the value"
	}
	return clip(string(text), 128)
}
