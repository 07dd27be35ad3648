package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/gate"
	"github.com/codb-dev/codb/internal/permit"
	"github.com/codb-dev/codb/internal/policy"
	"github.com/codb-dev/codb/internal/workload"
)

// permitWorld is what the gate decides permits on: consents and policies as the
// operator has them, proven current; Job, Campaign and Brand read past every
// cache.
type permitWorld struct {
	*deciding
	live   client.Reader
	cached client.Reader // for what may be a little old
	clock  clock.Clock
	// onTime is nil while the clock agrees with the apiserver's: by another one
	// quiet hours, caps and the ends of consents would be wrong.
	onTime func(context.Context) error
}

// proofTime bounds how long a proof may take. Who can't prove what it knows
// within that time hands out nothing.
const proofTime = 5 * time.Second

// Records implements gate.World.
func (w *permitWorld) Records() audience.Records { return w.consents.Customers() }

// Current implements gate.World.
func (w *permitWorld) Current(ctx context.Context, h gate.Holder) (*gate.Case, error) {
	ctx, cancel := context.WithTimeout(ctx, proofTime)
	defer cancel()
	if !w.consents.Synced() {
		return nil, fmt.Errorf("%w: %w", gate.ErrConsents, unready(w.consents))
	}
	var (
		revision string
		c        v1alpha1.Campaign
		brand    *v1alpha1.Brand
		began    time.Time
	)
	group, asking := errgroup.WithContext(ctx) // which ends with the group
	group.Go(func() (err error) {
		if revision, err = w.consents.Fence(asking); err != nil {
			err = fmt.Errorf("%w: %w", gate.ErrConsents, err)
		}
		return err
	})
	group.Go(func() error { return w.policiesKnown(asking) })
	group.Go(func() error { return w.onTime(asking) })
	group.Go(func() (err error) {
		began, err = w.released(asking, h)
		return err
	})
	group.Go(func() (err error) {
		if err := w.campaign(asking, h, &c); err != nil {
			return err
		}
		brand, err = w.brand(asking, c.Spec.Brand)
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	out, err := w.decided(ctx, h, &c, brand, revision)
	if err != nil {
		return nil, err
	}
	out.Began, out.Ahead = began, w.ahead(&c, revision)
	return out, nil
}

// policiesKnown waits until the book has every policy that there is.
func (w *permitWorld) policiesKnown(ctx context.Context) error {
	var list v1alpha1.CampaignPolicyList
	if err := w.live.List(ctx, &list); err != nil {
		return fmt.Errorf("list policies: %w", err)
	}
	for {
		changed := w.book.Changed()
		if w.book.Knows(list.Items) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for the latest policies: %w", ctx.Err())
		}
	}
}

// released says whether codb let the holder's Job run, and lets it still, and
// since when there is that Job.
func (w *permitWorld) released(ctx context.Context, h gate.Holder) (began time.Time, err error) {
	if h.Job == "" {
		return time.Time{}, nil // the gate itself asks, about permits that are out
	}
	var job batchv1.Job
	if err := w.read(ctx, types.NamespacedName{Namespace: h.Campaign.Namespace, Name: h.Job}, &job); err != nil {
		return time.Time{}, err
	}
	switch {
	case string(job.UID) != h.Campaign.Job || job.Labels[v1alpha1.LabelCampaign] != h.Campaign.Name:
		return time.Time{}, fmt.Errorf("%w: the pod's Job is gone", gate.ErrForbidden)
	case job.Annotations[v1alpha1.AnnotationDecision] == "" || job.Annotations[v1alpha1.AnnotationPolicyDigest] == "":
		return time.Time{}, fmt.Errorf("%w: the Job was not released by codb", gate.ErrForbidden)
	case ptr.Deref(job.Spec.Suspend, false) || job.DeletionTimestamp != nil:
		return time.Time{}, fmt.Errorf("%w: the Job is suspended or on its way out", gate.ErrForbidden)
	}
	return job.CreationTimestamp.Time, nil
}

func (w *permitWorld) campaign(ctx context.Context, h gate.Holder, c *v1alpha1.Campaign) error {
	if err := w.read(ctx, types.NamespacedName{Namespace: h.Campaign.Namespace, Name: h.Campaign.Name}, c); err != nil {
		return err
	}
	switch {
	case string(c.UID) != h.Campaign.UID || c.DeletionTimestamp != nil:
		return fmt.Errorf("%w: the pod's campaign is gone", gate.ErrForbidden)
	case !c.Spec.DrawsPermits():
		return fmt.Errorf("%w: the campaign draws no permits", gate.ErrForbidden)
	}
	return nil
}

// read reads what must be there.
func (w *permitWorld) read(ctx context.Context, key types.NamespacedName, into client.Object) error {
	err := w.live.Get(ctx, key, into)
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("%w: there is no %T %s", gate.ErrForbidden, into, key)
	}
	if err != nil {
		return fmt.Errorf("read %T %s: %w", into, key, err)
	}
	return nil
}

