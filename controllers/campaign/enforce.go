package campaign

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/workload"
)

// storeRetry is how soon a campaign looks again that only waits for consents or
// the ledger.
const storeRetry = 2 * time.Second

// enforce makes the workloads follow from the look: it makes the campaign's
// own, holds them, or releases them behind a fence.
func (r *Reconciler) enforce(ctx context.Context, c *v1alpha1.Campaign, l *look) error {
	if l.over {
		return nil
	}
	r.heedStores(ctx, c, l)
	if !l.runs(c) || stopped(c) {
		// What may not run is stopped first, whatever goes wrong with the rest.
		return errors.Join(r.hold(ctx, c, l), r.make(ctx, c, l), r.record(ctx, c, l))
	}
	err := r.make(ctx, c, l)
	switch {
	case len(l.seen.Unsafe()) > 0:
		// Nothing new runs beside what codb can't answer for, and what runs
		// unreleased is stopped; a run that was released goes on.
		finish := r.Keeper.Hold(ctx, c, l.seen, v1alpha1.OnWithdrawalFinish, v1alpha1.CodeWorkloadUnsafe)
		return errors.Join(err, finish, r.record(ctx, c, l))
	case err == nil && l.seen.Releasable() && len(l.seen.Active()) == 0:
		return r.release(ctx, c, l)
	}
	// One run at a time: the next is judged when this one has ended.
	return errors.Join(err, r.record(ctx, c, l))
}

// make makes the campaign's own workload where there is none, but never from a
// status that does not say yet that it ran.
func (r *Reconciler) make(ctx context.Context, c *v1alpha1.Campaign, l *look) error {
	if c.Spec.Workload == nil {
		return nil
	}
	if !l.seen.Made() {
		if err := r.current(ctx, c); err != nil {
			return err
		}
	}
	if err := r.Keeper.Ensure(ctx, c); err != nil {
		return err
	}
	return r.observe(ctx, c, l)
}

// heedStores keeps what does not run yet from running while consents or caps
// are unknown. What runs goes on: its contacts were recorded before it was
// released, or else it can't draw permits and waits, which the answer must say.
func (r *Reconciler) heedStores(ctx context.Context, c *v1alpha1.Campaign, l *look) {
	code, err := r.unreachable(ctx)
	if err != nil && l.runs(c) && (len(l.seen.Active()) == 0 || c.Spec.DrawsPermits()) {
		n := l.outcome.Counts
		l.outcome = decision.Refuse(v1alpha1.CampaignHeld, code, err.Error(), time.Time{})
		l.outcome.Counts = n
		l.again = storeRetry // nothing tells us when a ledger can be read again
	}
}

// unreachable says what can't be read that every contact depends on, or what is
// not all of it.
func (r *Reconciler) unreachable(ctx context.Context) (code string, err error) {
	if err := r.Consents.Healthy(); err != nil {
		return v1alpha1.ReasonConsentsUnreachable, err
	}
	if err := r.Contacts.Healthy(); err != nil {
		return v1alpha1.ReasonGateUnreachable, fmt.Errorf("%w: %w", errGate, err)
	}
	known := r.Contacts.Consents()
	if !contacts.Older(r.Consents.Revision(), known) {
		return "", nil
	}
	now, err := r.Consents.Fence(ctx) // a gate may have heard of them sooner
	if err != nil {
		return v1alpha1.ReasonConsentsUnreachable, err
	}
	if contacts.Older(now, known) {
		return v1alpha1.ReasonConsentsRestored, contacts.ErrWentBack
	}
	return "", nil
}

// storeLost says that an outcome is for want of a store. It will be back, and
// meanwhile nobody is contacted.
func storeLost(code string) bool {
	return code == v1alpha1.ReasonGateUnreachable || code == v1alpha1.ReasonConsentsUnreachable || code == v1alpha1.ReasonConsentsRestored
}

func (r *Reconciler) observe(ctx context.Context, c *v1alpha1.Campaign, l *look) (err error) {
	l.seen, err = r.Keeper.Observe(ctx, c)
	return err
}

