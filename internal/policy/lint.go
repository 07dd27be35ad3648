package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// Lint finds everything that can be said of a policy without running any of it.
// It takes milliseconds whatever the policy says.
func (l *Library) Lint(name string, spec *v1alpha1.CampaignPolicySpec) []Problem {
	p := Policy{Name: name, Mode: spec.Mode, Rules: spec.Rules, Rego: spec.Rego, Tests: spec.Tests}
	return l.lint(&p)
}

func (l *Library) lint(p *Policy) []Problem {
	var out []Problem
	if len(p.Rules) == 0 && p.Rego == "" {
		out = append(out, Problem{Field: "spec.rules", Code: ProblemShape,
			Message: "the policy has neither rules nor rego, so it would allow everything", Remedy: "add one of them"})
	}
	for i := range p.Rules {
		out = append(out, l.lintUse(&p.Rules[i])...)
	}
	if p.Rego != "" {
		out = append(out, l.lintOwn(p.Rego)...)
	}
	for i := range p.Tests {
		if _, err := readCase(&p.Tests[i]); err != nil {
			out = append(out, Problem{Field: caseField(&p.Tests[i]), Code: ProblemTest,
				Message: oneLine(err.Error()), Remedy: "campaign takes fields of a Campaign's spec, customer those of a CustomerConsent's spec"})
		}
	}
	return out
}

func caseField(t *v1alpha1.PolicyTest) string { return "spec.tests[" + t.Name + "]" }

// lintUse looks at one use of a library rule.
func (l *Library) lintUse(u *v1alpha1.RuleUse) []Problem {
	field := "spec.rules[" + u.Name + "]"
	r := l.rules[ruleName(u)]
	if r == nil {
		if u.Rule != "" {
			field += ".rule"
		}
		remedy := "the rules are " + strings.Join(l.ruleNames(), ", ")
		if near := nearest(ruleName(u), l.ruleNames()); near != "" {
			remedy = fmt.Sprintf("did you mean %s? %s", near, remedy)
		}
		return []Problem{{Field: field, Code: ProblemRule,
			Message: fmt.Sprintf("the library has no rule %q", clip(ruleName(u), 64)), Remedy: remedy}}
	}
	_, problems := r.schema.complete(field+".with", given(u))
	return problems
}

// lintOwn looks at a policy's own Rego.
func (l *Library) lintOwn(text string) []Problem {
	m, problems := parse(ownFile, text)
	if len(problems) > 0 {
		return problems
	}
	if !m.Package.Path.Equal(ownPackage) {
		return []Problem{at(ownFile, m.Package.Location, ProblemPackage,
			fmt.Sprintf("the package is %s", clip(strings.TrimPrefix(m.Package.Path.String(), "data."), 64)), "write: package codb.policy")}
	}
	return l.lintModule(ownFile, m, false)
}

// lintModule looks at a module of rules. Those of the library have parameters.
func (l *Library) lintModule(file string, m *ast.Module, library bool) []Problem {
	if problems := limits(file, m); len(problems) > 0 {
		return problems
	}
	v := &moduleLint{file: file, module: m, names: namesOf(m), library: l, parameters: library}
	v.imports()
	v.heads()
	v.references()
	v.unused()
	if len(v.problems) > 0 {
		return v.problems
	}
	return l.lintAbsent(file, m)
}

// lintHelpers looks at a module of shared helpers, which has no deny or hold.
func (l *Library) lintHelpers(file string, m *ast.Module) []Problem {
	if problems := limits(file, m); len(problems) > 0 {
		return problems
	}
	v := &moduleLint{file: file, module: m, names: namesOf(m), library: l}
	v.imports()
	v.references()
	return v.problems
}

// moduleLint looks at one module without following what its rules mean.
type moduleLint struct {
	file       string
	module     *ast.Module
	names      names
	library    *Library
	parameters bool // data.parameters is there
	problems   []Problem
}

func (v *moduleLint) report(loc *ast.Location, code, message, remedy string) {
	if len(v.problems) < maxProblems {
		v.problems = append(v.problems, at(v.file, loc, code, oneLine(message), remedy))
	}
}

func (v *moduleLint) imports() {
	for _, imp := range v.module.Imports {
		ref, ok := imp.Path.Value.(ast.Ref)
		if !ok {
			continue
		}
		switch head := ref[0]; {
		case head.Equal(ast.RegoRootDocument), head.Equal(ast.InputRootDocument), head.Equal(ast.FutureRootDocument):
		case head.Equal(ast.DefaultRootDocument):
			v.data(ref, imp.Location)
		default:
			v.report(imp.Location, ProblemReference, "imports "+ref.String(), "a policy can import rego.v2, input and data.codb.lib")
		}
	}
}

