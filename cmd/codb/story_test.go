package main

import (
	"regexp"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
)

func TestACampaignRunsWhenEveryoneSaidYes(t *testing.T) {
	w := newWorld(t)
	for i := range 3 {
		w.customer(i)
	}
	c := w.campaign("spring")
	w.becomes(c, v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
	if got := *c.Status.Counts; got != (v1alpha1.Counts{Targeted: 3, Allowed: 3}) {
		t.Errorf("counts = %+v", got)
	}
	j := w.job("spring")
	if *j.Spec.Suspend || j.Annotations[v1alpha1.AnnotationDecision] != c.Status.Decision ||
		j.Annotations[v1alpha1.AnnotationPolicyDigest] != c.Status.PolicyDigest || j.Annotations[v1alpha1.AnnotationConsentRevision] == "" {
		t.Errorf("the Job carries no evidence: suspend %t, %v", *j.Spec.Suspend, j.Annotations)
	}
	w.until("the Job has a pod", func() (bool, string) { return w.pods("spring") == 1, "" })
	ds := w.decisions("spring")
	if len(ds) != 1 || ds[0].Spec.Verdict != v1alpha1.CampaignAllowed || ds[0].Spec.Consents.Count != 3 || len(ds[0].Spec.Policies) != 2 {
		t.Errorf("decisions: %+v", ds)
	}
	if rev := ds[0].Spec.Consents.Revision; !regexp.MustCompile(`^cr-[0-9a-f]{8}-[0-9]+$`).MatchString(rev) {
		t.Errorf("revision %q names no store", rev)
	}
	if !meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionPermitted) || !meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionReady) {
		t.Errorf("conditions: %v", c.Status.Conditions)
	}
}

