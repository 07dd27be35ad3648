package campaign

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/policy"
	"github.com/codb-dev/codb/internal/workload"
)

// look is what one look at a campaign found.
type look struct {
	before  *v1alpha1.Campaign // as the apiserver has it
	now     time.Time
	seen    workload.Observation
	outcome decision.Outcome

	// The rest is set where customers were asked about.
	campaign     decision.Campaign
	policies     []v1alpha1.PolicyReference
	policyDigest string
	answers      *evaluation
	revision     string // of the consents
	contacts     contacts.Position

	// over is true once the only run of the campaign has ended: the answer of
	// its time stands.
	over bool

	// progress of the run that draws permits; nil: there is none.
	progress *v1alpha1.PermitCounts

	// again is when to look anew although no answer changes by itself; zero: not
	// at all.
	again time.Duration
}

// look asks everything that the verdict depends on.
func (r *Reconciler) look(ctx context.Context, c *v1alpha1.Campaign, keeper *workload.Keeper, now time.Time) (*look, error) {
	l := &look{now: now}
	var err error
	if l.seen, err = keeper.Observe(ctx, c); err != nil {
		return l, err
	}
	if l.over = finished(c, l.seen); l.over {
		r.evaluations.Delete(client.ObjectKeyFromObject(c)) // it keeps customers as they were
		r.last(c, l)
		return l, nil
	}
	brand := &v1alpha1.Brand{}
	if err := r.Client.Get(ctx, types.NamespacedName{Name: c.Spec.Brand}, brand); client.IgnoreNotFound(err) != nil {
		return l, fmt.Errorf("read brand %s: %w", c.Spec.Brand, err)
	} else if err != nil {
		brand = nil
	}
	out, ok := decision.Preflight(c, brand, now)
	if !ok {
		l.outcome = out
		return l, nil
	}
	if err := r.complete(ctx, r.Client); err != nil {
		return l, err
	}
	return l, r.ask(ctx, c, brand, l, out.StaleAt)
}

// ask puts the question to the policies for everyone in the audience.
func (r *Reconciler) ask(ctx context.Context, c *v1alpha1.Campaign, brand *v1alpha1.Brand, l *look, staleAt time.Time) error {
	class := decision.Class(brand, c.Spec.Purpose)
	set, notReady := r.Policies.For(policy.Facts{
		Brand: c.Spec.Brand, Namespace: c.Namespace, Purpose: c.Spec.Purpose, Class: class, Channel: c.Spec.Channel,
	})
	switch {
	case len(notReady) > 0:
		l.outcome = decision.Refuse(v1alpha1.CampaignBlocked, v1alpha1.CodePolicyNotReady,
			"nothing in force of policy "+strings.Join(notReady, ", "), time.Time{})
		return nil
	case len(set) == 0:
		l.outcome = decision.Refuse(v1alpha1.CampaignBlocked, v1alpha1.CodeNoPolicy,
			"no CampaignPolicy matches; the platform team writes them", time.Time{})
		return nil
	}
	judge, err := r.Policies.Judge(ctx, set)
	if err != nil {
		return fmt.Errorf("load policies: %w", err)
	}
	l.policies, l.policyDigest = r.Policies.References(set), judge.Digest()
	l.campaign = decision.Facts(c, class)

	kept, _ := r.evaluations.LoadOrStore(client.ObjectKeyFromObject(c), &evaluation{})
	e := kept.(*evaluation)
	e.mu.Lock()
	defer e.mu.Unlock()
	l.answers, l.revision = e, r.Consents.Revision() // before the rows: they may be newer, never older
	open := l.seen.Open()
	l.contacts = r.Contacts.Position()
	active := l.seen.Active()
	asked := audience.Asked{
		Key: key(c, class, l.policyDigest), Now: l.now, Campaign: l.campaign, Audience: &c.Spec.Audience,
		Judge: r.Metrics.measured(judge), Table: r.Consents.Customers(),
		Past: r.Contacts.View("", nil), Ledger: r.Contacts.View(c.UID, open),
	}
	if len(open)+len(active) > 0 {
		asked.Runs = fmt.Sprint(open, active)
	}
	if len(active) > 0 && !c.Spec.DrawsPermits() { // who draws permits has no list that anybody could have left
		asked.Running = r.Contacts.View(c.UID, active)
	}
	tally, err := e.Refresh(ctx, asked)
	if err != nil {
		return err
	}
	l.outcome = decision.Sum(tally, thresholds(set), staleAt)
	r.permits(c, l, e)
	return nil
}

