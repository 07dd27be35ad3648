package campaign_test

import (
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/workload"
)

func permits(s *v1alpha1.CampaignSpec) { s.Recipients = v1alpha1.RecipientsPermits }

// newPermitWorld has what codb install puts there for pods that draw permits.
func newPermitWorld(t *testing.T, people ...string) *world {
	t.Helper()
	w := newWorld(t, people...)
	for _, o := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.SystemNamespace}},
		&corev1.PodTemplate{
			ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: "codb-run"},
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
				Containers: []corev1.Container{{Name: "sender", Image: "codb.invalid/sender", Command: []string{"/codb/codb-run", "--"}}},
				Volumes:    []corev1.Volume{token()},
			}},
		},
	} {
		if err := env.Client.Create(w.ctx, o); client.IgnoreAlreadyExists(err) != nil {
			t.Fatal(err)
		}
	}
	return w
}

// token is a pod's for the gate.
func token() corev1.Volume {
	return corev1.Volume{Name: "codb-gate", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: "codb-gate", Path: "token"}}},
	}}}
}

// ownJob is one that a person made.
func ownJob(w *world) *batchv1.Job {
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "spring", Labels: map[string]string{v1alpha1.LabelCampaign: "spring"}},
		Spec: batchv1.JobSpec{Suspend: ptr.To(true), Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, Volumes: []corev1.Volume{token()},
			Containers: []corev1.Container{{Name: "sender", Image: "sender"}},
		}}},
	}
}

func (w *world) is(c *v1alpha1.Campaign, verdict v1alpha1.CampaignVerdict, runs bool) {
	w.Helper()
	if c.Status.Verdict != verdict || w.runs("spring") != runs {
		w.Errorf("%s, runs: %t, why: %s; want %s, runs: %t", c.Status.Verdict, w.runs("spring"), c.Status.Why, verdict, runs)
	}
}

func TestPermitsRunForThoseWhoAreAllowed(t *testing.T) {
	w := newPermitWorld(t, "c-1", "c-2", "c-3")
	w.says("c-3", optedOut)
	w.campaign(permits)
	r := w.codb(nil)
	c := w.settle(r)
	w.is(c, v1alpha1.CampaignPartlyAllowed, true)
	if !meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionPermitted) || !meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionReady) {
		t.Errorf("conditions: %v", c.Status.Conditions)
	}
	if len(w.ledger.runs) != 0 {
		t.Errorf("somebody counts as contacted before a permit was redeemed: %v", w.ledger.runs)
	}
	w.says("c-2", optedOut)
	w.is(w.settle(r), v1alpha1.CampaignPartlyAllowed, true)
}

func TestPermitsStopWhereThresholdsAreMissedAndGoOnAfterwards(t *testing.T) {
	w := newPermitWorld(t, "c-1", "c-2", "c-3")
	two := int64(2)
	w.minimum = &v1alpha1.Thresholds{MinAllowed: &two}
	w.says("c-3", optedOut)
	w.campaign(permits)
	r := w.codb(nil)
	w.is(w.settle(r), v1alpha1.CampaignPartlyAllowed, true)
	uid := w.jobs()[0].UID

	w.says("c-2", optedOut)
	c := w.settle(r)
	w.is(c, v1alpha1.CampaignBlocked, false)
	if c.Status.Released == nil || c.Status.Released.StoppedAt == nil {
		t.Errorf("released: %+v", c.Status.Released)
	}
	w.says("c-2", nil)
	c = w.settle(r)
	w.is(c, v1alpha1.CampaignPartlyAllowed, true)
	if jobs := w.jobs(); len(jobs) != 1 || jobs[0].UID != uid || jobs[0].Annotations[v1alpha1.AnnotationStopped] != "" {
		t.Errorf("the run did not go on: %+v", jobs)
	}
	if c.Status.Released.StoppedAt != nil {
		t.Error("the status says still that it was stopped")
	}
}

func TestAHoldStopsPermitsAndItsEndLetsThemGoOn(t *testing.T) {
	w := newPermitWorld(t, "c-1", "c-2")
	w.campaign(permits)
	r := w.codb(nil)
	w.is(w.settle(r), v1alpha1.CampaignAllowed, true)
	w.change(func(c *v1alpha1.Campaign) { c.Spec.Hold = &v1alpha1.HoldRequest{Reason: "typo"} })
	w.is(w.settle(r), v1alpha1.CampaignHeld, false)
	w.change(func(c *v1alpha1.Campaign) { c.Spec.Hold = nil })
	w.is(w.settle(r), v1alpha1.CampaignAllowed, true)
}

