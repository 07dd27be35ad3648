package bypass_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// decided tries what admission lets pass and the decision stops: campaigns and
// consents that say something that is not so.
func (w *world) decided(t *testing.T) {
	grant := func(change func(*v1alpha1.Grant)) func(*v1alpha1.CustomerConsentSpec) {
		return func(s *v1alpha1.CustomerConsentSpec) { change(&s.Relationships[0].Grants[0]) }
	}
	sends := func(s *v1alpha1.CampaignSpec) {
		s.Workload = &v1alpha1.Workload{Job: &v1alpha1.JobTemplate{Image: "sender", Command: []string{"/sender"}}}
	}
	store(t, &v1alpha1.Brand{ObjectMeta: metav1.ObjectMeta{Name: "globex"}, Spec: v1alpha1.BrandSpec{
		DisplayName: "Globex", Namespaces: []string{"globex-marketing"},
		Purposes: []v1alpha1.BrandPurpose{{Name: "Marketing", Class: v1alpha1.ClassMarketing, Notice: "Offers.", NoticeVersion: "1"}},
	}})
	i := 0
	for name, c := range map[string]struct {
		consent  func(*v1alpha1.CustomerConsentSpec)
		campaign func(*v1alpha1.CampaignSpec)
		verdict  v1alpha1.CampaignVerdict
		why      string
	}{
		"TheTwin":      {verdict: v1alpha1.CampaignAllowed},
		"UnknownBrand": {campaign: func(s *v1alpha1.CampaignSpec) { s.Brand = "nobody" }, verdict: v1alpha1.CampaignBlocked, why: "there is no Brand nobody"},
		"ForeignBrand": {campaign: func(s *v1alpha1.CampaignSpec) { s.Brand = "globex" }, verdict: v1alpha1.CampaignBlocked, why: "Brand globex does not list namespace " + marketing},
		"UndeclaredPurpose": {campaign: func(s *v1alpha1.CampaignSpec) { s.Purpose = "Recall" }, verdict: v1alpha1.CampaignBlocked,
			why: "declares no purpose Recall"},
		"SendsTomorrow": {campaign: func(s *v1alpha1.CampaignSpec) { s.Schedule = &v1alpha1.Schedule{NotBefore: new(in(24 * time.Hour))} },
			verdict: v1alpha1.CampaignHeld, why: "begins "},
		"SentYesterday": {campaign: func(s *v1alpha1.CampaignSpec) { s.Schedule = &v1alpha1.Schedule{NotAfter: new(in(-24 * time.Hour))} },
			verdict: v1alpha1.CampaignBlocked, why: "over since "},
		"AnswerFromTheFuture": {consent: grant(func(g *v1alpha1.Grant) {
			g.CaptureDate, g.DoubleConsentCaptureDate = in(8*time.Minute), new(in(9*time.Minute)) // later ones are refused
		}),
			verdict: v1alpha1.CampaignBlocked},
		"NobodyIsMeant": {campaign: func(s *v1alpha1.CampaignSpec) { s.Audience.Selector.Labels[0].Values = []string{"none"} },
			verdict: v1alpha1.CampaignBlocked, why: "nobody is in the audience"},
		"Refused": {consent: func(s *v1alpha1.CustomerConsentSpec) { s.OptOut = &v1alpha1.OptOut{Since: metav1.Now()} }, verdict: v1alpha1.CampaignBlocked},
	} {
		i++
		id := fmt.Sprintf("decided-%d", i)
		t.Run(name, func(t *testing.T) {
			var more []func(*v1alpha1.CustomerConsentSpec)
			if c.consent != nil {
				more = append(more, c.consent)
			}
			camp := campaign(id, id, sends)
			if c.campaign != nil {
				c.campaign(&camp.Spec)
			}
			store(t, consent("c-"+id, id, more...), camp)
			state := v1alpha1.WorkloadSuspended
			if c.verdict == v1alpha1.CampaignAllowed {
				state = v1alpha1.WorkloadRunning
			}
			becomes(t, camp, c.verdict, state)
			if !strings.Contains(camp.Status.Why, c.why) {
				t.Errorf("why = %q, want %q in it", camp.Status.Why, c.why)
			}
			if err := env.Client.Delete(t.Context(), camp, client.PropagationPolicy(metav1.DeletePropagationForeground)); err != nil {
				t.Fatal(err)
			}
		})
	}
	await(t, "what was tried to go", func(ctx context.Context) string {
		var list v1alpha1.CampaignList
		if err := env.Client.List(ctx, &list, client.InNamespace(marketing)); err != nil {
			return err.Error()
		}
		for _, c := range list.Items {
			if strings.HasPrefix(c.Name, "decided-") {
				return c.Name
			}
		}
		return ""
	})
	t.Run("BackDatedAnswers", func(t *testing.T) { backDated(t) })
}

// backDated tries to turn a no into a yes with an answer of before.
func backDated(t *testing.T) {
	said := in(-48 * time.Hour)
	no := consent("c-no", "no", func(s *v1alpha1.CustomerConsentSpec) {
		g := &s.Relationships[0].Grants[0]
		g.Status, g.CaptureDate, g.DoubleConsentCaptureDate = v1alpha1.ConsentRefused, said, nil
	})
	store(t, no)
	answer := "{'spec':{'relationships':[{'brand':'acme','grants':[{'purpose':'Marketing','channel':'Email','status':'ConsentGiven','captureDate':'%s'%s}]}]}}"
	at := func(d time.Duration, more string) string {
		return fmt.Sprintf(answer, in(d).UTC().Format(time.RFC3339), more)
	}
	for name, r := range map[string]row{
		"AnOlderYes":     {service, patch(no, at(-72*time.Hour, "")), "only a new answer turns it into ConsentGiven"},
		"TheSameAnswer":  {service, patch(no, fmt.Sprintf(answer, said.UTC().Format(time.RFC3339), "")), "only a new answer turns it into ConsentGiven"},
		"ReachingBack":   {service, patch(no, at(-time.Hour, ",'effectiveFrom':'2020-01-01T00:00:00Z'")), "effectiveFrom"},
		"AYesOfLastYear": {service, patch(no, strings.Replace(at(-365*24*time.Hour, ""), "Email", "Post", 1)), "needs the verb import"},
		"AYesOfTomorrow": {service, patch(no, at(24*time.Hour, "")), "has not come yet"},
		"ANewYes":        {service, patch(no, at(-time.Hour, ""), client.DryRunAll), ""},
	} {
		t.Run(name, r.run)
	}
	if err := env.Client.Get(t.Context(), types.NamespacedName{Namespace: customers, Name: no.Name}, no); err != nil || no.Spec.Relationships[0].Grants[0].Status != v1alpha1.ConsentRefused {
		t.Errorf("the refusal is gone: %v", err)
	}
}

func in(d time.Duration) metav1.Time { return metav1.NewTime(time.Now().Add(d).Truncate(time.Second)) }
