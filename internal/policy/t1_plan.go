package policy

import (
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
)

// plan answers like some uses of policies do, for one campaign, from columns. It
// is a program's, and like it not safe for use by several goroutines.
type plan struct {
	*program
	units []*unit

	// What is being gathered for a row.
	gathered gathered
	clause   *clause
	unit     *unit
	said     int // reasons of the latest set
	wakes    int
}

// saying is what a use says, without policy and rule.
type saying struct {
	reasons []decision.Reason
	numbers []int64 // of the reasons without their Until
	until   []int64 // of each of them
	staleAt time.Time
	stale   int64
}

// unit is one package of rules, and the uses of it.
type unit struct {
	uses    []*use
	whole   *expr.Table // an outcome; nil: clauses
	clauses []*clause
	hard    expr.Bool
	most    int // elements of an array; customers with more are hard

	wholeEnd *expr.End // where it says anything
	hardEnd  *expr.End
	own      bool // it looks at the bucket, which is another one for each campaign
	limits   []limit
	says     says
	trust    *trust
}

// clause is one way in which rules come to a reason or to a wake.
type clause struct {
	set   string
	steps []expr.Step
	fixed int         // a reason of the plan
	head  *expr.Table // the reason; nil: fixed
	until expr.Num    // nil: none
	open  bool        // where until is undefined, the hold has no known end
	wake  expr.Num    // of wake alone

	numbers []expr.Num // head, until and wake, those that are there
	end     *expr.End
	flat    bool // no loop is within another
}

// Refused says of a use why it is not compiled.
type Refused struct {
	Policy, Rule string
	Why          string
}

// unit compiles the rules of one use; nil: they are not for this engine. What
// depends on a few ids only is asked of OPA as a whole: of the library at once, of
// own Rego, for which workers are asked, where there is no other way.
func (c *native) unit(p *plan, n int) (u *unit, why string) {
	c.own = c.i.uses[n].rule == OwnRule
	tries := []func(*plan, int) *unit{c.whole, c.clauses}
	if c.own {
		slices.Reverse(tries)
	}
	for _, try := range tries {
		got, no := c.try(p, n, try)
		if got != nil {
			return got, ""
		}
		if why == "" {
			why = no
		}
	}
	return nil, why
}

func (c *native) try(p *plan, n int, make func(*plan, int) *unit) (u *unit, why string) {
	defer func() {
		if r := recover(); r != nil {
			no, ok := r.(notNative)
			if !ok {
				panic(r)
			}
			u, why = nil, no.why
			if c.at != nil {
				why = c.at.String() + ": " + why
			}
		}
	}()
	c.at, c.hard, c.effort = nil, nil, effort{since: time.Now()}
	return make(p, n), ""
}

// clauses compiles the sets of a use.
func (c *native) clauses(p *plan, n int) *unit {
	of := &c.i.uses[n]
	u := &unit{most: math.MaxInt}
	for _, set := range of.sets {
		for _, r := range c.i.compiler.GetRulesExact(of.pkg.Append(ast.StringTerm(set))) {
			c.at = r.Location
			if r.Head.Key == nil || r.Else != nil {
				refuse("%s is no partial set", set)
			}
			start := &trail{}
			c.solve(r.Body, nil, start, func(e *env, t *trail) {
				c.eval(r.Head.Key, e, t, func(v value, _ *env, t *trail) {
					u.clauses = append(u.clauses, c.clause(p, set, v, t.steps(start)))
				})
			})
		}
	}
	u.hard = expr.Or(c.hard...)
	if c.own {
		u.most = c.effort.most()
	}
	return u
}

func (c *native) clause(p *plan, set string, v value, steps []expr.Step) *clause {
	out := &clause{set: set}
	if set == "wake" {
		out.wake = c.num(v)
		out.steps = expr.Tidy(steps, out.wake)
		return out
	}
	fixed, until := c.split(v)
	if until != nil {
		out.until = c.num(until)
		_, out.open = v.(*finite)
	}
	out.steps = expr.Tidy(steps)
	if until != nil && !out.open {
		out.steps = expr.Tidy(steps, out.until)
	}
	read := func(v ast.Value) (int64, error) {
		r, err := (&gathered{}).reason(v, verdictOf(set))
		if err != nil {
			return 0, err
		}
		return p.reason(r), nil
	}
	if w, ok := fixed.(known); ok {
		n, err := read(w.v)
		if err != nil {
			refuse("%s", err)
		}
		out.fixed = int(n)
		return out
	}
	f, ok := operand(fixed)
	if !ok {
		refuse("a reason whose code or message depends on more than ids")
	}
	out.head = c.table("reason of "+set, f, read)
	return out
}

