package policy

import (
	"slices"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
)

// allowed are the builtins that policies may call: what the document needs, and
// nothing that reads a clock, the environment, the network or chance, or whose
// one call can outlast a deadline.
var allowed = []string{
	// assignment and comparison
	"assign", "eq", "equal", "neq", "lt", "lte", "gt", "gte",
	"internal.member_2", "internal.member_3", // the keyword in
	"internal.template_string", // $"..."
	// numbers
	"abs", "ceil", "floor", "round", "plus", "minus", "mul", "div", "rem",
	"numbers.range", "numbers.range_step", "format_int", "to_number",
	// collections
	"count", "sum", "product", "max", "min", "sort",
	"and", "or", "intersection", "union",
	"array.concat", "array.flatten", "array.reverse", "array.slice",
	"object.filter", "object.get", "object.keys", "object.remove",
	"object.subset", "object.union", "object.union_n",
	// types
	"is_array", "is_boolean", "is_null", "is_number", "is_object", "is_set", "is_string", "type_name",
	// text; nothing that grows it by more than it is given
	"concat", "contains", "endswith", "startswith", "indexof", "indexof_n",
	"lower", "upper", "split", "sprintf", "substring",
	"strings.any_prefix_match", "strings.any_suffix_match", "strings.count", "strings.reverse",
	"trim", "trim_left", "trim_prefix", "trim_right", "trim_space", "trim_suffix",
	// instants that the policy is given
	"time.add_date", "time.clock", "time.date", "time.diff", "time.format",
	"time.parse_duration_ns", "time.parse_ns", "time.parse_rfc3339_ns", "time.weekday",
}

// refusals say why a builtin is not allowed and what to write instead, by the
// beginning of its name; the first that fits counts.
var refusals = []struct{ prefix, why, remedy string }{
	{"time.now_ns", "reads the clock, so that the decision could not be repeated", "use input.now"},
	{"http.", "reaches the network", "everything that a policy may know is in input"},
	{"net.", "reaches the network", "everything that a policy may know is in input"},
	{"opa.runtime", "reads the environment", "everything that a policy may know is in input"},
	{"rand.", "is random, so that the decision could not be repeated", "use input.customer.bucket, 0 to 9999 and stable for each customer and campaign"},
	{"uuid.", "is random, so that the decision could not be repeated", "use input.customer.bucket, 0 to 9999 and stable for each customer and campaign"},
	{"crypto.", "reads the clock or handles keys, which policies don't have", "compare values as they stand"},
	{"io.jwt.", "reads the clock or handles keys, which policies don't have", "compare values as they stand"},
	{"bits.", "can compute for minutes in one call that no deadline stops", "use numbers and comparisons"},
	{"regex.", "can outlast its deadline on long text", "use in, startswith, endswith or contains"},
	{"glob.", "can outlast its deadline on long text", "use in, startswith, endswith or contains"},
	{"replace", "lets text grow without bound", "use concat, split or substring"},
	{"strings.replace_n", "lets text grow without bound", "use concat, split or substring"},
	{"strings.render_template", "lets text grow without bound", "use sprintf"},
	{"strings.split_n", "is not needed for what policies see", "use split"},
	{"walk", "hides which attributes the policy reads", "name the attribute"},
	{"print", "writes what it is given to a log", "take it out, or put a case into spec.tests"},
	{"trace", "writes what it is given to a log", "take it out, or put a case into spec.tests"},
	{"", "is not among the builtins that policies may call", "there are comparisons, arithmetic, collections, text and time; what a policy may know is in input"},
}

// refusal says why the builtin called name is not allowed; ok is false where it
// is allowed or no builtin at all.
func refusal(name string) (why, remedy string, ok bool) {
	b, known := ast.BuiltinMap[name]
	if !known || (slices.Contains(allowed, name) && !b.Nondeterministic) {
		return "", "", false
	}
	for _, r := range refusals {
		if strings.HasPrefix(name, r.prefix) {
			return r.why, r.remedy, true
		}
	}
	return "", "", false
}

// capabilities is all that the compiler knows: the allow-list, less what OPA
// flags as nondeterministic, so that a builtin which turns out to be so in a
// later version is denied too.
var capabilities = sync.OnceValue(func() *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion()
	c.Builtins = slices.DeleteFunc(c.Builtins, func(b *ast.Builtin) bool {
		return b.Nondeterministic || !slices.Contains(allowed, b.Name)
	})
	c.AllowNet = []string{}
	return c
})
