package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/gate"
	"github.com/codb-dev/codb/internal/permit"
)

func TestACampaignContactsThoseWhoAreAllowedOneByOne(t *testing.T) {
	w := newWorld(t)
	var people []*v1alpha1.CustomerConsent
	for i := range 3 {
		people = append(people, w.customer(i))
	}
	never := w.customer(3, optedOut)
	c := w.campaign("spring", draws, func(s *v1alpha1.CampaignSpec) { s.OnWithdrawal = v1alpha1.OnWithdrawalFinish }) // which is not for permits
	w.becomes(c, v1alpha1.CampaignPartlyAllowed, v1alpha1.WorkloadRunning)
	p := w.podOf("spring")

	drawn, d := p.draw(10, "20s")
	if len(drawn) != 3 || drawn[never.Name] != "" || d.Permits[0].Channel != "Email" || d.Permits[0].Purpose != "Marketing" {
		t.Fatalf("drawn: %+v", d)
	}
	// One of them changes their mind, with kubectl, and hears that it is so.
	leaver := people[0].Name
	out, err := env.Kubectl(t, "patch", "cc", leaver, "-n", v1alpha1.CustomersNamespace, "--type=merge", "-p", `{"spec":{"optOut":{"since":"2026-01-01T00:00:00Z"}}}`)
	if err != nil {
		t.Fatalf("withdraw: %v: %s", err, out)
	}
	got := p.redeem(drawn[leaver], drawn[people[1].Name], drawn[people[2].Name])
	if r := got[drawn[leaver]]; r.State != permit.Refused && r.State != permit.Voided {
		t.Errorf("after the withdrawal: %+v", r)
	}
	for _, other := range people[1:] {
		r := got[drawn[other.Name]]
		if r.State != permit.Redeemed || r.HandOverBy == nil {
			t.Errorf("somebody else: %+v", r)
		}
		if !p.report(drawn[other.Name], "Sent") {
			t.Error("the report was not recorded")
		}
	}
	if again := p.redeem(drawn[people[1].Name])[drawn[people[1].Name]]; again.State != permit.AlreadyRedeemed {
		t.Errorf("redeemed twice: %+v", again)
	}
	if _, d := p.draw(10, "0s"); !d.Exhausted || len(d.Permits) != 0 {
		t.Errorf("at last: %+v", d)
	}
	w.until("the status says what was sent", func() (bool, string) {
		w.get(client.ObjectKeyFromObject(c), c)
		n := c.Status.Permits
		return n != nil && n.Drawn == 3 && n.Sent == 2 && n.Redeemed == 2 && n.Outstanding == 0, fmt.Sprintf("%+v", n)
	})
	w.becomes(c, v1alpha1.CampaignPartlyAllowed, v1alpha1.WorkloadRunning)
	if !strings.Contains(c.Status.Why, "2 of 2 contacted") || !strings.Contains(c.Status.Why, "OptedOut 2") {
		t.Errorf("why: %s", c.Status.Why)
	}
}

