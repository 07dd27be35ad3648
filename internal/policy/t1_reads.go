package policy

import (
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/codb-dev/codb/internal/audience"
)

// reads is what rules look at, themselves and through others.
type reads struct {
	paths map[string]bool // of the input; "" where it can't be told
	ops   map[string]bool // builtins
	grows bool            // collections are made, or there are numbers of many digits
}

// readsOf finds out what rules look at. Rego has no recursion.
func (c *native) readsOf(name string, rules []*ast.Rule) *reads {
	if r, ok := c.reads[name]; ok {
		return r
	}
	r := &reads{paths: map[string]bool{}, ops: map[string]bool{}}
	c.reads[name] = r
	for _, rule := range rules {
		for ; rule != nil; rule = rule.Else {
			ast.WalkRefs(rule, func(ref ast.Ref) bool { c.look(r, ref); return false })
			r.grows = r.grows || makes(rule)
		}
	}
	return r
}

func (c *native) look(r *reads, ref ast.Ref) {
	switch {
	case ref[0].Equal(ast.InputRootDocument):
		var path []string
		for _, t := range ref[1:] {
			s, ok := t.Value.(ast.String)
			if !ok {
				break
			}
			path = append(path, string(s))
		}
		r.paths[strings.Join(path, ".")] = true
	case ref[0].Equal(ast.DefaultRootDocument):
		if rules, n := c.rulesOf(ref); len(rules) > 0 {
			r.join(c.readsOf(ref[:n].String(), rules))
		} else if len(c.i.compiler.GetRulesWithPrefix(ref.ConstantPrefix())) > 0 {
			r.paths[""] = true // some of several rules
		}
	default:
		if name := ref.String(); ast.BuiltinMap[name] != nil {
			r.ops[name] = true
		}
	}
}

// makes says whether a rule makes a collection, whose size nothing bounds, or has
// a number of many digits.
func makes(r *ast.Rule) bool {
	found := r.Head.Key != nil
	ast.WalkTerms(r, func(t *ast.Term) bool {
		switch v := t.Value.(type) {
		case *ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension:
			found = true
		default:
			found = found || tooLong(v)
		}
		return found
	})
	return found
}

func (r *reads) join(other *reads) {
	maps.Copy(r.paths, other.paths)
	maps.Copy(r.ops, other.ops)
	r.grows = r.grows || other.grows
}

// split says which ids, if any, what is read comes down to, and whether the time
// is read; ok is false where it is more than that.
func (r *reads) split() (ids []string, timed, ok bool) {
	for path := range r.paths {
		switch {
		case path == "campaign" || strings.HasPrefix(path, "campaign."):
		case path == "now":
			timed = true
		default:
			id, found := idOf(path)
			if !found {
				return nil, false, false
			}
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	return ids, timed, true
}

// idOf is the attribute of the customer, kept as one id, that a path leads into.
func idOf(path string) (string, bool) {
	for at := range audience.Fields {
		f := audience.Fields[at]
		if f.Kind == audience.ID && !strings.Contains(at, "*") && (path == at || strings.HasPrefix(path, at+".")) {
			return at, true
		}
	}
	return "", false
}

// unfailing says whether no builtin that is called can fail.
func (r *reads) unfailing() bool {
	for op := range r.ops {
		if op != "assign" && !slices.Contains(unfailing, op) {
			return false
		}
	}
	return true
}

func fails(v value) bool {
	f, ok := operand(v)
	return ok && f.fails
}

// numeric says whether all that the builtins do can be done with integers.
func numeric(r *reads) bool {
	for op := range r.ops {
		if !slices.Contains([]string{"eq", "assign", "equal", "neq", "lt", "lte", "gt", "gte", "plus", "minus", "min", "max", "count", "or", "sort", "object.get", "internal.member_2"}, op) {
			return false
		}
	}
	return true
}
