package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// evalRequest asks for the value of a rule, of a function or builtin of some
// arguments, as Rego text, where the input is no more than what is given.
type evalRequest struct {
	Digest string   `json:"digest"`
	Ref    string   `json:"ref"`
	Args   []string `json:"args,omitempty"`
	Input  string   `json:"input"`
}

// evaluator asks OPA itself for the value of a rule, or of a function of some
// arguments.
type evaluator func(args []ast.Value, input ast.Value) (ast.Value, error)

// evaluator of a ref. Of what codb does not vouch for, foreign Rego, only what is
// tame is evaluated in this process: the workers that accepted a policy can be
// killed.
func (c *native) evaluator(ref ast.Ref, foreign bool) evaluator {
	here := func(patience time.Duration) evaluator {
		return func(args []ast.Value, input ast.Value) (ast.Value, error) {
			c.opa.Lock()
			defer c.opa.Unlock()
			return c.i.value(ref, args, input, patience)
		}
	}
	there := c.i.elsewhere
	if there == nil || !foreign {
		return here(nativeTime)
	}
	tame, quickly := c.tame(ref), here(tameTime)
	return func(args []ast.Value, input ast.Value) (ast.Value, error) {
		if !tame || !short(args) {
			return there.value(ref, args, input)
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
func (i *Interpreter) value(ref ast.Ref, args []ast.Value, input ast.Value, patience time.Duration) (ast.Value, error) {
	terms := []*ast.Term{ast.NewTerm(ref)}
	for _, a := range args {
		terms = append(terms, ast.NewTerm(a))
	}
	var x *ast.Expr
	if len(args) > 0 {
		x = &ast.Expr{Terms: append(terms, ast.VarTerm(result))}
	} else {
		x = ast.Equality.Expr(ast.VarTerm(result), terms[0])
	}
	cancel, done := limited(patience)
	defer done()
	var out ast.Value
	var failed []topdown.Error
	q := topdown.NewQuery(ast.NewBody(x)).WithCompiler(i.compiler).WithStore(i.store).WithTransaction(i.txn).
		WithInput(ast.NewTerm(input)).WithMetrics(metrics.NoOp()).WithBuiltinErrorList(&failed).WithCancel(cancel)
	err := q.Iter(context.Background(), func(qr topdown.QueryResult) error {
		out = qr[ast.Var(result)].Value
		return nil
	})
	if err == nil && len(failed) > 0 {
		err = &failed[0]
	}
	return out, err
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

func (o *oracle) value(ref ast.Ref, args []ast.Value, input ast.Value) (ast.Value, error) {
	if o.strikes.Load() >= maxStrikes {
		return nil, errStruck
	}
	r := evalRequest{Digest: o.judge.digest, Ref: ref.String(), Input: input.String()}
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
	var ref ast.Ref
	switch t, err := ast.ParseTerm(r.Ref); {
	case err != nil:
		return response{Error: err.Error()}
	default:
		if name, ok := t.Value.(ast.Var); ok {
			t.Value = ast.Ref{ast.NewTerm(name)} // a builtin
		}
		if ref, _ = t.Value.(ast.Ref); ref == nil {
			return response{Error: r.Ref + " is no rule"}
		}
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
	v, err := i.value(ref, vals[:last], vals[last], time.Hour) // the caller's patience ends earlier
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
func (c *native) tame(ref ast.Ref) bool {
	name := ref.String()
	if ast.BuiltinMap[name] != nil {
		return !slices.Contains(growing, name)
	}
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
