package expr

// memory is what is known of a condition or number at the places of a span.
type memory struct {
	epoch int
	asked Bits // at which it was asked about
	holds Bits // of them, where it holds or is defined
	hard  Bits // of them, at which it is hard to say
	any   bool // there are some
}

// due are the places of a mask that were not asked about, from now on asked; nil:
// there are none. Who gets some says later what was found out: see learn.
func (m *memory) due(v *Vector, at *span, mask Bits) Bits {
	if m.epoch != at.epoch {
		m.epoch, m.any = at.epoch, false
		m.asked, m.holds = empty(m.asked, at.n), empty(m.holds, at.n)
	}
	var some uint64
	due := v.take(at.n)
	for i, w := range mask {
		due[i] = w &^ m.asked[i]
		some |= due[i]
		m.asked[i] |= w
	}
	if some == 0 {
		v.give(due)
		return nil
	}
	return due
}

// learn remembers where of the due places it holds, and which of the rows that
// were heard to be hard since listen.
func (m *memory) learn(v *Vector, at *span, due, holds Bits, was ear) {
	m.holds.Join(holds)
	v.hush(was, func(heard Bits) {
		if !m.any {
			m.any, m.hard = true, empty(m.hard, at.n)
		}
		for n := range due.All {
			if heard.Has(v.row(at, n)) {
				m.hard.Set(n)
			}
		}
	})
	v.give(due)
	v.give(holds)
}

// recall takes out of a mask where it does not hold, and notes hard rows.
func (m *memory) recall(v *Vector, at *span, mask Bits) {
	if m.any {
		for i, w := range mask {
			if w &= m.hard[i]; w != 0 {
				for one := range (Bits{w}).All {
					v.cry(v.row(at, i<<6+one))
				}
			}
		}
	}
	mask.only(m.holds)
}

// rememberedCond is one whose answers are kept.
type rememberedCond struct {
	memory
	of cond
}

func (c *rememberedCond) keep(v *Vector, at *span, mask Bits) {
	if due := c.due(v, at, mask); due != nil {
		was, holds := v.listen(), v.copyOf(due)
		c.of.keep(v, at, holds)
		c.learn(v, at, due, holds, was)
	}
	c.recall(v, at, mask)
}

// ear is where hard rows are noted.
type ear struct {
	rows  Bits
	cried bool
}

// listen has hard rows noted apart until hush.
func (v *Vector) listen() (was ear) {
	was = ear{v.Hard, v.cried}
	last := len(v.silent) - 1
	if last < 0 {
		v.silent, last = append(v.silent, NewBits(Chunk)), 0
	}
	v.Hard, v.cried = v.silent[last][:words(v.n)], false
	v.silent = v.silent[:last]
	return was
}

// hush ends that; heard is called where there are some.
func (v *Vector) hush(was ear, heard func(rows Bits)) {
	rows := v.Hard
	if v.cried {
		heard(rows)
		clear(rows)
	}
	v.silent = append(v.silent, rows)
	v.Hard, v.cried = was.rows, was.cried
}

// cry says that a row is hard.
func (v *Vector) cry(row int) {
	v.Hard.Set(row)
	v.cried = true
}
