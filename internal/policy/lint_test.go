package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/policies"
)

// refusal of one line of Rego: its code, line, and words of message and remedy.
type refused struct {
	code  string
	line  int
	words string
}

func lintOne(t *testing.T, lib *Library, rego string, want refused) {
	t.Helper()
	begun := time.Now()
	got := lib.Lint("own", &v1alpha1.CampaignPolicySpec{Rego: rego})
	if took := time.Since(begun); took > 500*time.Millisecond {
		t.Errorf("took %s", took)
	}
	if want.code == "" {
		if len(got) > 0 {
			t.Errorf("refused: %v", got)
		}
		return
	}
	if len(got) == 0 {
		t.Fatal("not refused")
	}
	p := got[0]
	if p.Code != want.code || p.Line != want.line || p.File != "spec.rego" || p.Remedy == "" {
		t.Errorf("want %s in line %d, got %#v", want.code, want.line, p)
	}
	if !strings.Contains(p.String(), want.words) {
		t.Errorf("%q does not say %q", p, want.words)
	}
}

const fine = `deny contains {"code": "A", "message": ""} if input.customer.bucket == 1`

func TestLintOfRego(t *testing.T) {
	lib := small(t)
	tests := map[string]struct {
		rego string // lines after the package's, or all with its own package
		want refused
	}{
		"Fine":                       {fine, refused{}},
		"RegoV1IsFine":               {"import rego.v1\n" + fine, refused{}},
		"HelpersAreFine":             {"import rego.v2\nimport data.codb.lib.tally\nhold contains {\"code\": \"A\"} if tally.sent([\"Marketing\"]) > 3", refused{}},
		"OwnPackageByFullName":       {"deny contains {\"code\": \"A\"} if data.codb.policy.low\nlow if input.customer.bucket < 3", refused{}},
		"NotRego":                    {"deny contains if", refused{ProblemParse, 2, "unexpected"}},
		"OtherPackage":               {"package codb.policies\n" + fine, refused{ProblemPackage, 1, "write: package codb.policy"}},
		"TooLong":                    {fine + "\n#" + strings.Repeat("x", maxRego), refused{ProblemSize, 0, "65536"}},
		"TooManyRules":               {fine + strings.Repeat("\nx := 1", maxRules), refused{ProblemSize, 1, "501 rules"}},
		"SixComprehensions":          {"deny contains {\"code\": \"A\"} if count(" + nest(6, "[y|y:=", "1", "]") + ") == 1", refused{}},
		"SevenComprehensions":        {"deny contains x if x := " + nest(7, "[y|y:=", "1", "]"), refused{ProblemSize, 2, "rules of their own"}},
		"SevenSets":                  {"deny contains x if x := " + nest(7, "{y|y:=", "1", "}"), refused{ProblemSize, 2, "nest deeper than 6"}},
		"SevenObjects":               {"deny contains x if x := " + nest(7, "{1:y|y:=", "1", "}"), refused{ProblemSize, 2, "nest deeper than 6"}},
		"SevenEvery":                 {"deny contains 1 if " + nest(7, "every x in [1] {", "true", "}"), refused{ProblemSize, 2, "nest deeper than 6"}},
		"SevenNot":                   {"import rego.v2\ndeny contains 1 if " + nest(7, "not {", "true", "}"), refused{ProblemSize, 3, "nest deeper than 6"}},
		"SevenTemplates":             {"deny contains x if x := " + nest(7, "$`{", "1", "}`"), refused{ProblemSize, 2, "nest deeper than 6"}},
		"SevenKeys":                  {"deny contains x if x := " + nest(8, "{", "1", ":1}"), refused{ProblemSize, 2, "nest deeper than 6"}},
		"NestedInHead":               {"deny contains " + nest(7, "[y|y:=", "1", "]") + " if true", refused{ProblemSize, 2, "nest deeper than 6"}},
		"NestedInElse":               {fine + "\nf(x) := 1 if x > 3 else := " + nest(7, "[y|y:=", "1", "]"), refused{ProblemSize, 3, "nest deeper than 6"}},
		"LongChain":                  {"import rego.v2\ndeny contains 1 if " + strings.Repeat("true or ", 70) + "true", refused{ProblemSize, 3, "nest deeper"}},
		"Network":                    {"deny contains 1 if http.send({}).status == 200", refused{ProblemBuiltin, 2, "reaches the network"}},
		"Clock":                      {"deny contains 1 if time.now_ns() > 3", refused{ProblemBuiltin, 2, "use input.now"}},
		"ClockInCertificates":        {"deny contains 1 if crypto.x509.parse_and_verify_certificates(\"\")[0]", refused{ProblemBuiltin, 2, "reads the clock"}},
		"Environment":                {"deny contains 1 if opa.runtime().env.HOME", refused{ProblemBuiltin, 2, "reads the environment"}},
		"Chance":                     {"deny contains 1 if rand.intn(\"a\", 3) == 1", refused{ProblemBuiltin, 2, "input.customer.bucket"}},
		"Bits":                       {"deny contains 1 if bits.lsh(1, 200000000) > 1", refused{ProblemBuiltin, 2, "no deadline stops"}},
		"Regex":                      {"deny contains 1 if regex.match(\"a\", input.campaign.name)", refused{ProblemBuiltin, 2, "startswith"}},
		"Print":                      {"deny contains 1 if print(input.customer)", refused{ProblemBuiltin, 2, "spec.tests"}},
		"Walk":                       {"deny contains 1 if walk(input, [_, 3])", refused{ProblemBuiltin, 2, "name the attribute"}},
		"BuiltinInsideComprehension": {"deny contains 1 if count([x | x := yaml.marshal(1)]) > 1", refused{ProblemBuiltin, 2, "not among"}},
		"BuiltinAsValue":             {"deny contains {\"code\": sprintf(\"%v\", [uuid.rfc4122(\"a\")])}", refused{ProblemBuiltin, 2, "input.customer.bucket"}},
		"With":                       {"deny contains 1 if input.customer.bucket == 1 with input.customer as {}", refused{ProblemReference, 2, "spec.tests"}},
		"ForeignImport":              {"import data.secrets\n" + fine, refused{ProblemReference, 2, "data.codb.lib"}},
		"ForeignData":                {"deny contains 1 if data.codb.params.p0.max > 3", refused{ProblemReference, 2, "data.codb.lib"}},
		"AllData":                    {"deny contains 1 if data[_].x", refused{ProblemReference, 2, "can't read data"}},
		"OtherPolicy":                {"deny contains 1 if data.codb.p0.r0.deny", refused{ProblemReference, 2, "can't read"}},
		"LibraryRule":                {"deny contains 1 if data.codb.rules.pause.deny", refused{ProblemReference, 2, "can't read"}},
		"OwnPackageWhole":            {"deny contains 1 if data.codb.policy", refused{ProblemReference, 2, "can't read"}},
		"Parameters":                 {"deny contains 1 if data.parameters.max > 3", refused{ProblemReference, 2, "write the value itself"}},
		"NoSuchTopic":                {"import data.codb.lib.taly\n" + fine, refused{ProblemReference, 2, "did you mean data.codb.lib.tally?"}},
		"NoSuchHelper":               {"deny contains 1 if data.codb.lib.tally.snet([])", refused{ProblemReference, 2, "is not defined"}},
		"NothingDenied":              {"wake contains 1", refused{ProblemShape, 1, "allow everything"}},
		"DenyIsABoolean":             {"deny if input.customer.bucket == 1", refused{ProblemShape, 2, "write: deny contains"}},
		"HoldIsAnObject":             {"hold[x] := 1 if x := input.customer.bucket", refused{ProblemShape, 2, "write: hold contains"}},
		"DefaultAllow":               {"default allow := true\n" + fine, refused{ProblemShape, 2, "nothing uses the rule allow"}},
		"MisspeltDeny":               {fine + "\ndney contains {\"code\": \"A\"} if input.customer.bucket == 2", refused{ProblemShape, 3, "did you mean deny?"}},
		"UsesOnlyItself":             {fine + "\nf(x) := f(x - 1)", refused{ProblemShape, 3, "nothing uses the rule f"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			rego := tc.rego
			if !strings.HasPrefix(rego, "package") {
				rego = "package codb.policy\n" + rego
			}
			lintOne(t, lib, rego, tc.want)
		})
	}
}

