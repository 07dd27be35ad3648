package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/codb-dev/codb/internal/expr"
)

// A value is what the compiler knows of a term before it knows the customer: one
// of the types below. A term that turns out to be undefined has no value at all.
type value any

// known is a value that depends on nothing but campaign and parameters.
type known struct{ v ast.Value }

// finite depends on a few ids of dictionaries, and perhaps on the time. Eval is
// given the values of the ids, nil for what is absent, and runs OPA's own code;
// it returns nil for undefined.
type finite struct {
	refs  []expr.Ref
	timed bool
	label string
	eval  func(vals []ast.Value) (ast.Value, error)
	total bool            // never undefined
	needs map[string]bool // labels of what must be defined for this to be
	fails bool            // a builtin may fail over it
}

// number is an integer. A total one is never undefined.
type number struct {
	n     expr.Num
	total bool
}

// node is an object of the document, whose fields are columns.
type node struct {
	path  string
	at    *attribute
	loop  int
	maybe bool // it may be absent
}

// array is an array of the document that is walked element by element.
type array struct {
	path string
	at   *attribute
	id   int
}

// spot is where in an array a loop is.
type spot struct{ loop expr.Loop }

// many is a set or an array of values that are there under conditions. Each has
// yield called for each of them with the trail that leads to it.
type many struct {
	each   func(t *trail, yield func(value, *trail))
	id     int // the same is the same many
	set    bool
	sorted bool
	// whole is the same as one value; nil where it is not finite.
	whole *finite
}

// list is an array whose length is known, record an object whose keys are.
type (
	list   struct{ elems []value }
	record struct {
		keys []string
		vals []value
	}
)

// size is how many values there are in an array or in many.
type size struct {
	of   value
	less value // to be taken off; nil: nothing
	at   *trail
}

// trail is the way to a place in a rule's body: conditions and loops, the latest
// first.
type trail struct {
	up    *trail
	step  expr.Step
	key   string // of its condition
	depth int    // of loops
}

func (t *trail) If(b expr.Bool) *trail {
	if b == expr.Lit(true) {
		return t
	}
	return &trail{up: t, step: expr.Step{If: b}, key: b.Key(), depth: t.depth}
}

func (t *trail) loop(array int) (*trail, expr.Loop) {
	if t.depth == expr.MaxDepth {
		refuse("loops nest deeper than %d", expr.MaxDepth)
	}
	l := expr.Loop{Var: t.depth + 1, Array: array}
	return &trail{up: t, step: expr.Step{Loop: l}, depth: l.Var}, l
}

// denies says whether a condition on the way is the very opposite of b.
func (t *trail) denies(b expr.Bool) bool {
	opposite := expr.Not(b).Key()
	for ; t != nil; t = t.up {
		if t.key == opposite {
			return true
		}
	}
	return false
}

// within says whether a loop over an array leads here.
func (t *trail) within(array int) bool {
	for ; t != nil; t = t.up {
		if t.step.Loop.Var != 0 && t.step.Loop.Array == array {
			return true
		}
	}
	return false
}

// steps from an earlier place to this one.
func (t *trail) steps(from *trail) []expr.Step {
	var out []expr.Step
	for ; t != from; t = t.up {
		out = append(out, t.step)
	}
	slices.Reverse(out)
	return out
}

// fold is the predicate that there is a way from an earlier place to this one.
func (t *trail) fold(from *trail) expr.Bool {
	var all []expr.Bool // since the latest loop, backwards
	for ; t != from; t = t.up {
		if t.step.Loop.Var == 0 {
			if t.step.If != nil { // it is nil where a trail begins
				all = append(all, t.step.If)
			}
			continue
		}
		slices.Reverse(all)
		all = []expr.Bool{exists(t.step.Loop, expr.And(all...))}
	}
	slices.Reverse(all)
	return expr.And(all...)
}

func exists(l expr.Loop, b expr.Bool) expr.Bool {
	if lit, ok := b.(expr.Lit); ok {
		if lit {
			return &expr.Some{Array: l.Array}
		}
		return lit
	}
	return &expr.Exists{Loop: l, If: b}
}

