package audience

import (
	"slices"
	"strings"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consent"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
)

// chosen says who of a table is in an audience, from what the dictionaries of its
// columns have: each value is looked at once. A customer without an attribute that
// is asked for is not in it, nor is one who is being erased.
type chosen struct {
	audience *v1alpha1.Audience
	tests    []test
}

// test is about the values of one column.
type test struct {
	column int
	passes func(value any) bool
	known  []int8 // by id: 0 not known, else 1 or -1
}

func newChosen(a *v1alpha1.Audience) *chosen {
	c := &chosen{audience: a}
	s := a.Selector
	if a.Everyone != nil {
		s = nil
	}
	c.tests = append(c.tests, test{column: traits, passes: func(v any) bool {
		t, _ := v.(*trait)
		return (t == nil || !t.leaving) && (s == nil || labelled(s.Labels, t))
	}})
	if s == nil {
		return c
	}
	word := func(column, wanted int, passes func(string) bool) {
		if wanted > 0 {
			c.tests = append(c.tests, test{column: column, passes: func(v any) bool {
				is, _ := v.(string)
				return passes(is)
			}})
		}
	}
	word(lifeStage, len(s.LifeStages), func(is string) bool { return slices.Contains(s.LifeStages, v1alpha1.LifeStage(is)) })
	word(jurisdiction, len(s.Jurisdictions), func(is string) bool { return covers(s.Jurisdictions, v1alpha1.Jurisdiction(is)) })
	word(language, len(s.Languages), func(is string) bool { return covers(s.Languages, v1alpha1.Language(is)) })
	return c
}

func labelled(wanted []v1alpha1.LabelMatch, t *trait) bool {
	for _, l := range wanted {
		if t == nil {
			return false
		}
		if v, ok := t.labels[l.Key]; !ok || !slices.Contains(l.Values, v) {
			return false
		}
	}
	return true
}

func (t *test) pass(c *chunk, dicts []*expr.Dict, row int) bool {
	id := c.base.IDs[t.column].At(row)
	for int(id) >= len(t.known) {
		t.known = append(t.known, 0)
	}
	if t.known[id] == 0 {
		t.known[id] = -1
		if t.passes(dicts[t.column].Value(id)) {
			t.known[id] = 1
		}
	}
	return t.known[id] > 0
}

// keep takes out of a set of rows who is not in the audience at an instant, and
// says when that can change by itself.
func (c *chosen) keep(of *chunk, dicts []*expr.Dict, rows *some, at time.Time) (staleAt int64) {
	staleAt = decision.Never
	for row := range rows.All {
		in, stale := c.one(of, dicts, row, at)
		staleAt = sooner(staleAt, stale)
		if !in {
			rows.unset(row)
		}
	}
	return staleAt
}

// one says it of one row.
func (c *chosen) one(of *chunk, dicts []*expr.Dict, row int, at time.Time) (in bool, staleAt int64) {
	if c.audience.Everyone == nil && c.audience.Selector == nil {
		return false, decision.Never
	}
	for i := range c.tests {
		if !c.tests[i].pass(of, dicts, row) {
			return false, decision.Never
		}
	}
	if c.audience.Everyone != nil || len(c.audience.Selector.LifeEvents) == 0 {
		return true, decision.Never
	}
	events, _ := dicts[lifeEvents].Value(of.base.IDs[lifeEvents].At(row)).([]consent.LifeEvent)
	return happening(c.audience.Selector.LifeEvents, events, at.UnixNano())
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

// happening says whether one of the wanted events counts at the instant, from its
// day on, until its expiry, and when that changes by itself.
func happening(wanted []v1alpha1.LifeEventType, events []consent.LifeEvent, at int64) (in bool, staleAt int64) {
	staleAt = decision.Never
	for _, e := range events {
		switch {
		case !slices.Contains(wanted, v1alpha1.LifeEventType(e.EventType)):
		case at < e.EventDate:
			staleAt = sooner(staleAt, e.EventDate)
		case e.ExpirationDate == nil:
			in = true
		case at < *e.ExpirationDate:
			in, staleAt = true, sooner(staleAt, *e.ExpirationDate)
		}
	}
	return in, staleAt
}