func TestACapOfTheCustomersHoldsOverCampaigns(t *testing.T) {
	w := newWorld(t)
	id, free := w.customer(0, atMostOneAWeek).Name, w.customer(1).Name
	first, second := w.campaign("spring", draws), w.campaign("summer", draws)
	w.becomes(first, v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
	w.becomes(second, v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
	a, b := w.podOf("spring"), w.podOf("summer")
	drawn, _ := a.draw(10, "20s")
	others, d := b.draw(10, "20s")
	if len(others) != 1 || others[free] == "" || d.Held != 1 || d.Exhausted {
		t.Errorf("while the first holds a permit: %+v", d)
	}
	if r := b.redeem(drawn[id])[drawn[id]]; r.State != permit.Unknown {
		t.Errorf("another campaign's permit: %+v", r)
	}
	if r := a.redeem(drawn[id])[drawn[id]]; r.State != permit.Redeemed {
		t.Errorf("its own permit stands in its way: %+v", r)
	}
	w.becomes(second, v1alpha1.CampaignPartlyAllowed, v1alpha1.WorkloadRunning)
	if _, d := b.draw(10, "0s"); len(d.Permits) != 0 || d.Held != 1 {
		t.Errorf("after the contact: %+v", d)
	}
	// A campaign that has nobody left for now sleeps.
	nobody := &v1alpha1.CustomerConsent{}
	w.get(client.ObjectKey{Namespace: v1alpha1.CustomersNamespace, Name: free}, nobody)
	change(w, nobody, func(o *v1alpha1.CustomerConsent) { optedOut(&o.Spec) })
	w.becomes(second, v1alpha1.CampaignHeld, v1alpha1.WorkloadSuspended)
	if status, _, err := b.ask("draw", map[string]any{"max": 1}, &gate.Drawn{}); err != nil || status == http.StatusOK {
		t.Errorf("a suspended campaign draws: %d, %v", status, err)
	}
}

func TestAHoldReachesPermitsThatAreOut(t *testing.T) {
	w := newWorld(t)
	id := w.customer(0).Name
	c := w.campaign("spring", draws)
	w.becomes(c, v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
	p := w.podOf("spring")
	drawn, _ := p.draw(1, "20s")
	change(w, c, func(c *v1alpha1.Campaign) { c.Spec.Hold = &v1alpha1.HoldRequest{Reason: "typo"} })
	var answer struct{ Results []gate.Redeemed }
	status, _, err := p.ask("redeem", map[string]any{"permits": []string{drawn[id]}}, &answer)
	if err != nil || status == http.StatusOK && answer.Results[0].State != permit.Refused { // or the Job is suspended by now
		t.Errorf("redeemed after the hold: %d %+v, %v", status, answer, err)
	}
	w.becomes(c, v1alpha1.CampaignHeld, v1alpha1.WorkloadSuspended)
	change(w, c, func(c *v1alpha1.Campaign) { c.Spec.Hold = nil })
	w.becomes(c, v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
	p = w.podOf("spring") // another: the first was stopped
	again, _ := p.draw(1, "60s")
	if r := p.redeem(again[id])[again[id]]; r.State != permit.Redeemed {
		t.Errorf("after the hold: %+v", r)
	}
}

// The brand's hold stops all of its campaigns, each at its next redemption.
func TestTheBrandsHoldReachesPermitsThatAreOut(t *testing.T) {
	w := newWorld(t)
	id := w.customer(0).Name
	c := w.campaign("spring", draws)
	w.becomes(c, v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
	p := w.podOf("spring")
	drawn, _ := p.draw(1, "20s")
	brand := &v1alpha1.Brand{}
	w.get(client.ObjectKey{Name: c.Spec.Brand}, brand)
	change(w, brand, func(b *v1alpha1.Brand) { b.Spec.Hold = &v1alpha1.HoldRequest{Reason: "recall"} })
	var answer struct{ Results []gate.Redeemed }
	status, _, err := p.ask("redeem", map[string]any{"permits": []string{drawn[id]}}, &answer)
	if err != nil || status == http.StatusOK && answer.Results[0].State != permit.Refused { // or the Job is suspended by now
		t.Errorf("redeemed after the hold: %d %+v, %v", status, answer, err)
	}
	if status == http.StatusOK && (len(answer.Results[0].Reasons) != 1 || answer.Results[0].Reasons[0].Code != v1alpha1.CodeHoldRequested) {
		t.Errorf("reasons: %+v", answer.Results[0].Reasons)
	}
	w.becomes(c, v1alpha1.CampaignHeld, v1alpha1.WorkloadSuspended)
}

func TestWhoDrawsNoPermits(t *testing.T) {
	w := newWorld(t)
	w.customer(0)
	whole := w.campaign("whole")
	w.becomes(whole, v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
	w.becomes(w.campaign("spring", draws), v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
	var pods corev1.PodList
	w.until("there is a pod", func() (bool, string) {
		if err := env.Client.List(w.ctx, &pods, client.InNamespace(w.ns), client.MatchingLabels{v1alpha1.LabelCampaign: "spring"}); err != nil {
			t.Fatal(err)
		}
		return len(pods.Items) == 1, ""
	})
	own := w.podOf("spring")
	forged := own.token[:len(own.token)-4] + "AAAA"
	for name, tc := range map[string]struct {
		pod    *pod
		status int
	}{
		"NoToken":                       {w.speaker("", ""), http.StatusUnauthorized},
		"AForgedToken":                  {w.speaker(forged, ""), http.StatusUnauthorized},
		"ATokenForTheApiserver":         {w.speaker(w.token("https://kubernetes.default.svc", &pods.Items[0]), ""), http.StatusUnauthorized},
		"ATokenBoundToNoPod":            {w.speaker(w.token(gate.Audience, nil), ""), http.StatusForbidden},
		"APodOfACampaignWithItsOwnList": {w.podOf("whole"), http.StatusForbidden},
		"APodOfTheCampaign":             {own, http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			for _, verb := range []string{"draw", "redeem", "report"} {
				question := map[string]any{"draw": map[string]any{"max": 1}, "redeem": map[string]any{"permits": []string{"p"}}, "report": map[string]any{
					"outcomes": []map[string]string{{"permit": "p", "outcome": "Sent"}},
				}}[verb]
				want := tc.status
				if name == "APodOfACampaignWithItsOwnList" && verb == "report" {
					want = http.StatusOK // of permits that it does not have
				}
				status, problem, err := tc.pod.ask(verb, question, &struct{}{})
				if err != nil || status != want || (status != http.StatusOK && problem.Remedy == "") {
					t.Errorf("%s: %d %+v, %v; want %d", verb, status, problem, err, want)
				}
			}
		})
	}
}
