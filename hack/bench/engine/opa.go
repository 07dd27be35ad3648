package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"reflect"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/util"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/policy/irplan"
	"github.com/codb-dev/codb/policies"
)

// opa evaluates the rule book with OPA alone, as somebody would who never heard of
// codb: its modules, its parameters as data, one prepared query for all sets of all
// rules. The floor adds nothing to it, its rules are among them.
type opa struct {
	sets     []string // deny, hold or wake of a rule, by place in the result
	rules    []string
	prepared rego.PreparedEvalQuery // input of maps
	quick    rego.PreparedEvalQuery // and all that makes OPA quicker
	store    storage.Store
	txn      storage.Transaction
	machine  *irplan.Machine // closures compiled from OPA's plan
	cancel   topdown.Cancel
}

func newOPA(ctx context.Context, uses []v1alpha1.RuleUse) (*opa, error) {
	o := &opa{cancel: topdown.NewCancel()}
	modules, parameters, err := o.modules(uses)
	if err != nil {
		return nil, err
	}
	var refs []string
	for i, rule := range o.rules {
		refs = append(refs, "data.rules."+strings.ReplaceAll(rule, "-", "_")+"."+o.sets[i])
	}
	query := "result = [" + strings.Join(refs, ", ") + "]"
	data := map[string]any{"parameters": parameters}

	plain := []func(*rego.Rego){rego.Query(query), rego.Store(inmem.NewFromObject(util.MustUnmarshalJSON(mustJSON(data)).(map[string]any)))}
	compiler := ast.NewCompiler()
	parsed := map[string]*ast.Module{}
	for name, text := range modules {
		plain = append(plain, rego.Module(name, text))
		if parsed[name], err = ast.ParseModuleWithOpts(name, text, ast.ParserOptions{RegoVersion: ast.RegoV1}); err != nil {
			return nil, fmt.Errorf("parse %s for OPA: %w", name, err)
		}
	}
	if o.prepared, err = rego.New(plain...).PrepareForEval(ctx); err != nil {
		return nil, fmt.Errorf("prepare OPA: %w", err)
	}
	if compiler.Compile(parsed); compiler.Failed() {
		return nil, fmt.Errorf("compile for OPA: %w", compiler.Errors)
	}
	return o, o.prepare(ctx, compiler, ast.MustParseBody(query), data)
}

// prepare is what makes OPA quicker: values of its own in the store, one
// transaction, no measuring, results as they are.
func (o *opa) prepare(ctx context.Context, compiler *ast.Compiler, query ast.Body, data map[string]any) (err error) {
	o.store = inmem.NewFromObjectWithOpts(data, inmem.OptReturnASTValuesOnRead(true))
	if o.txn, err = o.store.NewTransaction(ctx); err != nil {
		return err
	}
	own := []func(*rego.Rego){rego.Store(o.store), rego.Transaction(o.txn), rego.SetRegoVersion(ast.RegoV1)}
	o.quick, err = rego.New(append(own, rego.ParsedQuery(query), rego.Compiler(compiler),
		rego.GenerateJSON(func(t *ast.Term, _ *rego.EvalContext) (any, error) { return t.Value, nil }))...).PrepareForEval(ctx)
	if err != nil {
		return fmt.Errorf("prepare OPA with every trick: %w", err)
	}
	base, err := ast.InterfaceToValue(data)
	if err != nil {
		return err
	}
	program, err := irplan.Compile(ctx, compiler, query, base, own...)
	if err != nil {
		return fmt.Errorf("compile OPA's plan: %w", err)
	}
	o.machine = program.New()
	return nil
}

