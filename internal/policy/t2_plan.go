package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/policy/irplan"
)

// planned answers as its interpreter does, by plans where OPA can plan a use. The
// interpreter is asked about the other uses, and about everything for a customer
// with whom a plan met an error.
type planned struct {
	interpreter *Interpreter
	machine     *irplan.Machine
	slots       []slot
	rest        *query         // uses without a plan; nil: none
	unplanned   map[int]string // the same ones, and why
}

// newPlanned plans what an interpreter evaluates. Where there is nothing to plan
// it returns an error beside what it found out.
func newPlanned(ctx context.Context, i *Interpreter) (*planned, error) {
	data, err := i.store.Read(ctx, i.txn, storage.Path{})
	if err != nil {
		return nil, fmt.Errorf("read parameters: %w", err)
	}
	base, ok := data.(ast.Value)
	if !ok {
		return nil, fmt.Errorf("parameters are %T", data)
	}
	p := &planned{interpreter: i, unplanned: map[int]string{}}
	all := make([]int, len(i.uses))
	for u := range all {
		all[u] = u
	}
	program, err := i.program(ctx, base, all)
	if err != nil { // some use is at fault: find it
		if program, err = p.without(ctx, base, all); err != nil {
			return p, err
		}
	}
	p.machine = program.New()
	_, p.slots = i.ask(slices.DeleteFunc(all, func(u int) bool { return p.unplanned[u] != "" })...)
	return p, nil
}

// without plans the uses that can be planned, and prepares the others.
func (p *planned) without(ctx context.Context, base ast.Value, all []int) (*irplan.Program, error) {
	i := p.interpreter
	var good, bad []int
	for _, u := range all {
		_, err := i.program(ctx, base, []int{u})
		if err == nil {
			good = append(good, u)
			continue
		}
		bad = append(bad, u)
		p.unplanned[u] = err.Error()
	}
	if len(good) == 0 {
		return nil, errors.New("none of the rules can be planned")
	}
	var err error
	if p.rest, err = i.prepare(ctx, bad...); err != nil {
		return nil, err
	}
	return i.program(ctx, base, good)
}

func (i *Interpreter) program(ctx context.Context, base ast.Value, uses []int) (*irplan.Program, error) {
	body, _ := i.ask(uses...)
	p, err := irplan.Compile(ctx, i.compiler, body, base,
		rego.Capabilities(capabilities()), rego.Store(i.store), rego.Transaction(i.txn), rego.SetRegoVersion(version))
	if err != nil {
		return nil, err
	}
	if len(p.Nested) > 0 {
		return nil, fmt.Errorf("%s has collections within an object, which OPA's interpreter finds otherwise: use a comprehension", p.Nested[0])
	}
	return p, nil
}

// Digest implements decision.Judge.
func (p *planned) Digest() string { return p.interpreter.Digest() }

// Judge implements decision.Judge.
func (p *planned) Judge(ctx context.Context, q decision.Question) ([]decision.Answer, error) {
	cancel := topdown.NewCancel()
	defer context.AfterFunc(ctx, cancel.Cancel)()
	asked := newAsked(&q)
	out := make([]decision.Answer, len(q.Subjects))
	for n := range q.Subjects {
		var ok bool
		if out[n], ok = p.answer(ctx, asked, &q.Subjects[n], cancel); !ok {
			out[n] = p.interpreter.answer(ctx, asked, &q.Subjects[n], cancel)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// answer is what plans say of one customer; not ok: something failed, and the interpreter is to say
// what that means.
func (p *planned) answer(ctx context.Context, a *asked, s *decision.Subject, cancel topdown.Cancel) (answer decision.Answer, ok bool) {
	input := a.input(s)
	r, err := p.machine.Eval(ctx, input, cancel)
	if err != nil || len(r.Failed) > 0 || r.Bindings.Len() != 1 {
		return answer, false
	}
	bindings, _ := r.Bindings.Slice()[0].Value.(ast.Object)
	said, ok := bindings.Get(resultTerm).Value.(*ast.Array)
	if !ok || said.Len() != len(p.slots) {
		return answer, false
	}
	g := &gathered{asked: a}
	g.uses(p.interpreter.uses, p.slots, said)
	if p.rest != nil {
		said, failed, err := p.interpreter.eval(ctx, p.rest, input, cancel)
		if err != nil || len(failed) > 0 {
			return answer, false
		}
		g.uses(p.interpreter.uses, p.rest.slots, said)
	}
	return g.answer(), true
}

var resultTerm = ast.StringTerm(result)

// unplanned are the uses of an interpreter that can't be planned, and why.
func (i *Interpreter) unplanned(ctx context.Context) []Refused {
	p, err := newPlanned(ctx, i)
	var out []Refused
	for u := range i.uses {
		why := ""
		switch {
		case p != nil:
			why = p.unplanned[u]
		case err != nil:
			why = err.Error()
		}
		if why != "" {
			out = append(out, Refused{Policy: i.uses[u].policy, Rule: i.uses[u].rule, Why: why})
		}
	}
	return out
}
