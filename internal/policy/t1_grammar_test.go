package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/codb-dev/codb/internal/audience"
)

// grammar writes policies of the fragment, the same ones for the same seed. Its
// constants are what an attribute at the same path may well be, so that what a
// rule compares is neither always true nor never.
type grammar struct {
	*chance
	helpers []string
	names   int
	depth   int
}

func newGrammar(seed uint64, now time.Time) *grammar {
	c := &chance{Rand: rand.New(rand.NewPCG(seed, 23)), ints: map[string][]int64{}, now: now.UnixNano()}
	return &grammar{chance: c}
}

func (g *grammar) name(of string) string {
	g.names++
	return fmt.Sprintf("%s%d", of, g.names)
}

// lists are those of the document that are walked, and what their elements have.
var lists = map[string]struct{ words, ints []string }{
	"input.customer.relationship.grants":     {[]string{"purpose", "channel", "status", "consentType", "legalBasis", "captureSource"}, []string{"captureDate", "effectiveFrom", "effectiveTo", "doubleConsentCaptureDate"}},
	"input.customer.relationship.objections": {[]string{"purpose"}, []string{"since"}},
	"input.contacts.sent":                    {[]string{"brand", "class", "channel", "topic", "purpose"}, []string{"at"}},
	"input.contacts.events":                  {[]string{"type", "brand", "channel"}, []string{"at"}},
	"input.customer.caps":                    {[]string{"name", "window", "zone"}, []string{"max"}},
}

func sortedListNames() []string { return sortedKeys(lists) }

// text of a customer: an attribute that has few values.
func (g *grammar) text() (path string) {
	return pick(g.chance, "timeZone", "jurisdiction", "language", "lifeStage", "timeZoneSource", "relationship.depth")
}

func quoted(words ...string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = fmt.Sprintf("%q", w)
	}
	return strings.Join(out, ", ")
}

// integer is an expression of the customer, of an element where there is one.
func (g *grammar) integer(elem, list string) string {
	g.depth++
	defer func() { g.depth-- }()
	if g.depth < 3 && g.IntN(3) == 0 {
		a, b := g.integer(elem, list), g.integer(elem, list)
		switch g.IntN(5) {
		case 0:
			return fmt.Sprintf("(%s %% %d)", a, 2+g.IntN(9))
		case 1:
			return fmt.Sprintf("(%d * %s)", 1+g.IntN(3), a)
		case 2:
			return fmt.Sprintf("abs(%s - %s)", a, b)
		case 3:
			return fmt.Sprintf("%s([%s, %s])", pick(g.chance, "min", "max", "sum"), a, b)
		}
		return fmt.Sprintf("(%s %s %s)", a, pick(g.chance, "+", "-"), b)
	}
	if elem != "" && g.IntN(3) > 0 {
		return elem + "." + pick(g.chance, lists[list].ints...)
	}
	switch g.IntN(8) {
	case 0:
		return "input.now"
	case 1:
		return fmt.Sprint(g.int(""))
	case 2:
		return fmt.Sprintf("(input.now - %d)", int64(g.IntN(40))*int64(24*time.Hour))
	case 3:
		return "input.customer.birthYear"
	case 4:
		return g.collection(elem, list)
	}
	return pick(g.chance, "input.customer.bucket", "input.customer.optOut.since", "input.customer.pause.until", "input.customer.guardian.authorizedAt",
		`object.get(input.customer, "birthYear", 1999)`)
}

// collection is an integer made of a list.
func (g *grammar) collection(elem, list string) string {
	of := pick(g.chance, sortedListNames()...)
	x := g.name("x")
	body := fmt.Sprintf("some %s in %s", x, of)
	if g.IntN(2) == 0 {
		body += "; " + g.condition(x, of)
	}
	word, n := x+"."+pick(g.chance, lists[of].words...), x+"."+pick(g.chance, lists[of].ints...)
	switch g.IntN(5) {
	case 0:
		return fmt.Sprintf("count({%s | %s})", word, body)
	case 1:
		return fmt.Sprintf("count([1 | %s])", body)
	case 2:
		return fmt.Sprintf("sum({(%s %% 7) | %s})", n, body)
	case 3:
		return fmt.Sprintf("%s({%s | %s})", pick(g.chance, "min", "max"), n, body)
	}
	return fmt.Sprintf("count({%s | %s})", n, body)
}

var operators = []string{"<", "<=", ">", ">=", "==", "!="}

// condition of the customer, or of an element of a list.
func (g *grammar) condition(elem, list string) string {
	g.depth++
	defer func() { g.depth-- }()
	if g.depth < 3 {
		switch g.IntN(9) {
		case 0:
			return "not " + g.plain(elem, list)
		case 1:
			return g.simple() + " or " + g.simple()
		case 2:
			return g.helper()
		case 3:
			return "not " + g.helper()
		case 4:
			of, x := pick(g.chance, sortedListNames()...), g.name("x")
			return fmt.Sprintf("every %s in %s { %s; %s }", x, of, g.about(x, of), g.plain(x, of))
		}
	}
	return g.plain(elem, list)
}

// about is a condition of an element.
func (g *grammar) about(elem, list string) string {
	if g.IntN(3) == 0 {
		return fmt.Sprintf("%s.%s %s %s", elem, pick(g.chance, lists[list].ints...), pick(g.chance, operators...), g.integer(elem, list))
	}
	at := pick(g.chance, lists[list].words...)
	words := g.words(at)
	if g.IntN(3) == 0 {
		return fmt.Sprintf("%s.%s == %s", elem, at, quoted(pick(g.chance, words...)))
	}
	return fmt.Sprintf("%s.%s in {%s}", elem, at, quoted(some(g.chance, 1, words...)...))
}

