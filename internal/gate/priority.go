package gate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/permit"
)

const (
	// yieldFor bounds how long a campaign waits for another: one of which nothing
	// was heard for so long is not waited for, nor one that may not contact the
	// customer within that time.
	yieldFor = 15 * time.Minute
	// yieldAgain is how soon it is looked again whether there is still cause to.
	yieldAgain = time.Minute
)

// giveWay holds those of the allowed whom a campaign of higher priority may
// contact too, where that contact would take their place: it asks the policies
// what they would say after it. So no cap need be known here, nor whose it is.
func (d *Desk) giveWay(ctx context.Context, c *Case, a *asked, answers []decision.Answer, now time.Time) error {
	if c.Ahead == nil || !slices.ContainsFunc(answers, allows) {
		return nil
	}
	rivals, err := c.Ahead(ctx)
	if err != nil {
		return fmt.Errorf("find the campaigns of higher priority: %w", err)
	}
	for _, r := range rivals {
		first, runs := d.present(&r, now)
		if !runs {
			continue
		}
		wanted, err := d.wanted(ctx, first, a, answers, now)
		if err != nil {
			return err
		}
		displaced, err := d.displaced(ctx, c, first, a, wanted, now)
		if err != nil {
			return err
		}
		for _, i := range displaced {
			answers[i] = yield(&r, answers[i], now)
		}
	}
	return nil
}

func allows(a decision.Answer) bool { return decision.Personal(a.Reasons) == v1alpha1.VerdictAllow }

// present is the rival's run, if it is not at rest: one that was let go is taken
// to begin, and one that was heard of to go on.
func (d *Desk) present(r *Rival, now time.Time) (*Case, bool) {
	d.mu.Lock()
	run, heard := d.book.Latest(r.Campaign.UID)
	d.mu.Unlock()
	first := *r.Case
	latest := r.Released
	if !heard.Before(latest) {
		first.Campaign.Job, latest = run.Job, heard
	}
	return &first, now.Sub(latest) < yieldFor
}

// wanted are the places of those of the allowed whom the other campaign has in
// line, and may contact soon.
func (d *Desk) wanted(ctx context.Context, first *Case, a *asked, answers []decision.Answer, now time.Time) ([]int, error) {
	var (
		theirs asked
		places []int
	)
	for i, id := range a.ids {
		if !allows(answers[i]) || d.standing(first.Campaign.Run(), id) != permit.Free {
			continue
		}
		if code, _ := d.subject(first, &theirs, id, now); code == "" {
			places = append(places, i)
		}
	}
	said, err := d.judge(ctx, first, &theirs, now)
	if err != nil {
		return nil, err
	}
	soon := now.Add(yieldFor)
	var out []int
	for i, at := range places {
		verdict, until := decision.Personal(said[i].Reasons), decision.Until(said[i].Reasons)
		if verdict == v1alpha1.VerdictAllow || verdict == v1alpha1.VerdictHold && !until.IsZero() && until.Before(soon) {
			out = append(out, at)
		}
	}
	return out, nil
}

// displaced are those of the places that would be none after the other
// campaign's contact.
func (d *Desk) displaced(ctx context.Context, c, first *Case, a *asked, places []int, now time.Time) ([]int, error) {
	contact := decision.Contact{
		At: now.UnixNano(), Brand: first.Facts.Brand, Purpose: first.Facts.Purpose, Class: first.Facts.PurposeClass,
		Channel: first.Facts.Channel, Topic: first.Facts.Topic,
	}
	var after asked
	for _, i := range places {
		s := a.subjects[i]
		s.Contacts.Sent = append([]decision.Contact{contact}, s.Contacts.Sent...)
		after.ids, after.subjects = append(after.ids, a.ids[i]), append(after.subjects, s)
	}
	said, err := d.judge(ctx, c, &after, now)
	if err != nil {
		return nil, err
	}
	var out []int
	for i, at := range places {
		if !allows(said[i]) {
			out = append(out, at)
		}
	}
	return out, nil
}

// yield adds to an answer that the customer must wait for another campaign.
func yield(r *Rival, a decision.Answer, now time.Time) decision.Answer {
	again := now.Add(yieldAgain)
	out := decision.Answer{StaleAt: again, Reasons: append(slices.Clone(a.Reasons), decision.Reason{
		Code: v1alpha1.CodeYieldsToPriority, Verdict: v1alpha1.VerdictHold, Until: again,
		Message: r.Told + " goes first: a cap leaves room for one of both",
	})}
	if !a.StaleAt.IsZero() && a.StaleAt.Before(again) {
		out.StaleAt = a.StaleAt
	}
	return out
}
