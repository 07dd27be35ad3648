// Package campaign decides campaigns and holds or releases their workloads.
// It does not know how policies are evaluated or Jobs are stopped: it asks,
// sums up, acts, reports and plans the next look, in that order.
package campaign

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/policy"
	"github.com/codb-dev/codb/internal/workload"
)

// Consents are all customers' consents.
type Consents interface {
	Synced() bool
	// Healthy is nil while the store can be kept up to date.
	Healthy() error
	// Customers are all of them; one table serves every campaign.
	Customers() *audience.Table
	// Revision is an opaque mark up to which every change is in the table.
	Revision() string
	// Fence returns once every withdrawal acknowledged before the call is in
	// the table.
	Fence(ctx context.Context) (revision string, err error)
	Changed() <-chan struct{}
}

// Policies are the policies in force.
type Policies interface {
	// Knows says whether these policies, in these generations, and no others
	// were looked at.
	Knows([]v1alpha1.CampaignPolicy) bool
	For(policy.Facts) (set []policy.InForce, notReady []string)
	Judge(ctx context.Context, set []policy.InForce) (decision.Judge, error)
	References(set []policy.InForce) []v1alpha1.PolicyReference
	Changed() <-chan struct{}
}

// Contacts are what the ledger says of customers' past.
type Contacts interface {
	// View leaves out what the runs that go on now have added.
	View(campaign types.UID, jobs []types.UID) audience.Ledger
	// Position is how far the views have come.
	Position() contacts.Position
	// Current brings the view up to everything that the ledger had acknowledged
	// before the call, or says why it can't.
	Current(ctx context.Context) error
	// Healthy is nil while the ledger can be read.
	Healthy() error
	// Consents is the latest revision of the consents that a contact was decided on.
	Consents() string
	// Progress is how far a Job has come that draws permits.
	Progress(campaign, job types.UID) contacts.Progress
	// Record writes one contact for each principal; the same run and principal
	// are written once, however often it is called. It is ErrMoved when the ledger
	// has news of one of them that the decision did not know.
	Record(ctx context.Context, r Released) error
	Changed() <-chan struct{}
}

// Released is what the ledger is told before a workload may run: everyone in
// the audience counts as contacted.
type Released struct {
	At time.Time
	// Seen is how far the views had come when the release was decided.
	Seen            contacts.Position
	Run             types.UID
	Campaign        decision.Campaign
	UID             types.UID
	Generation      int64
	Principals      []string
	PolicyDigest    string
	ConsentRevision string
}

// Reconciler looks at one campaign at a time.
type Reconciler struct {
	Client client.Client
	// Live reads past the cache.
	Live     client.Reader
	Consents Consents
	Policies Policies
	Contacts Contacts
	Keeper   *workload.Keeper
	// LiveKeeper observes past the cache.
	LiveKeeper *workload.Keeper
	// Admitted is nil while codb's admission policies are in force.
	Admitted func(context.Context) error
	Clock    clock.Clock
	Events   events.EventRecorder
	// Workers is how many campaigns are looked at side by side.
	Workers int
	// Metrics may be nil.
	Metrics *Metrics

	evaluations sync.Map   // types.NamespacedName of a campaign -> *evaluation
	releasing   sync.Mutex // one release at a time: each sees the contacts of those before
}

type evaluation struct {
	mu sync.Mutex
	audience.Evaluation
	progress shown
}

// errNotYet says that codb is still reading the world.
var errNotYet = errors.New("codb is still reading policies and consents")

// ErrMoved says that the world is ahead of what was looked at: nothing is wrong,
// and the next look will see it.
var ErrMoved = errors.New("the cache is behind")

