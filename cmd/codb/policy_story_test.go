package main

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// policy is about the test's own brand; it is taken away when the test ends.
func (w *world) policy(name, rego string, tests ...v1alpha1.PolicyTest) *v1alpha1.CampaignPolicy {
	w.Helper()
	p := &v1alpha1.CampaignPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name + "-" + w.ns},
		Spec: v1alpha1.CampaignPolicySpec{
			Match: &v1alpha1.PolicyMatch{Brands: []string{w.brand}}, Rego: rego, Tests: tests,
		},
	}
	return p
}

func (w *world) ready(p *v1alpha1.CampaignPolicy, want bool) metav1.Condition {
	w.Helper()
	var cond *metav1.Condition
	w.until("the policy has been looked at", func() (bool, string) {
		w.get(client.ObjectKeyFromObject(p), p)
		cond = meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionReady)
		return p.Status.ObservedGeneration == p.Generation && cond != nil && (cond.Status == metav1.ConditionTrue) == want, ""
	})
	return *cond
}

const noPost = `package codb.policy

deny contains {"code": "NoPost", "message": "nothing by post"} if input.campaign.channel == "Post"
`

const nothing = `package codb.policy

deny contains {"code": "Closed", "message": "nobody"} if input.campaign.brand != ""
`

func TestTheBaselineIsReady(t *testing.T) {
	w := newWorld(t)
	p := &v1alpha1.CampaignPolicy{ObjectMeta: metav1.ObjectMeta{Name: "baseline"}}
	if cond := w.ready(p, true); !strings.Contains(cond.Message, "cases pass") || p.Status.InForce == nil {
		t.Errorf("baseline: %s, in force %+v", cond.Message, p.Status.InForce)
	}
}

func TestAPolicyThatDoesNotCompileIsRefusedWithItsPlace(t *testing.T) {
	w := newWorld(t)
	bomb := "package codb.policy\n\ndeny contains {\"code\": \"X\", \"message\": \"\"} if x := " +
		strings.Repeat("[1 | y := ", 18) + "1" + strings.Repeat("]", 18) + "\n"
	tests := map[string]struct {
		rego string
		want []string
	}{
		"Syntax":           {"package codb.policy\n\ndeny contains if {", []string{"spec.rego", "line 3"}},
		"ForeignPackage":   {"package other\n\ndeny contains \"x\" if true\n", []string{"spec.rego", "codb.policy"}},
		"Network":          {"package codb.policy\n\ndeny contains {\"code\": \"X\", \"message\": \"\"} if http.send({\"url\": \"http://x\", \"method\": \"GET\"}).status_code == 200\n", []string{"spec.rego", "http.send", "line 3"}},
		"Clock":            {"package codb.policy\n\ndeny contains {\"code\": \"X\", \"message\": \"\"} if time.now_ns() > 0\n", []string{"spec.rego", "time.now_ns", "line 3", "input.now"}},
		"Shift":            {"package codb.policy\n\ndeny contains {\"code\": \"X\", \"message\": \"\"} if bits.lsh(1, 200000000) > 0\n", []string{"spec.rego", "bits.lsh", "line 3"}},
		"Explosion":        {bomb, []string{"spec.rego", "line 3"}},
		"FailsOpen":        {"package codb.policy\n\ndeny contains {\"code\": \"X\", \"message\": \"\"} if input.customer.birthYear > 2010\n", []string{"spec.rego", "birthYear", "line 3"}},
		"MisspelledSchema": {"package codb.policy\n\ndeny contains {\"code\": \"X\", \"message\": \"\"} if { some e in input.customer.liveEvents; e.eventType == \"Relocation\" }\n", []string{"spec.rego", "lifeEvents", "line 3"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			err := env.Client.Create(w.ctx, w.policy("bad", tc.rego))
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("the refusal took %s", took)
			}
			w.refused(err, tc.want...)
		})
	}
}

func TestAParameterThatItsRuleDoesNotKnowIsRefused(t *testing.T) {
	w := newWorld(t)
	for name, tc := range map[string]struct {
		use  v1alpha1.RuleUse
		want []string
	}{
		"UnknownRule":      {v1alpha1.RuleUse{Name: "frequency-caps"}, []string{"spec.rules", "frequency-caps", "frequency-cap"}},
		"UnknownParameter": {v1alpha1.RuleUse{Name: "frequency-cap", With: raw(`{"maximum": 3}`)}, []string{"spec.rules", "maximum", "max"}},
		"OutOfRange":       {v1alpha1.RuleUse{Name: "frequency-cap", With: raw(`{"max": -1}`)}, []string{"spec.rules", "max", "-1"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := w.policy("bad", "")
			p.Spec.Rules = []v1alpha1.RuleUse{tc.use}
			w.refused(env.Client.Create(w.ctx, p), tc.want...)
		})
	}
}

func raw(s string) *runtime.RawExtension { return &runtime.RawExtension{Raw: []byte(s)} }