func verdictOf(set string) v1alpha1.Verdict {
	if set == "hold" {
		return v1alpha1.VerdictHold
	}
	return v1alpha1.VerdictDeny
}

var untilKey = ast.StringTerm("until")

// split takes the end of a hold out of a reason.
func (c *native) split(v value) (fixed, until value) {
	switch v := v.(type) {
	case record:
		n := slices.Index(v.keys, "until")
		if n < 0 {
			return v, nil
		}
		rest := record{keys: slices.Delete(slices.Clone(v.keys), n, n+1), vals: slices.Delete(slices.Clone(v.vals), n, n+1)}
		if vs, ok := operands(rest.vals); ok && !slices.ContainsFunc(vs, func(f *finite) bool { return len(f.refs) > 0 || f.timed }) {
			f, _ := operand(rest)
			c.fold(f, func(v value) { fixed = v })
			return fixed, v.vals[n]
		}
		return rest, v.vals[n]
	case known:
		o, ok := v.v.(ast.Object)
		if !ok || o.Get(untilKey) == nil {
			return v, nil
		}
		return known{without(o)}, known{o.Get(untilKey).Value}
	}
	f, ok := operand(v)
	if !ok {
		refuse("a reason that is a %s", kindOf(v))
	}
	rest, _ := join("without until", []value{f}, func(vs []ast.Value) (ast.Value, error) {
		if o, ok := vs[0].(ast.Object); ok {
			return without(o), nil
		}
		return nil, errors.New("a reason is no object")
	})
	end, _ := join("until", []value{f}, func(vs []ast.Value) (ast.Value, error) { return lookup(vs[0], untilKey.Value), nil })
	return rest, end
}

func without(o ast.Object) ast.Object {
	out := ast.NewObject()
	o.Foreach(func(k, v *ast.Term) {
		if !k.Equal(untilKey) {
			out.Insert(k, v)
		}
	})
	return out
}

// whole asks OPA for all that a use says, where that depends on a few ids only;
// nil: it depends on more.
func (c *native) whole(p *plan, n int) *unit {
	u := &c.i.uses[n]
	var ids []string
	timed := slices.Contains(u.sets, "hold") || slices.Contains(u.sets, "wake") || u.untimed
	for _, set := range u.sets {
		ref := u.pkg.Append(ast.StringTerm(set))
		these, reads, ok := c.readsOf(ref.String(), c.i.compiler.GetRulesExact(ref)).split()
		if !ok {
			return nil
		}
		timed = timed || reads
		ids = append(ids, these...)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if len(ids) > expr.MaxRefs {
		return nil
	}
	sets := c.evaluator(refsOf(u), c.own)
	f, ok := join("use "+u.pkg.String(), c.leaves(ids), func(vals []ast.Value) (ast.Value, error) {
		said, err := sets(nil, c.input(ids, vals))
		if err != nil {
			return nil, err
		}
		if said == nil {
			return nil, errors.New("a set is undefined")
		}
		return p.saying(u, said.(*ast.Array)), nil
	})
	if !ok {
		return nil
	}
	f.timed, f.label = timed, "use "+u.pkg.String()+c.about(c.readsOfUse(n))+" "+strings.Join(ids, " ")
	return &unit{whole: c.table("use", f, instant), hard: expr.Lit(false), most: math.MaxInt}
}

// refsOf are the sets of a use, to be asked for together: most of what they say
// they find out by the same rules.
func refsOf(u *use) *ast.Array {
	refs := make([]*ast.Term, len(u.sets))
	for i, set := range u.sets {
		refs[i] = ast.NewTerm(u.pkg.Append(ast.StringTerm(set)))
	}
	return ast.NewArray(refs...)
}

// saying is the number of the outcome that sets amount to.
func (p *plan) saying(u *use, sets *ast.Array) ast.Value {
	slots := make([]slot, len(u.sets))
	for i, set := range u.sets {
		slots[i].set = set
	}
	g := &gathered{asked: p.clock.asked}
	g.use(&use{untimed: u.untimed}, slots, sets, nil, nil)
	said := saying{reasons: g.reasons, staleAt: g.staleAt, stale: nano(g.staleAt, decision.Never)}
	for _, r := range g.reasons {
		said.until = append(said.until, nano(r.Until, expr.Missing))
		r.Until = time.Time{}
		said.numbers = append(said.numbers, p.reason(r))
	}
	if len(said.numbers) == 0 && said.stale == decision.Never {
		return ast.InternedTerm(0).Value
	}
	p.sayings = append(p.sayings, said)
	return ast.InternedTerm(len(p.sayings) - 1).Value
}

// nano is an instant, or what stands for none.
func nano(t time.Time, none int64) int64 {
	if t.IsZero() {
		return none
	}
	return t.UnixNano()
}
