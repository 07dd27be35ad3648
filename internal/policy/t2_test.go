package policy

import (
	"encoding/json"
	"flag"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/policies"
)

// planWorlds is how many campaigns TestPlansAnswerLikeOPA compares.
var planWorlds = flag.Int("plan-worlds", 3, "campaigns for which plans are compared with OPA, of 100 customers each")

// comparePlans asks plans and the interpreter about each customer and returns how
// many of them the plans answered.
func comparePlans(t *testing.T, lib *Library, q decision.Question, ps ...Policy) (answered int) {
	t.Helper()
	i, err := NewInterpreter(lib, ps)
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPlanned(t.Context(), i)
	if err != nil {
		t.Fatal(err)
	}
	want := mustJudge(t, i, q)
	a := newAsked(&q)
	for n := range q.Subjects {
		got, ok := p.answer(t.Context(), a, &q.Subjects[n], neverCancelled)
		if !ok {
			continue
		}
		answered++
		if diff := cmp.Diff(want[n], got); diff != "" {
			text, _ := json.Marshal(q.Subjects[n])
			t.Fatalf("customer %d at %s (-OPA +plan):\n%s\n%+v\n%s", n, q.Now, diff, q.Campaign, text)
		}
	}
	if diff := cmp.Diff(want, mustJudge(t, p, q)); diff != "" {
		t.Fatalf("answers together with the interpreter's (-OPA +plan):\n%s", diff)
	}
	return answered
}

func TestPlansAnswerLikeOPA(t *testing.T) {
	lib := load(t, policies.FS)
	all, answered := 0, 0
	for seed := range *planWorlds {
		c := newChance(uint64(1000 + seed))
		q := c.question(100)
		all += len(q.Subjects)
		answered += comparePlans(t, lib, q, c.policies(lib)...)
	}
	t.Logf("%d of %d customers answered by plans", answered, all)
	if answered < all/4 {
		t.Errorf("plans answered for %d of %d customers only", answered, all)
	}
}