// hold stops what may not run. An opt-out, a withdrawal or an objection stops
// running pods whatever onWithdrawal says.
func (r *Reconciler) hold(ctx context.Context, c *v1alpha1.Campaign, l *look) error {
	mode := c.Spec.OnWithdrawal
	if l.outcome.Withdrawn || l.outcome.Code == v1alpha1.CodeHoldRequested {
		mode = v1alpha1.OnWithdrawalSuspend
	}
	if storeLost(l.outcome.Code) {
		mode = v1alpha1.OnWithdrawalFinish // what runs waits for permits
	}
	ran := l.seen.State == v1alpha1.WorkloadRunning
	if err := r.Keeper.Hold(ctx, c, l.seen, mode, l.outcome.Code); err != nil {
		return err
	}
	if ran {
		r.Metrics.held(&l.outcome, mode, r.since(c))
	}
	return r.observe(ctx, c, l)
}

// release decides once more on what is proven current, records the decision
// and the contacts, and only then lets one run go. Releases are serialised, so
// that two campaigns can't both take the last contact under one cap.
func (r *Reconciler) release(ctx context.Context, c *v1alpha1.Campaign, l *look) error {
	if err := r.Admitted(ctx); err != nil {
		return fmt.Errorf("admission policies are not in force: %w", err)
	}
	r.releasing.Lock()
	defer r.releasing.Unlock()
	fresh, err := r.lookBehindFence(ctx, c)
	if err != nil {
		return err
	}
	fresh.before = l.before
	*l = *fresh
	if len(l.seen.Active()) > 0 || l.over {
		return nil // it was released meanwhile
	}
	if !l.runs(c) {
		return errors.Join(r.hold(ctx, c, l), r.record(ctx, c, l))
	}
	if !l.seen.Releasable() || len(l.seen.Unsafe()) > 0 {
		return ErrMoved
	}
	if err := r.record(ctx, c, l); err != nil {
		return err
	}
	one := l.seen.First()
	for _, run := range one.Runs {
		if c.Spec.DrawsPermits() {
			break // whoever is contacted is recorded one by one
		}
		if err := r.Contacts.Record(ctx, released(c, l, run.UID)); err != nil {
			return fmt.Errorf("record the contacts of run %s: %w", run.Name, err)
		}
	}
	if err := r.intend(ctx, c, l, len(one.Runs)); err != nil {
		return err
	}
	done, err := r.Keeper.Release(ctx, c, one, workload.Evidence{
		Decision: c.Status.Decision, PolicyDigest: l.policyDigest, ConsentRevision: l.revision,
	})
	r.Metrics.released(len(done))
	return errors.Join(err, r.observe(ctx, c, l))
}

// intend says in the status that this run is let go, before it is: a Job that
// was released and then deleted is never made again, even if codb ends at this
// very moment. A run that was said and not let go is let go at the next look.
func (r *Reconciler) intend(ctx context.Context, c *v1alpha1.Campaign, l *look, runs int) error {
	if runs == 0 || releasedBefore(c) {
		return nil
	}
	c.Status.Released = &v1alpha1.Release{
		Generation: c.Generation, Run: workload.RunHash(&c.Spec), At: metav1.Time{Time: l.now},
	}
	if !once(c) {
		return nil // its Jobs carry all that matters
	}
	if err := r.writeStatus(ctx, l.before, c); err != nil {
		return err
	}
	c.DeepCopyInto(l.before)
	return nil
}

