package policy

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
)

// columns are an audience's, whose values are read as Rego's.
type columns struct {
	*audience.Columns
	shape []*attribute  // by column of ids; nil: only whether it is there matters
	cache [][]ast.Value // by column and id
}

func newColumns(of *audience.Columns) *columns {
	n := len(of.IDs)
	return &columns{Columns: of, shape: make([]*attribute, n), cache: make([][]ast.Value, n)}
}

// value of an id; nil for what is absent.
func (c *columns) value(column int, id uint32) ast.Value {
	if id == expr.Absent {
		return nil
	}
	cache := &c.cache[column]
	if int(id) >= len(*cache) {
		*cache = append(*cache, make([]ast.Value, int(id)+1-len(*cache))...)
	}
	if (*cache)[id] == nil {
		(*cache)[id] = ast.Boolean(true)
		if at := c.shape[column]; at != nil {
			(*cache)[id] = at.value(reflect.ValueOf(c.Dicts[column].Value(id))).Value
		}
	}
	return (*cache)[id]
}

// program compiles the uses of an interpreter for campaigns, and has all that is
// needed to ask about them. What doesn't depend on a campaign, or not on what
// tells two campaigns apart, is there once. It is not safe for use by several
// goroutines.
type program struct {
	native   *native
	columns  *columns
	clock    *clock
	tables   map[string]*expr.Table
	reasons  []decision.Reason // of tables, without policy and rule
	sayings  []saying          // of whole units; the first says nothing
	machine  expr.Machine
	units    map[string]*unit // by package and what it reads of a campaign; see native.about
	refusals map[string]string
	plans    map[decision.Campaign]*compiled1

	// What is asked about; see look.
	vector *expr.Vector
	own    *expr.Vector // for units that look at buckets
	lo, hi int
	only   expr.Bits
	most   int       // elements of an array that a row may have; those with more are left
	much   expr.Bits // rows that have
	all    expr.Bits
	less   expr.Bits
	chunk  int
	asking asking
	out    bulk

	// What OPA has confirmed, and what it doesn't agree with.
	certain *certainty
	doubts  *doubts
	picking picking
	words   []uint64
	sigs    []uint64

	// Of a sweep.
	team    *team
	single  map[*standing]*team
	seen    seen
	room    expr.Bits
	buckets expr.Ints
	placed  expr.Columns // with buckets

	hardFunc, rowsFunc func(expr.Bits)
}

// compiled1 is a plan, and what it leaves out.
type compiled1 struct {
	plan    *plan
	refused []Refused
}

func newProgram(i *Interpreter, opa *sync.Mutex) *program {
	p := &program{
		columns: newColumns(audience.NewColumns()), clock: &clock{}, tables: map[string]*expr.Table{},
		units: map[string]*unit{}, refusals: map[string]string{}, plans: map[decision.Campaign]*compiled1{},
		certain: &certainty{}, doubts: noDoubts, single: map[*standing]*team{},
	}
	p.most, p.buckets.I64 = math.MaxInt, make([]int64, expr.Chunk)
	p.room, p.much, p.all, p.less = expr.NewBits(expr.Chunk), expr.NewBits(expr.Chunk), expr.NewBits(expr.Chunk), expr.NewBits(expr.Chunk)
	p.sayings = []saying{{stale: decision.Never}}
	p.machine.Columns = &p.columns.Columns.Columns
	p.machine.Renew()
	p.native = newNative(i, opa, p)
	p.hardFunc, p.rowsFunc = p.hardRows, p.rowsSay
	p.vector, p.own = expr.NewVector(&p.machine), expr.NewVector(&p.machine)
	return p
}

func newNative(i *Interpreter, opa *sync.Mutex, p *program) *native {
	return &native{
		i: i, opa: opa, clock: p.clock, columns: p.columns, tables: p.tables, funcs: map[string]*expr.Func{},
		reads: map[string]*reads{}, nums: map[string]expr.Num{}, abouts: map[string]string{}, answers: map[string]ast.Value{}, marked: map[int][]marked{}, lastMark: new(int64),
	}
}

// of is the same compiler for a campaign.
func (c *native) of(campaign *decision.Campaign) *native {
	own := *c
	own.campaign = shape().byName["campaign"].value(reflect.ValueOf(campaign)).Value
	own.atoms = map[string]value{}
	own.atoms["input.now"] = &finite{
		label: "now", timed: true, total: true, needs: map[string]bool{},
		eval: func([]ast.Value) (ast.Value, error) { return own.clock.asked.nowTerm.Value, nil },
	}
	return &own
}

// newPlan compiles the uses of an interpreter for a campaign.
func newPlan(i *Interpreter, opa *sync.Mutex, campaign *decision.Campaign) (*plan, []Refused) {
	return newProgram(i, opa).plan(campaign)
}

