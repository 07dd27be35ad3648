package policy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Codes of problems.
const (
	ProblemSize       = "TooLarge"         // text, rules or nesting beyond the limits
	ProblemParse      = "NotParsed"        // not Rego
	ProblemCompile    = "NotCompiled"      // Rego, but not a policy that can run
	ProblemPackage    = "WrongPackage"     // another package than codb.policy
	ProblemReference  = "ForbiddenData"    // reaches for data that policies don't have
	ProblemBuiltin    = "ForbiddenBuiltin" // a builtin outside the allow-list
	ProblemShape      = "WrongShape"       // deny, hold or wake is no set; a rule nobody asks
	ProblemAttribute  = "UnknownAttribute" // the input has no such attribute
	ProblemAbsent     = "AbsentAttribute"  // an absent attribute would silence a denial
	ProblemRule       = "UnknownRule"      // the library has no such rule
	ProblemParameter  = "Parameter"        // a parameter that the rule's schema refuses
	ProblemTest       = "NotATest"         // a test case that can't be read
	ProblemExhaustive = "Exhaustive"       // killed for its time or memory
)

// ownFile is what a policy's own Rego is called in problems.
const ownFile = "spec.rego"

// Problem is one thing wrong with a policy: where, what, and what to do about
// it.
type Problem struct {
	// Field of the CampaignPolicy, for example spec.rules[cap].with.max.
	Field string
	// File, Line and Column say where in Rego; Line is 0 where it is not Rego.
	File         string
	Line, Column int
	// Code is one of the constants of this package.
	Code    string
	Message string
	Remedy  string
}

func (p Problem) String() string {
	var b strings.Builder
	where := p.Field
	if p.File != "" {
		where = p.File
	}
	b.WriteString(where)
	if p.Line > 0 {
		fmt.Fprintf(&b, ": line %d, column %d", p.Line, p.Column)
	}
	b.WriteString(": " + p.Message)
	if p.Remedy != "" {
		b.WriteString("; " + p.Remedy)
	}
	return b.String()
}

// at makes a problem of a place in Rego.
func at(file string, loc *ast.Location, code, message, remedy string) Problem {
	p := Problem{Field: file, File: file, Code: code, Message: message, Remedy: remedy}
	if loc != nil {
		p.Line, p.Column = loc.Row, loc.Col
	}
	return p
}

// maxProblems is how many problems of one kind are worth reading at once.
const maxProblems = 20

// regoProblems makes problems of OPA's errors.
func regoProblems(file string, err error, code, remedy string) []Problem {
	var errs ast.Errors
	if !errors.As(err, &errs) {
		return []Problem{at(file, nil, code, err.Error(), remedy)}
	}
	var out []Problem
	for _, e := range errs[:min(len(errs), maxProblems)] {
		at := at(file, e.Location, code, oneLine(e.Message), remedy)
		if e.Location != nil && e.Location.File != "" {
			at.File = e.Location.File
		}
		out = append(out, at)
	}
	return out
}

// oneLine keeps a message of OPA's printable and short.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return clip(strings.Map(printable, s), maxMessage)
}

// clip cuts s after most bytes, between two characters.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most-3], "") + "..."
}