// lookBehindFence looks again at a world that is proven to contain every
// withdrawal acknowledged before the call: consents by a fence, contacts by
// the ledger's own sequence, campaign, brand and policies by a live read.
func (r *Reconciler) lookBehindFence(ctx context.Context, c *v1alpha1.Campaign) (*look, error) {
	if _, err := r.Consents.Fence(ctx); err != nil {
		return nil, err
	}
	if err := r.Contacts.Current(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", errGate, err)
	}
	if err := r.current(ctx, c); err != nil {
		return nil, err
	}
	if err := r.complete(ctx, r.Live); err != nil {
		return nil, err
	}
	var brand, cached v1alpha1.Brand
	key := types.NamespacedName{Name: c.Spec.Brand}
	if err := errors.Join(r.Live.Get(ctx, key, &brand), r.Client.Get(ctx, key, &cached)); err != nil {
		return nil, fmt.Errorf("read brand %s: %w", c.Spec.Brand, err)
	}
	if brand.UID != cached.UID || brand.Generation != cached.Generation {
		return nil, ErrMoved
	}
	l, err := r.look(ctx, c, r.LiveKeeper, r.Clock.Now().UTC().Truncate(time.Second))
	if err == nil {
		r.heedStores(ctx, c, l)
	}
	return l, err
}

// current says whether the campaign is what the apiserver has. Codb's own last
// status may not be in the cache yet, and what happens once must not follow
// from an older one.
func (r *Reconciler) current(ctx context.Context, c *v1alpha1.Campaign) error {
	live := &v1alpha1.Campaign{}
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(c), live); err != nil {
		return fmt.Errorf("read campaign: %w", err)
	}
	if live.UID != c.UID || live.ResourceVersion != c.ResourceVersion || !live.DeletionTimestamp.IsZero() {
		return ErrMoved
	}
	return nil
}

// record writes a CampaignDecision when verdict, policies or generation are
// not those of the last one. Its name follows from its content and the one
// before, so that a crash in between writes it once.
func (r *Reconciler) record(ctx context.Context, c *v1alpha1.Campaign, l *look) error {
	s := &c.Status
	if s.Decision != "" && s.Verdict == l.outcome.Verdict && s.PolicyDigest == l.policyDigest && s.ObservedGeneration == c.Generation {
		return nil
	}
	if err := r.current(ctx, c); err != nil {
		return err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%d\n%s\n%s\n%s", c.UID, c.Generation, l.outcome.Verdict, l.policyDigest, s.Decision))
	d := &v1alpha1.CampaignDecision{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: c.Namespace, Name: c.Name + "-" + hex.EncodeToString(sum[:4]),
			Labels: map[string]string{v1alpha1.LabelCampaign: c.Name},
		},
		Spec: v1alpha1.CampaignDecisionSpec{
			Campaign:  v1alpha1.CampaignReference{Name: c.Name, UID: string(c.UID), Generation: c.Generation},
			Verdict:   l.outcome.Verdict,
			DecidedAt: metav1.Time{Time: l.now},
			StaleAt:   stamp(l.outcome.StaleAt),
			Reasons:   l.outcome.Reasons, Policies: l.policies, PolicyDigest: l.policyDigest,
		},
	}
	if l.policyDigest != "" {
		counts, sequence, consents := l.outcome.Counts, int64(l.contacts.Sequence), l.answers.Consents(l.revision)
		d.Spec.Counts, d.Spec.Consents, d.Spec.LedgerSequence = &counts, &consents, &sequence
	}
	switch err := r.Client.Create(ctx, d); {
	case err == nil:
		r.Metrics.decided(l.outcome.Verdict)
	case !apierrors.IsAlreadyExists(err): // else it was written, and codb ended before it could say so
		return fmt.Errorf("write decision %s: %w", d.Name, err)
	}
	s.Decision, s.PolicyDigest, s.Verdict, s.ObservedGeneration = d.Name, l.policyDigest, l.outcome.Verdict, c.Generation
	return nil
}

func released(c *v1alpha1.Campaign, l *look, run types.UID) Released {
	return Released{
		At: l.now, Seen: l.contacts, Run: run, Campaign: l.campaign, UID: c.UID, Generation: c.Generation,
		Principals: l.answers.Targeted(), PolicyDigest: l.policyDigest, ConsentRevision: l.revision,
	}
}

func stamp(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return &metav1.Time{Time: t.UTC().Truncate(time.Second)}
}