// brand is nil where there is none.
func (w *permitWorld) brand(ctx context.Context, name string) (*v1alpha1.Brand, error) {
	brand := &v1alpha1.Brand{}
	err := w.live.Get(ctx, types.NamespacedName{Name: name}, brand)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read brand %s: %w", name, err)
	}
	return brand, nil
}

// decided is what holds for all of the campaign's customers.
func (w *permitWorld) decided(ctx context.Context, h gate.Holder, c *v1alpha1.Campaign, brand *v1alpha1.Brand, revision string) (*gate.Case, error) {
	class := v1alpha1.PurposeClass("")
	if brand != nil {
		class = decision.Class(brand, c.Spec.Purpose)
	}
	out := &gate.Case{
		Terms: permit.Terms{
			Campaign: contacts.Campaign{
				Namespace: c.Namespace, Name: c.Name, UID: string(c.UID), Generation: c.Generation, Job: h.Campaign.Job,
			},
			Facts: decision.Facts(c, class), ConsentRevision: revision,
		},
		Audience: &c.Spec.Audience,
	}
	if c.Spec.Pace != nil {
		out.PerMinute = int(c.Spec.Pace.PerMinute)
	}
	if no, ok := decision.Preflight(c, brand, w.clock.Now()); !ok {
		out.Refusal = refusal(no.Verdict, no.Code, no.Why, no.StaleAt)
		return out, nil
	}
	set, notReady := w.book.For(policy.Facts{
		Brand: c.Spec.Brand, Namespace: c.Namespace, Purpose: c.Spec.Purpose, Class: class, Channel: c.Spec.Channel,
	})
	switch {
	case len(notReady) > 0:
		out.Refusal = refusal(v1alpha1.CampaignBlocked, v1alpha1.CodePolicyNotReady, "nothing in force of policy "+strings.Join(notReady, ", "), time.Time{})
		return out, nil
	case len(set) == 0:
		out.Refusal = refusal(v1alpha1.CampaignBlocked, v1alpha1.CodeNoPolicy, "no CampaignPolicy matches", time.Time{})
		return out, nil
	}
	judge, err := w.book.Judge(ctx, set)
	if err != nil {
		return nil, fmt.Errorf("load policies: %w", err)
	}
	out.Judge, out.PolicyDigest = judge, judge.Digest()
	out.Key = string(c.UID) + " " + workload.RunHash(&c.Spec) + " " + string(class) + " " + out.PolicyDigest
	return out, nil
}

func refusal(v v1alpha1.CampaignVerdict, code, why string, until time.Time) *decision.Reason {
	r := &decision.Reason{Code: code, Verdict: v1alpha1.VerdictDeny, Message: why, Until: until}
	if v == v1alpha1.CampaignHeld {
		r.Verdict = v1alpha1.VerdictHold
	}
	return r
}
