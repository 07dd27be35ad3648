package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// nativeTime is what OPA may take in this process to answer for one combination
// of ids; what takes longer is left to the workers.
const nativeTime = time.Second

// maxValue is how long the text of a value may be that a worker answers with.
const maxValue = 64 << 10

// evalRequest asks for the value of a rule, of several in an array, or of a
// function or builtin of some arguments, as Rego text, where the input is no more than what is given.
type evalRequest struct {
	Digest string   `json:"digest"`
	Ref    string   `json:"ref"`
	Args   []string `json:"args,omitempty"`
	Input  string   `json:"input"`
}

// evaluator asks OPA itself for the value of a rule, of several in an array, or of
// a function of some arguments.
type evaluator func(args []ast.Value, input ast.Value) (ast.Value, error)

// evaluator of a ref, or of an array of them. Of what codb does not vouch for, foreign Rego, only what is
// tame is evaluated in this process: the workers that accepted a policy can be
// killed.
func (c *native) evaluator(of ast.Value, foreign bool) evaluator {
	here := func(patience time.Duration) evaluator {
		return func(args []ast.Value, input ast.Value) (ast.Value, error) {
			c.opa.Lock()
			defer c.opa.Unlock()
			return c.i.value(of, args, input, patience)
		}
	}
	there := c.i.elsewhere
	if there == nil || !foreign {
		return here(nativeTime)
	}
	tame, quickly := c.tame(of), here(tameTime)
	return func(args []ast.Value, input ast.Value) (ast.Value, error) {
		if !tame || !short(args) {
			return there.value(of, args, input)
		}
		if there.strikes.Load() >= maxStrikes {
			return nil, errStruck
		}
		v, err := quickly(args, input)
		if topdown.IsCancel(err) {
			there.strikes.Add(1)
		}
		return v, err
	}
}

// isOwn says whether a ref leads into a policy's own Rego.
func isOwn(ref ast.Ref) bool {
	return len(ref) > len(bundlePackage)+1 && ref.HasPrefix(bundlePackage) && ref[len(bundlePackage)+1].Equal(ownTerm)
}

var ownTerm = ast.StringTerm("own")

// value evaluates here.
func (i *Interpreter) value(of ast.Value, args []ast.Value, input ast.Value, patience time.Duration) (ast.Value, error) {
	cancel, done := limited(patience)
	defer done()
	var out ast.Value
	var failed []topdown.Error
	body, read := queryFor(of, args)
	q := topdown.NewQuery(body).WithCompiler(i.compiler).WithStore(i.store).WithTransaction(i.txn).
		WithInput(ast.NewTerm(input)).WithMetrics(metrics.NoOp()).WithBuiltinErrorList(&failed).WithCancel(cancel)
	err := q.Iter(context.Background(), func(qr topdown.QueryResult) error {
		out = read(qr)
		return nil
	})
	if err == nil && len(failed) > 0 {
		err = &failed[0]
	}
	return out, err
}

// queryFor is a query, and where its result is. Nothing rewrites it, so that each
// ref needs an expression of its own.
func queryFor(of ast.Value, args []ast.Value) (ast.Body, func(topdown.QueryResult) ast.Value) {
	one := func(qr topdown.QueryResult) ast.Value { return qr[ast.Var(result)].Value }
	if several, ok := of.(*ast.Array); ok {
		var body ast.Body
		each := make([]*ast.Term, several.Len())
		for i := range each {
			each[i] = ast.VarTerm(result + strconv.Itoa(i))
			body.Append(ast.Equality.Expr(each[i], several.Elem(i)))
		}
		return body, func(qr topdown.QueryResult) ast.Value {
			vals := make([]*ast.Term, len(each))
			for i, v := range each {
				vals[i] = qr[v.Value.(ast.Var)]
			}
			return ast.NewArray(vals...)
		}
	}
	if len(args) == 0 {
		return ast.NewBody(ast.Equality.Expr(ast.VarTerm(result), ast.NewTerm(of))), one
	}
	terms := []*ast.Term{ast.NewTerm(of)}
	for _, a := range args {
		terms = append(terms, ast.NewTerm(a))
	}
	return ast.NewBody(&ast.Expr{Terms: append(terms, ast.VarTerm(result))}), one
}

// limited is a cancel that comes by itself.
func limited(after time.Duration) (topdown.Cancel, func() bool) {
	cancel := topdown.NewCancel()
	return cancel, time.AfterFunc(after, cancel.Cancel).Stop
}

// oracle has workers evaluate single values of policies' own Rego: they are
// killed for what exceeds its time or memory, and then nothing more is asked of
// them than a few times.
type oracle struct {
	judge   *judge
	strikes atomic.Int32
}

