package campaign

import (
	"fmt"
	"strings"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/workload"
)

// The progress of a run is written into the status every two seconds at first,
// and ever more seldom then: who watches a run of a day reads some hundred lines.
const (
	showEvery  = 2 * time.Second
	showSeldom = time.Minute
	showLines  = 30 // before the pause has grown by as much as they took
)

// paceEvery is how often the pace of a run that moves is measured anew, though
// nothing else happens.
const paceEvery = 20 * time.Second

// shown is what was last shown of a campaign's progress.
type shown struct {
	first, at time.Time
	counts    *v1alpha1.PermitCounts
}

// due is when to show the next.
func (s *shown) due() time.Time {
	if s.counts == nil {
		return time.Time{}
	}
	return s.at.Add(min(max(showEvery, s.at.Sub(s.first)/showLines), showSeldom))
}

// runs says whether the campaign's workload may run: one that draws permits for
// those who are allowed, one with a list of its own only when all are.
func (l *look) runs(c *v1alpha1.Campaign) bool {
	return l.outcome.Runs() || (c.Spec.DrawsPermits() && l.outcome.Verdict == v1alpha1.CampaignPartlyAllowed)
}

// permits says how far the run has come, at a pace that people can follow.
func (r *Reconciler) permits(c *v1alpha1.Campaign, l *look, e *evaluation) {
	if !c.Spec.DrawsPermits() {
		return
	}
	if p := &e.progress; l.now.Before(p.at) || !l.now.Before(p.due()) {
		before := p.counts
		p.at, p.counts = l.now, r.counts(c, l)
		if before == nil || before.Drawn == 0 || p.counts == nil || p.counts.Drawn < before.Drawn {
			p.first = l.now // a run begins
		}
		if p.counts != nil && p.counts.PerMinute > 0 {
			l.again = max(paceEvery, p.due().Sub(l.now))
		}
	} else {
		l.again = p.due().Sub(l.now)
	}
	l.progress = e.progress.counts
	if l.outcome.Verdict == v1alpha1.CampaignPartlyAllowed {
		l.outcome.Code = string(v1alpha1.CampaignPartlyAllowed)
	}
	if l.runs(c) {
		l.outcome.Why = progressLine(&l.outcome, l.progress)
	}
}

// counts of the latest run that was released; nil: none was.
func (r *Reconciler) counts(c *v1alpha1.Campaign, l *look) *v1alpha1.PermitCounts {
	run := latest(l.seen)
	if run == nil {
		return nil
	}
	g := r.Contacts.Progress(c.UID, run.UID)
	out := &v1alpha1.PermitCounts{
		Drawn: g.Drawn, Outstanding: g.Outstanding, Redeemed: g.Redeemed, Sent: g.Sent, Failed: g.Failed, Bounced: g.Bounced,
		Unreported: g.Unreported, Refused: refused(g.Refused()), PerMinute: g.PerMinute(l.now),
	}
	if left := l.outcome.Counts.Allowed - g.Redeemed; left > 0 && out.PerMinute > 0 {
		out.EndsAt = stamp(l.now.Add(time.Duration(left) * time.Minute / time.Duration(out.PerMinute)))
	}
	return out
}

func latest(seen workload.Observation) *workload.Run {
	for i := len(seen.Runs) - 1; i >= 0; i-- {
		if seen.Runs[i].Released {
			return &seen.Runs[i]
		}
	}
	return nil
}

// refused are the most frequent refusals, as many as the API takes.
func refused(list []contacts.Refusal) []v1alpha1.RefusalCount {
	const most = 16
	var out []v1alpha1.RefusalCount
	for _, r := range list[:min(len(list), most)] {
		out = append(out, v1alpha1.RefusalCount{Code: r.Code, Customers: r.Customers})
	}
	return out
}

// progressLine is one line for people who watch: how far, how fast, until when,
// and why not everybody.
func progressLine(o *decision.Outcome, p *v1alpha1.PermitCounts) string {
	if p == nil {
		p = &v1alpha1.PermitCounts{}
	}
	all := max(o.Counts.Allowed, p.Redeemed) // some of those contacted may have said no since
	parts := []string{fmt.Sprintf("%s of %s contacted", decision.Thousands(p.Redeemed), decision.Thousands(all))}
	if p.PerMinute > 0 {
		parts = append(parts, decision.Thousands(p.PerMinute)+" a minute")
	}
	if p.EndsAt != nil {
		parts = append(parts, "until "+p.EndsAt.UTC().Format("15:04"))
	}
	if p.Failed+p.Bounced > 0 {
		parts = append(parts, decision.Thousands(p.Failed+p.Bounced)+" failed")
	}
	if _, reasons, ok := strings.Cut(o.Why, ": "); ok {
		parts = append(parts, "not "+reasons)
	}
	return strings.Join(parts, ", ")
}

// last is how far a run had come that has ended.
func (r *Reconciler) last(c *v1alpha1.Campaign, l *look) {
	if !c.Spec.DrawsPermits() {
		return
	}
	if l.progress = r.counts(c, l); l.progress != nil {
		l.progress.PerMinute = 0
	}
}

// show puts the progress into the status; that of a run that is gone stays.
func (l *look) show(s *v1alpha1.CampaignStatus) {
	if l.progress != nil {
		s.Permits = l.progress.DeepCopy()
	}
}