func TestARevisionWhoseCasesFailLeavesTheLastGoodOneInForce(t *testing.T) {
	w := newWorld(t)
	w.customer(0)
	c := w.campaign("spring")
	w.becomes(c, v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)

	emailIsFine := v1alpha1.PolicyTest{
		Name: "e-mail is fine", Customer: *raw(`{}`), Expect: v1alpha1.TestExpectation{Verdict: v1alpha1.VerdictAllow},
	}
	p := w.policy("post", noPost, emailIsFine)
	w.create(p)
	w.ready(p, true)
	good := p.Status.InForce.Digest

	change(w, p, func(o *v1alpha1.CampaignPolicy) { o.Spec.Rego = nothing })
	cond := w.ready(p, false)
	if cond.Reason != v1alpha1.ReasonTestsFailed || !strings.Contains(cond.Message, "e-mail is fine") || p.Status.Tests != "0/1" {
		t.Errorf("%s: %s; tests %s", cond.Reason, cond.Message, p.Status.Tests)
	}
	if p.Status.InForce == nil || p.Status.InForce.Digest != good || p.Status.InForce.Generation != 1 {
		t.Errorf("in force: %+v, want generation 1", p.Status.InForce)
	}
	w.becomes(c, v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)

	change(w, p, func(o *v1alpha1.CampaignPolicy) { o.Spec.Tests = nil })
	w.ready(p, true)
	w.becomes(c, v1alpha1.CampaignBlocked, v1alpha1.WorkloadSuspended)
}

func TestAPolicyThatNeverWasGoodBlocksWhatItMatches(t *testing.T) {
	w := newWorld(t)
	w.customer(0)
	p := w.policy("post", noPost, v1alpha1.PolicyTest{
		Name: "wrong", Customer: *raw(`{}`), Expect: v1alpha1.TestExpectation{Verdict: v1alpha1.VerdictDeny},
	})
	w.create(p)
	w.ready(p, false)
	c := w.campaign("spring")
	w.becomes(c, v1alpha1.CampaignBlocked, v1alpha1.WorkloadSuspended)
	w.condition(c, v1alpha1.ConditionPermitted, v1alpha1.CodePolicyNotReady)
	if err := env.Client.Delete(w.ctx, p); err != nil {
		t.Fatal(err)
	}
	w.becomes(c, v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
}

// A rule that never ends gets its worker killed; three times, and it is not asked
// any more: the policy says so, and so do the campaigns that it blocks.
func TestAPolicyThatNeverEndsStalls(t *testing.T) {
	w := newWorld(t)
	for n := range 4 {
		w.customer(n)
	}
	p := w.policy("endless", `package codb.policy

deny contains {"code": "Endless", "message": "e"} if {
	input.customer.bucket >= 0
	count({1 | some a in numbers.range(1, 100000); some b in numbers.range(1, 100000); (a * b) == input.customer.bucket - 20000}) > 0
}
`)
	w.create(p)
	w.ready(p, true)
	c := w.campaign("spring")
	w.becomes(c, v1alpha1.CampaignBlocked, v1alpha1.WorkloadSuspended)
	if cond := w.ready(p, false); cond.Reason != v1alpha1.ReasonStalled || !strings.Contains(cond.Message, "rule rego exceeded its time or memory") {
		t.Errorf("%s: %s", cond.Reason, cond.Message)
	}
	w.condition(c, v1alpha1.ConditionPermitted, v1alpha1.CodePolicyNotReady)
	if !strings.Contains(c.Status.Why, "rule rego exceeded its time or memory") {
		t.Errorf("why = %q", c.Status.Why)
	}
	change(w, p, func(o *v1alpha1.CampaignPolicy) { o.Spec.Rego = noPost })
	w.ready(p, true)
	w.becomes(c, v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
}

func TestAStricterPolicyStopsARunningCampaign(t *testing.T) {
	w := newWorld(t)
	w.customer(0)
	c := w.campaign("spring")
	w.becomes(c, v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
	p := w.policy("closed", nothing)
	w.create(p)
	w.becomes(c, v1alpha1.CampaignBlocked, v1alpha1.WorkloadSuspended)
	if !strings.Contains(c.Status.Why, "Closed 1") {
		t.Errorf("why = %q", c.Status.Why)
	}
}

func TestAPolicyThatOnlyWatchesHasNoEffect(t *testing.T) {
	w := newWorld(t)
	w.customer(0)
	p := w.policy("watch", nothing)
	p.Spec.Mode = v1alpha1.ModeAudit
	w.create(p)
	w.ready(p, true)
	c := w.campaign("spring")
	w.becomes(c, v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
	ds := w.decisions("spring")
	found := false
	for _, r := range ds[len(ds)-1].Spec.Reasons {
		found = found || (r.Code == "Closed" && r.Mode == v1alpha1.ModeAudit && r.Customers == 1)
	}
	if !found {
		t.Errorf("the decision does not say what the policy would have done: %+v", ds[len(ds)-1].Spec.Reasons)
	}
}
