package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	k8sruntime "k8s.io/apimachinery/pkg/runtime"

	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
	"github.com/codb-dev/codb/internal/importer"
	"github.com/codb-dev/codb/internal/policy"
)

// bench is what all parts of the measurement share.
type bench struct {
	*options
	bank     []importer.Row
	sandbox  *policy.Sandbox
	floor    []string // its rules
	lib      *policy.Library
	baseline policy.Policy
	engine   engine     // by itself, of the floor and the baseline
	people   *customers // of the first table
}

func newBench(o *options) (*bench, error) {
	b := &bench{options: o}
	var err error
	if b.bank, err = bank(o.root + "/test/data/bank-additional-full.csv.gz"); err != nil {
		return nil, err
	}
	lib, ps, err := rules(o.root + "/config/policy/baseline.yaml")
	if err != nil {
		return nil, err
	}
	for _, u := range ps[0].Rules {
		b.floor = append(b.floor, u.Name)
	}
	b.lib, b.baseline = lib, ps[1]
	b.sandbox = policy.NewSandbox(lib, policy.Options{})
	if b.engine, err = b.engineOf(b.baseline); err != nil {
		return nil, err
	}
	b.people = newCustomers(o.main, b.bank)
	return b, nil
}

// Close ends the workers.
func (b *bench) Close() error { return b.sandbox.Close() }

// engine is codb's, for the floor and some policies.
type engine interface {
	decision.Judge
	decision.Sweeper
}

// engineOf is the engine by itself: nobody confirms what it says.
func (b *bench) engineOf(ps ...policy.Policy) (engine, error) {
	judge, err := policy.Unconfirmed(b.lib, append([]policy.Policy{b.lib.Floor()}, ps...))
	return sweeper(judge, err)
}

// confirmed is the engine as codb runs it: OPA, in processes of its own, is asked
// about some customers of each run, and of whatever a rule says for the first time.
func (b *bench) confirmed(ctx context.Context) (engine, error) {
	book := policy.NewBook(b.lib, b.sandbox)
	return sweeper(book.Judge(ctx, []policy.InForce{{Policy: b.baseline, Digest: b.lib.Digest(b.baseline)}}))
}

func sweeper(judge decision.Judge, err error) (engine, error) {
	if err != nil {
		return nil, err
	}
	e, ok := judge.(engine)
	if !ok {
		return nil, fmt.Errorf("%T answers for one customer at a time only", judge)
	}
	return e, nil
}

func (b *bench) intro(r *report) {
	r.line("")
	r.line("%s. %s, medians of %d rounds in which all rows of a table take turns; one core is processor time, two are time that passes.",
		machine(), today(), b.rounds)
	r.line("`make bench` at %s. OPA %s, cel-go %s.", revision(), versionOf("github.com/open-policy-agent/opa"), versionOf("cel.dev/cel-go"))
	r.line("")
	r.line("Input: %s customers whose age, job and number of calls are the bank's (test/data); answers, zones, wishes and the", thousands(int64(b.main)))
	r.line("hours of calls are made up, from a fixed seed. Beyond %s the same people follow again, in memory of their own. The policy is the", thousands(distinct))
	r.line("built-in floor and `config/policy/baseline.yaml`: all %d rules of the library. The campaign sends e-mail.", len(b.baseline.Rules))
}

// decisions is the table of what one decision costs.
func (b *bench) decisions(ctx context.Context, r *report) error {
	note("check that all say the same")
	if err := checkNative(ctx, b.engine, b.floor, b.people, []decision.Campaign{campaign}); err != nil {
		return err
	}
	o, err := newOPA(ctx, b.baseline.Rules)
	if err != nil {
		return err
	}
	allowed, err := checkSlow(ctx, o, b.people, &campaign, 10*b.slow)
	if err != nil {
		return err
	}
	if allowed == 0 {
		return errors.New("nobody whom OPA was asked about is allowed: the comparison shows little")
	}
	slow, err := b.slowOnes(ctx, o)
	if err != nil {
		return err
	}
	quick, err := b.quickOnes(ctx, b.people, 1, runtime.NumCPU())
	if err != nil {
		return err
	}
	whole, err := b.confirmed(ctx)
	if err != nil {
		return err
	}
	rows := append(slices.Concat(slow, quick), &contender{
		name: "codb's engine as it runs: OPA confirms 64 of each run, and what is new, all cores", cores: runtime.NumCPU(),
		run: func() (int, error) { return native(ctx, whole, b.people, []decision.Campaign{campaign}) },
	})
	if err := race(b.rounds, rows); err != nil {
		return err
	}
	maps, parsed, hand := rows[0].median(), rows[1].median(), rows[5].median()
	r.head("one decision, all reasons and when they change", "ns", "OPA with maps ÷ it", "OPA pre-parsed ÷ it", "it ÷ by hand")
	for _, row := range rows {
		m := row.median()
		r.row(row.name, number(m), number(maps/m), number(parsed/m), number(m/hand))
	}
	r.line("")
	r.line("Answers are compared before anything is timed: the engine with the loop by hand for each of %s customers (each reason, its verdict,",
		thousands(int64(b.main)))
	r.line("its words, and when it changes), OPA, its plan and CEL with the loop for %d of them; %d of these are allowed. Asking about one row at a", 10*b.slow, allowed)
	r.line("time is part of the engine where no kernel fits, and has no row of its own.")
	return nil
}