func TestPermitsWithoutAStoreAreHeld(t *testing.T) {
	for reason, breaks := range map[string]func(w *world, by error){
		v1alpha1.ReasonGateUnreachable:     func(w *world, by error) { w.ledger.down = by },
		v1alpha1.ReasonConsentsUnreachable: func(w *world, by error) { w.consents.silent = by },
		v1alpha1.ReasonConsentsRestored: func(w *world, by error) {
			if w.ledger.consents = ""; by != nil {
				w.ledger.consents = "cr-1000000"
			}
		},
	} {
		t.Run(reason, func(t *testing.T) {
			w := newPermitWorld(t, "c-1", "c-2")
			breaks(w, errDown)
			w.campaign(permits)
			r := w.codb(nil)
			c := w.settle(r)
			w.is(c, v1alpha1.CampaignHeld, false)
			breaks(w, nil)
			w.is(w.settle(r), v1alpha1.CampaignAllowed, true)

			breaks(w, errDown)
			c = w.settle(r)
			w.is(c, v1alpha1.CampaignHeld, true) // nobody is contacted without it, and it will be back
			if cond := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionPermitted); cond.Reason != reason {
				t.Errorf("permitted: %+v", cond)
			}
			if cond := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionEnforced); cond.Message != "released before; its pods wait for permits" {
				t.Errorf("enforced: %+v", cond)
			}
		})
	}
}

func TestTheProgressOfPermits(t *testing.T) {
	w := newPermitWorld(t, "c-1", "c-2", "c-3", "c-4", "c-5", "c-6", "c-7", "c-8")
	w.says("c-3", optedOut)
	w.campaign(permits)
	r := w.codb(nil)
	if c := w.settle(r); c.Status.Permits == nil || c.Status.Permits.Drawn != 0 || c.Status.Why != "0 of 7 contacted, not OptedOut 1" {
		t.Errorf("at first: %+v, %s", c.Status.Permits, c.Status.Why)
	}
	p := contacts.NewProjection(contacts.LookBack)
	record := func(n uint64, e contacts.Event, s contacts.State, ago time.Duration) contacts.Record {
		return contacts.Record{Sequence: n, Principal: "c-1", At: noon.Add(-ago), Event: e, Permit: "p", State: s, Campaign: contacts.Campaign{UID: "u", Job: "j"}, Reasons: []string{"OptedOut"}}
	}
	page := contacts.Page{Ledger: "l", Sequence: 10}
	for n := range uint64(5) {
		page.Records = append(page.Records, record(n+1, contacts.Drawn, contacts.StateDrawn, time.Hour))
	}
	for n := range uint64(4) {
		page.Records = append(page.Records, record(n+6, contacts.Redeemed, contacts.StateRedeemed, time.Minute))
	}
	page.Records = append(page.Records, record(10, contacts.Refused, contacts.StateVoided, time.Minute))
	if err := p.Apply(page); err != nil {
		t.Fatal(err)
	}
	w.soFar = p.Progress(contacts.Run{UID: "u", Job: "j"})
	w.clock.Step(time.Second)
	if c := w.settle(r); c.Status.Permits.Drawn != 0 {
		t.Error("the status moves with every contact")
	}
	w.clock.Step(2 * time.Second)
	c := w.settle(r)
	if got := c.Status.Permits; got.Drawn != 5 || got.Outstanding != 0 || got.Redeemed != 4 || got.Unreported != 4 || got.PerMinute != 1 || got.Refused[0] != (v1alpha1.RefusalCount{Code: "OptedOut", Customers: 1}) {
		t.Errorf("permits: %+v", got)
	}
	ends := w.clock.Now().Add(3 * time.Minute) // three of seven are left, one a minute
	if got := c.Status.Permits.EndsAt; got == nil || !got.Time.Equal(ends) {
		t.Errorf("ends at %v, want %v", got, ends)
	}
	if want := "4 of 7 contacted, 1 a minute, until " + ends.UTC().Format("15:04") + ", not OptedOut 1"; c.Status.Why != want {
		t.Errorf("why: %q, want %q", c.Status.Why, want)
	}
}

func TestAJobOfOnesOwnGoesOnToo(t *testing.T) {
	w := newPermitWorld(t, "c-1", "c-2")
	w.campaign(permits, func(s *v1alpha1.CampaignSpec) { s.Workload = nil })
	r := w.codb(nil)
	c := w.settle(r)
	if c.Status.Workload != v1alpha1.WorkloadNone {
		t.Fatalf("workload: %s", c.Status.Workload)
	}
	w.create(ownJob(w))
	w.is(w.settle(r), v1alpha1.CampaignAllowed, true)
	w.change(func(c *v1alpha1.Campaign) { c.Spec.Hold = &v1alpha1.HoldRequest{Reason: "typo"} })
	w.is(w.settle(r), v1alpha1.CampaignHeld, false)
	w.change(func(c *v1alpha1.Campaign) { c.Spec.Hold = nil })
	w.is(w.settle(r), v1alpha1.CampaignAllowed, true)
	seen, err := (&workload.Keeper{Client: env.Client}).Observe(w.ctx, w.status())
	if err != nil || len(seen.Open()) != 1 {
		t.Errorf("open: %v, %v", seen.Open(), err)
	}
}