func TestAnOptOutStopsARunningCampaignForGood(t *testing.T) {
	w := newWorld(t)
	w.customer(0)
	leaver := w.customer(1)
	c := w.campaign("spring", func(s *v1alpha1.CampaignSpec) { s.OnWithdrawal = v1alpha1.OnWithdrawalFinish })
	w.becomes(c, v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
	w.until("the Job has a pod", func() (bool, string) { return w.pods("spring") == 1, "" })

	change(w, leaver, func(o *v1alpha1.CustomerConsent) { optedOut(&o.Spec) })
	w.becomes(c, v1alpha1.CampaignPartlyAllowed, v1alpha1.WorkloadSuspended)
	w.until("the pods are gone", func() (bool, string) { return w.pods("spring") == 0, "" })
	if !strings.Contains(c.Status.Why, "OptedOut 1") {
		t.Errorf("why = %q", c.Status.Why)
	}
	if n := len(w.decisions("spring")); n != 2 {
		t.Errorf("%d decisions, want 2", n)
	}

	change(w, leaver, func(o *v1alpha1.CustomerConsent) { o.Spec.OptOut = nil })
	w.becomes(c, v1alpha1.CampaignAllowed, v1alpha1.WorkloadSuspended)
	w.condition(c, v1alpha1.ConditionPermitted, v1alpha1.CodeAlreadyReleased)
	if !*w.job("spring").Spec.Suspend {
		t.Error("a stopped run was started again: people would be contacted twice")
	}

	change(w, c, func(o *v1alpha1.Campaign) { o.Spec.Topic = "Garden" })
	w.becomes(c, v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
}

func TestVerdictsThatHoldAWorkload(t *testing.T) {
	tests := map[string]struct {
		people   []func(*v1alpha1.CustomerConsentSpec)
		campaign func(*v1alpha1.CampaignSpec)
		want     v1alpha1.CampaignVerdict
		wantCode string
	}{
		"OneRefusal":      {people: []func(*v1alpha1.CustomerConsentSpec){nil, optedOut}, want: v1alpha1.CampaignPartlyAllowed, wantCode: v1alpha1.CodeNeedsPermits},
		"OnePause":        {people: []func(*v1alpha1.CustomerConsentSpec){nil, paused}, want: v1alpha1.CampaignPartlyAllowed, wantCode: v1alpha1.CodeNeedsPermits},
		"EveryonePaused":  {people: []func(*v1alpha1.CustomerConsentSpec){paused, paused}, want: v1alpha1.CampaignHeld, wantCode: "Paused"},
		"EveryoneSaidNo":  {people: []func(*v1alpha1.CustomerConsentSpec){optedOut}, want: v1alpha1.CampaignBlocked, wantCode: "OptedOut"},
		"NobodyIsMeant":   {want: v1alpha1.CampaignBlocked, wantCode: v1alpha1.CodeEmptyAudience},
		"ForeignPurpose":  {people: []func(*v1alpha1.CustomerConsentSpec){nil}, campaign: func(s *v1alpha1.CampaignSpec) { s.Purpose = "Research" }, want: v1alpha1.CampaignBlocked, wantCode: v1alpha1.CodePurposeNotDeclared},
		"ForeignBrand":    {people: []func(*v1alpha1.CustomerConsentSpec){nil}, campaign: func(s *v1alpha1.CampaignSpec) { s.Brand = "globex" }, want: v1alpha1.CampaignBlocked, wantCode: v1alpha1.CodeBrandUnknown},
		"NoPolicyMatches": {people: []func(*v1alpha1.CustomerConsentSpec){nil}, campaign: func(s *v1alpha1.CampaignSpec) { s.Purpose = "Recall" }, want: v1alpha1.CampaignBlocked, wantCode: v1alpha1.CodeNoPolicy},
		"StoppedByHand":   {people: []func(*v1alpha1.CustomerConsentSpec){nil}, campaign: func(s *v1alpha1.CampaignSpec) { s.Hold = &v1alpha1.HoldRequest{Reason: "typo"} }, want: v1alpha1.CampaignHeld, wantCode: v1alpha1.CodeHoldRequested},
		"NotYet": {people: []func(*v1alpha1.CustomerConsentSpec){nil}, campaign: func(s *v1alpha1.CampaignSpec) {
			s.Schedule = &v1alpha1.Schedule{NotBefore: &metav1.Time{Time: time.Now().Add(time.Hour)}}
		}, want: v1alpha1.CampaignHeld, wantCode: v1alpha1.CodeNotBefore},
		"ChannelNotGranted": {people: []func(*v1alpha1.CustomerConsentSpec){nil}, campaign: func(s *v1alpha1.CampaignSpec) { s.Channel = v1alpha1.ChannelPush }, want: v1alpha1.CampaignBlocked, wantCode: "ChannelNotGranted"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for i, f := range tc.people {
				if f == nil {
					w.customer(i)
				} else {
					w.customer(i, f)
				}
			}
			var changes []func(*v1alpha1.CampaignSpec)
			if tc.campaign != nil {
				changes = append(changes, tc.campaign)
			}
			c := w.campaign("spring", changes...)
			w.becomes(c, tc.want, v1alpha1.WorkloadSuspended)
			w.condition(c, v1alpha1.ConditionPermitted, tc.wantCode)
			if !*w.job("spring").Spec.Suspend || w.pods("spring") != 0 {
				t.Error("the workload runs")
			}
			if ds := w.decisions("spring"); len(ds) == 0 || ds[len(ds)-1].Spec.Verdict == v1alpha1.CampaignAllowed {
				t.Errorf("decisions: %+v", ds)
			}
		})
	}
}

func TestAForeignNamespaceCantActForABrand(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	w.customer(0)
	c := other.campaign("spring", func(s *v1alpha1.CampaignSpec) {
		s.Brand = w.brand
		s.Audience.Selector.Labels[0].Values = []string{w.label}
	})
	other.becomes(c, v1alpha1.CampaignBlocked, v1alpha1.WorkloadSuspended)
	other.condition(c, v1alpha1.ConditionPermitted, v1alpha1.CodeBrandNotBound)
}

// Two campaigns are allowed by themselves, but the customer wants one message a
// week: only one may run.
func TestTwoCampaignsCantBothTakeTheLastContact(t *testing.T) {
	w := newWorld(t)
	w.customer(0, atMostOneAWeek)
	a, b := w.campaign("a"), w.campaign("b")
	running := func(c *v1alpha1.Campaign) bool {
		w.get(client.ObjectKeyFromObject(c), c)
		return c.Status.Verdict == v1alpha1.CampaignAllowed && c.Status.Workload == v1alpha1.WorkloadRunning
	}
	capped := func(c *v1alpha1.Campaign) bool {
		w.get(client.ObjectKeyFromObject(c), c)
		return c.Status.Verdict == v1alpha1.CampaignHeld && strings.Contains(c.Status.Why, "FrequencyCapping") &&
			c.Status.Workload == v1alpha1.WorkloadSuspended
	}
	w.until("one runs and the other is capped", func() (bool, string) {
		return (running(a) && capped(b)) || (running(b) && capped(a)), a.Status.Why + " / " + b.Status.Why
	})
}

func TestAHoldStopsAtOnceAndIsNotANewRun(t *testing.T) {
	w := newWorld(t)
	w.customer(0)
	c := w.campaign("spring", func(s *v1alpha1.CampaignSpec) { s.OnWithdrawal = v1alpha1.OnWithdrawalFinish })
	w.becomes(c, v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
	change(w, c, func(o *v1alpha1.Campaign) { o.Spec.Hold = &v1alpha1.HoldRequest{Reason: "wrong price"} })
	w.becomes(c, v1alpha1.CampaignHeld, v1alpha1.WorkloadSuspended)
	if c.Status.Why != "stopped by hand: wrong price" {
		t.Errorf("why = %q", c.Status.Why)
	}
	change(w, c, func(o *v1alpha1.Campaign) { o.Spec.Hold = nil })
	w.condition(c, v1alpha1.ConditionPermitted, v1alpha1.CodeAlreadyReleased)
	if !*w.job("spring").Spec.Suspend {
		t.Error("lifting the hold started the run again")
	}
}

func TestABrandsHoldStopsAllItsCampaigns(t *testing.T) {
	w := newWorld(t)
	w.customer(0)
	c := w.campaign("spring")
	w.becomes(c, v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
	b := &v1alpha1.Brand{}
	w.get(types.NamespacedName{Name: w.brand}, b)
	change(w, b, func(o *v1alpha1.Brand) { o.Spec.Hold = &v1alpha1.HoldRequest{Reason: "incident"} })
	w.becomes(c, v1alpha1.CampaignHeld, v1alpha1.WorkloadSuspended)
}

func TestAnExistingJobIsHeldAndReleased(t *testing.T) {
	w := newWorld(t)
	person := w.customer(0)
	c := w.campaign("own", func(s *v1alpha1.CampaignSpec) { s.Workload = nil })
	w.becomes(c, v1alpha1.CampaignAllowed, v1alpha1.WorkloadNone)
	j := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "legacy", Labels: map[string]string{v1alpha1.LabelCampaign: "own"}},
		Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{v1alpha1.LabelCampaign: "own"}},
			Spec: corev1.PodSpec{
				RestartPolicy: corev1.RestartPolicyNever,
				Containers:    []corev1.Container{{Name: "sender", Image: "legacy", Command: []string{"/send"}}},
			},
		}},
	}
	w.create(j)
	w.becomes(c, v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
	change(w, person, func(o *v1alpha1.CustomerConsent) { optedOut(&o.Spec) })
	w.becomes(c, v1alpha1.CampaignBlocked, v1alpha1.WorkloadSuspended)
}