// slowOnes are asked about a few customers.
func (b *bench) slowOnes(ctx context.Context, o *opa) ([]*contender, error) {
	some, err := b.people.samples(b.slow, &campaign)
	if err != nil {
		return nil, err
	}
	cel, err := newCEL()
	if err != nil {
		return nil, err
	}
	each := func(name string, ask func(*sample) error) *contender {
		return &contender{name: name, cores: 1, run: func() (int, error) {
			for i := range some {
				if err := ask(&some[i]); err != nil {
					return 0, err
				}
			}
			return len(some), nil
		}}
	}
	return []*contender{
		each("OPA, prepared query, input of maps", func(s *sample) error { return o.maps(ctx, s.maps) }),
		each("OPA, input parsed before, every trick (T3)", func(s *sample) error { _, err := o.parsed(ctx, s.parsed); return err }),
		each("closures compiled from OPA's plan, input parsed before (T2)", func(s *sample) error { _, err := o.plan(ctx, s.parsed); return err }),
		each("cel-go, the same as one condition: yes or no only", func(s *sample) error { _, err := celAllows(cel, s.plain); return err }),
	}, nil
}

// quickOnes are asked about everybody.
func (b *bench) quickOnes(ctx context.Context, people *customers, cores ...int) ([]*contender, error) {
	raws, err := raws(people)
	if err != nil {
		return nil, err
	}
	x := newExpert(&campaign, now, dictionariesOf(&people.chunks[0]))
	one := []decision.Campaign{campaign}
	var out []*contender
	for _, n := range slices.Compact(cores) {
		with := ""
		if n > 1 {
			with = fmt.Sprintf(", %d cores", n)
		}
		out = append(out,
			&contender{name: "codb's engine (T1)" + with, cores: n, run: often(people, func() (int, error) { return native(ctx, b.engine, people, one) })},
			&contender{name: "the same policy as a loop in Go, by hand" + with, cores: n, run: often(people, func() (int, error) { return byHand(x, raws, people, n) })})
	}
	return append(out, &contender{name: "reading every number of the columns once", cores: 1, run: often(people, func() (int, error) { return readOnce(people) })}), nil
}

// often asks so often about few that it takes a while.
func often(people *customers, run func() (int, error)) func() (int, error) {
	return func() (decisions int, err error) {
		for range max(1, 500_000/people.rows()) {
			n, err := run()
			if err != nil {
				return 0, err
			}
			decisions += n
		}
		return decisions, nil
	}
}

// sizes is the table of what the audience's size costs.
func (b *bench) sizes(ctx context.Context, r *report) error {
	r.head("customers", "bytes each in columns", "engine, ns", fmt.Sprintf("%d cores, ns", runtime.NumCPU()), "by hand, ns", "reading once, ns", "whole run, one core")
	for _, n := range b.options.sizes {
		note("%s customers", thousands(int64(n)))
		people := b.people
		if n != b.main {
			people = newCustomers(n, b.bank)
		}
		if err := checkNative(ctx, b.engine, b.floor, people, []decision.Campaign{campaign}); err != nil {
			return err
		}
		rows, err := b.quickOnes(ctx, people, 1, max(2, runtime.NumCPU()))
		if err != nil {
			return err
		}
		if err := race(b.rounds, rows); err != nil {
			return err
		}
		took := time.Duration(rows[0].median() * float64(n))
		r.row(thousands(int64(n)), number(float64(people.bytes())/float64(n)), number(rows[0].median()), number(rows[2].median()),
			number(rows[1].median()), number(rows[4].median()), took.Round(time.Millisecond).String())
	}
	return nil
}

// manyCampaigns asks for many at once, and one after the other.
func (b *bench) manyCampaigns(ctx context.Context, r *report) error {
	cs := campaigns(b.many)
	people := newCustomers(b.main/8/expr.Chunk*expr.Chunk+expr.Chunk, b.bank)
	note("%d campaigns at once", len(cs))
	if err := checkNative(ctx, b.engine, b.floor, people, cs); err != nil {
		return err
	}
	apart := func() (n int, err error) {
		for i := range cs {
			one, err := native(ctx, b.engine, people, cs[i:i+1])
			if err != nil {
				return 0, err
			}
			n += one
		}
		return n, nil
	}
	rows := []*contender{
		{name: fmt.Sprintf("%d campaigns, one after the other", len(cs)), cores: 1, run: apart},
		{name: fmt.Sprintf("%d campaigns at once", len(cs)), cores: 1, run: func() (int, error) { return native(ctx, b.engine, people, cs) }},
	}
	if err := race(b.rounds, rows); err != nil {
		return err
	}
	r.head(fmt.Sprintf("%d campaigns of one brand over all channels, purposes, topics and depths; %s customers", len(cs), thousands(int64(people.rows()))), "ns a decision", "times as fast")
	for _, row := range rows {
		r.row(row.name, number(row.median()), number(rows[0].median()/row.median()))
	}
	return nil
}

