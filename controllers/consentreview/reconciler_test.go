package consentreview_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/controllers/consentreview"
)

func TestWhatAQuestionIsAnswered(t *testing.T) {
	spring := func(w *world, f func(*v1alpha1.Campaign)) {
		edit(w, &v1alpha1.Campaign{}, "acme-marketing", "spring", f)
	}
	type answer struct {
		Verdict v1alpha1.Verdict
		Why     string
		Until   time.Time
	}
	for name, tc := range map[string]struct {
		given func(*world)
		want  answer
	}{
		"NothingStandsInTheWay": {given: func(*world) {}, want: answer{Verdict: v1alpha1.VerdictAllow}},
		"AnOptOut": {
			given: func(w *world) { w.customer.Spec.OptOut = &v1alpha1.OptOut{Since: metav1.NewTime(noon)} },
			want:  answer{Verdict: v1alpha1.VerdictDeny, Why: "OptedOut"},
		},
		"APauseWithItsEnd": {
			given: func(w *world) {
				w.customer.Spec.Pause = &v1alpha1.Pause{From: metav1.NewTime(noon), Until: metav1.NewTime(noon.Add(time.Hour))}
			},
			want: answer{Verdict: v1alpha1.VerdictHold, Why: "Paused", Until: noon.Add(time.Hour)},
		},
		"AtAnotherTime": {
			given: func(w *world) {
				w.customer.Spec.Pause = &v1alpha1.Pause{From: metav1.NewTime(noon), Until: metav1.NewTime(noon.Add(time.Hour))}
				edit(w, &v1alpha1.ConsentReview{}, v1alpha1.CustomersNamespace, "why-"+customer, func(q *v1alpha1.ConsentReview) {
					q.Spec.At = &metav1.Time{Time: noon.Add(2 * time.Hour)}
				})
			},
			want: answer{Verdict: v1alpha1.VerdictAllow},
		},
		"NobodyOnRecord": {given: func(w *world) { w.customer = nil }, want: answer{Verdict: v1alpha1.VerdictDeny, Why: v1alpha1.CodeNoConsent}},
		"NoCampaign": {
			given: func(w *world) {
				edit(w, &v1alpha1.ConsentReview{}, v1alpha1.CustomersNamespace, "why-"+customer, func(q *v1alpha1.ConsentReview) { q.Spec.Campaign.Name = "autumn" })
			},
			want: answer{Verdict: v1alpha1.VerdictDeny, Why: v1alpha1.CodeCampaignUnknown},
		},
		"NoBrand": {
			given: func(w *world) { spring(w, func(c *v1alpha1.Campaign) { c.Spec.Brand = "globex" }) },
			want:  answer{Verdict: v1alpha1.VerdictDeny, Why: v1alpha1.CodeBrandUnknown},
		},
		"ACampaignOnHold": {
			given: func(w *world) {
				spring(w, func(c *v1alpha1.Campaign) { c.Spec.Hold = &v1alpha1.HoldRequest{Reason: "typo"} })
			},
			want: answer{Verdict: v1alpha1.VerdictDeny, Why: v1alpha1.CodeHoldRequested},
		},
		"NotMeant": {
			given: func(w *world) {
				spring(w, func(c *v1alpha1.Campaign) {
					c.Spec.Audience = v1alpha1.Audience{Selector: &v1alpha1.AudienceSelector{Languages: []v1alpha1.Language{"fr"}}}
				})
			},
			want: answer{Verdict: v1alpha1.VerdictDeny, Why: v1alpha1.CodeNotTargeted},
		},
		"APolicyWithNothingInForce": {
			given: func(w *world) {
				w.book.Put(&v1alpha1.CampaignPolicy{ObjectMeta: metav1.ObjectMeta{Name: "baseline", Generation: 1}}, nil)
			},
			want: answer{Verdict: v1alpha1.VerdictDeny, Why: v1alpha1.CodePolicyNotReady},
		},
		"NoPolicyAtAll": {
			given: func(w *world) {
				w.book.Remove("baseline")
				if err := w.DeleteAllOf(w.Context(), &v1alpha1.CampaignPolicy{}); err != nil {
					w.Fatal(err)
				}
			},
			want: answer{Verdict: v1alpha1.VerdictDeny, Why: v1alpha1.CodeNoPolicy},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tc.given(w)
			if res, err := w.look(); err != nil || res.RequeueAfter != consentreview.Kept {
				t.Fatalf("look: %+v %v", res, err)
			}
			s := w.question().Status
			got := answer{Verdict: s.Verdict, Why: s.Why}
			if s.Until != nil {
				got.Until = s.Until.UTC()
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("the answer (-want +got):\n%s", diff)
			}
			if c := condition(w.question()); c.Status != metav1.ConditionTrue || s.EvaluatedAt == nil {
				t.Errorf("the status does not say that it is answered: %+v", s)
			}
		})
	}
}

