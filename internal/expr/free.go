package expr

// vars are what a condition depends on, a bit each: the lowest is the row, the
// others are loops that lead to it.
func vars(b Bool) uint8 {
	switch b := b.(type) {
	case Lit:
		return 0
	case *In:
		return varsOf(b.Num)
	case *AndOf:
		return varsOfAll(b.Terms)
	case *OrOf:
		return varsOfAll(b.Terms)
	case *NotOf:
		return vars(b.Term)
	case *Cmp:
		return varsOf(b.L) | varsOf(b.R)
	case *Known:
		return varsOf(b.Num)
	case *Test:
		return varsOfRefs(b.Table.Refs)
	case *Same:
		return 1<<b.A | 1<<b.B
	case *Some:
		return 1
	case *Exists:
		return 1 | vars(b.If)&^(1<<b.Loop.Var)
	}
	return anything
}

// anything is what a node depends on that is not known here.
const anything = 0xff

func varsOfAll(terms []Bool) (on uint8) {
	for _, t := range terms {
		on |= vars(t)
	}
	return on
}

func varsOfRefs(refs []Ref) (on uint8) {
	for _, r := range refs {
		on |= 1 << r.Var
	}
	return on
}

func varsOf(n Num) uint8 {
	switch n := n.(type) {
	case Const, Now:
		return 0
	case Col:
		return 1 << n.Var
	case *Len:
		return 1
	case *Lookup:
		return varsOfRefs(n.Table.Refs)
	case *Sum:
		return varsOf(n.A) | varsOf(n.B)
	case *Otherwise:
		return varsOf(n.Num) | varsOf(n.Else)
	case *Product:
		return varsOf(n.A) | varsOf(n.B)
	case *Rest:
		return varsOf(n.A) | varsOf(n.B)
	case *Best:
		on := uint8(0)
		for _, of := range n.Of {
			on |= varsOf(of)
		}
		return on
	case *Memo: // it is remembered by the place of this loop, whatever is
		return varsOf(n.Num) | 1<<n.Depth
	case *Func:
		return varsOf(n.Arg) | varsOfRefs(n.Refs)
	case *Extreme:
		return varsOfItems(n.Items)
	case *Count:
		return varsOfItems(n.Items)
	case *Total:
		return varsOfItems(n.Items)
	case *Different:
		return varsOfItems(n.Items)
	case *Last:
		return varsOf(n.Place) | varsOfItems(n.Items) // no count of the items depends on more
	}
	return anything
}

func varsOfItems(items []Item) uint8 {
	on := uint8(1)
	for _, it := range items {
		own, inner := varsOf(it.Value), uint8(0)
		for _, s := range it.Steps {
			if s.Loop.Var != 0 {
				inner |= 1 << s.Loop.Var
			} else {
				own |= vars(s.If)
			}
		}
		on |= own &^ inner
	}
	return on
}
