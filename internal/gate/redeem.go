package gate

import (
	"context"
	"fmt"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/permit"
)

// Redeemed is what became of one permit.
type Redeemed struct {
	Permit string        `json:"permit"`
	State  permit.Answer `json:"state"`
	// HandOverBy is until when the message must be handed over.
	HandOverBy *time.Time `json:"handOverBy,omitempty"`
	// Reasons of a refusal.
	Reasons []RefusedReason `json:"reasons,omitempty"`
}

// RefusedReason is one reason in the words of the policy.
type RefusedReason struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Redeem decides once more, on what is proven current after the call began, and
// says for each permit whether its message may be handed over.
func (d *Desk) Redeem(ctx context.Context, h Holder, ids []string) ([]Redeemed, error) {
	d.roll.heard(h, d.clock())
	c, err := d.current(ctx, h)
	if err != nil {
		return nil, err
	}
	results := make([]Redeemed, len(ids))
	open := map[string]int{} // to its place
	for i, id := range ids {
		results[i].Permit = id
		if _, twice := open[id]; twice {
			results[i].State = permit.AlreadyRedeemed // a permit is good for one message
			continue
		}
		open[id] = i
	}
	for again := false; len(open) > 0; again = true {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("%w: %w", errBusy, err)
		}
		if again { // what came between may be a consent
			if c, err = d.current(ctx, h); err != nil {
				return nil, err
			}
		}
		if err := d.redeemOnce(ctx, c, h, open, results); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// redeemOnce settles what is open; what something newer is known of stays.
func (d *Desk) redeemOnce(ctx context.Context, c *Case, h Holder, open map[string]int, results []Redeemed) error {
	seen, err := d.advance(ctx)
	if err != nil {
		return err
	}
	if err := d.whole(ctx, c, h); err != nil {
		return err
	}
	permits := make([]permit.Permit, 0, len(open))
	for id, i := range open {
		p, answer := d.find(id, h)
		if answer != "" {
			results[i].State = answer
			delete(open, id)
			continue
		}
		permits = append(permits, p)
	}
	reasons, err := d.ask(ctx, c, permits)
	if err != nil {
		return err
	}
	records, at := make([]contacts.Record, 0, len(permits)), d.clock().UTC() // again: policies take their time
	for i := range permits {
		p := &permits[i]
		switch {
		case p.Lapsed(at):
			records = append(records, p.Expire(newKey("permit/"+p.ID), at))
		case decision.Personal(reasons[i]) == v1alpha1.VerdictAllow:
			records = append(records, p.Redeem(&c.Terms, newKey("permit/"+p.ID), at))
		default:
			records = append(records, p.Refuse(&c.Terms, newKey("permit/"+p.ID), at, reasons[i]))
		}
	}
	moved, err := d.append(ctx, records, seen)
	if err != nil {
		return err
	}
	for i := range records {
		if moved[i] {
			continue
		}
		id := permits[i].ID
		results[open[id]] = redeemed(&records[i], reasons[i])
		delete(open, id)
	}
	return nil
}

func (d *Desk) find(id string, h Holder) (permit.Permit, permit.Answer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.book.Redeem(id, h.Run(), h.Pod, d.clock())
}

func redeemed(r *contacts.Record, reasons []decision.Reason) Redeemed {
	out := Redeemed{Permit: r.Permit}
	switch r.Event {
	case contacts.Redeemed:
		out.State, out.HandOverBy = permit.Redeemed, &r.Until
	case contacts.Expired:
		out.State = permit.Expired
	default:
		out.State = permit.Refused
		for i := range reasons {
			if reasons[i].Mode != v1alpha1.ModeAudit {
				out.Reasons = append(out.Reasons, RefusedReason{Code: reasons[i].Code, Message: reasons[i].Message})
			}
		}
	}
	return out
}

// ask returns the reasons against each of the permits, with the past and the
// consents of this moment.
func (d *Desk) ask(ctx context.Context, c *Case, permits []permit.Permit) ([][]decision.Reason, error) {
	var (
		now    = d.now()
		out    = make([][]decision.Reason, len(permits))
		a      = &asked{}
		places []int
	)
	for i := range permits {
		if c.Refusal != nil {
			out[i] = []decision.Reason{*c.Refusal}
			continue
		}
		code, _ := d.subject(c, a, permits[i].Principal, now)
		if code != "" {
			out[i] = []decision.Reason{{Code: code, Verdict: v1alpha1.VerdictDeny, Message: "the customer is not in the audience any more"}}
			continue
		}
		places = append(places, i)
	}
	answers, err := d.judge(ctx, c, a, now)
	if err != nil {
		return nil, err
	}
	for i, at := range places {
		out[at] = answers[i].Reasons
	}
	return out, nil
}

// Outcome is what a sender reports of one permit.
type Outcome struct {
	Permit  string `json:"permit"`
	Outcome string `json:"outcome"`
	Detail  string `json:"detail,omitempty"`
}

// Reported is what became of one report.
type Reported struct {
	Permit   string `json:"permit"`
	Recorded bool   `json:"recorded"`
	// Why it was not recorded.
	Why string `json:"why,omitempty"`
}

// Report records outcomes. The same outcome is recorded once.
func (d *Desk) Report(ctx context.Context, h Holder, outcomes []Outcome) ([]Reported, error) {
	results := make([]Reported, len(outcomes))
	open := make([]int, len(outcomes))
	for i := range outcomes {
		results[i].Permit, open[i] = outcomes[i].Permit, i
	}
	for len(open) > 0 {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("%w: %w", errBusy, err)
		}
		var err error
		if open, err = d.reportOnce(ctx, h, outcomes, open, results); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// reportOnce records what it can and returns what is still open: one outcome of
// a permit at a time, for the next depends on it.
func (d *Desk) reportOnce(ctx context.Context, h Holder, outcomes []Outcome, open []int, results []Reported) ([]int, error) {
	seen, err := d.advance(ctx)
	if err != nil {
		return nil, err
	}
	var (
		records = make([]contacts.Record, 0, len(open))
		places  []int
		later   []int
		permits = map[string]bool{}
	)
	for _, i := range open {
		o := &outcomes[i]
		if permits[o.Permit] {
			later = append(later, i)
			continue
		}
		found := d.reporting(o, h)
		if found.Permit == nil {
			results[i].Recorded, results[i].Why = found.Known, found.Why
			continue
		}
		permits[o.Permit] = true
		records = append(records, found.Permit.Report(o.Outcome, o.Detail, newKey("permit/"+o.Permit), d.clock().UTC()))
		places = append(places, i)
	}
	moved, err := d.append(ctx, records, seen)
	if err != nil {
		return nil, err
	}
	for i, at := range places {
		if moved[i] {
			later = append(later, at)
		} else {
			results[at].Recorded = true
		}
	}
	return later, nil
}

func (d *Desk) reporting(o *Outcome, h Holder) permit.Reporting {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.book.Report(o.Permit, h.Run(), o.Outcome)
}