func TestAQuestionIsAnsweredOnce(t *testing.T) {
	w := newWorld(t)
	if _, err := w.look(); err != nil {
		t.Fatal(err)
	}
	first := w.question().Status
	w.customer.Spec.OptOut = &v1alpha1.OptOut{Since: metav1.NewTime(noon)}
	w.clock.Step(10 * time.Minute)
	res, err := w.look()
	if err != nil || res.RequeueAfter != consentreview.Kept-10*time.Minute || w.asked != 1 || w.writes != 1 {
		t.Errorf("looks again after %s, error %v; asked %d times, wrote %d times", res.RequeueAfter, err, w.asked, w.writes)
	}
	if diff := cmp.Diff(first, w.question().Status); diff != "" {
		t.Errorf("the answer changed:\n%s", diff)
	}
}

func TestAQuestionIsDeletedWhenItsTimeIsOver(t *testing.T) {
	for name, tc := range map[string]struct {
		after   time.Duration
		happens func(*world)
		there   bool
	}{
		"BeforeItsTime": {after: consentreview.Kept - time.Second, there: true},
		"AtItsTime":     {after: consentreview.Kept},
		"Unanswered":    {after: consentreview.Kept, happens: func(w *world) { w.unsynced = true }},
		"GoneAlready":   {after: consentreview.Kept, happens: func(w *world) { w.refusal = apierrors.NewNotFound(schema.GroupResource{}, customer) }, there: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.clock.Step(tc.after)
			if tc.happens != nil {
				tc.happens(w)
			}
			if _, err := w.look(); err != nil {
				t.Fatal(err)
			}
			w.refusal = nil
			if there := w.question() != nil; there != tc.there {
				t.Errorf("there = %t, want %t", there, tc.there)
			}
		})
	}
}

// The cache may be behind: the name is another question's by now.
func TestANamesakeIsNotDeleted(t *testing.T) {
	w := newWorld(t)
	old := w.question()
	fresh := old.DeepCopy()
	if err := w.Delete(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	fresh.UID, fresh.ResourceVersion, fresh.CreationTimestamp = "second", "", metav1.NewTime(noon.Add(time.Hour))
	if err := w.Create(t.Context(), fresh); err != nil {
		t.Fatal(err)
	}
	w.clock.Step(consentreview.Kept)
	if _, err := w.Reconcile(t.Context(), old); err != nil {
		t.Error(err)
	}
	if q := w.question(); q == nil || q.UID != "second" {
		t.Errorf("the second question is gone: %+v", q)
	}
}

// An answer stands for good, so it is not given before everything was read.
func TestNoAnswerBeforeEverythingIsRead(t *testing.T) {
	for name, tc := range map[string]struct{ breaks, mends func(*world) }{
		"Consents":            {breaks: func(w *world) { w.unsynced = true }, mends: func(w *world) { w.unsynced = false }},
		"APolicy":             {breaks: func(w *world) { w.book.Remove("baseline") }, mends: func(w *world) { w.inForce(1) }},
		"ItsLatestGeneration": {breaks: func(w *world) { w.inForce(7) }, mends: func(w *world) { w.inForce(1) }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tc.breaks(w)
			if res, err := w.look(); err != nil || res.RequeueAfter != time.Second || w.writes > 0 {
				t.Errorf("looks again after %s, error %v, %d writes", res.RequeueAfter, err, w.writes)
			}
			tc.mends(w)
			if _, err := w.look(); err != nil || w.question().Status.Verdict != v1alpha1.VerdictAllow {
				t.Errorf("then: %v %+v", err, w.question().Status)
			}
		})
	}
}

func TestAQuestionThatCantBeAskedNamesNobody(t *testing.T) {
	denied := apierrors.NewForbidden(schema.GroupResource{Resource: "consentreviews"}, "why-"+customer, errDown)
	for name, tc := range map[string]struct {
		breaks func(*world)
		status bool // says it too
	}{
		"TheFence":  {breaks: func(w *world) { w.fence = errDown }, status: true},
		"TheLedger": {breaks: func(w *world) { w.ledger = errDown }, status: true},
		"TheEngine": {breaks: func(w *world) { w.engine = errDown }, status: true},
		"TheStatus": {breaks: func(w *world) { w.refusal = denied }},
		"ItsEnd":    {breaks: func(w *world) { w.refusal = denied; w.clock.Step(consentreview.Kept) }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tc.breaks(w)
			_, err := w.look()
			if err == nil || strings.Contains(err.Error(), "7f3a9c1e") {
				t.Errorf("the error is %v", err)
			}
			c := condition(w.question())
			if w.question().Status.Verdict != "" || tc.status != (c.Reason == v1alpha1.ReasonEngineFailed && c.Status == metav1.ConditionUnknown) || strings.Contains(c.Message, "7f3a9c1e") {
				t.Errorf("the status says %+v", w.question().Status)
			}
			w.fence, w.ledger, w.engine, w.refusal = nil, nil, nil, nil
			w.clock.SetTime(noon)
			if _, err := w.look(); err != nil || w.question().Status.Verdict != v1alpha1.VerdictAllow || condition(w.question()).Status != metav1.ConditionTrue {
				t.Errorf("then: %v %+v", err, w.question().Status)
			}
		})
	}
}
