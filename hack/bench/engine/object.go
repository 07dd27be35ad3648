package main

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consent"
)

// object is the customer's consent as it arrives at codb; reading it gives the
// person again, for the brand that asks here.
func object(n int, p *consent.Person) *v1alpha1.CustomerConsent {
	c := &v1alpha1.CustomerConsent{ObjectMeta: metav1.ObjectMeta{
		Namespace: v1alpha1.CustomersNamespace, Name: fmt.Sprintf("c-%012x", n),
		UID: types.UID(fmt.Sprintf("00000000-0000-4000-8000-%012x", n)), Generation: 1,
	}}
	c.Spec = v1alpha1.CustomerConsentSpec{
		TimeZone: v1alpha1.TimeZone(p.TimeZone), TimeZoneSource: p.TimeZoneSource, Jurisdiction: v1alpha1.Jurisdiction(p.Jurisdiction),
		Language: v1alpha1.Language(p.Language), BirthYear: p.BirthYear, LifeStage: v1alpha1.LifeStage(p.LifeStage),
		QuietHours: daily(p.QuietHours), ContactWindows: daily(p.ContactWindows), BlockedTopics: words[v1alpha1.Topic](p.BlockedTopics),
	}
	if p.OptOut != nil {
		c.Spec.OptOut = &v1alpha1.OptOut{Since: instant(p.OptOut.Since)}
	}
	if p.Guardian != nil {
		c.Spec.Guardian = &v1alpha1.Guardian{Ref: "g-1", AuthorizedAt: maybe(p.Guardian.AuthorizedAt)}
	}
	if p.Pause != nil {
		c.Spec.Pause = &v1alpha1.Pause{From: instant(p.Pause.From), Until: instant(p.Pause.Until)}
	}
	r := v1alpha1.Relationship{Brand: brand}
	for _, cap := range p.Caps {
		own := v1alpha1.FrequencyCap{
			Name: cap.Name, Max: cap.Max, Window: v1alpha1.CapWindow(cap.Window), Zone: v1alpha1.TimeZone(cap.Zone),
			Counts: words[v1alpha1.PurposeClass](cap.Counts), Channels: words[v1alpha1.Channel](cap.Channels),
		}
		if cap.Length > 0 {
			own.Length = fmt.Sprintf("%dh", cap.Length/int64(time.Hour))
		}
		if cap.Brand == "" {
			c.Spec.Caps = append(c.Spec.Caps, own)
		} else {
			r.Caps = append(r.Caps, own)
		}
	}
	if p.Relationship != nil {
		r.Depth = v1alpha1.Depth(p.Relationship.Depth)
		for _, o := range p.Relationship.Objections {
			r.Objections = append(r.Objections, v1alpha1.Objection{Purpose: v1alpha1.Purpose(o.Purpose), Since: instant(o.Since)})
		}
		for i := range p.Relationship.Grants {
			r.Grants = append(r.Grants, answer(&p.Relationship.Grants[i]))
		}
	}
	if p.Relationship != nil || len(r.Caps) > 0 {
		c.Spec.Relationships = append(c.Spec.Relationships, r)
	}
	return c
}

func answer(g *consent.Grant) v1alpha1.Grant {
	from := instant(g.EffectiveFrom)
	out := v1alpha1.Grant{
		Purpose: v1alpha1.Purpose(g.Purpose), Channel: v1alpha1.Channel(g.Channel), Topics: words[v1alpha1.Topic](g.Topics),
		Status: v1alpha1.ConsentStatus(g.Status), ConsentType: v1alpha1.ConsentType(g.ConsentType), LegalBasis: v1alpha1.LegalBasis(g.LegalBasis),
		CaptureDate: instant(g.CaptureDate), CaptureSource: g.CaptureSource, DoubleConsentCaptureDate: maybe(g.DoubleConsentCaptureDate),
		EffectiveFrom: &from, EffectiveTo: maybe(g.EffectiveTo),
	}
	if g.ImpliedBy != nil {
		out.ImpliedBy = &v1alpha1.ImpliedBy{Event: v1alpha1.ImplyingEvent(g.ImpliedBy.Event), EventDate: instant(g.ImpliedBy.EventDate)}
	}
	if g.NoticeVersion != "" {
		out.PrivacyNotice = &v1alpha1.PrivacyNotice{Version: g.NoticeVersion}
	}
	return out
}

func daily(ws []consent.Window) (out []v1alpha1.DailyWindow) {
	clock := func(minute int) string { return fmt.Sprintf("%02d:%02d", minute/60, minute%60) }
	for _, w := range ws {
		out = append(out, v1alpha1.DailyWindow{Days: words[v1alpha1.Weekday](w.Days), Start: clock(w.Start), End: clock(w.End)})
	}
	return out
}

func instant(ns int64) metav1.Time { return metav1.NewTime(time.Unix(0, ns).UTC()) }

func maybe(ns *int64) *metav1.Time {
	if ns == nil {
		return nil
	}
	t := instant(*ns)
	return &t
}

func words[T ~string](in []string) (out []T) {
	for _, w := range in {
		out = append(out, T(strings.Clone(w)))
	}
	return out
}