// general are policies with what columns have no answer for.
var general = map[string]string{
	"Every": `
deny contains {"code": "A", "message": "all grants are old"} if {
	every g in input.customer.relationship.grants { g.captureDate < input.now - 86400000000000000 }
}
deny contains {"code": "B", "message": "indices"} if every i, c in input.customer.caps { c.max > i }`,
	"Comprehensions": `
channels := {p: cs | some p in {g.purpose | some g in input.customer.relationship.grants}; cs := {g.channel | some g in input.customer.relationship.grants; g.purpose == p}}
count_of := {p: count(cs) | some p, cs in channels}
deny contains {"code": "Many", "message": sprintf("%s: %v", [p, sort(cs)])} if { some p, cs in channels; count_of[p] > 1 }
hold contains {"code": "Sorted", "message": concat(",", sort([p | some p, _ in channels]))} if count(channels) > 0`,
	"JoinOfTwoLists": `
deny contains {"code": "Joined", "message": $"{g.purpose} {e.type}"} if {
	some g in input.customer.relationship.grants
	some e in input.contacts.events
	e.at < g.captureDate
}
wake contains g.captureDate + e.at if { some g in input.customer.relationship.grants; some e in input.contacts.events }`,
	"ElseAndDefault": `
default grade(_) := "none"
grade(c) := "high" if c.max > 2 else := "low" if c.max > 0
best := "blocked" if input.customer.blockedTopics else := "weekly" if input.customer.caps[_].window == "CalendarWeek" else := "other"
deny contains {"code": "Grade", "message": grade(c)} if some c in input.customer.caps
hold contains {"code": "Best", "message": best}`,
	"With": `
adult if input.customer.birthYear < 2008
deny contains {"code": "NotThen", "message": "with another year"} if not adult with input.customer.birthYear as 2009
deny contains {"code": "Then", "message": "with one that is there"} if { adult with input.customer.birthYear as 1990; not adult }
deny contains {"code": "Whole", "message": type_name(x)} if x := object.get(input, "customer", null) with input as {"customer": 1}
hold contains {"code": "Mocked", "message": "a builtin"} if upper(input.campaign.brand) == "acme" with upper as lower`,
	"DynamicReferences": `
limit.Email := 3
limit.SMS := 1
table := {"Marketing": {"max": 2}, "Offers": {"max": 0}}
deny contains {"code": "Limit", "message": sprintf("%d", [limit[input.campaign.channel]])} if count(input.contacts.sent) > limit[input.campaign.channel]
deny contains {"code": "Table", "message": "x"} if table[input.campaign.purpose].max < count(input.contacts.sent)
deny contains {"code": k, "message": "attribute"} if { some k in ["Bucket", "Depth"]; input.customer[lower(k)] }`,
	"ConflictingRules": `
zone := input.customer.timeZone
zone := c.zone if some c in input.customer.caps
deny contains {"code": "Zone", "message": zone}`,
	"BuiltinsThatFail": `
deny contains {"code": "Clock", "message": sprintf("%v", [time.clock([input.now, input.customer.timeZone])])}
hold contains {"code": "Ratio", "message": "r"} if 100 / count(input.customer.caps) > 30
hold contains {"code": "Half", "message": format_int(input.customer.bucket / 2, 10)} if input.customer.bucket % 2 == 0`,
	"Arithmetic": `
deny contains {"code": "Big", "message": sprintf("%v", [input.now * 1000000007 + input.customer.bucket - 3])} if input.customer.bucket > 5
deny contains {"code": "Signed", "message": sprintf("%v %v", [0 - input.customer.birthYear, (0 - input.customer.birthYear) % 7])}
deny contains {"code": "Frac", "message": sprintf("%v", [input.customer.bucket * 1.5 - 0.5])}
deny contains {"code": "Sums", "message": sprintf("%v", [sum([c.max | some c in input.customer.caps])])}`,
	"Unification": `
deny contains {"code": "Pair", "message": a} if { some c in input.customer.caps; [a, "CalendarDay"] = [c.name, c.window] }
deny contains {"code": "Object", "message": p} if { some g in input.customer.relationship.grants; {"p": p, "s": "ConsentGiven"} = {"p": g.purpose, "s": g.status} }
deny contains {"code": "Sets", "message": sprintf("%d", [count(x)])} if x := {g.purpose | some g in input.customer.relationship.grants} | {"Other"} - {"Marketing"}`,
	"WrongShape": `
deny contains 1 if input.customer.bucket % 3 == 0
hold contains {"code": "NoUntil", "message": "m", "until": "soon"} if input.customer.bucket % 5 == 0`,
}

func TestPlansAnswerGeneralRegoLikeOPA(t *testing.T) {
	lib := load(t, policies.FS)
	for name, text := range general {
		t.Run(name, func(t *testing.T) {
			answered, all := 0, 0
			for seed := range *planWorlds {
				q := newChance(uint64(2000 + seed)).question(100)
				all += len(q.Subjects)
				answered += comparePlans(t, lib, q, own(text))
			}
			if answered < all/20 {
				t.Errorf("plans answered for %d of %d customers only", answered, all)
			}
		})
	}
}

// unplanned are policies that OPA can't plan, since rules of one prefix refer to
// each other, and whose plans would answer otherwise than OPA; and what of it the
// status mentions.
var unplanned = map[string]string{
	"facts": `
facts[k].since := input.customer.optOut.since if some k in ["a"]
facts[k].ago := input.now - facts.a.since if some k in ["a"]
deny contains {"code": "Ago", "message": "lately"} if facts.a.ago < 86400000000000`,
	"channels": `
channels[g.purpose] contains g.channel if some g in input.customer.relationship.grants
deny contains {"code": "Some", "message": "some"} if channels in [{"Marketing": {"Email", "SMS"}}, {"Marketing": {"Email"}}]`,
}

