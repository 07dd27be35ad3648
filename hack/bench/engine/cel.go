package main

import (
	_ "embed"
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"
)

//go:embed allow.cel
var allowCEL string

// newCEL compiles the rule book as one condition. CEL can't add months to an
// instant, so that it gets a function for that.
func newCEL() (cel.Program, error) {
	any := cel.MapType(cel.StringType, cel.DynType)
	env, err := cel.NewEnv(
		cel.Variable("now", cel.IntType), cel.Variable("campaign", any), cel.Variable("customer", any), cel.Variable("contacts", any),
		ext.Bindings(),
		cel.Function("months", cel.Overload("months_int_int", []*cel.Type{cel.DynType, cel.IntType}, cel.IntType,
			cel.BinaryBinding(func(ns, n ref.Val) ref.Val { return types.Int(months(int64(ns.(types.Int)), int(n.(types.Int)))) }))),
	)
	if err != nil {
		return nil, fmt.Errorf("make a CEL environment: %w", err)
	}
	tree, issues := env.Compile(allowCEL)
	if err := issues.Err(); err != nil {
		return nil, fmt.Errorf("compile allow.cel: %w", err)
	}
	return env.Program(tree, cel.EvalOptions(cel.OptOptimize))
}

// celAllows asks it about one customer.
func celAllows(p cel.Program, input map[string]any) (bool, error) {
	out, _, err := p.Eval(input)
	if err != nil {
		return false, fmt.Errorf("evaluate allow.cel: %w", err)
	}
	yes, ok := out.Value().(bool)
	if !ok {
		return false, fmt.Errorf("allow.cel is %v and no bool", out.Value())
	}
	return yes, nil
}
