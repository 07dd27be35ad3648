package policy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kjson "sigs.k8s.io/json"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consent"
	"github.com/codb-dev/codb/internal/decision"
)

// Report is what codb finds when a policy is applied.
type Report struct {
	// Problems keep the policy from being one at all; then no test ran.
	Problems []Problem    `json:"problems,omitempty"`
	Tests    []TestResult `json:"tests,omitempty"`
	Passed   int          `json:"passed"`
	Total    int          `json:"total"`
	// Unplanned are the rules that only OPA's interpreter can evaluate.
	Unplanned []Refused `json:"unplanned,omitempty"`
	// NotNative are the rules that are not compiled for columns.
	NotNative []Refused `json:"notNative,omitempty"`
}

// Exhausted says that a worker was stopped or died over the policy. Of a machine
// that is out of memory or time the policy need not be the cause.
func (r *Report) Exhausted() bool {
	return slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Code == ProblemExhaustive })
}

// TestResult is how one case came out.
type TestResult struct {
	Name   string `json:"name"`
	Passed bool   `json:"passed"`
	Got    string `json:"got"`
	Want   string `json:"want"`
}

func (t TestResult) String() string {
	if t.Passed {
		return t.Name + ": passed"
	}
	return fmt.Sprintf("%s: want %s, got %s", t.Name, t.Want, t.Got)
}

// caseNow is the instant of a case that has none: a Monday.
var caseNow = time.Date(2026, time.June, 15, 10, 0, 0, 0, time.UTC)

// caseCampaign is a campaign in a case: a Campaign's spec, and the class of its
// purpose, which outside of cases the Brand declares.
type caseCampaign struct {
	v1alpha1.CampaignSpec `json:",inline"`
	PurposeClass          v1alpha1.PurposeClass `json:"purposeClass,omitempty"`
}

// caseCustomer is a customer in a case: a CustomerConsent's spec, and the place
// in 0..9999 that a holdout looks at.
type caseCustomer struct {
	v1alpha1.CustomerConsentSpec `json:",inline"`
	Bucket                       *int `json:"bucket,omitempty"`
}

// lastBucket is the place of a customer of whom the case says none: no holdout
// reaches it.
const lastBucket = 9999

// readCase makes a question of a case; names that the API doesn't have are
// refused.
func readCase(t *v1alpha1.PolicyTest) (decision.Question, error) {
	c := caseCampaign{
		CampaignSpec: v1alpha1.CampaignSpec{
			Brand: "acme", Purpose: "Marketing", Channel: v1alpha1.ChannelEmail, Depth: v1alpha1.DepthBasic, Owner: "case",
		},
		PurposeClass: v1alpha1.ClassMarketing,
	}
	if err := strict(t.Campaign, &c); err != nil {
		return decision.Question{}, fmt.Errorf("campaign: %w", err)
	}
	var who caseCustomer
	if err := strict(&t.Customer, &who); err != nil {
		return decision.Question{}, fmt.Errorf("customer: %w", err)
	}
	now := caseNow
	if t.Now != nil {
		now = t.Now.UTC()
	}
	q := decision.Question{Now: now, Campaign: c.question(), Subjects: []decision.Subject{{
		Person:   consent.For(&who.CustomerConsentSpec, c.Brand),
		Contacts: contacts(t.Contacts, &c),
	}}}
	bucket := cmp.Or(who.Bucket, new(lastBucket))
	if *bucket < 0 || *bucket > lastBucket {
		return decision.Question{}, fmt.Errorf("customer: bucket %d is not in 0..%d", *bucket, lastBucket)
	}
	q.Subjects[0].Person.Bucket = *bucket
	return q, nil
}

func (c *caseCampaign) question() decision.Campaign {
	out := decision.Campaign{
		Name: "case", Namespace: "default", Brand: c.Brand, Purpose: string(c.Purpose), PurposeClass: string(c.PurposeClass),
		Channel: string(c.Channel), Topic: string(c.Topic), Depth: string(c.Depth), Owner: c.Owner,
	}
	if c.Holdout != nil {
		out.HoldoutPercent = int32(c.Holdout.Percent)
	}
	return out
}

// strict decodes YAML's objects; an unknown name is an error.
func strict(raw *runtime.RawExtension, into any) error {
	if raw == nil || len(raw.Raw) == 0 {
		return nil
	}
	unknown, err := kjson.UnmarshalStrict(raw.Raw, into)
	return errors.Join(append([]error{err}, unknown...)...)
}

