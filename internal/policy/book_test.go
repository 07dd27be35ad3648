package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// Three strikes, and campaigns that the policy matches are blocked, until it
// changes.
func TestAStruckPolicyStalls(t *testing.T) {
	lib := small(t)
	s := sandbox(t, lib, workerSmall, Options{EvalTimeout: 200 * time.Millisecond})
	b := NewBook(lib, s)
	object := func(name, rego string, generation int64) *v1alpha1.CampaignPolicy {
		return &v1alpha1.CampaignPolicy{
			ObjectMeta: metav1.ObjectMeta{Name: name, UID: "1", Generation: generation}, Spec: v1alpha1.CampaignPolicySpec{Rego: own(rego).Rego},
		}
	}
	put := func(p *v1alpha1.CampaignPolicy) {
		revision := FromObject(p)
		b.Put(p, &InForce{Policy: revision, Digest: lib.Digest(revision)})
	}
	evil, fine := object("evil", fmt.Sprintf(slow, "input.customer.bucket"), 1), object("fine", `hold contains {"code": "Held", "message": ""}`, 1)
	put(evil)
	put(fine)
	set, notReady := b.For(Facts{})
	if len(set) != 2 || len(notReady) > 0 {
		t.Fatalf("%v, %v", set, notReady)
	}
	j, err := b.Judge(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	changed := b.Changed()
	for _, a := range mustJudge(t, j, question(8)) {
		if !slices.Contains(codes(a), "EvaluationFailed") {
			t.Fatalf("somebody is allowed: %v", codes(a))
		}
	}
	select {
	case <-changed:
	default:
		t.Error("nobody hears of it")
	}
	set, notReady = b.For(Facts{})
	if len(set) != 1 || len(notReady) != 1 || !strings.Contains(notReady[0], "evil (rule rego exceeded its time or memory 3 times)") {
		t.Errorf("in force %v, not ready %v", set, notReady)
	}
	put(evil) // it was looked at again
	if b.Stalled("evil") == "" || len(b.Troubled()) != 1 || b.Troubled()["evil"] == "" {
		t.Error("the same generation is asked again")
	}
	put(object("evil", `deny contains {"code": "Better", "message": ""} if input.customer.bucket < 0`, 2))
	if set, notReady := b.For(Facts{}); len(set) != 2 || len(notReady) > 0 || b.Stalled("evil") != "" {
		t.Errorf("another generation is stalled too: %v", notReady)
	}
	b.stall(FromObject(evil), OwnRule)
	if b.Stalled("evil") != "" {
		t.Error("a revision of the past stalls")
	}
}

func TestUsesAreNumberedByPolicyAndRule(t *testing.T) {
	ps := []Policy{
		{Name: "a", Rules: []v1alpha1.RuleUse{{Name: "one"}, {Name: "two"}}}, {Name: "b", Rego: "x"}, {Name: "c", Rules: []v1alpha1.RuleUse{{Name: "three"}}, Rego: "x"},
	}
	want := []string{"a one", "a two", "b rego", "c three", "c rego"}
	for n, w := range want {
		if p, rule := useAt(ps, n); p == nil || p.Name+" "+rule != w {
			t.Errorf("%d is %v %s, want %s", n, p, rule, w)
		}
	}
	if p, _ := useAt(ps, len(want)); p != nil {
		t.Errorf("there is one more: %v", p)
	}
}
