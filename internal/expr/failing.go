package expr

import "slices"

// Unfailing says whether nothing that items look at can fail, so that it makes no
// difference whether they are looked at. What depends on nothing inside of them
// was looked at before: whatever has a name is.
func Unfailing(items []Item) bool {
	for _, it := range items {
		inner := MaxDepth + 1
		for _, s := range it.Steps {
			if s.Loop.Var != 0 {
				inner = min(inner, s.Loop.Var)
			} else if !unfailing(s.If, inner) {
				return false
			}
		}
		if !unfailingNum(it.Value, inner) {
			return false
		}
	}
	return true
}

func unfailing(b Bool, inner int) bool {
	switch b := b.(type) {
	case Lit, *Some, *Same:
		return true
	case *Test:
		return !b.Table.Fails
	case *Known:
		return unfailingNum(b.Num, inner)
	case *Cmp:
		return unfailingNum(b.L, inner) && unfailingNum(b.R, inner)
	case *NotOf:
		return unfailing(b.Term, inner)
	case *Exists:
		return unfailing(b.If, inner)
	case *In:
		return unfailingNum(b.Num, inner)
	case *AndOf:
		return all(b.Terms, inner)
	case *OrOf:
		return all(b.Terms, inner)
	}
	return false
}

func all(terms []Bool, inner int) bool {
	for _, t := range terms {
		if !unfailing(t, inner) {
			return false
		}
	}
	return true
}

func unfailingNum(n Num, inner int) bool {
	switch n := n.(type) {
	case Const, Now, Col, *Len:
		return true
	case *Lookup:
		return !n.Table.Fails || !slices.ContainsFunc(n.Table.Refs, func(r Ref) bool { return r.Var >= inner })
	case *Memo:
		return !failing(n.Num)
	case *Sum:
		return unfailingNum(n.A, inner) && unfailingNum(n.B, inner)
	}
	return false
}

// failing says whether a builtin may fail over a number.
func failing(n Num) bool {
	switch n := n.(type) {
	case *Lookup:
		return n.Table.Fails
	case *Func:
		return true
	case *Memo:
		return failing(n.Num)
	case *Sum:
		return failing(n.A) || failing(n.B)
	case *Product:
		return failing(n.A) || failing(n.B)
	case *Rest:
		return true
	case *Total:
		return !Unfailing(n.Items)
	case *Different:
		return !Unfailing(n.Items)
	case *Best:
		return slices.ContainsFunc(n.Of, failing)
	case *Otherwise:
		return failing(n.Num) || failing(n.Else)
	case *Last:
		return failing(n.Place) || !Unfailing(n.Items)
	case *Extreme:
		return !Unfailing(n.Items)
	case *Count:
		return !Unfailing(n.Items)
	}
	return false
}