func contacts(in []v1alpha1.TestContact, c *caseCampaign) decision.Contacts {
	var out decision.Contacts
	for _, t := range in {
		at := consent.Nano(t.At.Time)
		brand, channel := cmp.Or(t.Brand, c.Brand), string(cmp.Or(t.Channel, c.Channel))
		if t.Event == "" || t.Event == "Sent" {
			class := string(cmp.Or(t.Class, v1alpha1.ClassMarketing))
			out.Sent = append(out.Sent, decision.Contact{At: at, Brand: brand, Class: class, Channel: channel})
			continue
		}
		out.Events = append(out.Events, decision.Event{Type: t.Event, At: at, Brand: brand, Channel: channel})
	}
	slices.SortStableFunc(out.Sent, func(a, b decision.Contact) int { return cmp.Compare(b.At, a.At) })
	slices.SortStableFunc(out.Events, func(a, b decision.Event) int { return cmp.Compare(b.At, a.At) })
	return out
}

// Try looks at a policy as Sandbox.Check does, but in this very process, without
// any wall around it: for the cases of policies that one trusts.
func (l *Library) Try(ctx context.Context, p Policy) Report {
	if problems := l.lint(&p); len(problems) > 0 {
		return Report{Problems: problems, Total: len(p.Tests)}
	}
	return l.check(ctx, &p)
}

// check compiles a policy alone and runs its cases, in this very process.
func (l *Library) check(ctx context.Context, p *Policy) Report {
	i, err := NewInterpreter(l, []Policy{*p})
	if err != nil {
		return Report{Problems: regoProblems(ownFile, err, ProblemCompile, "opa check --strict shows more"), Total: len(p.Tests)}
	}
	r := Report{Total: len(p.Tests), Unplanned: i.unplanned(ctx), NotNative: i.notNative()}
	for n := range p.Tests {
		result := i.test(ctx, &p.Tests[n])
		if result.Passed {
			r.Passed++
		}
		r.Tests = append(r.Tests, result)
	}
	return r
}

// test runs one case.
func (i *Interpreter) test(ctx context.Context, t *v1alpha1.PolicyTest) TestResult {
	out := TestResult{Name: t.Name, Want: outcome(t.Expect.Verdict, t.Expect.Reasons, t.Expect.Until)}
	q, err := readCase(t)
	if err != nil {
		out.Got = oneLine(err.Error())
		return out
	}
	answers, err := i.Judge(ctx, q)
	if err != nil {
		out.Got = oneLine(err.Error())
		return out
	}
	reasons := answers[0].Reasons
	for n := range reasons {
		reasons[n].Mode = v1alpha1.ModeEnforce // a case is about what the policy says, not whether it counts
	}
	verdict, until := decision.Personal(reasons), time.Time{}
	if verdict == v1alpha1.VerdictHold {
		until = decision.Until(reasons)
	}
	codes := map[string]bool{}
	for _, r := range reasons {
		codes[r.Code] = true
	}
	out.Passed = verdict == t.Expect.Verdict &&
		(t.Expect.Until == nil || t.Expect.Until.Time.Equal(until)) &&
		(t.Expect.Reasons == nil || sameCodes(codes, t.Expect.Reasons))
	out.Got = got(verdict, reasons, until)
	return out
}

func sameCodes(got map[string]bool, want []string) bool {
	for _, w := range want {
		if !got[w] {
			return false
		}
	}
	return len(got) == len(want)
}

// got says what came out; why an evaluation failed is part of it.
func got(v v1alpha1.Verdict, reasons []decision.Reason, until time.Time) string {
	var codes []string
	for _, r := range reasons {
		c := r.Code
		if c == v1alpha1.CodeEvaluationFailed {
			c += " (" + r.Rule + ": " + r.Message + ")"
		}
		codes = append(codes, c)
	}
	var end *metav1.Time
	if !until.IsZero() {
		end = &metav1.Time{Time: until}
	}
	return clip(outcome(v, codes, end), maxMessage)
}

func outcome(v v1alpha1.Verdict, codes []string, until *metav1.Time) string {
	s := string(v)
	if len(codes) > 0 {
		codes = slices.Clone(codes)
		slices.Sort(codes)
		s += " " + strings.Join(slices.Compact(codes), ", ")
	}
	if until != nil {
		s += " until " + until.UTC().Format(time.RFC3339)
	}
	return s
}
