// Package irplan evaluates general Rego several times as fast as OPA's interpreter
// does and with the same answers; it does not know what the policies are about,
// nor whether anybody checks its answers.
//
// OPA plans a query into an intermediate representation (IR) meant for WebAssembly.
// Here the plan becomes Go closures over Rego's own values, which call OPA's own
// builtins, so that no builtin and no comparison is written a second time.
//
// What an evaluation could not answer without an error, be it of a builtin or a
// conflict, is for OPA's interpreter to judge: the order in which a plan meets
// errors is its own.
package irplan

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// target is the name under which OPA knows this package.
const target = "codb-plan"

var register = sync.OnceFunc(func() { rego.RegisterPlugin(target, plugin{}) })

// plugin is handed the plan of a query; it gives it to whoever had it made.
type plugin struct{}

func (plugin) IsTarget(t string) bool { return t == target }

type planKey struct{}

func (plugin) PrepareForEval(ctx context.Context, p *ir.Policy, _ ...rego.PrepareOption) (rego.TargetPluginEval, error) {
	into, ok := ctx.Value(planKey{}).(**ir.Policy)
	if !ok {
		return nil, errors.New("plans are made by irplan.Compile only")
	}
	*into = p
	return plugin{}, nil
}

func (plugin) Eval(context.Context, *rego.EvalContext, ast.Value) (ast.Value, error) {
	return nil, errors.New("plans are evaluated by irplan.Machine only")
}

// Compile makes a program of a query over modules that a compiler has compiled
// and over base documents. The error says what can't be planned.
func Compile(ctx context.Context, c *ast.Compiler, query ast.Body, data ast.Value, options ...func(*rego.Rego)) (p *Program, err error) {
	register()
	defer c.WithEvalMode(ast.EvalModeTopdown) // which rego changes
	defer func() {
		if r := recover(); r != nil { // OPA's planner panics at what it takes for impossible
			p, err = nil, fmt.Errorf("plan query: %v", r)
		}
	}()
	var plan *ir.Policy
	ctx = context.WithValue(ctx, planKey{}, &plan)
	options = append([]func(*rego.Rego){rego.Target(target), rego.Compiler(c), rego.ParsedQuery(query)}, options...)
	if _, err := rego.New(options...).PrepareForEval(ctx); err != nil {
		return nil, fmt.Errorf("plan query: %w", err)
	}
	return compile(plan, data)
}

// Result is what a query says of one input.
type Result struct {
	// Bindings has an object of the query's variables for each way to satisfy it.
	Bindings ast.Set
	// Failed are the builtins' errors, which are undefined to Rego.
	Failed []error
}

// Eval evaluates the program for one input, nil where there is none. A machine's
// evaluations follow each other.
func (m *Machine) Eval(ctx context.Context, input ast.Value, cancel topdown.Cancel) (r Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			r, err = Result{}, fmt.Errorf("evaluate plan: %v", p)
		}
		if err != nil || len(r.Failed) > 0 {
			m.forget()
		}
	}()
	m.begin(ctx, cancel)
	f := m.push(m.program.plan.locals)
	if input != nil {
		f[ir.Input] = ast.NewTerm(input)
	}
	f[ir.Data] = m.program.data
	m.program.plan.run(m, f)
	if m.err == nil && cancel.Cancelled() {
		m.err = errCancelled
	}
	return Result{Bindings: m.results, Failed: m.failed}, m.err
}

var errCancelled = &topdown.Error{Code: topdown.CancelErr, Message: "caller cancelled query execution"}
