package decision_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/decision"
)

var noon = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

func deny(code string) decision.Reason {
	return decision.Reason{Code: code, Verdict: v1alpha1.VerdictDeny, Policy: "baseline", Rule: "r", Mode: v1alpha1.ModeEnforce}
}

func hold(code string, until time.Time) decision.Reason {
	return decision.Reason{Code: code, Verdict: v1alpha1.VerdictHold, Policy: "baseline", Rule: "r", Mode: v1alpha1.ModeEnforce, Until: until}
}

func watched(r decision.Reason) decision.Reason {
	r.Mode = v1alpha1.ModeAudit
	return r
}

func TestPersonal(t *testing.T) {
	tests := map[string]struct {
		reasons   []decision.Reason
		want      v1alpha1.Verdict
		wantUntil time.Time
	}{
		"NoReasonAllows":           {want: v1alpha1.VerdictAllow},
		"DenyBeatsHold":            {reasons: []decision.Reason{hold("Paused", noon), deny("NoGrant")}, want: v1alpha1.VerdictDeny, wantUntil: noon},
		"TheLatestHoldCounts":      {reasons: []decision.Reason{hold("A", noon), hold("B", noon.Add(time.Hour))}, want: v1alpha1.VerdictHold, wantUntil: noon.Add(time.Hour)},
		"AnOpenHoldHasNoEnd":       {reasons: []decision.Reason{hold("A", noon), hold("B", time.Time{})}, want: v1alpha1.VerdictHold},
		"AWatchingPolicyIsWithout": {reasons: []decision.Reason{watched(deny("NoGrant")), watched(hold("Paused", noon))}, want: v1alpha1.VerdictAllow},
		"AnUnknownVerdictDenies":   {reasons: []decision.Reason{{Code: "Odd", Verdict: "Perhaps"}}, want: v1alpha1.VerdictDeny},
		"AnUnsetVerdictDenies":     {reasons: []decision.Reason{{Code: "Odd"}}, want: v1alpha1.VerdictDeny},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := decision.Personal(tc.reasons); got != tc.want {
				t.Errorf("Personal = %s, want %s", got, tc.want)
			}
			if got := decision.Until(tc.reasons); !got.Equal(tc.wantUntil) {
				t.Errorf("Until = %s, want %s", got, tc.wantUntil)
			}
		})
	}
}

func tally(answers ...decision.Answer) *decision.Tally {
	t := &decision.Tally{}
	for i := range answers {
		t.Add(&answers[i])
	}
	return t
}

func answer(rs ...decision.Reason) decision.Answer { return decision.Answer{Reasons: rs} }

