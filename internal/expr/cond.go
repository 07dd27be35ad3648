package expr

import "slices"

// cond is a predicate made ready for a span.
type cond interface {
	// keep takes out of a set of places those where it does not hold.
	keep(v *Vector, at *span, mask Bits)
}

// cond of a predicate for a span, the same for the same predicate.
func (v *Vector) cond(at *span, b Bool) cond {
	key := b.Key()
	c := at.conds[key]
	if c == nil {
		c = v.newCond(at, b)
		at.conds[key] = c
	}
	return c
}

func (v *Vector) newCond(at *span, b Bool) cond {
	switch b := b.(type) {
	case Lit:
		return b
	case *AndOf:
		if ref, ok := onlyRef(b); ok {
			return newByID(at, b, ref)
		}
		return &allOf{v.condsOf(at, fuse(b.Terms))}
	case *NotOf:
		if ref, ok := onlyRef(b); ok {
			return newByID(at, b, ref)
		}
		return &noneOf{v.cond(at, b.Term)}
	case *OrOf:
		if ref, ok := onlyRef(b); ok {
			return newByID(at, b, ref)
		}
		return &anyOf{v.condsOf(at, b.Terms)}
	case *Test:
		switch refs := b.Table.Refs; len(refs) {
		case 0:
			return &once{b}
		case 1:
			return newByID(at, b, refs[0])
		case 2:
			return newByPair(at, b.Table)
		}
		return &compared{op: NE, l: v.num(at, &Lookup{Table: b.Table}), r: v.num(at, Const(0))}
	case *Cmp:
		if constant(b.L) && constant(b.R) {
			return &once{b}
		}
		if c := newRange(at, b); c != nil {
			return c
		}
		if apart := split(b); apart != nil {
			return v.cond(at, apart)
		}
	case *Known:
		if c, ok := b.Num.(Col); ok {
			return &inRange{col: at.intsAt(Ref(c)), op: GE, other: Const(Missing + 1)}
		}
	}
	if home := v.home(at, vars(b)); home != at {
		return &liftedCond{home: home, of: v.cond(home, b)}
	}
	switch b := b.(type) {
	case *Cmp:
		return &compared{op: b.Op, l: v.num(at, b.L), r: v.num(at, b.R)}
	case *Known:
		return &defined{v.num(at, b.Num)}
	case *Some:
		return &longer{b.Array}
	case *Exists:
		return &rememberedCond{of: &reached{v.newBranch(at, []Step{{Loop: b.Loop}, {If: b.If}})}}
	}
	return &rememberedCond{of: &asked{b}}
}

func (v *Vector) condsOf(at *span, bs []Bool) []cond {
	var out []cond
	for _, b := range bs {
		out = append(out, v.cond(at, b))
	}
	return out
}

// home is the outermost span around another that has all of some loops.
func (v *Vector) home(at *span, vars uint8) *span {
	for at.outer != nil && vars&(1<<at.loop.Var) == 0 {
		at = at.outer
	}
	return at
}

// keep implements cond.
func (l Lit) keep(_ *Vector, _ *span, mask Bits) {
	if !l {
		clear(mask)
	}
}

type allOf struct{ of []cond }

func (c *allOf) keep(v *Vector, at *span, mask Bits) {
	for _, t := range c.of {
		t.keep(v, at, mask)
	}
}

type noneOf struct{ of cond }

func (c *noneOf) keep(v *Vector, at *span, mask Bits) {
	inner := v.copyOf(mask)
	c.of.keep(v, at, inner)
	mask.Drop(inner)
	v.give(inner)
}

type anyOf struct{ of []cond }

func (c *anyOf) keep(v *Vector, at *span, mask Bits) {
	left := v.copyOf(mask)
	for _, t := range c.of {
		one := v.copyOf(left)
		t.keep(v, at, one)
		left.Drop(one)
		v.give(one)
	}
	mask.Drop(left)
	v.give(left)
}

// liftedCond is one about what is around the span.
type liftedCond struct {
	home *span
	of   cond
}

func (c *liftedCond) keep(v *Vector, at *span, mask Bits) {
	places := v.lifted(at, c.home)
	outer := v.lift(places, c.home, mask)
	c.of.keep(v, c.home, outer)
	for n := range mask.All {
		if !outer.Has(int(places[n])) {
			mask.Unset(n)
		}
	}
	v.give(outer)
}

// lift is the set of places of an outer span that those of a mask are in.
func (v *Vector) lift(places []uint32, home *span, mask Bits) Bits {
	outer := v.take(home.n)
	for n := range mask.All {
		outer.Set(int(places[n]))
	}
	return outer
}