// plan is what there is for a campaign, made when it is first asked for.
func (p *program) plan(campaign *decision.Campaign) (*plan, []Refused) {
	if had := p.plans[*campaign]; had != nil {
		return had.plan, had.refused
	}
	made := &compiled1{plan: &plan{program: p}}
	c := p.native.of(campaign)
	seen := map[string]bool{}
	for n := range c.i.uses {
		use := &c.i.uses[n]
		if p.doubts.wrong[use.alike] {
			made.refused = append(made.refused, Refused{Policy: use.policy, Rule: use.rule, Why: WhyDoubted})
			continue
		}
		reads := c.readsOfUse(n)
		key := use.pkg.String() + c.about(reads)
		u := p.units[key]
		if why, refused := p.refusals[key]; refused {
			made.refused = append(made.refused, Refused{Policy: use.policy, Rule: use.rule, Why: why})
			continue
		}
		if u == nil {
			var why string
			if u, why = c.unit(made.plan, n); u == nil {
				p.refusals[key] = why
				made.refused = append(made.refused, Refused{Policy: use.policy, Rule: use.rule, Why: why})
				continue
			}
			u.finish(p, n)
			u.trust = p.certain.of(use.alike + "\n" + c.facts(reads))
			p.units[key] = u
		}
		if !slices.Contains(u.uses, use) {
			u.uses = append(u.uses, use)
		}
		if !seen[key] {
			seen[key] = true
			made.plan.units = append(made.plan.units, u)
		}
	}
	p.plans[*campaign] = made
	return made.plan, made.refused
}

// readsOfUse is what the rules of a use look at.
func (c *native) readsOfUse(n int) *reads {
	u := &c.i.uses[n]
	name := "use " + u.pkg.String()
	if r, ok := c.reads[name]; ok {
		return r
	}
	r := &reads{paths: map[string]bool{}, ops: map[string]bool{}}
	for _, set := range u.sets {
		ref := u.pkg.Append(ast.StringTerm(set))
		r.join(c.readsOf(ref.String(), c.i.compiler.GetRulesExact(ref)))
	}
	c.reads[name] = r
	return r
}

// facts are all that is read of a campaign.
func (c *native) facts(r *reads) string {
	var facts []string
	for path := range r.paths {
		at := strings.Split(path, ".")
		switch {
		case path == "":
			at = at[:0]
		case at[0] != "campaign":
			continue
		default:
			at = at[1:]
		}
		ref := ast.EmptyRef()
		for _, name := range at {
			ref = ref.Append(ast.StringTerm(name))
		}
		v, err := c.campaign.Find(ref)
		if err != nil {
			facts = append(facts, path)
			continue
		}
		facts = append(facts, path+"="+v.String())
	}
	slices.Sort(facts)
	return strings.Join(facts, "\n")
}

// about tells apart the campaigns for which something that reads this is not the
// same: campaigns that agree in all of it have the same one.
func (c *native) about(r *reads) string {
	text := c.facts(r)
	if text == "" {
		return ""
	}
	if c.abouts[text] == "" {
		c.abouts[text] = fmt.Sprintf("@%d", len(c.abouts)+1)
	}
	return c.abouts[text]
}

// maxSayings is how many outcomes of whole uses are kept, maxAnswers how many of
// functions at one instant.
const (
	maxSayings = 1 << 14
	maxAnswers = 1 << 14
)

// at sets the instant of the next answers.
func (p *program) at(a *asked) {
	if p.clock.asked != nil && p.clock.asked.ns == a.ns {
		return
	}
	p.clock.asked, p.seen = a, seen{}
	p.machine.Now = a.ns
	clear(p.native.answers)
	p.machine.Renew()
	full := len(p.sayings) > maxSayings
	for _, t := range p.tables {
		if t.Timed || full {
			t.Forget()
		}
	}
	if full {
		p.sayings = p.sayings[:1]
	}
}

// read has the program answer from somebody else's columns.
func (p *program) read(columns *expr.Columns, dicts []*expr.Dict) {
	if !slices.Equal(p.columns.Dicts, dicts) { // ids mean something else
		p.columns.Dicts = slices.Clone(dicts)
		for i := range p.columns.cache {
			p.columns.cache[i] = nil
		}
		for _, t := range p.tables {
			t.Forget()
		}
		for _, f := range p.native.funcs {
			f.Forget()
		}
		p.sayings = p.sayings[:1]
	}
	p.machine.Columns = columns
	p.machine.Renew()
}

// reason numbers a reason.
func (p *program) reason(r decision.Reason) int64 {
	n := slices.Index(p.reasons, r)
	if n < 0 {
		n = len(p.reasons)
		p.reasons = append(p.reasons, r)
	}
	return int64(n)
}