func TestADeletedCampaignPermitsNothing(t *testing.T) {
	w := newWorld(t)
	w.customer(0)
	c := w.campaign("own", func(s *v1alpha1.CampaignSpec) { s.Workload = nil })
	w.create(&batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "legacy", Labels: map[string]string{v1alpha1.LabelCampaign: "own"}},
		Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{v1alpha1.LabelCampaign: "own"}},
			Spec: corev1.PodSpec{
				RestartPolicy: corev1.RestartPolicyNever,
				Containers:    []corev1.Container{{Name: "sender", Image: "legacy", Command: []string{"/send"}}},
			},
		}},
	})
	w.becomes(c, v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
	if err := env.Client.Delete(w.ctx, c); err != nil {
		t.Fatal(err)
	}
	w.until("the Job is held", func() (bool, string) { return *w.job("legacy").Spec.Suspend, "" })
}

func TestAMarketerCantReleaseWhatIsHeld(t *testing.T) {
	w := newWorld(t)
	w.customer(0, optedOut)
	c := w.campaign("spring")
	w.becomes(c, v1alpha1.CampaignBlocked, v1alpha1.WorkloadSuspended)
	j := w.job("spring")
	before := j.DeepCopy()
	off := false
	j.Spec.Suspend = &off
	w.refused(env.Client.Patch(w.ctx, j, client.MergeFrom(before)), "only codb releases campaign Jobs", "kubectl get camp spring")
}