func TestSum(t *testing.T) {
	ten := v1alpha1.Percent(10)
	three := int64(3)
	tests := map[string]struct {
		answers    []decision.Answer
		thresholds []v1alpha1.Thresholds
		want       v1alpha1.CampaignVerdict
		wantCode   string
		wantWhy    string
	}{
		"EveryoneAllows":      {answers: []decision.Answer{answer(), answer()}, want: v1alpha1.CampaignAllowed, wantCode: "Ready", wantWhy: "everyone is allowed"},
		"NobodyIsMeant":       {want: v1alpha1.CampaignBlocked, wantCode: "EmptyAudience", wantWhy: "nobody is in the audience"},
		"OneDenialIsPartly":   {answers: []decision.Answer{answer(), answer(deny("NoGrant"))}, want: v1alpha1.CampaignPartlyAllowed, wantCode: "NeedsPermits", wantWhy: "runs with permits only: NoGrant 1"},
		"OneHoldIsPartly":     {answers: []decision.Answer{answer(), answer(hold("Paused", noon))}, want: v1alpha1.CampaignPartlyAllowed, wantCode: "NeedsPermits", wantWhy: "runs with permits only: Paused 1"},
		"NobodyNowSomeLater":  {answers: []decision.Answer{answer(hold("Paused", noon)), answer(deny("NoGrant"))}, want: v1alpha1.CampaignHeld, wantCode: "Paused", wantWhy: "Paused 1"},
		"NobodyAtAll":         {answers: []decision.Answer{answer(deny("NoGrant"))}, want: v1alpha1.CampaignBlocked, wantCode: "NoGrant", wantWhy: "NoGrant 1"},
		"OnlyTheHeldOutStay":  {answers: []decision.Answer{answer(), answer(deny("HeldOut"))}, want: v1alpha1.CampaignPartlyAllowed, wantCode: "NeedsPermits", wantWhy: "runs with permits only: HeldOut 1"},
		"TooManyDenied":       {answers: []decision.Answer{answer(), answer(deny("NoGrant"))}, thresholds: []v1alpha1.Thresholds{{MaxDeniedPercent: &ten}}, want: v1alpha1.CampaignBlocked, wantCode: "ThresholdMissed", wantWhy: "50% denied, limit 10%: NoGrant 1"},
		"TooFewAllowed":       {answers: []decision.Answer{answer(), answer()}, thresholds: []v1alpha1.Thresholds{{MinAllowed: &three}}, want: v1alpha1.CampaignBlocked, wantCode: "ThresholdMissed", wantWhy: "2 allowed, at least 3 needed"},
		"EveryThresholdCount": {answers: []decision.Answer{answer(), answer()}, thresholds: []v1alpha1.Thresholds{{MaxDeniedPercent: &ten}, {MinAllowed: &three}}, want: v1alpha1.CampaignBlocked, wantCode: "ThresholdMissed", wantWhy: "2 allowed, at least 3 needed"},
		"TooFewUntilLater":    {answers: []decision.Answer{answer(), answer(), answer(hold("Paused", noon))}, thresholds: []v1alpha1.Thresholds{{MinAllowed: &three}}, want: v1alpha1.CampaignHeld, wantCode: "ThresholdMissed", wantWhy: "2 allowed, at least 3 needed: Paused 1"},
		"DeniedAtAnyHour":     {answers: []decision.Answer{answer(hold("QuietHours", noon)), answer(deny("NoGrant"), hold("QuietHours", noon))}, thresholds: []v1alpha1.Thresholds{{MaxDeniedPercent: &ten}}, want: v1alpha1.CampaignBlocked, wantCode: "ThresholdMissed", wantWhy: "50% denied, limit 10%: NoGrant 1"},
		"AtTheLimit":          {answers: append(make([]decision.Answer, 9), answer(deny("NoGrant"))), thresholds: []v1alpha1.Thresholds{{MaxDeniedPercent: &ten}}, want: v1alpha1.CampaignPartlyAllowed, wantCode: "NeedsPermits", wantWhy: "runs with permits only: NoGrant 1"},
		"FloorAndPolicyAgree": {answers: []decision.Answer{answer(deny("NoGrant"), decision.Reason{Code: "NoGrant", Verdict: v1alpha1.VerdictDeny, Policy: "floor"})}, want: v1alpha1.CampaignBlocked, wantCode: "NoGrant", wantWhy: "NoGrant 1"},
		"WatchedIsNotNamed":   {answers: []decision.Answer{answer(watched(deny("TooLate"))), answer(deny("NoGrant"))}, want: v1alpha1.CampaignPartlyAllowed, wantCode: "NeedsPermits", wantWhy: "runs with permits only: NoGrant 1"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := decision.Sum(tally(tc.answers...), tc.thresholds, time.Time{})
			if got.Verdict != tc.want || got.Code != tc.wantCode || got.Why != tc.wantWhy {
				t.Errorf("Sum = %s %s %q, want %s %s %q", got.Verdict, got.Code, got.Why, tc.want, tc.wantCode, tc.wantWhy)
			}
			if got.Runs() != (tc.want == v1alpha1.CampaignAllowed) {
				t.Errorf("Runs = %t with verdict %s", got.Runs(), got.Verdict)
			}
			c := got.Counts
			if c.Allowed+c.Held+c.Denied+c.HeldOut != c.Targeted {
				t.Errorf("counts don't add up: %+v", c)
			}
		})
	}
}