// complete is nil once everything that the reader knows of has been read: a
// policy that denies by default and loads first must not deny for good.
func (r *Reconciler) complete(ctx context.Context, reader client.Reader) error {
	if !r.Consents.Synced() {
		return errors.Join(errNotYet, r.Consents.Healthy())
	}
	var list v1alpha1.CampaignPolicyList
	if err := reader.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list policies: %w", err)
	}
	if !r.Policies.Knows(list.Items) {
		return errNotYet
	}
	return nil
}

// refused finds out without any policy whether somebody who is meant said no.
func (r *Reconciler) refused(ctx context.Context, c *v1alpha1.Campaign, l *look) bool {
	var brand v1alpha1.Brand
	if err := r.Client.Get(ctx, types.NamespacedName{Name: c.Spec.Brand}, &brand); err != nil {
		brand = v1alpha1.Brand{} // of no purpose is known that it is not marketing
	}
	facts := decision.Facts(c, decision.Class(&brand, c.Spec.Purpose))
	contacted := r.Contacts.View(c.UID, l.seen.Active())
	for id, rec := range r.Consents.Customers().Snapshot().All() {
		if in, _ := rec.Targeted(&c.Spec.Audience, l.now); !in && !contacted.Present(id) {
			continue
		}
		if p := rec.Person(c.Spec.Brand); decision.SaidNo(&p, &facts) {
			return true
		}
	}
	return false
}

// finished says whether the campaign's only run has ended, or is gone: its Job
// is removed some time after it has ended, and is never made again.
func finished(c *v1alpha1.Campaign, seen workload.Observation) bool {
	if !once(c) || !releasedBefore(c) {
		return false
	}
	switch seen.State {
	case v1alpha1.WorkloadComplete, v1alpha1.WorkloadFailed, v1alpha1.WorkloadNone:
		return true
	}
	return false
}

// releasedBefore says whether this very run was released already.
func releasedBefore(c *v1alpha1.Campaign) bool {
	return c.Status.Released != nil && c.Status.Released.Run == workload.RunHash(&c.Spec)
}

// once says whether the campaign is one run. Others have a run for each Job that
// a schedule or a person makes, and a Job that was stopped is not released again.
func once(c *v1alpha1.Campaign) bool { return c.Spec.Workload != nil && c.Spec.Workload.Job != nil }

// stopped says whether this very run was released and then stopped: running it
// again would contact people twice.
func stopped(c *v1alpha1.Campaign) bool {
	return once(c) && !c.Spec.DrawsPermits() && releasedBefore(c) && c.Status.Released.StoppedAt != nil
}

// key names everything that answers depend on besides customers and time.
func key(c *v1alpha1.Campaign, class v1alpha1.PurposeClass, policies string) string {
	return string(c.UID) + " " + workload.RunHash(&c.Spec) + " " + string(class) + " " + policies
}

func thresholds(set []policy.InForce) []v1alpha1.Thresholds {
	var out []v1alpha1.Thresholds
	for _, f := range set {
		if f.Thresholds != nil && f.Policy.Mode != v1alpha1.ModeAudit {
			out = append(out, *f.Thresholds)
		}
	}
	return out
}

// errGate marks that caps are unknown because the ledger can't be read.
var errGate = errors.New("the contact ledger can't be read")