// plain is a condition of one comparison.
func (g *grammar) plain(elem, list string) string {
	switch {
	case elem != "" && g.IntN(2) == 0:
		return g.about(elem, list)
	case g.IntN(2) == 0:
		return g.simple()
	case g.IntN(4) == 0:
		return fmt.Sprintf("%s in numbers.range(%d, %d)", g.integer(elem, list), 1900+g.IntN(100), 2000+g.IntN(300))
	}
	return fmt.Sprintf("%s %s %s", g.integer(elem, list), pick(g.chance, operators...), g.integer(elem, list))
}

// simple is a condition of one attribute of the customer.
func (g *grammar) simple() string {
	switch g.IntN(3) {
	case 0:
		at := g.text()
		return fmt.Sprintf("input.customer.%s %s %s", at, pick(g.chance, operators...), quoted(pick(g.chance, g.words(at)...)))
	case 1:
		at := g.text()
		return fmt.Sprintf("%s(input.customer.%s) in {%s}", pick(g.chance, "lower", "upper", "trim_space"), at, quoted("de", "DE", "EUROPE/BERLIN", "utc", "working"))
	}
	return "input.customer." + pick(g.chance, "timeZone", "optOut", "pause", "relationship", "birthYear", "quietHours", "blockedTopics")
}

// helper is a rule or a call of a function, new or one that is there.
func (g *grammar) helper() string {
	name := g.name("h")
	switch g.IntN(5) {
	case 0:
		g.helpers = append(g.helpers, fmt.Sprintf("%s if { %s }\n%s if { %s }", name, g.plain("", ""), name, g.plain("", "")))
	case 1:
		g.helpers = append(g.helpers, fmt.Sprintf("%s := \"a\" if { %s }\nelse := \"b\" if { %s }\nelse := \"c\"", name, g.plain("", ""), g.plain("", "")))
		return fmt.Sprintf("%s %s", name, pick(g.chance, `== "a"`, `in {"b", "c"}`, `!= "b"`))
	case 2:
		of, x := pick(g.chance, sortedListNames()...), g.name("x")
		g.helpers = append(g.helpers, fmt.Sprintf("%s contains %s.%s if { some %s in %s; %s }", name, x, pick(g.chance, lists[of].words...), x, of, g.about(x, of)))
		return strings.ReplaceAll(pick(g.chance, "count($) > 1", "count($) == 0", `"Phone" in ($ | {"Email"})`, `count($ - {"Email", "acme"}) == 1`,
			`"Marketing" in ($ & {"Marketing", "SMS"})`), "$", name)
	case 3:
		of, x := pick(g.chance, sortedListNames()...), g.name("x")
		f := g.name("f")
		g.helpers = append(g.helpers, fmt.Sprintf("default %s(_) := 0\n%s(%s) := 1 if { %s }\nelse := 2 if { %s }", f, f, x, g.about(x, of), g.about(x, of)))
		y := g.name("y")
		g.helpers = append(g.helpers, fmt.Sprintf("%s if { some %s in %s; %s(%s) == %d }", name, y, of, f, y, g.IntN(3)))
	case 4:
		g.helpers = append(g.helpers, fmt.Sprintf("default %s := false\n%s if { %s; %s }", name, name, g.plain("", ""), g.plain("", "")))
		return name + " == " + pick(g.chance, "true", "false")
	}
	return name
}

// body is what leads to a reason: conditions, of the elements of a list perhaps.
func (g *grammar) body() (lines []string, elem, list string) {
	if g.IntN(2) == 0 {
		elem, list = g.name("e"), pick(g.chance, sortedListNames()...)
		lines = append(lines, fmt.Sprintf("some %s in %s", elem, list))
	}
	for range 1 + g.IntN(3) {
		lines = append(lines, g.condition(elem, list))
	}
	return lines, elem, list
}

// policy of a few rules. Their conditions end in semicolons: a line that begins
// with a minus would go on with the one before it.
func (g *grammar) policy() Policy {
	var rules []string
	for n := range 1 + g.IntN(4) {
		body, elem, list := g.body()
		message := quoted("m")
		if elem != "" && g.IntN(3) == 0 {
			message = fmt.Sprintf("$\"on {%s.%s}\"", elem, pick(g.chance, lists[list].words...))
		}
		set, until := "deny", ""
		if g.IntN(2) == 0 {
			set = "hold"
			if g.IntN(2) == 0 {
				body = append(body, "end := "+g.integer(elem, list), "end > input.now")
				until = `, "until": end`
			}
		}
		rules = append(rules, fmt.Sprintf("%s contains {\"code\": \"C%d\", \"message\": %s%s} if {\n\t%s\n}", set, n, message, until, strings.Join(body, ";\n\t")))
		if g.IntN(3) == 0 {
			body, elem, list := g.body()
			rules = append(rules, fmt.Sprintf("wake contains %s if {\n\t%s\n}", g.integer(elem, list), strings.Join(body, ";\n\t")))
		}
	}
	return own(strings.Join(slices.Concat(g.helpers, rules), "\n"))
}

// consts puts into a chance's numbers those of a plan, and those beside them.
func (c *chance) consts(p *plan) {
	c.thresholds(p, 1)
	for path, f := range audience.Fields {
		if f.Kind == audience.Int {
			at := strings.ReplaceAll(path, ".*", "")
			c.ints[at] = append(c.ints[at], c.now, 0)
		}
	}
}
