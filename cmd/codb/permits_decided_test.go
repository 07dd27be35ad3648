package main

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/gate"
	"github.com/codb-dev/codb/internal/policy"
	"github.com/codb-dev/codb/policies"
)

// What holds for all customers of a campaign is decided anew for each draw and
// redemption, from Campaign and Brand as they are now.
func TestWhatHoldsForAllCustomers(t *testing.T) {
	now := time.Date(2027, 3, 1, 9, 0, 0, 0, time.UTC)
	lib, err := policy.LoadLibrary(policies.FS)
	if err != nil {
		t.Fatal(err)
	}
	world := &permitWorld{deciding: &deciding{book: policy.NewBook(lib, nil)}, clock: clocktesting.NewFakeClock(now)}
	for name, tc := range map[string]struct {
		change func(*v1alpha1.Campaign, *v1alpha1.Brand)
		code   string
		pace   int
	}{
		"NothingSpecial": {func(*v1alpha1.Campaign, *v1alpha1.Brand) {}, v1alpha1.CodeNoPolicy, 0},
		"APace":          {func(c *v1alpha1.Campaign, _ *v1alpha1.Brand) { c.Spec.Pace = &v1alpha1.Pace{PerMinute: 60} }, v1alpha1.CodeNoPolicy, 60},
		"HeldByHand":     {func(c *v1alpha1.Campaign, _ *v1alpha1.Brand) { c.Spec.Hold = &v1alpha1.HoldRequest{Reason: "typo"} }, v1alpha1.CodeHoldRequested, 0},
		"TheBrandIsHeld": {func(_ *v1alpha1.Campaign, b *v1alpha1.Brand) { b.Spec.Hold = &v1alpha1.HoldRequest{Reason: "recall"} }, v1alpha1.CodeHoldRequested, 0},
		"TheBrandLetGo":  {func(_ *v1alpha1.Campaign, b *v1alpha1.Brand) { b.Spec.Namespaces = nil }, v1alpha1.CodeBrandNotBound, 0},
		"TheOfferIsVoid": {func(c *v1alpha1.Campaign, _ *v1alpha1.Brand) {
			c.Spec.Offer = &v1alpha1.Offer{Expires: &metav1.Time{Time: now}}
		}, v1alpha1.CodeOfferExpired, 0},
		"TheTimeIsOver": {func(c *v1alpha1.Campaign, _ *v1alpha1.Brand) {
			c.Spec.Schedule = &v1alpha1.Schedule{NotAfter: &metav1.Time{Time: now}}
		}, v1alpha1.CodeNotAfter, 0},
		"TheTimeIsToCome": {func(c *v1alpha1.Campaign, _ *v1alpha1.Brand) {
			c.Spec.Schedule = &v1alpha1.Schedule{NotBefore: &metav1.Time{Time: now.Add(1)}}
		}, v1alpha1.CodeNotBefore, 0},
		"ThePurposeIsGone": {func(_ *v1alpha1.Campaign, b *v1alpha1.Brand) { b.Spec.Purposes = nil }, v1alpha1.CodePurposeNotDeclared, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := &v1alpha1.Campaign{ObjectMeta: metav1.ObjectMeta{Namespace: "acme-shop", Name: "spring", UID: "u-1"}}
			c.Spec.Brand, c.Spec.Purpose, c.Spec.Channel = "acme", "Marketing", v1alpha1.ChannelEmail
			b := &v1alpha1.Brand{}
			b.Spec.Namespaces = []string{"acme-shop"}
			b.Spec.Purposes = []v1alpha1.BrandPurpose{{Name: "Marketing", Class: v1alpha1.ClassMarketing}}
			tc.change(c, b)
			got, err := world.decided(t.Context(), gate.Holder{}, c, b, "r-1")
			if err != nil {
				t.Fatal(err)
			}
			if got.Refusal == nil || got.Refusal.Code != tc.code || got.PerMinute != tc.pace {
				t.Errorf("got %+v, %d a minute; want %s, %d", got.Refusal, got.PerMinute, tc.code, tc.pace)
			}
		})
	}
	if got, err := world.decided(t.Context(), gate.Holder{}, &v1alpha1.Campaign{}, nil, "r-1"); err != nil || got.Refusal == nil || got.Refusal.Code != v1alpha1.CodeBrandUnknown {
		t.Errorf("no brand: %+v, %v", got, err)
	}
}