func TestHeldOutIsCountedApart(t *testing.T) {
	got := tally(answer(deny("HeldOut")), answer(deny("HeldOut"), deny("NoGrant")), answer(deny("HeldOut"), hold("Paused", noon))).Counts
	want := v1alpha1.Counts{Targeted: 3, HeldOut: 2, Denied: 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

func TestReasonsAreSortedBoundedAndComplete(t *testing.T) {
	var answers []decision.Answer
	for i := range 80 {
		for range i + 1 {
			answers = append(answers, answer(deny(fmt.Sprintf("Code%02d", i))))
		}
	}
	rs := tally(answers...).Reasons()
	if len(rs) != 65 || rs[0].Code != "Code79" || rs[0].Customers != 80 || rs[64].Code != v1alpha1.CodeOther {
		t.Fatalf("got %d reasons, first %+v, last %+v", len(rs), rs[0], rs[len(rs)-1])
	}
	if got, want := rs[64].Customers, int64(16*17/2); got != want {
		t.Errorf("Other has %d customers, want %d", got, want)
	}
}

func TestAReasonLastsAsLongAsItsLastHold(t *testing.T) {
	rs := tally(answer(hold("Paused", noon)), answer(hold("Paused", noon.Add(time.Hour)))).Reasons()
	if len(rs) != 1 || rs[0].Until == nil || !rs[0].Until.Equal(&metav1.Time{Time: noon.Add(time.Hour)}) {
		t.Errorf("got %+v", rs)
	}
	rs = tally(answer(hold("Paused", noon)), answer(hold("Paused", time.Time{}))).Reasons()
	if rs[0].Until != nil {
		t.Errorf("a hold without an end has until %s", rs[0].Until)
	}
}

func acme() *v1alpha1.Brand {
	return &v1alpha1.Brand{Spec: v1alpha1.BrandSpec{
		Namespaces: []string{"acme-marketing"},
		Purposes:   []v1alpha1.BrandPurpose{{Name: "Marketing", Class: v1alpha1.ClassMarketing}},
		Agreements: []v1alpha1.Depth{v1alpha1.DepthAnalytics},
	}}
}

func spring() *v1alpha1.Campaign {
	return &v1alpha1.Campaign{
		ObjectMeta: metav1.ObjectMeta{Namespace: "acme-marketing", Name: "spring"},
		Spec:       v1alpha1.CampaignSpec{Brand: "acme", Purpose: "Marketing", Channel: v1alpha1.ChannelEmail, Depth: v1alpha1.DepthBasic},
	}
}

func at(t time.Time) *metav1.Time { return &metav1.Time{Time: t} }

func TestPreflight(t *testing.T) {
	tests := map[string]struct {
		brand     *v1alpha1.Brand
		change    func(*v1alpha1.Campaign, *v1alpha1.Brand)
		want      v1alpha1.CampaignVerdict // empty: goes on
		wantCode  string
		wantStale time.Time
	}{
		"Goes":                 {},
		"NoSuchBrand":          {change: func(_ *v1alpha1.Campaign, b *v1alpha1.Brand) { b.Name = "gone" }, want: v1alpha1.CampaignBlocked, wantCode: "BrandUnknown"},
		"ForeignNamespace":     {change: func(c *v1alpha1.Campaign, _ *v1alpha1.Brand) { c.Namespace = "globex" }, want: v1alpha1.CampaignBlocked, wantCode: "BrandNotBound"},
		"ForeignPurpose":       {change: func(c *v1alpha1.Campaign, _ *v1alpha1.Brand) { c.Spec.Purpose = "Research" }, want: v1alpha1.CampaignBlocked, wantCode: "PurposeNotDeclared"},
		"TooDeep":              {change: func(c *v1alpha1.Campaign, _ *v1alpha1.Brand) { c.Spec.Depth = v1alpha1.DepthProfiling }, want: v1alpha1.CampaignBlocked, wantCode: "DepthNotAgreed"},
		"AgreedDepth":          {change: func(c *v1alpha1.Campaign, _ *v1alpha1.Brand) { c.Spec.Depth = v1alpha1.DepthAnalytics }},
		"BrandStopped":         {change: func(_ *v1alpha1.Campaign, b *v1alpha1.Brand) { b.Spec.Hold = &v1alpha1.HoldRequest{Reason: "audit"} }, want: v1alpha1.CampaignHeld, wantCode: "HoldRequested"},
		"CampaignStopped":      {change: func(c *v1alpha1.Campaign, _ *v1alpha1.Brand) { c.Spec.Hold = &v1alpha1.HoldRequest{Reason: "typo"} }, want: v1alpha1.CampaignHeld, wantCode: "HoldRequested"},
		"ASecondBefore":        {change: schedule(at(noon.Add(time.Second)), nil), want: v1alpha1.CampaignHeld, wantCode: "NotBefore", wantStale: noon.Add(time.Second)},
		"AtTheFirstInstant":    {change: schedule(at(noon), nil)},
		"ASecondBeforeTheEnd":  {change: schedule(nil, at(noon.Add(time.Second))), wantStale: noon.Add(time.Second)},
		"AtTheEnd":             {change: schedule(nil, at(noon)), want: v1alpha1.CampaignBlocked, wantCode: "NotAfter"},
		"TheOfferIsVoid":       {change: offer(noon), want: v1alpha1.CampaignBlocked, wantCode: "OfferExpired"},
		"TheOfferIsNotYetVoid": {change: offer(noon.Add(time.Hour)), wantStale: noon.Add(time.Hour)},
		"TheEarlierEndIsStale": {change: func(c *v1alpha1.Campaign, b *v1alpha1.Brand) {
			schedule(nil, at(noon.Add(time.Minute)))(c, b)
			offer(noon.Add(time.Hour))(c, b)
		}, wantStale: noon.Add(time.Minute)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c, b := spring(), acme()
			if tc.change != nil {
				tc.change(c, b)
			}
			if b.Name == "gone" {
				b = nil
			}
			out, ok := decision.Preflight(c, b, noon)
			if ok != (tc.want == "") || out.Verdict != tc.want || out.Code != tc.wantCode || !out.StaleAt.Equal(tc.wantStale) {
				t.Errorf("Preflight = %t %s %s stale at %s, want %s %s stale at %s", ok, out.Verdict, out.Code, out.StaleAt, tc.want, tc.wantCode, tc.wantStale)
			}
			if !ok && (out.Why == "" || len(out.Reasons) != 1 || out.Runs()) {
				t.Errorf("a refusal must say why once and release nothing: %+v", out)
			}
		})
	}
}

func schedule(from, to *metav1.Time) func(*v1alpha1.Campaign, *v1alpha1.Brand) {
	return func(c *v1alpha1.Campaign, _ *v1alpha1.Brand) {
		c.Spec.Schedule = &v1alpha1.Schedule{NotBefore: from, NotAfter: to}
	}
}

func offer(expires time.Time) func(*v1alpha1.Campaign, *v1alpha1.Brand) {
	return func(c *v1alpha1.Campaign, _ *v1alpha1.Brand) {
		c.Spec.Offer = &v1alpha1.Offer{Title: "20 %", Expires: at(expires)}
	}
}

func TestWhyStaysWithinTheAPIsBound(t *testing.T) {
	out := decision.Refuse(v1alpha1.CampaignHeld, "HoldRequested", strings.Repeat("ü", 300), time.Time{})
	if len(out.Why) > 256 || !strings.HasSuffix(out.Why, "...") || strings.ToValidUTF8(out.Why, "?") != out.Why {
		t.Errorf("why has %d bytes: %q", len(out.Why), out.Why)
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 41188: "41,188", 1234567: "1,234,567", -1000: "-1,000"} {
		if got := decision.Thousands(n); got != want {
			t.Errorf("Thousands(%d) = %s, want %s", n, got, want)
		}
	}
}