// lifted is where the places are in an outer span.
func (v *Vector) lifted(at, home *span) []uint32 {
	switch {
	case home == &v.root:
		return v.rowsOf(at)
	case home == at.outer:
		return v.outOf(at)
	}
	outer := v.lifted(at.outer, home)
	at.far = sized(at.far, at.n)
	for n, k := range v.outOf(at) {
		at.far[n] = outer[k]
	}
	return at.far
}

// compared are two numbers.
type compared struct {
	op   Op
	l, r num
}

func (c *compared) keep(v *Vector, at *span, mask Bits) {
	l := c.l.of(v, at, mask)
	r := c.r.of(v, at, mask)
	for n := range mask.All {
		if !c.op.holds(l[n], r[n]) {
			mask.Unset(n)
		}
	}
}

// once is what is the same for all places.
type once struct{ b Bool }

func (c *once) keep(v *Vector, at *span, mask Bits) {
	yes := c.b.True(v.Machine)
	if v.Machine.Hard {
		v.Machine.Hard = false
		v.hardAt(at, mask)
	}
	if !yes {
		clear(mask)
	}
}

// hardAt says that the rows of some places are hard.
func (v *Vector) hardAt(at *span, mask Bits) {
	for n := range mask.All {
		v.cry(v.row(at, n))
	}
}

// defined is where a number is.
type defined struct{ num num }

func (c *defined) keep(v *Vector, at *span, mask Bits) { c.num.of(v, at, mask) }

// longer is where an array has elements.
type longer struct{ array int }

func (c *longer) keep(v *Vector, at *span, mask Bits) {
	a := v.Machine.Columns.Arrays[c.array]
	if at == &v.root && a.U16 != nil {
		some(a.U16[v.lo:v.lo+v.n+1], mask)
		return
	}
	for n := range mask.All {
		if row := v.lo + v.row(at, n); a.At(row) == a.At(row+1) {
			mask.Unset(n)
		}
	}
}

// some takes out rows without elements.
func some[T width](offsets []T, mask Bits) {
	for row := range mask.All {
		if offsets[row] == offsets[row+1] {
			mask.Unset(row)
		}
	}
}

// reached is where a branch leads somewhere.
type reached struct{ by *branch }

func (c *reached) keep(v *Vector, at *span, mask Bits) {
	found := v.take(at.n)
	c.by.follow(v, at, mask, func(ends Bits, _ []int64) {
		out := v.outOf(c.by.at)
		for n := range ends.All {
			found.Set(int(out[n]))
		}
	})
	mask.only(found)
	v.give(found)
}

// asked is what the machine is asked place by place.
type asked struct{ b Bool }

func (c *asked) keep(v *Vector, at *span, mask Bits) {
	for n := range mask.All {
		row := v.place(at, n)
		if !c.b.True(v.Machine) {
			mask.Unset(n)
		}
		v.note(row)
	}
}

// fuse joins neighbours that depend on the same ids.
func fuse(bs []Bool) []Bool {
	var out []Bool
	var last Ref
	for _, b := range flatten(nil, bs) {
		ref, ok := onlyRef(b)
		if n := len(out) - 1; ok && n >= 0 && ref == last {
			out[n] = &AndOf{Terms: []Bool{out[n], b}, key: "and(" + out[n].Key() + "," + b.Key() + ")"}
			continue
		}
		if last = ref; !ok {
			last.Column = -1
		}
		out = append(out, b)
	}
	return slices.Clip(out)
}

func flatten(out, bs []Bool) []Bool {
	for _, b := range bs {
		if a, ok := b.(*AndOf); ok {
			out = flatten(out, a.Terms)
		} else {
			out = append(out, b)
		}
	}
	return out
}

// onlyRef is the one column of ids that a predicate depends on.
func onlyRef(b Bool) (ref Ref, ok bool) {
	switch b := b.(type) {
	case *Test:
		if len(b.Table.Refs) == 1 {
			return b.Table.Refs[0], true
		}
	case *NotOf:
		return onlyRef(b.Term)
	case *AndOf:
		return onlyRefOf(b.Terms)
	case *OrOf:
		return onlyRefOf(b.Terms)
	}
	return ref, false
}

func onlyRefOf(bs []Bool) (ref Ref, ok bool) {
	for i, b := range bs {
		r, ok := onlyRef(b)
		if !ok || i > 0 && r != ref {
			return ref, false
		}
		ref = r
	}
	return ref, len(bs) > 0
}