// Reconcile decides, enforces, reports and plans the next look. When the
// question can't be asked it releases nothing.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	c := &v1alpha1.Campaign{}
	err := r.Client.Get(ctx, req.NamespacedName, c)
	if apierrors.IsNotFound(err) || (err == nil && !c.DeletionTimestamp.IsZero()) {
		return ctrl.Result{}, r.bury(ctx, req.NamespacedName)
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("read campaign: %w", err)
	}
	before, now := c.DeepCopy(), r.Clock.Now().UTC().Truncate(time.Second)
	defer r.Metrics.looked(time.Now())

	look, err := r.look(ctx, c, r.Keeper, now)
	look.before = before
	if err == nil {
		err = errors.Join(r.enforce(ctx, c, look), r.Keeper.Dequeue(ctx, c, look.seen))
	} else if len(look.seen.Active()) > 0 && !c.Spec.DrawsPermits() && r.refused(ctx, c, look) {
		// Nobody can be asked, but a no needs no interpreter.
		look.outcome.Withdrawn, look.outcome.Code = true, heldWithdrawn
		err = errors.Join(err, r.hold(ctx, c, look))
	}
	r.report(c, look, err)
	if perr := r.patchStatus(ctx, before, c); perr != nil {
		err = errors.Join(err, perr)
	} else {
		r.announce(ctx, before, c)
	}
	switch {
	case apierrors.IsConflict(err), errors.Is(err, ErrMoved): // somebody was faster; nothing is wrong
		return ctrl.Result{RequeueAfter: settle}, nil
	case errors.Is(err, errNotYet):
		return ctrl.Result{RequeueAfter: time.Second}, nil
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	r.settle(c)
	return r.next(look), nil
}

// bury keeps the workloads of a campaign that is gone from running: nothing
// permits them any more. Those that codb made are collected with it.
func (r *Reconciler) bury(ctx context.Context, key types.NamespacedName) error {
	r.evaluations.Delete(key)
	gone := &v1alpha1.Campaign{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
	seen, err := r.Keeper.Observe(ctx, gone)
	if err != nil {
		return err
	}
	return errors.Join(
		r.Keeper.Hold(ctx, gone, seen, v1alpha1.OnWithdrawalSuspend, "the campaign is gone"),
		r.Keeper.Dequeue(ctx, gone, seen))
}

// next plans the look at the first instant at which any answer can change.
func (r *Reconciler) next(l *look) ctrl.Result {
	if l.again > 0 || l.outcome.StaleAt.IsZero() {
		return ctrl.Result{RequeueAfter: l.again}
	}
	left := max(l.outcome.StaleAt.Sub(r.Clock.Now()), time.Second)
	return ctrl.Result{RequeueAfter: min(left, clockCheck)}
}

// clockCheck is how long a campaign that waits for an instant sleeps at most:
// timers don't notice a clock that is put forward or back.
const clockCheck = 5 * time.Minute

func (r *Reconciler) patchStatus(ctx context.Context, before, c *v1alpha1.Campaign) error {
	if equality.Semantic.DeepEqual(before.Status, c.Status) {
		return nil
	}
	return client.IgnoreNotFound(r.writeStatus(ctx, before, c))
}

func (r *Reconciler) writeStatus(ctx context.Context, before, c *v1alpha1.Campaign) error {
	lock := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Status().Patch(ctx, c, lock); err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	return nil
}

// announce tells people of a verdict that changed, once.
func (r *Reconciler) announce(ctx context.Context, before, c *v1alpha1.Campaign) {
	if before.Status.Workload != c.Status.Workload {
		log.FromContext(ctx).Info("Workload changed", "was", before.Status.Workload, "is", c.Status.Workload)
	}
	was := meta.FindStatusCondition(before.Status.Conditions, v1alpha1.ConditionPermitted)
	is := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionPermitted)
	if is == nil || (was != nil && was.Status == is.Status && was.Reason == is.Reason) {
		return
	}
	kind := "Normal"
	if is.Status != metav1.ConditionTrue {
		kind = "Warning"
	}
	log.FromContext(ctx).Info("Verdict changed", "verdict", c.Status.Verdict, "reason", is.Reason, "decision", c.Status.Decision)
	r.Events.Eventf(c, nil, kind, is.Reason, "Decide", "%s", is.Message)
}