// policies is what more rules and more policies cost.
func (b *bench) policies(ctx context.Context, r *report) error {
	note("more rules, more policies")
	var rows []*contender
	one := []decision.Campaign{campaign}
	add := func(name string, ps ...policy.Policy) error {
		engine, err := b.engineOf(ps...)
		rows = append(rows, &contender{name: name, cores: 1, run: func() (int, error) { return native(ctx, engine, b.people, one) }})
		return err
	}
	if err := add("the floor alone"); err != nil {
		return err
	}
	all := len(b.baseline.Rules)
	for _, n := range []int{6, 12, all} {
		some := b.baseline
		some.Rules = some.Rules[:n]
		if err := add(fmt.Sprintf("the floor and %d rules", n), some); err != nil {
			return err
		}
	}
	for _, n := range []int{2, 4, 8} {
		ps := make([]policy.Policy, n)
		for i := range ps {
			ps[i] = variant(b.baseline, i)
		}
		if err := add(fmt.Sprintf("the floor and %d policies of %d rules, 6 with other parameters each", n, all), ps...); err != nil {
			return err
		}
	}
	if err := race(b.rounds, rows); err != nil {
		return err
	}
	r.head("more rules, more policies; "+thousands(int64(b.main))+" customers", "ns a decision", "÷ the whole rule book")
	for _, row := range rows {
		r.row(row.name, number(row.median()), number(row.median()/rows[3].median()))
	}
	return nil
}

// variant is a policy with other parameters, so that its rules are not those of
// another policy's.
func variant(of policy.Policy, i int) policy.Policy {
	of.Name = fmt.Sprintf("%s-%d", of.Name, i)
	of.Rules = slices.Clone(of.Rules)
	with := map[string]map[string]any{
		"age":               {"adult": 18 + i, "guardianBelow": 16},
		"frequency-cap":     {"max": 3 + i, "window": "Rolling", "length": "168h", "counts": []string{"Marketing"}, "conflict": "MostRestrictive"},
		"implied-consent":   {"purchaseMonths": 24 - i, "inquiryMonths": 6},
		"quiet-hours":       {"start": fmt.Sprintf("20:%02d", i), "end": "09:00", "channels": []string{"Email", "SMS", "Phone", "Push"}},
		"refusal-cool-down": {"days": 366 + i, "purposes": []string{"Marketing", "ObtainConsent"}},
		"life-stage":        {"stages": []string{"Student", "Retired"}[:1+i%2], "topics": []string{"Savings", "Garden"}[:1+i/2%2], "unknown": "Deny"},
	}
	for k := range of.Rules {
		if p := with[of.Rules[k].Name]; p != nil && i > 0 {
			text, _ := json.Marshal(p) // of plain values
			of.Rules[k].With = &k8sruntime.RawExtension{Raw: text}
		}
	}
	return of
}

// others are the costs of what is not about everybody.
func (b *bench) others(ctx context.Context, r *report) error {
	note("a new campaign, a changed consent")
	few := newCustomers(expr.Chunk, b.bank)
	var engine engine
	n := 0
	fresh := func() (err error) { // one that has seen no campaign
		p := b.baseline
		n++
		p.Name = fmt.Sprintf("fresh-%d", n)
		engine, err = b.engineOf(p)
		return err
	}
	ask := func() (int, error) {
		_, err := native(ctx, engine, few, []decision.Campaign{campaign})
		return 1, err
	}
	first := &contender{name: "the first campaign", cores: 1, prepare: fresh, run: ask}
	again := &contender{name: "the same once more", cores: 1, run: ask}
	if err := race(b.rounds, []*contender{first, again}); err != nil {
		return err
	}
	l, err := newLive(ctx, b.engine, newCustomers(min(b.main, 100_000), b.bank), campaigns(b.many))
	if err != nil {
		return err
	}
	var names []string
	changed := &contender{name: "a changed consent", cores: 1, prepare: func() error { names = l.draft(20); return nil }, run: func() (int, error) { return l.change(ctx, names) }}
	if err := race(b.rounds, []*contender{changed}); err != nil {
		return err
	}
	r.head("what happens now and then", "figure")
	r.row("a new campaign, the first of its policies: the whole rule book specialised and bound (its first chunk, less the same once more)", number((first.median()-again.median())/1e6)+" ms")
	r.row(fmt.Sprintf("one changed consent of %s, %d live campaigns: until all of them have their new sums", thousands(int64(l.people.rows())), len(l.campaigns)), number(changed.median()/1e3)+" µs")
	r.row("a customer in the table: columns, names, versions and the index by name", number(float64(l.table.Bytes())/float64(l.table.Len()))+" B")
	return nil
}
