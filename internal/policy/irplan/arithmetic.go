package irplan

import (
	"math/bits"

	"github.com/open-policy-agent/opa/v1/ast"
)

// arithmetic is what OPA computes exactly: whole numbers of any size. Here it is
// computed where operands and result fit into 64 bits, such as instants.
var arithmetic = map[string]func(x, y int64) (z int64, ok bool){
	"plus": func(x, y int64) (int64, bool) {
		z := x + y
		return z, (x^z)&(y^z) >= 0
	},
	"minus": func(x, y int64) (int64, bool) {
		z := x - y
		return z, (x^y)&(x^z) >= 0
	},
	"mul": func(x, y int64) (int64, bool) {
		if x < 0 || y < 0 {
			return 0, false
		}
		hi, lo := bits.Mul64(uint64(x), uint64(y))
		return int64(lo), hi == 0 && lo>>63 == 0
	},
	"rem": func(x, y int64) (int64, bool) {
		if y == 0 {
			return 0, false
		}
		return x % y, true
	},
}

// compute does arithmetic, or calls the builtin for operands that are others.
func compute(args []operand, to int, exact func(x, y int64) (int64, bool), call step) step {
	a, b := args[0], args[1]
	return func(m *Machine, f frame) int {
		x, ok := whole(a.get(f))
		y, also := whole(b.get(f))
		if ok && also {
			if z, ok := exact(x, y); ok {
				f[to] = ast.InternedTerm(z)
				return next
			}
		}
		return call(m, f)
	}
}

func whole(t *ast.Term) (int64, bool) {
	if t == nil {
		return 0, false
	}
	n, ok := t.Value.(ast.Number)
	if !ok {
		return 0, false
	}
	return n.Int64()
}
