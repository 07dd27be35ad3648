package irplan

import (
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
	"github.com/open-policy-agent/opa/v1/topdown"
)

func stmts(s ...ir.Stmt) *ir.Block { return &ir.Block{Stmts: s} }

func local(l ir.Local) ir.Operand { return ir.Operand{Value: l} }

func word(i int) ir.Operand { return ir.Operand{Value: ir.StringIndex(i)} }

// The IR allows more than today's planner writes. {what a plan does after x = "a",
// what x is then, or "" where that is never reached}.
func TestStatements(t *testing.T) {
	const x, k, v, n = ir.Local(2), ir.Local(3), ir.Local(4), ir.Local(5)
	sets := func(i int) ir.Stmt { return &ir.AssignVarStmt{Source: word(i), Target: x} }
	fails := &ir.EqualStmt{A: word(0), B: word(1)}
	tests := map[string]struct {
		plan []ir.Stmt
		want string
	}{
		"Block":             {[]ir.Stmt{&ir.BlockStmt{Blocks: []*ir.Block{stmts(fails, sets(1))}}}, `"a"`},
		"BreakLeavesBlocks": {[]ir.Stmt{&ir.BlockStmt{Blocks: []*ir.Block{stmts(&ir.BlockStmt{Blocks: []*ir.Block{stmts(&ir.BreakStmt{Index: 1})}}, sets(1)), stmts(sets(2))}}}, `"c"`},
		"BreakLeavesLoop":   {[]ir.Stmt{&ir.ScanStmt{Source: ir.Input, Key: k, Value: v, Block: stmts(&ir.AssignVarStmt{Source: local(v), Target: x}, &ir.BreakStmt{Index: 1})}}, `1`},
		"LoopGoesOn":        {[]ir.Stmt{&ir.ScanStmt{Source: ir.Input, Key: k, Value: v, Block: stmts(&ir.AssignVarStmt{Source: local(v), Target: x}, &ir.BreakStmt{})}}, `2`},
		"BreakLeavesLoopAndBlock": {[]ir.Stmt{
			&ir.BlockStmt{Blocks: []*ir.Block{stmts(&ir.ScanStmt{Source: ir.Input, Key: k, Value: v, Block: stmts(&ir.BreakStmt{Index: 2})}, sets(1)), stmts(&ir.NopStmt{})}},
		}, `"a"`},
		"BreakLeavesNot":  {[]ir.Stmt{&ir.BlockStmt{Blocks: []*ir.Block{stmts(&ir.NotStmt{Block: stmts(&ir.BreakStmt{Index: 1})}, sets(1))}}}, `"a"`},
		"BreakLeavesWith": {[]ir.Stmt{&ir.BlockStmt{Blocks: []*ir.Block{stmts(&ir.WithStmt{Local: x, Value: word(1), Block: stmts(&ir.BreakStmt{Index: 1})}, sets(2))}}}, `"a"`},
		"WithUndoes":      {[]ir.Stmt{&ir.WithStmt{Local: x, Value: word(1), Block: stmts(&ir.NopStmt{})}}, `"a"`},
		"WithIsUndefined": {[]ir.Stmt{&ir.WithStmt{Local: x, Value: word(1), Block: stmts(fails)}}, ``},
		"NotIsUndefined":  {[]ir.Stmt{&ir.NotStmt{Block: stmts(&ir.NopStmt{})}}, ``},
		"CountersAreNoLiterals": {[]ir.Stmt{
			&ir.MakeNumberIntStmt{Value: 1, Target: n}, &ir.AssignIntStmt{Value: 2, Target: n},
			&ir.MakeArrayStmt{Target: x}, &ir.ArrayAppendStmt{Value: local(n), Array: x},
		}, `[2]`},
		"VariablesGivenTwiceAreNoLiterals": {[]ir.Stmt{
			&ir.MakeNumberIntStmt{Value: 1, Target: n}, &ir.MakeSetStmt{Target: x}, &ir.SetAddStmt{Value: local(n), Set: x},
			&ir.MakeNumberIntStmt{Value: 2, Target: n}, &ir.SetAddStmt{Value: local(n), Set: x},
		}, `{1, 2}`},
		"CollectionsThatLoopsAddToAreNoLiterals": {[]ir.Stmt{
			&ir.MakeSetStmt{Target: x}, &ir.SetAddStmt{Value: word(0), Set: x},
			&ir.ScanStmt{Source: ir.Input, Key: k, Value: v, Block: stmts(&ir.SetAddStmt{Value: local(v), Set: x})},
		}, `{1, 2, "a"}`},
		"CollectionsBegunTwiceAreNoLiterals": {[]ir.Stmt{
			&ir.MakeSetStmt{Target: x}, &ir.SetAddStmt{Value: word(0), Set: x}, &ir.MakeSetStmt{Target: x}, &ir.SetAddStmt{Value: word(1), Set: x},
		}, `{"b"}`},
		"MergeIsDeep": {[]ir.Stmt{
			&ir.MakeObjectStmt{Target: k}, &ir.ObjectInsertStmt{Key: word(0), Value: word(1), Object: k},
			&ir.MakeObjectStmt{Target: v}, &ir.ObjectInsertStmt{Key: word(2), Value: local(k), Object: v},
			&ir.MakeObjectStmt{Target: k}, &ir.ObjectInsertStmt{Key: word(1), Value: word(1), Object: k},
			&ir.MakeObjectStmt{Target: n}, &ir.ObjectInsertStmt{Key: word(2), Value: local(k), Object: n}, &ir.ObjectInsertStmt{Key: word(0), Value: word(0), Object: n},
			&ir.ObjectMergeStmt{A: v, B: n, Target: x},
		}, `{"a": "a", "c": {"a": "b", "b": "b"}}`},
		"DynamicCallThatIsUndefined": {[]ir.Stmt{&ir.BlockStmt{Blocks: []*ir.Block{stmts(&ir.BlockStmt{Blocks: []*ir.Block{
			stmts(&ir.BlockStmt{Blocks: []*ir.Block{stmts(&ir.CallDynamicStmt{Args: []ir.Local{0, 1}, Result: n, Path: []ir.Operand{word(0), word(1)}})}}, sets(1)),
			stmts(sets(2)),
		}}, sets(1))}}}, ``},
		"DynamicCallOfAFunction": {[]ir.Stmt{&ir.BlockStmt{Blocks: []*ir.Block{
			stmts(&ir.CallDynamicStmt{Args: []ir.Local{0, 1}, Result: n, Path: []ir.Operand{word(0), word(2)}}, sets(1)),
		}}}, `"a"`},
		"DynamicCallOfNothing": {[]ir.Stmt{&ir.BlockStmt{Blocks: []*ir.Block{
			stmts(&ir.CallDynamicStmt{Args: []ir.Local{0, 1}, Result: n, Path: []ir.Operand{word(0), word(0)}}, sets(1)),
		}}}, `"a"`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			body := append([]ir.Stmt{sets(0)}, tc.plan...)
			p, err := compile(&ir.Policy{
				Static: &ir.Static{Strings: []*ir.StringConst{{Value: "a"}, {Value: "b"}, {Value: "c"}}},
				Plans:  &ir.Plans{Plans: []*ir.Plan{{Name: "eval", Blocks: []*ir.Block{stmts(append(body, &ir.ResultSetAddStmt{Value: x})...)}}}},
				Funcs: &ir.Funcs{Funcs: []*ir.Func{{
					Name: "undefined", Params: []ir.Local{0, 1}, Return: 2, Path: []string{"a", "b"}, Blocks: []*ir.Block{stmts(&ir.ReturnLocalStmt{Source: 2})},
				}, {
					Name: "function", Params: []ir.Local{0, 1, 2}, Return: 3, Path: []string{"a", "c"}, Blocks: []*ir.Block{stmts(&ir.ReturnLocalStmt{Source: 0})},
				}}},
			}, ast.NewObject())
			if err != nil {
				t.Fatal(err)
			}
			m := p.New()
			for _, input := range []string{"[3, 4]", "[1, 2]"} { // the first must leave no traces
				r, err := m.Eval(t.Context(), ast.MustParseTerm(input).Value, topdown.NewCancel())
				if err != nil {
					t.Fatal(err)
				}
				got := ""
				r.Bindings.Foreach(func(t *ast.Term) { got += t.String() })
				if input == "[1, 2]" && got != tc.want {
					t.Errorf("got %s, want %s", got, tc.want)
				}
			}
		})
	}
}