// heads looks at what the module defines: deny, hold and wake must be sets.
func (v *moduleLint) heads() {
	asked := false
	for _, r := range v.module.Rules {
		name := r.Head.Ref()[0].Value.String()
		if name != "deny" && name != "hold" && name != "wake" {
			continue
		}
		asked = asked || name != "wake"
		if r.Head.RuleKind() != ast.MultiValue || len(r.Head.Ref()) != 1 || r.Default {
			v.report(r.Location, ProblemShape, name+" is no set",
				fmt.Sprintf("write: %s contains %s if { ... }", name, example[name]))
		}
	}
	if !asked {
		v.report(v.module.Package.Location, ProblemShape, "the module has neither deny nor hold, so it would allow everything",
			"write: deny contains "+example["deny"]+" if { ... }")
	}
}

var example = map[string]string{
	"deny": `{"code": "Reason", "message": "why"}`,
	"hold": `{"code": "Reason", "message": "why", "until": instant}`,
	"wake": `instant`,
}

// references looks at every ref and call: data, input, builtins, with.
func (v *moduleLint) references() {
	ast.WalkWiths(v.module, func(w *ast.With) bool {
		v.report(w.Location, ProblemReference, "with replaces what the policy is given", "take it out: cases go into spec.tests")
		return false
	})
	for _, r := range v.module.Rules {
		loc := r.Location
		ast.WalkTerms(r, func(t *ast.Term) bool {
			if t.Location != nil {
				loc = t.Location
			}
			if ref, ok := t.Value.(ast.Ref); ok {
				v.ref(ref, loc)
			}
			return false
		})
	}
}

func (v *moduleLint) ref(ref ast.Ref, loc *ast.Location) {
	ref = v.names.expand(ref)
	switch {
	case ref[0].Equal(ast.DefaultRootDocument):
		v.data(ref, loc)
	case ref[0].Equal(ast.InputRootDocument), !ref.IsGround():
	default:
		name := ref.String()
		if why, remedy, ok := refusal(name); ok {
			v.report(loc, ProblemBuiltin, fmt.Sprintf("%s %s", name, why), remedy)
		}
	}
}

// data looks at what a ref reaches: the module itself, its parameters, helpers.
func (v *moduleLint) data(ref ast.Ref, loc *ast.Location) {
	switch {
	case ref.HasPrefix(v.module.Package.Path) && len(ref) > len(v.module.Package.Path):
		return
	case ref.HasPrefix(parametersRef) && v.parameters:
		return
	case ref.HasPrefix(parametersRef):
		v.report(loc, ProblemReference, "a policy's own Rego has no parameters", "write the value itself")
		return
	}
	name, ok := topicName(ref)
	switch {
	case !ok:
		v.report(loc, ProblemReference, "policies can't read "+clip(ref.String(), 128), "what a policy may know is in input; helpers are in data.codb.lib")
	case v.library.libs[name] == nil:
		v.report(loc, ProblemReference, "the library has no helpers "+clip(name, 64), "did you mean data.codb.lib."+nearest(name, v.library.topicNames())+"?")
	case len(ref) > len(libPackage)+1:
		if found, _ := v.library.seen.find(ref); found == "" {
			v.report(loc, ProblemReference, clip(ref.String(), 128)+" is not defined", "see policies/lib/"+name)
		}
	}
}

// unused finds rules that nothing asks for: allow, or a misspelt deny.
func (v *moduleLint) unused() {
	used := map[string]bool{"deny": true, "hold": true, "wake": true}
	for _, r := range v.module.Rules {
		own := r.Head.Ref()[0].Value.String()
		note := func(t *ast.Term) bool {
			name := ""
			switch val := t.Value.(type) {
			case ast.Var:
				name = string(val)
			case ast.Ref:
				if full := v.names.expand(val); full.HasPrefix(v.module.Package.Path) && len(full) > len(v.module.Package.Path) {
					if s, ok := full[len(v.module.Package.Path)].Value.(ast.String); ok {
						name = string(s)
					}
				}
			}
			if name != own {
				used[name] = true
			}
			return false
		}
		ast.WalkTerms(r.Head, note)
		ast.WalkTerms(r.Body, note)
		for e := r.Else; e != nil; e = e.Else {
			ast.WalkTerms(e.Head, note)
			ast.WalkTerms(e.Body, note)
		}
	}
	told := map[string]bool{}
	for _, r := range v.module.Rules {
		name := r.Head.Ref()[0].Value.String()
		if used[name] || told[name] {
			continue
		}
		told[name] = true
		remedy := "only deny, hold and wake are asked for: take it out, or use it in one of them"
		if near := nearest(name, []string{"deny", "hold", "wake"}); near != "" {
			remedy = fmt.Sprintf("did you mean %s? %s", near, remedy)
		}
		v.report(r.Location, ProblemShape, fmt.Sprintf("nothing uses the rule %s", clip(name, 64)), remedy)
	}
}

func (l *Library) topicNames() []string {
	var out []string
	for name := range l.libs {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}