func nest(n int, open, middle, end string) string {
	return strings.Repeat(open, n) + middle + strings.Repeat(end, n)
}

func TestLintOfAbsence(t *testing.T) {
	lib := small(t)
	const v2 = "import rego.v2\n"
	reason := func(set, body string) string {
		return set + ` contains {"code": "A", "message": ""} if {` + body + "}\n"
	}
	deny := func(body string) string { return reason("deny", body) }
	foreign := `not input.customer.jurisdiction in {"DE", "FR"}`
	tests := map[string]struct {
		rego string
		want refused
	}{
		"NotInInRegoV1":       {deny(foreign), refused{ProblemAbsent, 2, "import rego.v2"}},
		"NotInInRegoV2":       {v2 + deny(foreign), refused{}},
		"NotLessInRegoV1":     {deny("not input.customer.birthYear < 2008"), refused{ProblemAbsent, 2, "input.customer.birthYear"}},
		"NotFunctionInRegoV1": {"f(x) if x == 1\n" + deny("not f(input.customer.birthYear)"), refused{ProblemAbsent, 3, "input.customer.birthYear"}},
		"NotInListInRegoV1":   {deny(`not "Loans" in input.customer.blockedTopics`), refused{ProblemAbsent, 2, "blockedTopics"}},
		"NotInThroughName":    {deny(`c := input.customer; not c.language in {"de"}`), refused{ProblemAbsent, 2, "input.customer.language"}},
		"NotInThroughImport":  {"import input.customer as who\n" + deny(`not who.language in {"de"}`), refused{ProblemAbsent, 3, "input.customer.language"}},
		"NotInOfCampaign":     {deny(`not input.campaign.topic in {"Garden"}`), refused{ProblemAbsent, 2, "input.campaign.topic"}},
		"NotInOfElement":      {deny(`some g in input.customer.relationship.grants; not g.effectiveTo < input.now`), refused{ProblemAbsent, 2, "effectiveTo"}},
		"NotInInHelper":       {"far if " + foreign + "\n" + deny("far"), refused{ProblemAbsent, 2, "jurisdiction"}},
		"NotOfRequired":       {deny(`not input.campaign.channel in {"Email"}`), refused{}},
		"NotDefined":          {deny("not input.customer.birthYear"), refused{}},

		"ComparesOptional":       {deny(`input.customer.jurisdiction == "RU"`), refused{ProblemAbsent, 2, "deny is silent for a customer without input.customer.jurisdiction"}},
		"HoldComparesOptional":   {reason("hold", `input.customer.birthYear > 2008`), refused{ProblemAbsent, 2, "hold contains ... if not input.customer.birthYear"}},
		"ComparesOptionalInV2":   {v2 + deny(`input.customer.jurisdiction == "RU"`), refused{ProblemAbsent, 3, "jurisdiction"}},
		"NameOfOptional":         {deny(`y := input.customer.birthYear; y > 2008`), refused{ProblemAbsent, 2, "birthYear"}},
		"NameOfCustomer":         {deny(`c := input.customer; c.birthYear > 2008`), refused{ProblemAbsent, 2, "birthYear"}},
		"ArgumentOfBuiltin":      {deny(`time.clock([input.now, input.customer.timeZone])[0] > 20`), refused{ProblemAbsent, 2, "timeZone"}},
		"ThroughHelper":          {deny("minor") + "minor if input.customer.birthYear > 2008", refused{ProblemAbsent, 2, "birthYear"}},
		"ThroughLibrary":         {deny("data.codb.lib.tally.minor"), refused{ProblemAbsent, 2, "birthYear"}},
		"ThroughFunction":        {deny("young(input.customer)") + "young(c) if c.birthYear > 2008", refused{ProblemAbsent, 2, "birthYear"}},
		"ThroughValueOfFunction": {deny("age(input.customer) < 18") + "age(c) := 2026 - c.birthYear", refused{ProblemAbsent, 2, "birthYear"}},
		"ThroughEvery":           {deny(`every x in ["DE"] { x == input.customer.jurisdiction }`), refused{ProblemAbsent, 2, "jurisdiction"}},
		"ThroughAnd":             {v2 + deny(`input.customer.bucket == 1 and input.customer.jurisdiction == "RU"`), refused{ProblemAbsent, 3, "jurisdiction"}},
		"ThroughIteratedSet":     {deny(`some x in bad; x == 1`) + `bad contains 1 if input.customer.jurisdiction == "RU"`, refused{ProblemAbsent, 2, "jurisdiction"}},
		"InsideOptionalObject":   {deny("input.customer.guardian.authorizedAt > input.now"), refused{ProblemAbsent, 2, "authorizedAt"}},

		"FiresForAbsence":          {deny(`input.customer.jurisdiction == "RU"`) + deny("not input.customer.jurisdiction"), refused{}},
		"HoldsForAbsence":          {deny(`input.customer.jurisdiction == "RU"`) + reason("hold", "not input.customer.jurisdiction"), refused{}},
		"FiresThroughHelper":       {deny(`input.customer.birthYear > 2008`) + deny("not known") + "known if input.customer.birthYear > 0", refused{}},
		"FiresInV2":                {v2 + deny(`input.customer.jurisdiction == "RU"`) + deny(foreign), refused{}},
		"FiresForAnother":          {deny(`input.customer.jurisdiction == "RU"`) + deny("not input.customer.birthYear"), refused{ProblemAbsent, 2, "jurisdiction"}},
		"NegatedHelper":            {v2 + deny("not adult") + "adult if input.customer.birthYear < 2008", refused{}},
		"DefaultOfHelper":          {deny("minor") + "default minor := true\nminor := false if input.customer.birthYear < 2008", refused{}},
		"OtherDefinitionOfHelper":  {deny("minor") + "minor if input.customer.birthYear > 2008\nminor if input.customer.bucket == 1", refused{}},
		"EitherOr":                 {v2 + deny(`input.customer.jurisdiction == "RU" or input.customer.bucket == 1`), refused{}},
		"ObjectGet":                {deny(`object.get(input.customer, "jurisdiction", "") in {"", "RU"}`), refused{}},
		"InsideComprehension":      {deny(`count([1 | input.customer.jurisdiction == "DE"]) == 0`), refused{}},
		"CountedSet":               {deny(`count(good) == 0`) + `good contains 1 if input.customer.jurisdiction == "DE"`, refused{}},
		"ElementsOfLists":          {deny(`some e in input.customer.lifeEvents; e.eventType == "Relocation"; e.expirationDate > input.now`), refused{}},
		"IndexOfList":              {deny(`input.customer.lifeEvents[_].eventType == "Relocation"`), refused{}},
		"ObjectsThatAreFacts":      {deny(`input.customer.pause.from <= input.now; input.customer.optOut`), refused{}},
		"WakeMayBeSilent":          {fine + "\nwake contains input.customer.birthYear", refused{}},
		"SilenceDeclared":          {"# METADATA\n# custom:\n#   absent: allows\n" + deny(`input.customer.jurisdiction == "RU"`), refused{}},
		"SilenceDeclaredElsewhere": {"# METADATA\n# custom:\n#   absent: allows\n" + deny(`input.customer.jurisdiction == "RU"`) + deny(`input.customer.language == "ru"`), refused{ProblemAbsent, 6, "language"}},

		"ReasonVanishes":        {`deny contains {"code": "A", "message": sprintf("born %d", [input.customer.birthYear])} if input.customer.bucket == 1`, refused{ProblemAbsent, 2, "vanishes together with its reason"}},
		"ReasonVanishesInTopic": {`deny contains {"code": "A", "message": concat(" ", ["no", input.campaign.topic])} if input.customer.bucket == 1`, refused{ProblemAbsent, 2, "input.campaign.topic"}},
		"UntilVanishes":         {`hold contains {"code": "A", "until": input.customer.pause.until} if input.customer.bucket == 1`, refused{ProblemAbsent, 2, "pause.until"}},
		"UntilIsNeededByBody":   {`hold contains {"code": "A", "until": input.customer.pause.until} if input.customer.pause.from < input.now`, refused{}},
		"TemplateDoesNotVanish": {v2 + `deny contains {"code": "A", "message": $"topic {input.campaign.topic}"} if input.customer.bucket == 1`, refused{}},

		"Misspelt":            {deny("count(input.customer.liveEvents) > 3"), refused{ProblemAttribute, 2, "did you mean lifeEvents?"}},
		"MisspeltInElement":   {deny("some g in input.customer.relationship.grants; g.statsu == \"ConsentGiven\""), refused{ProblemAttribute, 2, "did you mean status?"}},
		"MisspeltThroughName": {deny("c := input.customer; c.buckte == 1"), refused{ProblemAttribute, 2, "did you mean bucket?"}},
		"MisspeltRoot":        {deny("input.custmer.bucket == 1"), refused{ProblemAttribute, 2, "did you mean customer?"}},
		"BeyondScalar":        {deny("input.customer.bucket.size == 1"), refused{ProblemAttribute, 2, "no attribute size"}},
		"NoIdentity":          {deny(`input.customer.principalID == "x"`), refused{ProblemAttribute, 2, "no attribute principalID"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) { lintOne(t, lib, "package codb.policy\n"+tc.rego, tc.want) })
	}
}