func TestAReviewSaysWhyForOnePerson(t *testing.T) {
	w := newWorld(t)
	yes, no := w.customer(0), w.customer(1, optedOut)
	w.campaign("spring")
	ask := func(customer string) *v1alpha1.ConsentReview {
		q := &v1alpha1.ConsentReview{
			ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.CustomersNamespace, GenerateName: "why-"},
			Spec: v1alpha1.ConsentReviewSpec{
				Campaign: v1alpha1.NamespacedReference{Namespace: w.ns, Name: "spring"}, Customer: customer,
			},
		}
		w.create(q)
		w.until("the question is answered", func() (bool, string) {
			w.get(client.ObjectKeyFromObject(q), q)
			return meta.IsStatusConditionTrue(q.Status.Conditions, v1alpha1.ConditionReady), ""
		})
		return q
	}
	if s := ask(yes.Name).Status; s.Verdict != v1alpha1.VerdictAllow || len(s.Reasons) != 0 || s.PolicyDigest == "" {
		t.Errorf("who said yes: %+v", s)
	}
	s := ask(no.Name).Status
	if s.Verdict != v1alpha1.VerdictDeny || len(s.Reasons) == 0 || s.Reasons[0].Code != "OptedOut" || s.Reasons[0].Message == "" {
		t.Errorf("who opted out: %+v", s)
	}
	if s := ask("c-nobody").Status; s.Verdict != v1alpha1.VerdictDeny || s.Reasons[0].Code != v1alpha1.CodeNoConsent {
		t.Errorf("who is not on record: %+v", s)
	}
	if s := ask(newWorld(t).customer(0).Name).Status; s.Verdict != v1alpha1.VerdictDeny || s.Reasons[0].Code != v1alpha1.CodeNotTargeted {
		t.Errorf("who is not meant: %+v", s)
	}
}

func TestAnUnchangedWorldIsSilent(t *testing.T) {
	w := newWorld(t)
	w.customer(0)
	c := w.campaign("spring")
	w.becomes(c, v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
	w.until("the Job has a pod", func() (bool, string) { return w.pods("spring") == 1, "" })
	w.becomes(c, v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
	version := c.ResourceVersion
	// Another brand's customer wakes every campaign; that campaign's own status
	// shows that the look is over.
	other := newWorld(t)
	for i := range 3 {
		other.customer(i)
		oc := other.campaign("probe-" + string(rune('a'+i)))
		other.becomes(oc, v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
	}
	w.get(client.ObjectKeyFromObject(c), c)
	if c.ResourceVersion != version {
		t.Errorf("nothing changed, and the status was written: %+v", c.Status)
	}
	if n := len(w.decisions("spring")); n != 1 {
		t.Errorf("%d decisions, want 1", n)
	}
}