var errStruck = errors.New("the policy's own Rego exceeded its time or memory before")

func (o *oracle) value(of ast.Value, args []ast.Value, input ast.Value) (ast.Value, error) {
	if o.strikes.Load() >= maxStrikes {
		return nil, errStruck
	}
	r := evalRequest{Digest: o.judge.digest, Ref: of.String(), Input: input.String()}
	for _, a := range args {
		r.Args = append(r.Args, a.String())
	}
	var got *response
	s := o.judge.sandbox
	err := s.with(context.Background(), s.judging, func(ctx context.Context, p *process) error {
		if err := o.judge.loadInto(ctx, p); err != nil {
			return err
		}
		var err error
		got, err = p.ask(ctx, s.o.EvalTimeout, &request{Eval: &r})
		return err
	})
	switch {
	case exhausted(err):
		o.strikes.Add(1)
		return nil, err
	case err != nil:
		return nil, err
	case got.Error != "":
		return nil, errors.New(got.Error)
	case got.Value == "":
		return nil, nil
	}
	t, err := ast.ParseTerm(got.Value)
	if err != nil {
		return nil, fmt.Errorf("read what a worker answers: %w", err)
	}
	return t.Value, nil
}

// eval answers a worker's caller.
func (w *worker) eval(r *evalRequest) response {
	i := w.sets[r.Digest]
	if i == nil {
		return response{Error: "the policies are not loaded"}
	}
	t, err := ast.ParseTerm(r.Ref)
	if err != nil {
		return response{Error: err.Error()}
	}
	of := t.Value
	switch name := of.(type) {
	case ast.Ref, *ast.Array:
	case ast.Var:
		of = ast.Ref{ast.NewTerm(name)} // a builtin
	default:
		return response{Error: r.Ref + " is no rule"}
	}
	vals := make([]ast.Value, 0, len(r.Args)+1)
	for _, text := range append(slices.Clip(r.Args), r.Input) {
		t, err := ast.ParseTerm(text)
		if err != nil {
			return response{Error: err.Error()}
		}
		vals = append(vals, t.Value)
	}
	last := len(vals) - 1
	v, err := i.value(of, vals[:last], vals[last], time.Hour) // the caller's patience ends earlier
	switch {
	case err != nil:
		return response{Error: oneLine(err.Error())}
	case v == nil:
		return response{}
	}
	if text := v.String(); len(text) <= maxValue {
		return response{Value: text}
	}
	return response{Error: fmt.Sprintf("the value is longer than %d bytes", maxValue)}
}

// tameTime is what tame Rego may take in this process.
const tameTime = 50 * time.Millisecond

// growing are the builtins that policies may call whose result can be much larger
// than what they are given, or take long in one call that nothing stops.
var growing = []string{
	"mul", "product", "div", "rem", "floor", "ceil", "round", "abs", "format_int", "to_number",
	"numbers.range", "numbers.range_step", "concat", "sprintf", "internal.template_string", "array.concat", "array.flatten",
	"object.union", "object.union_n", "union", "or", "sum",
}

// tame says whether evaluating a rule or builtin can't take more memory than what
// it is given: nothing that grows is called and no collection made. Only its time
// has no bound then, and that a timer gives it. The worker that accepted the
// policy can be killed; this process can't.
func (c *native) tame(of ast.Value) bool {
	if several, ok := of.(*ast.Array); ok {
		return !several.Until(func(t *ast.Term) bool { return !c.tame(t.Value) })
	}
	name := of.String()
	if ast.BuiltinMap[name] != nil {
		return !slices.Contains(growing, name)
	}
	ref, _ := of.(ast.Ref)
	rules := c.i.compiler.GetRulesExact(ref)
	if len(rules) == 0 {
		return false
	}
	r := c.readsOf(name, rules)
	for op := range r.ops {
		if slices.Contains(growing, op) {
			return false
		}
	}
	return !r.grows
}

// short says whether values are of a size that one builtin can't take long over.
func short(vs []ast.Value) bool {
	return !slices.ContainsFunc(vs, func(v ast.Value) bool {
		long := false
		ast.WalkTerms(ast.NewTerm(v), func(t *ast.Term) bool {
			long = long || tooLong(t.Value)
			return long
		})
		return long
	})
}

// tooLong: numbers of many digits, or with an exponent that stands for as many,
// and long text.
func tooLong(v ast.Value) bool {
	switch v := v.(type) {
	case ast.Number:
		return len(v) > 20 || strings.ContainsAny(string(v), "eE")
	case ast.String:
		return len(v) > maxRego
	case *ast.Array:
		return v.Len() > maxValue
	case ast.Set:
		return v.Len() > maxValue
	case ast.Object:
		return v.Len() > maxValue
	}
	return false
}