// modules are the library's, each rule pointed at its own parameters.
func (o *opa) modules(uses []v1alpha1.RuleUse) (modules map[string]string, parameters map[string]any, err error) {
	modules, parameters = map[string]string{}, map[string]any{}
	err = fs.WalkDir(policies.FS, "lib", func(name string, d fs.DirEntry, err error) error {
		if err == nil && path.Ext(name) == ".rego" && !strings.HasSuffix(name, "_test.rego") {
			text, err := fs.ReadFile(policies.FS, name)
			modules[name] = string(text)
			return err
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	for _, u := range uses {
		under := strings.ReplaceAll(u.Name, "-", "_")
		text, err := fs.ReadFile(policies.FS, u.Name+"/"+under+".rego")
		if err != nil {
			return nil, nil, err
		}
		module := strings.ReplaceAll(string(text), "data.parameters", "data.parameters."+under)
		modules[under] = strings.ReplaceAll(module, "package codb.rules.", "package rules.")
		for _, set := range []string{"deny", "hold", "wake"} {
			if strings.Contains(module, "\n"+set+" contains") {
				o.rules, o.sets = append(o.rules, u.Name), append(o.sets, set)
			}
		}
		if parameters[under], err = complete(u); err != nil {
			return nil, nil, err
		}
	}
	return modules, parameters, nil
}

// complete are a rule's parameters with its defaults.
func complete(u v1alpha1.RuleUse) (map[string]any, error) {
	text, err := fs.ReadFile(policies.FS, u.Name+"/schema.json")
	if err != nil {
		return nil, err
	}
	var schema struct {
		Properties map[string]struct{ Default any }
	}
	if err := util.UnmarshalJSON(text, &schema); err != nil {
		return nil, err
	}
	out := map[string]any{}
	for name, p := range schema.Properties {
		if p.Default != nil {
			out[name] = p.Default
		}
	}
	if u.With != nil {
		var given map[string]any
		if err := util.UnmarshalJSON(u.With.Raw, &given); err != nil {
			return nil, err
		}
		for name, v := range given {
			out[name] = v
		}
	}
	return out, nil
}

func mustJSON(v any) []byte {
	out, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return out
}

// document is the input for one customer, as JSON.
func document(c *decision.Campaign, s *decision.Subject) []byte {
	return mustJSON(struct {
		Now      int64             `json:"now"`
		Campaign decision.Campaign `json:"campaign"`
		decision.Subject
	}{now.UnixNano(), *c, *s})
}

var errResult = errors.New("OPA's result is not as asked for")

// maps asks as everybody does.
func (o *opa) maps(ctx context.Context, input map[string]any) error {
	rs, err := o.prepared.Eval(ctx, rego.EvalInput(input))
	if err == nil && (len(rs) != 1 || reflect.ValueOf(rs[0].Bindings["result"]).Len() != len(o.sets)) {
		return errResult
	}
	return err
}

// parsed asks with input that is parsed already, and every trick.
func (o *opa) parsed(ctx context.Context, input ast.Value) (*ast.Array, error) {
	rs, err := o.quick.Eval(ctx, rego.EvalParsedInput(input), rego.EvalTransaction(o.txn),
		rego.EvalMetrics(metrics.NoOp()), rego.EvalExternalCancel(o.cancel))
	if err != nil {
		return nil, err
	}
	if len(rs) == 1 {
		if sets, ok := rs[0].Bindings["result"].(*ast.Array); ok && sets.Len() == len(o.sets) {
			return sets, nil
		}
	}
	return nil, errResult
}

// plan asks the closures.
func (o *opa) plan(ctx context.Context, input ast.Value) (*ast.Array, error) {
	r, err := o.machine.Eval(ctx, input, o.cancel)
	if err != nil {
		return nil, err
	}
	if len(r.Failed) == 0 && r.Bindings.Len() == 1 {
		if bindings, ok := r.Bindings.Slice()[0].Value.(ast.Object); ok {
			if sets, ok := bindings.Get(ast.StringTerm("result")).Value.(*ast.Array); ok && sets.Len() == len(o.sets) {
				return sets, nil
			}
		}
	}
	return nil, errResult
}

// mask is what a result says in the expert's bits, and when it goes stale.
func (o *opa) mask(x *expert, sets *ast.Array) (mask uint64, stale int64, err error) {
	stale = never
	sooner := func(t *ast.Term) {
		if n, ok := t.Value.(ast.Number); ok {
			if ns, ok := n.Int64(); ok && ns > x.now {
				stale = min(stale, ns)
			}
		}
	}
	for i := range o.sets {
		sets.Elem(i).Value.(ast.Set).Foreach(func(t *ast.Term) {
			reason, ok := t.Value.(ast.Object)
			if !ok {
				sooner(t) // a wake
				return
			}
			word := func(key string) string {
				s, _ := reason.Get(ast.StringTerm(key)).Value.(ast.String)
				return string(s)
			}
			s := said{o.rules[i], word("code"), word("message"), o.sets[i] == "hold"}
			bit, ok := x.find(s)
			if !ok {
				err = fmt.Errorf("OPA says what the expert's loop never does: %v", s)
			}
			mask |= 1 << bit
			if until := reason.Get(ast.StringTerm("until")); until != nil {
				sooner(until)
			}
		})
	}
	return mask, stale, err
}

// asking is one way to have a result.
type asking func(context.Context, ast.Value) (*ast.Array, error)
