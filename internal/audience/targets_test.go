package audience_test

import (
	"slices"
	"strings"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/decision"
)

// targets says of a consent, word for word, what a table says of its row.
func targets(a *v1alpha1.Audience, c *v1alpha1.CustomerConsent, at time.Time) (in bool, staleAt time.Time) {
	if !c.DeletionTimestamp.IsZero() {
		return false, time.Time{}
	}
	if a.Everyone != nil {
		return true, time.Time{}
	}
	s := a.Selector
	if s == nil {
		return false, time.Time{}
	}
	if len(s.LifeStages) > 0 && !slices.Contains(s.LifeStages, c.Spec.LifeStage) ||
		len(s.Jurisdictions) > 0 && !covers(s.Jurisdictions, c.Spec.Jurisdiction) ||
		len(s.Languages) > 0 && !covers(s.Languages, c.Spec.Language) {
		return false, time.Time{}
	}
	for _, l := range s.Labels {
		if v, ok := c.Labels[l.Key]; !ok || !slices.Contains(l.Values, v) {
			return false, time.Time{}
		}
	}
	if len(s.LifeEvents) > 0 {
		return lifeEvent(s.LifeEvents, c.Spec.LifeEvents, at)
	}
	return true, time.Time{}
}

// covers says whether one of the wanted codes is the customer's or a part that
// contains it: DE covers DE-BY.
func covers[T ~string](wanted []T, has T) bool {
	for _, w := range wanted {
		if w == has || (has != "" && strings.HasPrefix(string(has), string(w)+"-")) {
			return true
		}
	}
	return false
}

// lifeEvent says whether one of the wanted events counts at the instant: from
// its day on, until its expiry.
func lifeEvent(wanted []v1alpha1.LifeEventType, events []v1alpha1.LifeEvent, at time.Time) (in bool, staleAt time.Time) {
	for _, e := range events {
		if !slices.Contains(wanted, e.EventType) {
			continue
		}
		from, err := time.Parse(time.DateOnly, string(e.EventDate))
		if err != nil {
			continue
		}
		if at.Before(from) {
			staleAt = decision.Sooner(staleAt, from)
			continue
		}
		until, err := time.Parse(time.DateOnly, string(e.ExpirationDate))
		if err != nil {
			in = true // no expiry
			continue
		}
		if at.Before(until) {
			in, staleAt = true, decision.Sooner(staleAt, until)
		}
	}
	return in, staleAt
}