func TestLintOfUsesAndCases(t *testing.T) {
	lib := small(t)
	tests := map[string]struct {
		spec v1alpha1.CampaignPolicySpec
		want []string
	}{
		"Nothing": {
			v1alpha1.CampaignPolicySpec{},
			[]string{"spec.rules: the policy has neither rules nor rego, so it would allow everything; add one of them"},
		},
		"UnknownRule": {
			v1alpha1.CampaignPolicySpec{Rules: []v1alpha1.RuleUse{with("frequncy-cap", "")}},
			[]string{`spec.rules[frequncy-cap]: the library has no rule "frequncy-cap"; did you mean frequency-cap? the rules are frequency-cap, holdout, objection, opt-in, pause, suppression, validity, withdrawal`},
		},
		"UnknownRuleByItsOwnField": {
			v1alpha1.CampaignPolicySpec{Rules: []v1alpha1.RuleUse{{Name: "cap", Rule: "zzz"}}},
			[]string{`spec.rules[cap].rule: the library has no rule "zzz"; the rules are frequency-cap, holdout, objection, opt-in, pause, suppression, validity, withdrawal`},
		},
		"UnknownParameter": {
			v1alpha1.CampaignPolicySpec{Rules: []v1alpha1.RuleUse{with("frequency-cap", `{"maxx": 3}`)}},
			[]string{"spec.rules[frequency-cap].with.maxx: there is no such parameter; did you mean max? The rule's parameters are counts, max, zone"},
		},
		"ParameterOfRuleWithoutAny": {
			v1alpha1.CampaignPolicySpec{Rules: []v1alpha1.RuleUse{with("pause", `{"max": 3}`)}},
			[]string{"spec.rules[pause].with.max: there is no such parameter; take it out: the rule has no parameters"},
		},
		"TooSmall": {
			v1alpha1.CampaignPolicySpec{Rules: []v1alpha1.RuleUse{with("frequency-cap", `{"max": -1}`)}},
			[]string{"spec.rules[frequency-cap].with.max: -1 is too small; write at least 0"},
		},
		"TooLarge": {
			v1alpha1.CampaignPolicySpec{Rules: []v1alpha1.RuleUse{with("frequency-cap", `{"max": 5000}`)}},
			[]string{"spec.rules[frequency-cap].with.max: 5000 is too large; write at most 1000"},
		},
		"WrongType": {
			v1alpha1.CampaignPolicySpec{Rules: []v1alpha1.RuleUse{with("frequency-cap", `{"max": "three"}`)}},
			[]string{`spec.rules[frequency-cap].with.max: "three" is no integer; write a value of that type`},
		},
		"NotOneOf": {
			v1alpha1.CampaignPolicySpec{Rules: []v1alpha1.RuleUse{with("frequency-cap", `{"counts": ["Marketing", "Sales"]}`)}},
			[]string{`spec.rules[frequency-cap].with.counts[1]: "Sales" is not one of the values it can have; write one of ["Marketing","Service"]`},
		},
		"WrongFormInside": {
			v1alpha1.CampaignPolicySpec{Rules: []v1alpha1.RuleUse{with("frequency-cap", `{"zone": {"name": "utc"}}`)}},
			[]string{`spec.rules[frequency-cap].with.zone.name: "utc" has the wrong form; write what matches ^[A-Z]`},
		},
		"NoObject": {
			v1alpha1.CampaignPolicySpec{Rules: []v1alpha1.RuleUse{with("frequency-cap", `[1]`)}},
			[]string{`spec.rules[frequency-cap].with: [1] is no object; write a value of that type`},
		},
		"UnknownNameInCustomer": {
			v1alpha1.CampaignPolicySpec{Rules: []v1alpha1.RuleUse{with("pause", "")}, Tests: []v1alpha1.PolicyTest{{
				Name: "a mover", Customer: *raw(`{"liveEvents": []}`),
			}}},
			[]string{`spec.tests[a mover]: customer: unknown field "liveEvents"; campaign takes fields of a Campaign's spec, customer those of a CustomerConsent's spec`},
		},
		"WrongCaseInCampaign": {
			v1alpha1.CampaignPolicySpec{Rules: []v1alpha1.RuleUse{with("pause", "")}, Tests: []v1alpha1.PolicyTest{{
				Name: "a mover", Customer: *raw(`{}`), Campaign: raw(`{"Channel": "SMS"}`),
			}}},
			[]string{`spec.tests[a mover]: campaign: unknown field "Channel"; campaign takes fields of a Campaign's spec, customer those of a CustomerConsent's spec`},
		},
		"EverythingAtOnce": {
			v1alpha1.CampaignPolicySpec{
				Rules: []v1alpha1.RuleUse{with("frequency-cap", `{"max": 5000}`)}, Rego: "package x",
			},
			[]string{
				"spec.rules[frequency-cap].with.max: 5000 is too large; write at most 1000",
				"spec.rego: line 1, column 1: the package is x; write: package codb.policy",
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, p := range lib.Lint("own", &tc.spec) {
				got = append(got, p.String())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// What OPA's compiler finds and Lint does not, because it follows names and types.
func TestCompilerFollowsTheShapeOfTheInput(t *testing.T) {
	lib := small(t)
	tests := map[string]struct{ rules, words string }{
		"UnsafeVariable":     {`deny contains {"code": "A"} if x == y`, "var x is unsafe"},
		"UndefinedFunction":  {`deny contains {"code": "A"} if f(1)`, "undefined function f"},
		"Recursion":          {"deny contains {\"code\": \"A\"} if p\np if q\nq if p", "recursive"},
		"NumberAgainstText":  {`deny contains {"code": "A"} if input.customer.bucket == "1"`, "match error"},
		"UnusedName":         {`deny contains {"code": "A"} if x := 1`, "assigned var x unused"},
		"MisspeltInFunction": {"deny contains {\"code\": \"A\"} if f(1)\nf(x) if [input.customer][0].buckte == x", "undefined ref"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := own(tc.rules)
			report := lib.check(t.Context(), &p)
			got, ok := problem(report.Problems, ProblemCompile)
			if !ok || !strings.Contains(got.Message, tc.words) || got.File != "spec.rego" || got.Line < 5 || got.Column == 0 {
				t.Errorf("want %q with its place, got %v", tc.words, report.Problems)
			}
		})
	}
}

func TestLibraryPassesItsOwnLint(t *testing.T) {
	lib := load(t, policies.FS)
	for _, p := range lib.CheckRules() {
		t.Error(p)
	}
	if t.Failed() {
		return
	}
	for _, r := range lib.Rules() {
		if r.Title == "" || r.Description == "" || len(r.Codes) == 0 || len(r.Schema) == 0 {
			t.Errorf("rule %s lacks title, description, codes or schema", r.Name)
		}
		p := Policy{Name: "one", Rules: []v1alpha1.RuleUse{{Name: r.Name}}}
		if _, err := NewInterpreter(lib, []Policy{p}); err != nil {
			t.Errorf("rule %s: %v", r.Name, err)
		}
	}
}

func ExampleProblem_String() {
	fmt.Println(Problem{
		Field: "spec.rego", File: "spec.rego", Line: 12, Column: 5, Code: ProblemBuiltin,
		Message: "time.now_ns reads the clock", Remedy: "use input.now",
	})
	// Output: spec.rego: line 12, column 5: time.now_ns reads the clock; use input.now
}
