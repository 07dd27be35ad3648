// Package consentreview answers questions about one customer and one campaign.
// It decides nothing: a question changes no campaign.
package consentreview

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/policy"
	"github.com/codb-dev/codb/internal/workload"
)

// Kept is how long a question and its answer stay.
const Kept = time.Hour

// Consents are all customers' consents.
type Consents interface {
	Synced() bool
	Customers() *audience.Table
	// Fence returns once every withdrawal acknowledged before the call is in
	// the table.
	Fence(ctx context.Context) (revision string, err error)
}

// Policies are the policies in force.
type Policies interface {
	// Knows says whether these policies, in these generations, and no others
	// were looked at.
	Knows([]v1alpha1.CampaignPolicy) bool
	For(policy.Facts) (set []policy.InForce, notReady []string)
	Judge(ctx context.Context, set []policy.InForce) (decision.Judge, error)
}

// Contacts are what the ledger says of customers' past.
type Contacts interface {
	View(campaign types.UID, jobs []types.UID) audience.Ledger
	Current(ctx context.Context) error
}

// Reconciler looks at one question at a time.
type Reconciler struct {
	Client   client.Client
	Consents Consents
	Policies Policies
	Contacts Contacts
	Keeper   *workload.Keeper
	Clock    clock.Clock
}

var errNotYet = errors.New("codb is still reading policies and consents")

// Reconcile answers once, and deletes the question when its time is over.
func (r *Reconciler) Reconcile(ctx context.Context, q *v1alpha1.ConsentReview) (reconcile.Result, error) {
	if !q.DeletionTimestamp.IsZero() {
		return reconcile.Result{}, nil
	}
	now := r.Clock.Now()
	left := q.CreationTimestamp.Add(Kept).Sub(now)
	if left <= 0 {
		// Another question may have the name by now: it is told by its uid.
		err := r.Client.Delete(ctx, q, client.Preconditions{UID: &q.UID})
		if apierrors.IsConflict(err) {
			err = nil
		}
		return reconcile.Result{}, nameless("delete a question", client.IgnoreNotFound(err))
	}
	if q.Status.Verdict != "" {
		return reconcile.Result{RequeueAfter: left}, nil
	}
	before := q.DeepCopy()
	answer, err := r.answer(ctx, q, now.UTC().Truncate(time.Second))
	switch {
	case errors.Is(err, errNotYet):
		return reconcile.Result{RequeueAfter: time.Second}, nil
	case err != nil:
		set(q, metav1.ConditionUnknown, v1alpha1.ReasonEngineFailed, err.Error())
	default:
		q.Status = *answer
		q.Status.Why = why(q.Status.Reasons)
		set(q, metav1.ConditionTrue, v1alpha1.ReasonReady, "answered")
	}
	if !equality.Semantic.DeepEqual(before.Status, q.Status) {
		if perr := r.Client.Status().Patch(ctx, q, client.MergeFrom(before)); client.IgnoreNotFound(perr) != nil {
			return reconcile.Result{}, errors.Join(err, nameless("write an answer", perr))
		}
	}
	return reconcile.Result{RequeueAfter: left}, err
}

func (r *Reconciler) answer(ctx context.Context, q *v1alpha1.ConsentReview, now time.Time) (*v1alpha1.ConsentReviewStatus, error) {
	if !r.Consents.Synced() {
		return nil, errNotYet
	}
	var known v1alpha1.CampaignPolicyList
	if err := r.Client.List(ctx, &known); err != nil {
		return nil, fmt.Errorf("list policies: %w", err)
	}
	if !r.Policies.Knows(known.Items) {
		return nil, errNotYet // an answer stands for good
	}
	if q.Spec.At != nil {
		now = q.Spec.At.UTC().Truncate(time.Second)
	}
	c := &v1alpha1.Campaign{}
	if err := r.Client.Get(ctx, types.NamespacedName{Namespace: q.Spec.Campaign.Namespace, Name: q.Spec.Campaign.Name}, c); client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("read campaign: %w", err)
	} else if err != nil {
		return deny(now, v1alpha1.CodeCampaignUnknown, "there is no such campaign"), nil
	}
	brand := &v1alpha1.Brand{}
	if err := r.Client.Get(ctx, types.NamespacedName{Name: c.Spec.Brand}, brand); client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("read brand %s: %w", c.Spec.Brand, err)
	} else if err != nil {
		brand = nil
	}
	if out, ok := decision.Preflight(c, brand, now); !ok {
		return deny(now, out.Code, out.Why), nil
	}
	class := decision.Class(brand, c.Spec.Purpose)
	policies, notReady := r.Policies.For(policy.Facts{
		Brand: c.Spec.Brand, Namespace: c.Namespace, Purpose: c.Spec.Purpose, Class: class, Channel: c.Spec.Channel,
	})
	switch {
	case len(notReady) > 0:
		return deny(now, v1alpha1.CodePolicyNotReady, "nothing in force of policy "+strings.Join(notReady, ", ")), nil
	case len(policies) == 0:
		return deny(now, v1alpha1.CodeNoPolicy, "no CampaignPolicy matches"), nil
	}
	return r.judge(ctx, q, c, decision.Facts(c, class), policies, now)
}

