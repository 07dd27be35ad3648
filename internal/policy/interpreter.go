package policy

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown"

	_ "time/tzdata" // zones must not depend on what the image holds

	"github.com/codb-dev/codb/internal/consent"
	"github.com/codb-dev/codb/internal/decision"
)

// Interpreter evaluates policies in this very process, without any wall around
// them: workers and tests use it. It is not safe for use by several goroutines.
type Interpreter struct {
	digest string
	uses   []use
	all    *query
	each   []*query // by use; prepared when first needed

	compiler *ast.Compiler
	store    storage.Store
	txn      storage.Transaction

	// elsewhere is asked, instead of this process, what policies' own Rego comes
	// to for single values. Nil: this process is one that may be killed.
	elsewhere *oracle
}

// query asks for the sets of some uses at once.
type query struct {
	prepared rego.PreparedEvalQuery
	slots    []slot
}

// slot says what an element of a query's result is.
type slot struct {
	use int
	set string
}

// NewInterpreter compiles policies. The error is of type ast.Errors where the
// compiler refuses them.
func NewInterpreter(l *Library, ps []Policy) (*Interpreter, error) {
	b, err := l.bundle(ps)
	if err != nil {
		return nil, err
	}
	if len(b.uses) == 0 {
		return nil, errors.New("without any rule everything would be allowed: pass the floor first")
	}
	i := &Interpreter{uses: b.uses, digest: l.DigestAll(ps), each: make([]*query, len(b.uses))}
	schemas := ast.NewSchemaSet()
	schemas.Put(ast.SchemaRootRef, shape().schema())
	i.compiler = ast.NewCompiler().WithCapabilities(capabilities()).WithSchemas(schemas).WithStrict(true)
	if i.compiler.Compile(b.modules); i.compiler.Failed() {
		return nil, i.compiler.Errors
	}
	ctx := context.Background()
	i.store = inmem.NewFromObjectWithOpts(b.data, inmem.OptReturnASTValuesOnRead(true))
	if i.txn, err = i.store.NewTransaction(ctx); err != nil {
		return nil, fmt.Errorf("open parameters: %w", err)
	}
	every := make([]int, len(b.uses))
	for u := range every {
		every[u] = u
	}
	i.all, err = i.prepare(ctx, every...)
	return i, err
}

// has says whether a rule of a policy is among what is evaluated.
func (i *Interpreter) has(policy, rule string) bool {
	return slices.ContainsFunc(i.uses, func(u use) bool { return u.policy == policy && u.rule == rule })
}

// Digest implements decision.Judge.
func (i *Interpreter) Digest() string { return i.digest }

// DigestAll is the digest of several policies together, in this order.
func (l *Library) DigestAll(ps []Policy) string {
	all := make([]string, len(ps))
	for i := range ps {
		all[i] = l.Digest(ps[i])
	}
	return digest(all)
}

// result is the name of a query's only binding.
const result = "result"

// ask is a query for the sets of some uses, and what the elements of its result
// are.
func (i *Interpreter) ask(uses ...int) (body ast.Body, slots []slot) {
	var sets []*ast.Term
	for _, u := range uses {
		for _, set := range i.uses[u].sets {
			sets = append(sets, ast.NewTerm(i.uses[u].pkg.Append(ast.StringTerm(set))))
			slots = append(slots, slot{use: u, set: set})
		}
	}
	return ast.NewBody(ast.Equality.Expr(ast.VarTerm(result), ast.ArrayTerm(sets...))), slots
}

func (i *Interpreter) prepare(ctx context.Context, uses ...int) (*query, error) {
	body, slots := i.ask(uses...)
	q := &query{slots: slots}
	var err error
	q.prepared, err = rego.New(
		rego.ParsedQuery(body), rego.Compiler(i.compiler), rego.Capabilities(capabilities()),
		rego.Store(i.store), rego.Transaction(i.txn), rego.SetRegoVersion(version),
		rego.GenerateJSON(func(t *ast.Term, _ *rego.EvalContext) (any, error) { return t.Value, nil }),
	).PrepareForEval(ctx)
	if err != nil {
		return nil, fmt.Errorf("prepare query: %w", err)
	}
	return q, nil
}

