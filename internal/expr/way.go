package expr

// way is a place that steps lead to. Steps that begin alike lead the same way.
type way struct {
	up   *way // nil: where all begin
	step Step
	kids map[string]*way
	ends int // how many come by

	chunk int // for which one the rest is
	at    *span
	mask  Bits // the places of it that are reached; void: none
	void  bool
	hard  Bits // rows; any: there are some
	any   bool

	cond   cond
	of     *span // cond's
	own    *span // of places that were copied together
	folded int   // for which chunk rows is
	rows   Bits
}

// reach goes a way for the chunk, unless that was done.
func (v *Vector) reach(w *way) {
	if w.chunk == v.chunk {
		return
	}
	w.chunk = v.chunk
	if w.up == nil {
		w.at, w.mask = &v.root, empty(w.mask, v.n)
		if v.only == nil {
			w.mask.first(v.n)
		} else {
			copy(w.mask, v.only)
		}
		w.void = w.mask.empty()
		return
	}
	v.reach(w.up)
	w.void, w.any = w.up.void, false
	if w.void {
		return
	}
	was := v.listen()
	if w.step.Loop.Var != 0 {
		v.enter(w)
	} else {
		v.pass(w)
	}
	v.hush(was, func(heard Bits) {
		w.any, w.hard = true, empty(w.hard, v.n)
		copy(w.hard, heard)
	})
	if w.up.any {
		if !w.any {
			w.any, w.hard = true, empty(w.hard, v.n)
		}
		w.hard.Join(w.up.hard)
	}
}

// enter goes through a loop.
func (v *Vector) enter(w *way) {
	from, mask := w.up.at, w.up.mask
	if from == &v.root && !sparse(mask, from.n) {
		w.at = v.all(w.step.Loop)
		w.mask = empty(w.mask, w.at.n)
		v.elements(w.at, mask, w.mask)
	} else {
		if w.own == nil || w.own.outer != from {
			w.own = newSpan(from, w.step.Loop)
		}
		w.at = w.own
		left := v.copyOf(mask)
		v.expand(w.at, left, true)
		v.give(left)
		w.mask = empty(w.mask, w.at.n)
		w.mask.first(w.at.n)
	}
	w.void = w.mask.empty()
}

// pass goes by a condition.
func (v *Vector) pass(w *way) {
	at := w.up.at
	if w.cond == nil || w.of != at {
		w.cond, w.of = v.cond(at, w.step.If), at
	}
	w.at, w.mask = at, empty(w.mask, at.n)
	copy(w.mask, w.up.mask)
	w.cond.keep(v, at, w.mask)
	left := w.mask.Count()
	if w.void = left == 0; w.void || w.ends < 3 || 4*left > at.n || at.n < 256 {
		return
	}
	if w.own == nil || w.own.outer != at.outer || w.own.loop != at.loop {
		w.own = newSpan(at.outer, at.loop)
	}
	v.narrow(w.own, at, w.mask)
	w.at, w.mask = w.own, empty(w.mask, left)
	w.mask.first(left)
}

// fold are the rows that a way is gone for.
func (v *Vector) fold(w *way) Bits {
	if w.at == &v.root {
		return w.mask
	}
	if w.folded != v.chunk {
		w.folded, w.rows = v.chunk, empty(w.rows, v.n)
		rows := v.rowsOf(w.at)
		for n := range w.mask.All {
			w.rows.Set(int(rows[n]))
		}
	}
	return w.rows
}

// End is where somebody's steps lead, and what they want to know there.
type End struct {
	*way
	rest    []Step // a loop within a loop and what follows: for the machine
	numbers []Num
	open    bool
	of      *span // nums'
	nums    []num
}

// End makes steps ready, and numbers to be told of where they lead. Open: even
// where the last of these is undefined, which is Missing then.
func (v *Vector) End(steps []Step, numbers []Num, open bool) *End {
	e := &End{numbers: numbers, open: open}
	e.way, e.rest = v.wayOf(steps)
	return e
}

func (v *Vector) wayOf(steps []Step) (w *way, rest []Step) {
	w = &v.ways
	loops := 0
	var conds []Bool
	pass := func() {
		for _, b := range fuse(conds) {
			w = w.to(Step{If: b})
		}
		conds = nil
	}
	for i, s := range steps {
		if s.Loop.Var == 0 {
			conds = append(conds, s.If)
			continue
		}
		pass()
		if loops++; loops > 1 {
			return w, steps[i:]
		}
		w = w.to(s)
	}
	pass()
	return w, nil
}

// to is where a step leads.
func (w *way) to(s Step) *way {
	key := stepsKey([]Step{s})
	next := w.kids[key]
	if next == nil {
		if w.kids == nil {
			w.kids = map[string]*way{}
		}
		next = &way{up: w, step: s}
		w.kids[key] = next
	}
	next.ends++
	return next
}