// judge asks about the one customer, on what is proven current.
func (r *Reconciler) judge(ctx context.Context, q *v1alpha1.ConsentReview, c *v1alpha1.Campaign, facts decision.Campaign, policies []policy.InForce, now time.Time) (*v1alpha1.ConsentReviewStatus, error) {
	if _, err := r.Consents.Fence(ctx); err != nil {
		return nil, err
	}
	if err := r.Contacts.Current(ctx); err != nil {
		return nil, fmt.Errorf("read contacts: %w", err)
	}
	rec, ok := r.Consents.Customers().Get(q.Spec.Customer)
	if !ok {
		return deny(now, v1alpha1.CodeNoConsent, "there is no record of this customer"), nil
	}
	if in, _ := rec.Targeted(&c.Spec.Audience, now); !in {
		return deny(now, v1alpha1.CodeNotTargeted, "the customer is not in the campaign's audience"), nil
	}
	judge, err := r.Policies.Judge(ctx, policies)
	if err != nil {
		return nil, fmt.Errorf("load policies: %w", err)
	}
	seen, err := r.Keeper.Observe(ctx, c)
	if err != nil {
		return nil, err
	}
	past, _ := r.Contacts.View(c.UID, seen.Open()).Contacts(q.Spec.Customer)
	answers, err := judge.Judge(ctx, decision.Question{
		Now: now, Campaign: facts, Subjects: []decision.Subject{rec.Subject(&facts, past)},
	})
	if err != nil {
		return nil, fmt.Errorf("judge: %w", err)
	}
	if len(answers) != 1 {
		return nil, fmt.Errorf("judge: got %d answers", len(answers))
	}
	return status(now, answers[0].Reasons, judge.Digest()), nil
}

func status(now time.Time, reasons []decision.Reason, digest string) *v1alpha1.ConsentReviewStatus {
	s := &v1alpha1.ConsentReviewStatus{
		Verdict: decision.Personal(reasons), EvaluatedAt: &metav1.Time{Time: now}, PolicyDigest: digest,
	}
	if until := decision.Until(reasons); s.Verdict == v1alpha1.VerdictHold && !until.IsZero() {
		s.Until = &metav1.Time{Time: until}
	}
	const most = 64
	for _, r := range reasons[:min(most, len(reasons))] {
		reason := v1alpha1.ReviewReason{
			Code: r.Code, Verdict: r.Verdict, Message: r.Message, Policy: r.Policy, Rule: r.Rule, Mode: r.Mode,
		}
		if !r.Until.IsZero() {
			reason.Until = &metav1.Time{Time: r.Until}
		}
		s.Reasons = append(s.Reasons, reason)
	}
	slices.SortStableFunc(s.Reasons, func(a, b v1alpha1.ReviewReason) int { return strings.Compare(a.Code, b.Code) })
	return s
}

// why lists the codes, each once: the floor and a policy may give the same.
func why(reasons []v1alpha1.ReviewReason) string {
	const most = 256
	var codes []string
	for _, r := range reasons {
		codes = append(codes, r.Code)
	}
	slices.Sort(codes)
	s := strings.Join(slices.Compact(codes), ",")
	return s[:min(len(s), most)]
}

func deny(now time.Time, code, message string) *v1alpha1.ConsentReviewStatus {
	return &v1alpha1.ConsentReviewStatus{
		Verdict: v1alpha1.VerdictDeny, EvaluatedAt: &metav1.Time{Time: now},
		Reasons: []v1alpha1.ReviewReason{{Code: code, Verdict: v1alpha1.VerdictDeny, Message: message}},
	}
}

func set(q *v1alpha1.ConsentReview, status metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(&q.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionReady, Status: status, Reason: reason, Message: message, ObservedGeneration: q.Generation,
	})
}

// nameless says what went wrong without the apiserver's own words, which spell
// out the question's name and address.
func nameless(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %s", doing, cmp.Or(string(apierrors.ReasonForError(err)), fmt.Sprintf("%T", err)))
}

// SetupWithManager registers the reconciler.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("consentreview").
		For(&v1alpha1.ConsentReview{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WithOptions(controller.Options{
			// The usual one names the question, and people name questions after whom
			// they ask about.
			LogConstructor: func(*reconcile.Request) logr.Logger {
				return mgr.GetLogger().WithValues("controller", "consentreview")
			},
		}).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}
