package policy

import (
	"encoding/json"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/consent"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
)

// thresholds puts into a chance's numbers those at which a plan's answers turn.
func (c *chance) thresholds(p *plan, months ...int) {
	paths := map[int]string{}
	for path, f := range audience.Fields {
		if f.Kind == audience.Int {
			paths[f.Column] = strings.ReplaceAll(path, ".*", "")
		}
	}
	var consts []int64
	for _, u := range p.units {
		for _, cl := range u.clauses {
			spy(reflect.ValueOf(cl), map[uintptr]bool{}, func(k int64) { consts = append(consts, k) })
		}
	}
	c.matters = relevant(p)
	for _, path := range paths {
		for _, k := range consts {
			c.ints[path] = append(c.ints[path], k)
			if k > int64(time.Hour) {
				c.ints[path] = append(c.ints[path], c.now-k, c.now-k, math.MaxInt64-k, math.MaxInt64-k, math.MaxInt64-k-1, math.MaxInt64-1)
			}
		}
		for range 1 + len(c.ints[path])/4 {
			c.ints[path] = append(c.ints[path], c.now)
		}
	}
	for _, m := range months {
		at := time.Unix(0, c.now).UTC().AddDate(0, -m, 0).UnixNano()
		for _, path := range []string{"customer.relationship.grants.impliedBy.eventDate", "contacts.events.at"} {
			for range 6 {
				c.ints[path] = append(c.ints[path], at, c.now)
			}
			c.ints[path] = append(c.ints[path], math.MaxInt64, math.MaxInt64)
		}
	}
	from := c.ints["contacts.sent.at"]
	for _, hours := range []int64{1, 24, 168} {
		length := hours * int64(time.Hour)
		from = append(from, c.now-length, c.now-length, c.now-length+1, math.MaxInt64-length, math.MaxInt64-length-1)
	}
	for _, t := range p.tables { // from when on contacts count
		for _, n := range t.Known() {
			if n > int64(24*time.Hour) && n <= c.now {
				from = append(from, n, n, n, n, n, n, n, n)
			}
		}
	}
	c.ints["contacts.sent.at"] = from
}

// relevant are the paths, and those that lead to them, that a plan looks at.
func relevant(p *plan) map[string]bool {
	used := map[audience.Field]bool{}
	for _, t := range p.tables {
		for _, r := range t.Refs {
			used[audience.Field{Kind: audience.ID, Column: r.Column}] = true
		}
	}
	var keys strings.Builder
	for _, u := range p.units {
		for _, cl := range u.clauses {
			for _, s := range cl.steps {
				if s.Loop.Var == 0 {
					keys.WriteString(s.If.Key())
				}
			}
			for _, n := range []expr.Num{cl.until, cl.wake} {
				if n != nil {
					keys.WriteString(n.Key())
				}
			}
		}
	}
	for _, m := range regexp.MustCompile(`\$\d\.(\d+)`).FindAllStringSubmatch(keys.String(), -1) {
		n, _ := strconv.Atoi(m[1])
		used[audience.Field{Kind: audience.Int, Column: n}] = true
	}
	out := map[string]bool{}
	for path, f := range audience.Fields {
		for at := strings.ReplaceAll(path, ".*", ""); used[f] && at != ""; at = at[:max(0, lastDot(at))] {
			out[at] = true
		}
	}
	return out
}

// spy tells of all constants that can be reached.
func spy(v reflect.Value, seen map[uintptr]bool, tell func(int64)) {
	switch v.Kind() {
	case reflect.Interface:
		spy(v.Elem(), seen, tell)
	case reflect.Pointer:
		if v.IsNil() || seen[v.Pointer()] || v.Type() == reflect.TypeFor[*expr.Table]() || v.Type() == reflect.TypeFor[*expr.Func]() {
			return
		}
		seen[v.Pointer()] = true
		spy(v.Elem(), seen, tell)
	case reflect.Struct:
		for i := range v.NumField() {
			spy(v.Field(i), seen, tell)
		}
	case reflect.Slice:
		for i := range v.Len() {
			spy(v.Index(i), seen, tell)
		}
	case reflect.Int64:
		if v.Type() == reflect.TypeFor[expr.Const]() {
			tell(v.Int())
		}
	}
}