// env are the values of a rule's local names.
type env struct {
	up   *env
	name ast.Var
	v    value
}

func (e *env) with(name ast.Var, v value) *env { return &env{up: e, name: name, v: v} }

func (e *env) of(name ast.Var) (value, bool) {
	for ; e != nil; e = e.up {
		if e.name == name {
			return e.v, true
		}
	}
	return nil, false
}

// notNative is why a rule is not compiled.
type notNative struct{ why string }

func (r notNative) Error() string { return r.why }

// refuse gives up a rule.
func refuse(format string, args ...any) { panic(notNative{fmt.Sprintf(format, args...)}) }

// labelOf names a known value; the same label is the same value.
func labelOf(v ast.Value) string {
	text := v.String()
	if len(text) > 64 {
		sum := sha256.Sum256([]byte(text))
		return hex.EncodeToString(sum[:])
	}
	return text
}

// operand is known or finite, as finite.
func operand(v value) (*finite, bool) {
	switch v := v.(type) {
	case known:
		return &finite{label: labelOf(v.v), total: true, eval: func([]ast.Value) (ast.Value, error) { return v.v, nil }}, true
	case *finite:
		return v, true
	case list:
		return join("list", v.elems, func(args []ast.Value) (ast.Value, error) {
			terms := make([]*ast.Term, len(args))
			for i := range args {
				terms[i] = ast.NewTerm(args[i])
			}
			return ast.NewArray(terms...), nil
		})
	case record:
		return join("record"+strings.Join(v.keys, "\x00"), v.vals, func(args []ast.Value) (ast.Value, error) {
			o := ast.NewObject()
			for i := range args {
				o.Insert(ast.StringTerm(v.keys[i]), ast.NewTerm(args[i]))
			}
			return o, nil
		})
	case many:
		return v.whole, v.whole != nil
	}
	return nil, false
}

func operands(vs []value) ([]*finite, bool) {
	out := make([]*finite, len(vs))
	for i, v := range vs {
		f, ok := operand(v)
		if !ok {
			return nil, false
		}
		out[i] = f
	}
	return out, true
}

// unfailing are the operations that are defined or undefined, and never an error.
var unfailing = []string{
	"list", "record", "at", "eq", "until", "equal", "neq", "lt", "lte", "gt", "gte", "internal.member_2", "count", "object.get", "object.union",
}

// join makes one finite value of several by an operation that needs all of them
// to be defined. It is not ok where one of them is not finite.
func join(op string, vs []value, apply func(args []ast.Value) (ast.Value, error)) (*finite, bool) {
	parts, ok := operands(vs)
	if !ok {
		return nil, false
	}
	f := &finite{needs: map[string]bool{}, fails: !slices.Contains(unfailing, op)}
	labels := make([]string, len(parts))
	places := make([][]int, len(parts))
	for i, p := range parts {
		labels[i] = p.label
		f.timed = f.timed || p.timed
		f.fails = f.fails || p.fails
		f.needs[p.label] = true
		for l := range p.needs {
			f.needs[l] = true
		}
		for _, r := range p.refs {
			at := slices.Index(f.refs, r)
			if at < 0 {
				at = len(f.refs)
				f.refs = append(f.refs, r)
			}
			places[i] = append(places[i], at)
		}
	}
	if len(f.refs) > expr.MaxRefs {
		refuse("%s depends on too many attributes at once", op)
	}
	f.label = op + "(" + strings.Join(labels, ",") + ")"
	f.eval = func(vals []ast.Value) (ast.Value, error) {
		args := make([]ast.Value, len(parts))
		for i, p := range parts {
			own := make([]ast.Value, len(places[i]))
			for j, at := range places[i] {
				own[j] = vals[at]
			}
			v, err := p.eval(own)
			if v == nil || err != nil {
				return nil, err
			}
			args[i] = v
		}
		return apply(args)
	}
	return f, true
}