func TestWhatCannotBePlannedIsLeftToOPA(t *testing.T) {
	lib := load(t, policies.FS)
	for word, text := range unplanned {
		ps := []Policy{lib.Floor(), own(text)}
		if comparePlans(t, lib, newChance(7).question(50), ps...) == 0 {
			t.Error("the floor's plans did not answer")
		}
		report := lib.check(t.Context(), &ps[1])
		if len(report.Problems) > 0 || len(report.Unplanned) != 1 || report.Unplanned[0].Rule != OwnRule {
			t.Fatalf("report %+v", report)
		}
		engines := Engines(ps[1], report)
		if len(engines) != 1 || engines[0].Engine != v1alpha1.EngineOPA || !strings.Contains(engines[0].Why, word) {
			t.Errorf("engines %+v", engines)
		}
	}
	p := own(general["BuiltinsThatFail"])
	if engines := Engines(p, lib.check(t.Context(), &p)); engines[0].Engine != v1alpha1.EnginePlan || engines[0].Why == "" {
		t.Errorf("engines %+v", engines)
	}
}

// A plan runs in the worker, whose deadline it meets as everything else does.
func TestPlansThatRunTooLongAreKilled(t *testing.T) {
	lib := small(t)
	s := sandbox(t, lib, workerSmall, Options{EvalTimeout: 200 * time.Millisecond})
	j, err := s.LoadPlanned(t.Context(), []Policy{own(`deny contains {"code": "A", "message": ""} if {
		input.customer.bucket == 1
		count({1 | some a in numbers.range(1, 100000); some b in numbers.range(1, 100000); a * b == -1}) > 0
	}
	hold contains {"code": "Two", "message": ""} if input.customer.bucket == 2`)})
	if err != nil {
		t.Fatal(err)
	}
	got := mustJudge(t, j, question(3))
	want := [][]string{nil, {"EvaluationFailed"}, {"Two"}}
	if diff := cmp.Diff(want, [][]string{codes(got[0]), codes(got[1]), codes(got[2])}); diff != "" {
		t.Errorf("codes (-want +got):\n%s", diff)
	}
}

// What workers say of rules that are not native is confirmed, too.
func TestPlansAreConfirmedToo(t *testing.T) {
	lib := load(t, policies.FS)
	e, opa, metrics := fronted(t, lib, lib.Floor(), own(`deny contains {"code": "Rare", "message": "rare"} if input.customer.bucket in {401, 407}`))
	opa.lie = func(a *decision.Answer) {
		a.Reasons = slices.DeleteFunc(a.Reasons, func(r decision.Reason) bool { return r.Code == "Rare" })
	}
	got := mustJudge(t, e, people(500))
	if n := counted(t, metrics, "consent_policy_differences_total"); n == 0 || slices.Contains(codes(got[401]), "Rare") {
		t.Errorf("%v differences are counted, and the answer is %v", n, codes(got[401]))
	}
}

// Own words for each customer must not have OPA asked about everyone.
func TestOwnWordsAreNoReasonToAskOPA(t *testing.T) {
	lib := load(t, policies.FS)
	e, opa, _ := fronted(t, lib, lib.Floor(), own(`deny contains {"code": "Each", "message": sprintf("%d", [input.customer.bucket])}`))
	mustJudge(t, e, people(500))
	if opa.asked > 100 {
		t.Errorf("OPA was asked about %d of 500", opa.asked)
	}
}

func TestWhatIsNotNativeIsPlanned(t *testing.T) {
	lib := load(t, policies.FS)
	p := own(general["Every"])
	e, _, _ := fronted(t, lib, lib.Floor(), p)
	q := people(5)
	mustJudge(t, e, q)
	made := e.standing(q.Campaign, noDoubts)
	rest, ok := made.rest.(*judge)
	if !ok || !rest.planned {
		t.Fatalf("what is not native is judged by %+v", made.rest)
	}
	w := &worker{lib: lib, sets: map[string]*Interpreter{}, plans: map[string]*planned{}}
	if r := w.load(t.Context(), &loadRequest{Digest: rest.digest, Policies: rest.policies, Planned: rest.planned}); r.Error != "" {
		t.Fatal(r.Error)
	}
	asked := &judgeRequest{Digest: rest.digest, Planned: true}
	if _, ok := w.fastest(w.sets[rest.digest], asked).(*planned); !ok {
		t.Error("a worker does not evaluate plans")
	}
	asked.Planned = false // who confirms plans must not be answered by them
	if _, ok := w.fastest(w.sets[rest.digest], asked).(*Interpreter); !ok {
		t.Error("plans confirm themselves")
	}
}
