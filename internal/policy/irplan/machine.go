package irplan

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/builtins"
)

// Program is a compiled plan. It does not change: machines share it.
type Program struct {
	// Nested are the rules that make collections within objects step by step, as
	// x[y][z] := true and x[y] contains z do. Their results are found in other
	// collections, as Rego wants it; OPA's interpreter does not always find them.
	Nested []string

	plan      function
	data      *ast.Term
	functions []*function
	// dynamic are functions by the path under which CallDynamic finds them.
	dynamic map[string]*function
}

// frame has the local variables of a function; nil is undefined.
type frame []*ast.Term

// step is a compiled statement. It returns next, stop, or how many blocks to
// leave beside the one it stands in: 0 is what undefined means.
type step func(m *Machine, f frame) int

const (
	next = -1
	stop = -2 // of the whole function
)

type function struct {
	id     int
	params []ir.Local
	locals int
	blocks [][]step
	// pure: a function of input and data alone, whose last result is kept.
	pure bool
	// fixed: a pure one that doesn't look at the input. Its result outlives an
	// evaluation.
	fixed bool
}

// run executes a function's blocks; those that are undefined don't count.
func (x *function) run(m *Machine, f frame) {
	for _, b := range x.blocks {
		if run(b, m, f) == stop {
			return
		}
	}
}

func run(b []step, m *Machine, f frame) int {
	for _, s := range b {
		if r := s(m, f); r != next {
			return r
		}
	}
	return next
}

// kept is the last result of a pure function, and what it was asked with.
type kept struct {
	input, data, result *ast.Term
	known               bool
}

// Machine evaluates a program. It is not safe for use by several goroutines.
type Machine struct {
	program  *Program
	context  topdown.BuiltinContext
	cancel   topdown.Cancel
	kept     []kept
	stack    []*ast.Term
	returned *ast.Term
	results  ast.Set
	failed   []error
	err      error

	// of the builtin that is being called
	operands, outputs []*ast.Term
	hear              func(*ast.Term) error
}

// New makes a machine for the program.
func (p *Program) New() *Machine {
	m := &Machine{program: p, kept: make([]kept, len(p.functions)), stack: make([]*ast.Term, 0, 1024)}
	m.hear = func(t *ast.Term) error {
		m.outputs = append(m.outputs, t)
		return nil
	}
	return m
}

func (m *Machine) begin(ctx context.Context, cancel topdown.Cancel) {
	for i, x := range m.program.functions {
		if !x.fixed {
			m.kept[i] = kept{}
		}
	}
	m.stack, m.returned = m.stack[:0], nil
	m.results, m.failed, m.err, m.cancel = ast.NewSet(), nil, nil, cancel
	m.context = topdown.BuiltinContext{
		Context: ctx, Metrics: metrics.NoOp(), Cancel: cancel, Seed: rand.Reader,
		Time: ast.IntNumberTerm(int(time.Now().UnixNano())), Cache: builtins.Cache{},
	}
}

// forget drops what outlives an evaluation: errors must not be remembered as
// undefined.
func (m *Machine) forget() { clear(m.kept) }

// push makes a frame of n undefined variables.
func (m *Machine) push(n int) frame {
	k := len(m.stack)
	if k+n > cap(m.stack) {
		grown := make([]*ast.Term, k, 2*(k+n))
		copy(grown, m.stack)
		m.stack = grown // older frames stay where they are
	}
	m.stack = m.stack[:k+n]
	f := m.stack[k : k+n : k+n]
	clear(f)
	return f
}

// fail ends the evaluation.
func (m *Machine) fail(err error) int {
	m.err = err
	return stop
}

func conflict(message string) error {
	return &topdown.Error{Code: topdown.ConflictErr, Message: message}
}
