package policy

import (
	"math"
	"time"

	"github.com/codb-dev/codb/internal/expr"
)

// What compiling one use may take, and what its predicates may take for one
// customer, counted in steps: the library's greatest rule compiles in some two
// thousand. A policy's own Rego could unroll a loop of constants within a loop
// within a loop; it is left to workers then.
const (
	maxSteps   = 40_000
	maxCompile = 2 * time.Second // for own Rego, however long one step is
	maxRowWork = 5_000_000
)

// effort is what compiling a use has taken until now.
type effort struct {
	steps int
	depth int // of loops
	since time.Time
}

// spend counts a step.
func (c *native) spend() {
	c.effort.steps++
	switch {
	case c.effort.steps > maxSteps:
		refuse("more than %d combinations of conditions: name parts of it in rules of their own, or loop over less", maxSteps)
	case c.own && c.effort.steps%64 == 0 && time.Since(c.effort.since) > maxCompile:
		refuse("conditions that take too long to compile: loop over less")
	}
}

// most is how many elements an array of a customer may have so that a use which
// took so many steps, with loops so deep, can be evaluated in this process.
func (e *effort) most() int {
	if e.depth < 2 { // linear in what a customer has
		return math.MaxInt
	}
	return int(math.Pow(maxRowWork/float64(e.steps+1), 1/float64(e.depth)))
}

// tooMuch says whether a customer has more in some array than a unit bears.
func (u *unit) tooMuch(m *expr.Machine) bool {
	if u.most == math.MaxInt {
		return false
	}
	for _, offsets := range m.Columns.Arrays {
		if int(offsets.At(m.At()+1)-offsets.At(m.At())) > u.most {
			return true
		}
	}
	return false
}