// breeder makes customers about whom a plan has something to say, by changing
// one thing in others.
type breeder struct {
	*chance
	watcher
	campaign *decision.Campaign
	all      []decision.Subject
	byClause map[int][]decision.Subject
}

func (b *breeder) breed() {
	s := b.subject(b.campaign)
	if len(b.byClause) > 0 && b.IntN(8) > 0 {
		var clauses []int
		for n := range b.byClause {
			clauses = append(clauses, n)
		}
		slices.Sort(clauses)
		s = b.like(pick(b.chance, b.byClause[pick(b.chance, clauses...)]...))
	}
	if r := s.Person.Relationship; r != nil && b.IntN(32) == 0 { // several answers that count
		for i := range r.Grants {
			g := &r.Grants[i]
			g.Purpose, g.Channel, g.Status, g.ConsentType = b.campaign.Purpose, b.campaign.Channel, "ConsentGiven", "ExpressedConsent"
		}
	}
	if r := s.Person.Relationship; r != nil && len(r.Grants) > 0 && b.IntN(8) == 0 { // an act that implies an answer
		g := &r.Grants[0]
		g.Purpose, g.Channel, g.Status, g.ConsentType = b.campaign.Purpose, b.campaign.Channel, "ConsentGiven", "ImpliedConsent"
		g.ImpliedBy = &consent.ImpliedBy{
			Event: pick(b.chance, "Purchase", "Inquiry", "Contract"), EventDate: b.int("customer.relationship.grants.impliedBy.eventDate"),
		}
		for i := range s.Contacts.Events {
			e := &s.Contacts.Events[i]
			e.Type, e.Brand, e.At = pick(b.chance, "Purchase", "Inquiry"), b.campaign.Brand, b.int("contacts.events.at")
		}
	}
	if len(s.Contacts.Sent) > 0 && b.IntN(8) == 0 { // several contacts at one instant
		at := b.int("contacts.sent.at")
		for i := range s.Contacts.Sent {
			c := &s.Contacts.Sent[i]
			c.At, c.Brand, c.Class, c.Channel = at, b.campaign.Brand, b.campaign.PurposeClass, b.campaign.Channel
		}
	}
	p := b.plan
	p.columns.Add(&s)
	b.all = append(b.all, s)
	if _, ok := b.observe(len(b.all) - 1); ok {
		for n := range b.clauses {
			b.byClause[n] = append(b.byClause[n], s)
		}
	}
}

// like is a customer who differs from another in one thing.
func (c *chance) like(s decision.Subject) decision.Subject {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	var out decision.Subject
	if err := json.Unmarshal(text, &out); err != nil {
		panic(err)
	}
	root := shape()
	if c.matters["customer"] && (!c.matters["contacts"] || c.IntN(3) > 0) {
		c.change("customer", root.byName["customer"], reflect.ValueOf(&out.Person).Elem())
	} else {
		c.change("contacts", root.byName["contacts"], reflect.ValueOf(&out.Contacts).Elem())
	}
	return out
}

// change makes one thing in a value another.
func (c *chance) change(path string, a *attribute, v reflect.Value) {
	switch {
	case v.Kind() == reflect.Pointer && !v.IsNil() && c.IntN(8) > 0:
		c.change(path, a, v.Elem())
	case v.Kind() == reflect.Struct:
		fields := slices.DeleteFunc(slices.Clone(a.fields), func(f *attribute) bool { return !c.matters[path+"."+f.name] })
		if len(fields) == 0 {
			fields = a.fields
		}
		f := pick(c, fields...)
		c.change(path+"."+f.name, f, v.Field(f.index))
	case v.Kind() == reflect.Slice && v.Len() > 0 && c.IntN(8) > 0:
		c.change(path, a.elem, v.Index(c.IntN(v.Len())))
	case v.Kind() == reflect.Slice && v.Len() > 0 && c.IntN(2) == 0: // one more that is much the same
		twin := reflect.New(v.Type().Elem()).Elem()
		twin.Set(v.Index(c.IntN(v.Len())))
		c.change(path, a.elem, twin)
		v.Set(reflect.Append(v, twin))
	default:
		v.SetZero()
		c.fill(path, a, v)
	}
}
