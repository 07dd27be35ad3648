package v1alpha1_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// free are the only fields of any shape: other schemas than the CRD's own
// check them.
var free = []string{
	"CampaignPolicy.spec.rules[].with",
	"CampaignPolicy.spec.tests[].campaign",
	"CampaignPolicy.spec.tests[].customer",
}

// empty are objects without fields whose presence is what they say.
var empty = []string{"Campaign.spec.audience.everyone"}

type schema = apiextensionsv1.JSONSchemaProps

func TestSchemasKeepTheHouseRules(t *testing.T) {
	for _, k := range kinds(t) {
		for _, name := range []string{"spec", "status"} {
			if node, ok := k.Schema.Properties[name]; ok {
				lint(&node, name, k.Name+"."+name, func(format string, args ...any) { t.Errorf(format, args...) })
			}
		}
	}
}

// The lint is of no use if it lets everything pass.
func TestLintFindsEachFault(t *testing.T) {
	text := func(s schema) schema { s.Description = "a is a."; return s }
	one, set := int64(1), "set"
	tests := map[string]struct {
		node schema
		want string
	}{
		"UnboundedString":  {text(schema{Type: "string"}), "no maxLength"},
		"UnboundedList":    {text(schema{Type: "array", XListType: &set, Items: &apiextensionsv1.JSONSchemaPropsOrArray{Schema: &schema{Type: "string", MaxLength: &one}}}), "no maxItems"},
		"ListWithoutType":  {text(schema{Type: "array", MaxItems: &one, Items: &apiextensionsv1.JSONSchemaPropsOrArray{Schema: &schema{Type: "string", MaxLength: &one}}}), "no list type"},
		"Map":              {text(schema{Type: "object", AdditionalProperties: &apiextensionsv1.JSONSchemaPropsOrBool{Allows: true}}), "a map"},
		"EmptyObject":      {text(schema{Type: "object"}), "an object without fields"},
		"Float":            {text(schema{Type: "number"}), "type number"},
		"Boolean":          {text(schema{Type: "boolean"}), "type boolean"},
		"Undescribed":      {schema{Type: "integer"}, "description"},
		"OtherDescription": {schema{Type: "integer", Description: "b is a."}, "description"},
		"NoFullStop":       {schema{Type: "integer", Description: "a is a"}, "description"},
		"CELWithoutRemedy": {text(schema{Type: "integer", XValidations: apiextensionsv1.ValidationRules{{Rule: "true"}}}), "no message"},
		"PatternAlone":     {text(schema{Type: "string", MaxLength: &one, Pattern: "a"}), "pattern"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var found []string
			lint(&tc.node, "a", "Kind.a", func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) })
			if len(found) != 1 || !strings.Contains(found[0], tc.want) {
				t.Errorf("lint = %q, want one fault with %q", found, tc.want)
			}
		})
	}
}

func lint(s *schema, name, path string, fault func(string, ...any)) {
	if strings.Contains(path, ".conditions[]") {
		return // metav1.Condition is not ours
	}
	described(s, name, path, fault)
	for _, rule := range s.XValidations {
		if rule.Message == "" && rule.MessageExpression == "" {
			fault("%s: no message for rule %s", path, rule.Rule)
		}
	}
	if s.Pattern != "" {
		fault("%s: a pattern says no remedy: write it as a CEL rule with a message", path)
	}
	switch s.Type {
	case "string":
		if s.MaxLength == nil && len(s.Enum) == 0 && s.Format != "date-time" {
			fault("%s: no maxLength, enum or date-time", path)
		}
	case "integer":
	case "array":
		lintList(s, path, fault)
	case "object":
		lintObject(s, path, fault)
	default:
		fault("%s: type %s: use an enumeration, an integer or an object", path, s.Type)
	}
}

func lintList(s *schema, path string, fault func(string, ...any)) {
	if s.MaxItems == nil {
		fault("%s: no maxItems", path)
	}
	if s.XListType == nil {
		fault("%s: no list type", path)
	}
	if s.Items != nil && s.Items.Schema != nil {
		lint(s.Items.Schema, "", path+"[]", fault)
	}
}

func lintObject(s *schema, path string, fault func(string, ...any)) {
	isFree := s.XPreserveUnknownFields != nil && *s.XPreserveUnknownFields
	switch {
	case s.AdditionalProperties != nil:
		fault("%s: a map: use a list with keys", path)
	case isFree && (!slices.Contains(free, path) || s.MaxProperties == nil):
		fault("%s: of any shape: list it in free, and bound it with maxProperties", path)
	case !isFree && len(s.Properties) == 0 && !slices.Contains(empty, path):
		fault("%s: an object without fields", path)
	}
	for child, node := range s.Properties {
		lint(&node, child, path+"."+child, fault)
	}
}

var sentence = regexp.MustCompile(`^[A-Z]`)

// described asks for a sentence that begins with the field's JSON name, or is
// a whole one. Items of a list are described where the list is, unless they
// have fields.
func described(s *schema, name, path string, fault func(string, ...any)) {
	isItem := name == ""
	if isItem && s.Type != "object" && s.Description == "" {
		return
	}
	starts := sentence.MatchString(s.Description)
	if !isItem {
		starts = starts || regexp.MustCompile(`^`+regexp.QuoteMeta(name)+`\b`).MatchString(s.Description)
	}
	if !starts || !strings.HasSuffix(s.Description, ".") {
		fault("%s: description %q: begin with %q, end with a full stop", path, s.Description, name)
	}
}
