package irplan

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
)

// walk visits the statements of a block and of those within it.
func walk(b *ir.Block, visit func(ir.Stmt)) {
	for _, s := range b.Stmts {
		visit(s)
		switch s := s.(type) {
		case *ir.BlockStmt:
			for _, b := range s.Blocks {
				walk(b, visit)
			}
		case *ir.NotStmt:
			walk(s.Block, visit)
		case *ir.ScanStmt:
			walk(s.Block, visit)
		case *ir.WithStmt:
			walk(s.Block, visit)
		}
	}
}

// changing are the functions whose result may differ from one evaluation to the
// next: they look at the input, or call what does, or what answers as it likes.
func changing(plan *ir.Policy) map[string]bool {
	known := map[string]bool{} // false until shown otherwise
	for _, f := range plan.Funcs.Funcs {
		known[f.Name] = false
	}
	for more := true; more; {
		more = false
		for _, f := range plan.Funcs.Funcs {
			if !known[f.Name] && changes(f, known) {
				known[f.Name], more = true, true
			}
		}
	}
	return known
}

func changes(f *ir.Func, known map[string]bool) (found bool) {
	for _, b := range f.Blocks {
		walk(b, func(s ir.Stmt) { found = found || looks(s, known) })
	}
	return found
}

// looks says whether a statement looks at the input, itself or through what it
// calls. Of one that is not listed it is taken for granted.
func looks(s ir.Stmt, known map[string]bool) bool {
	switch s := s.(type) {
	case *ir.CallStmt:
		if changes, planned := known[s.Func]; planned {
			return changes || slices.ContainsFunc(s.Args[min(2, len(s.Args)):], isInput)
		}
		decl := ast.BuiltinMap[s.Func]
		return decl == nil || decl.Nondeterministic || slices.ContainsFunc(s.Args, isInput)
	case *ir.DotStmt:
		return isInput(s.Source) || isInput(s.Key)
	case *ir.ScanStmt:
		return s.Source == ir.Input
	case *ir.AssignVarStmt:
		return isInput(s.Source)
	case *ir.AssignVarOnceStmt:
		return isInput(s.Source)
	case *ir.EqualStmt:
		return isInput(s.A) || isInput(s.B)
	case *ir.NotEqualStmt:
		return isInput(s.A) || isInput(s.B)
	case *ir.SetAddStmt:
		return isInput(s.Value)
	case *ir.ArrayAppendStmt:
		return isInput(s.Value)
	case *ir.ObjectInsertStmt:
		return isInput(s.Key) || isInput(s.Value)
	case *ir.ObjectInsertOnceStmt:
		return isInput(s.Key) || isInput(s.Value)
	case *ir.IsDefinedStmt:
		return s.Source == ir.Input
	case *ir.IsUndefinedStmt:
		return s.Source == ir.Input
	case *ir.BlockStmt, *ir.NotStmt, *ir.BreakStmt, *ir.NopStmt, *ir.ResetLocalStmt, *ir.ReturnLocalStmt,
		*ir.MakeNullStmt, *ir.MakeNumberIntStmt, *ir.MakeNumberRefStmt, *ir.MakeArrayStmt, *ir.MakeObjectStmt, *ir.MakeSetStmt:
		return false
	}
	return true
}

func isInput(o ir.Operand) bool { return o.Value == ir.Input }