// eval asks a query about one input. Builtins that failed are in errs: to Rego
// they are undefined.
func (i *Interpreter) eval(ctx context.Context, q *query, input ast.Value, cancel topdown.Cancel) (sets *ast.Array, errs []topdown.Error, err error) {
	rs, err := q.prepared.Eval(ctx,
		rego.EvalParsedInput(input), rego.EvalTransaction(i.txn), rego.EvalMetrics(metrics.NoOp()),
		rego.EvalExternalCancel(cancel), rego.EvalBuiltinErrorList(&errs))
	if err != nil {
		return nil, errs, err
	}
	if len(rs) != 1 {
		return nil, errs, fmt.Errorf("%d results instead of one", len(rs))
	}
	sets, ok := rs[0].Bindings[result].(*ast.Array)
	if !ok || sets.Len() != len(q.slots) {
		return nil, errs, fmt.Errorf("the result is incomplete")
	}
	return sets, errs, nil
}

// Judge implements decision.Judge.
func (i *Interpreter) Judge(ctx context.Context, q decision.Question) ([]decision.Answer, error) {
	if denied, ok := offClock(&q); ok {
		return denied, nil
	}
	cancel := topdown.NewCancel()
	defer context.AfterFunc(ctx, cancel.Cancel)()
	asked := newAsked(&q)
	out := make([]decision.Answer, len(q.Subjects))
	for n := range q.Subjects {
		out[n] = i.answer(ctx, asked, &q.Subjects[n], cancel)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// asked is the part of a question that all customers share.
type asked struct {
	now           time.Time
	ns            int64
	nowTerm, camp *ast.Term
}

func newAsked(q *decision.Question) *asked {
	now := q.Now.UTC().Truncate(time.Second)
	ns := consent.Nano(now)
	return &asked{
		now: now, ns: ns, nowTerm: ast.InternedTerm(ns),
		camp: shape().byName["campaign"].value(reflect.ValueOf(&q.Campaign)),
	}
}

func (a *asked) input(s *decision.Subject) ast.Value {
	root := shape()
	customer, contacts := root.byName["customer"], root.byName["contacts"]
	return ast.NewObject(
		[2]*ast.Term{root.byName["now"].key, a.nowTerm},
		[2]*ast.Term{root.byName["campaign"].key, a.camp},
		[2]*ast.Term{customer.key, customer.value(reflect.ValueOf(&s.Person))},
		[2]*ast.Term{contacts.key, contacts.value(reflect.ValueOf(&s.Contacts))},
	)
}

// answer is what all uses say of one customer: in one evaluation, unless
// something fails in it; then use by use, so that only the one at fault denies.
func (i *Interpreter) answer(ctx context.Context, a *asked, s *decision.Subject, cancel topdown.Cancel) decision.Answer {
	input := a.input(s)
	g := &gathered{asked: a}
	sets, errs, err := i.eval(ctx, i.all, input, cancel)
	if err != nil || len(errs) > 0 {
		for u := range i.uses {
			i.answerUse(ctx, g, u, input, cancel)
		}
		return g.answer()
	}
	g.uses(i.uses, i.all.slots, sets)
	return g.answer()
}

// uses adds what several uses say, none of which failed.
func (g *gathered) uses(uses []use, slots []slot, sets *ast.Array) {
	for lo := 0; lo < len(slots); {
		hi := lo
		for hi < len(slots) && slots[hi].use == slots[lo].use {
			hi++
		}
		g.use(&uses[slots[lo].use], slots[lo:hi], sets.Slice(lo, hi), nil, nil)
		lo = hi
	}
}

// answerUse gathers what one use says.
func (i *Interpreter) answerUse(ctx context.Context, g *gathered, u int, input ast.Value, cancel topdown.Cancel) {
	if i.each[u] == nil {
		q, err := i.prepare(ctx, u)
		if err != nil {
			g.failed(&i.uses[u], err.Error())
			return
		}
		i.each[u] = q
	}
	sets, errs, err := i.eval(ctx, i.each[u], input, cancel)
	g.use(&i.uses[u], i.each[u].slots, sets, errs, err)
}

// exceeds is what is said of a use whose worker was killed for it.
const exceeds = "the rule exceeds its time or memory"

// careful answers for one customer use by use. It tells before asking each, and
// does not ask those that are stopped: they deny.
func (i *Interpreter) careful(ctx context.Context, a *asked, s *decision.Subject, stopped []int, before func(use int) error) (decision.Answer, error) {
	input, cancel := a.input(s), topdown.NewCancel()
	g := &gathered{asked: a}
	for u := range i.uses {
		if slices.Contains(stopped, u) {
			g.failed(&i.uses[u], exceeds)
			continue
		}
		if err := before(u); err != nil {
			return decision.Answer{}, err
		}
		i.answerUse(ctx, g, u, input, cancel)
	}
	return g.answer(), nil
}
