package policy

import (
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// The limits of a module, checked before anything is compiled.
const (
	// maxRego is how long a module may be.
	maxRego = 64 << 10
	// maxRules is how many rules it may have, else branches included.
	maxRules = 500
	// maxDepth is how deep comprehensions, every, not, template strings and
	// composite keys may nest: OPA's compiler needs time exponential in it
	// (6 levels take 2 ms, 18 take minutes).
	maxDepth = 6
	// maxChain is how many "and" and "or" one expression may join.
	maxChain = 64
	// maxRecursion is how deep the parser may descend, some 90 brackets: beyond,
	// it takes more than milliseconds, and 60,000 braces take a minute.
	maxRecursion = 200
)

// version is the Rego that policies are written in; a module raises it with
// "import rego.v2".
const version = ast.RegoV1

// parse reads a module that nobody vouches for; it ends within milliseconds
// whatever the text is.
func parse(file, text string) (*ast.Module, []Problem) {
	if len(text) > maxRego {
		return nil, []Problem{at(file, nil, ProblemSize,
			fmt.Sprintf("the module has %d bytes, the limit is %d", len(text), maxRego), "split the policy in two")}
	}
	const remedy = "opa parse and opa fmt show more"
	_, _, errs := ast.NewParser().WithFilename(file).WithReader(strings.NewReader(text)).
		WithRegoVersion(version).WithMaxRecursionDepth(maxRecursion).Parse()
	if len(errs) > 0 {
		return nil, nested(regoProblems(file, errs, ProblemParse, remedy))
	}
	m, err := ast.ParseModuleWithOpts(file, text, ast.ParserOptions{RegoVersion: version, ProcessAnnotation: true})
	if err != nil {
		return nil, regoProblems(file, err, ProblemParse, remedy)
	}
	return m, nil
}

// nested says what the parser's own limit means; what follows from it is noise.
func nested(ps []Problem) []Problem {
	for i := range ps {
		if strings.Contains(ps[i].Message, "recursion depth") {
			ps[i].Code, ps[i].Message = ProblemSize, "the expression nests or chains too deep to be read"
			ps[i].Remedy = "give parts of it names: rules of their own"
			return ps[i : i+1]
		}
	}
	return ps
}

// limits says where a module is too large to be compiled.
func limits(file string, m *ast.Module) []Problem {
	n := 0
	ast.WalkRules(m, func(*ast.Rule) bool { n++; return false })
	if n > maxRules {
		return []Problem{at(file, m.Package.Location, ProblemSize,
			fmt.Sprintf("the module has %d rules, the limit is %d", n, maxRules), "split the policy in two")}
	}
	d := &depth{file: file}
	for _, r := range m.Rules {
		d.rule(r)
	}
	return d.problems
}

// depth finds constructs that nest deeper than the compiler bears.
type depth struct {
	file     string
	problems []Problem
}

func (d *depth) rule(r *ast.Rule) {
	if d.at(r.Head, 0, 0, r.Location) && d.at(r.Body, 0, 0, r.Location) && r.Else != nil {
		d.rule(r.Else)
	}
}

// at walks x, which lies inside level closures and chain and/or; it stops at the
// first that is too deep and then answers false.
func (d *depth) at(x any, level, chain int, loc *ast.Location) bool {
	fine := true
	down := func(part any, level, chain int, loc *ast.Location) bool {
		fine = fine && d.at(part, level, chain, loc)
		return true
	}
	var vis *ast.GenericVisitor
	vis = ast.NewGenericVisitor(func(node any) bool {
		if !fine {
			return true
		}
		switch n := node.(type) {
		case *ast.Term:
			if n.Location != nil {
				loc = n.Location
			}
		case *ast.Expr:
			if n.Location != nil {
				loc = n.Location
			}
		case *ast.ArrayComprehension:
			return down(n.Term, level+1, chain, loc) && down(n.Body, level+1, chain, loc)
		case *ast.SetComprehension:
			return down(n.Term, level+1, chain, loc) && down(n.Body, level+1, chain, loc)
		case *ast.ObjectComprehension:
			down(n.Key, level+1, chain, loc)
			return down(n.Value, level+1, chain, loc) && down(n.Body, level+1, chain, loc)
		case *ast.Every:
			vis.Walk(n.Domain)
			return down(n.Body, level+1, chain, loc)
		case *ast.Not:
			return down(n.Body, level+1, chain, loc)
		case *ast.TemplateString:
			for _, part := range n.Parts {
				down(part, level+1, chain, loc)
			}
			return true
		case *ast.LogicalAnd:
			return down(n.Lhs, level, chain+1, loc) && down(n.Rhs, level, chain+1, loc)
		case *ast.LogicalOr:
			return down(n.Lhs, level, chain+1, loc) && down(n.Rhs, level, chain+1, loc)
		case ast.Object:
			n.Foreach(func(k, v *ast.Term) {
				inner := level
				if !ast.IsScalar(k.Value) {
					inner++
				}
				down(k, inner, chain, loc)
				down(v, level, chain, loc)
			})
			return true
		}
		return false
	})
	if level > maxDepth || chain > maxChain {
		d.problems = append(d.problems, at(d.file, loc, ProblemSize,
			fmt.Sprintf("comprehensions and the like nest deeper than %d, which can take minutes to compile", maxDepth),
			"give the inner ones names: rules of their own"))
		return false
	}
	vis.Walk(x)
	return fine
}
