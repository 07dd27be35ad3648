// Package campaignpolicy compiles policies, runs their own test cases, and puts
// into the book what is in force. It knows nothing of campaigns.
package campaignpolicy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/policy"
)

// Checker compiles one policy and runs its cases. An error means that it could
// not be asked; a policy that is wrong is a report.
type Checker interface {
	Check(ctx context.Context, p policy.Policy) (policy.Report, error)
}

// soon is when a policy is looked at again whose status somebody else was
// faster to write.
const soon = 500 * time.Millisecond

// again is when a policy is tried anew over which a worker was stopped: a busy
// machine may have been the reason.
const again = time.Minute

// Reconciler looks at one policy at a time.
type Reconciler struct {
	Client client.Client
	// Live reads past the cache. Nil: there is none.
	Live    client.Reader
	Checker Checker
	Library *policy.Library
	Book    *policy.Book
	// Namespace keeps the revisions.
	Namespace string
	Events    events.EventRecorder
	// Follow only fills the book: another process keeps the revisions and says in
	// the status what is in force.
	Follow bool
}

// Reconcile checks the latest revision, keeps it if it is good, and says what
// is in force.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	p := &v1alpha1.CampaignPolicy{}
	err := r.Client.Get(ctx, req.NamespacedName, p)
	if apierrors.IsNotFound(err) {
		r.Book.Remove(req.Name)
		return ctrl.Result{}, nil
	} // one that is on its way out counts until it is gone
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("read policy: %w", err)
	}
	before := p.DeepCopy()
	report, err := r.Checker.Check(ctx, policy.FromObject(p))
	var res ctrl.Result
	if report.Exhausted() {
		res.RequeueAfter = again
	}
	if r.Follow {
		return res, r.follow(ctx, p, report, err)
	}
	if err == nil {
		err = r.decide(ctx, p, report)
	}
	if err != nil {
		set(p, metav1.ConditionUnknown, v1alpha1.ReasonEngineFailed, err.Error())
	}
	perr := r.patchStatus(ctx, before, p)
	if apierrors.IsConflict(perr) {
		return ctrl.Result{RequeueAfter: soon}, err // changes of labels and status, our own too, wake nobody
	}
	if perr == nil {
		r.announce(ctx, before, p)
		r.warn(ctx, before, p)
	}
	return res, errors.Join(err, perr)
}

// decide puts the latest revision in force, or leaves the last good one there.
func (r *Reconciler) decide(ctx context.Context, p *v1alpha1.CampaignPolicy, report policy.Report) error {
	s := &p.Status
	s.ObservedGeneration = p.Generation
	s.Tests = fmt.Sprintf("%d/%d", report.Passed, report.Total)
	s.Failures = failures(report)
	if good(report) {
		rev, err := r.keep(ctx, p)
		if err != nil {
			return err
		}
		s.Engines = policy.Engines(policy.FromObject(p), report)
		s.InForce = rev
		r.Book.Put(p, inForce(policy.FromObject(p), &p.Spec, rev.Digest))
		for _, rule := range r.Book.Differing(p.Name) {
			s.Engines = policy.Doubted(s.Engines, rule)
		}
		if why := r.Book.Stalled(p.Name); why != "" {
			s.InForce, s.Engines = nil, nil
			set(p, metav1.ConditionFalse, v1alpha1.ReasonStalled, why+"; simplify it: campaigns that the policy matches are blocked until it changes")
			return nil
		}
		set(p, metav1.ConditionTrue, v1alpha1.ReasonReady, ready(p, report))
		return nil
	}
	last, err := r.last(ctx, p)
	if err != nil {
		return err
	}
	if last == nil {
		s.InForce, s.Engines = nil, nil
	}
	r.Book.Put(p, last)
	reason, message := v1alpha1.ReasonTestsFailed, fmt.Sprintf("%d of %d cases fail: %s", report.Total-report.Passed, report.Total, first(s.Failures))
	if len(report.Problems) > 0 {
		reason, message = v1alpha1.ReasonNotCompiled, report.Problems[0].String()
	}
	if last == nil {
		message += "; nothing is in force, and campaigns that it matches are blocked"
	} else {
		message += fmt.Sprintf("; generation %d stays in force", s.InForce.Generation)
	}
	set(p, metav1.ConditionFalse, reason, message)
	return nil
}

// follow fills the book by the same rules as decide.
func (r *Reconciler) follow(ctx context.Context, p *v1alpha1.CampaignPolicy, report policy.Report, err error) error {
	if err != nil {
		return err
	}
	if good(report) {
		own := policy.FromObject(p)
		r.Book.Put(p, inForce(own, &p.Spec, r.Library.Digest(own)))
		return nil
	}
	last, err := r.last(ctx, p)
	if err == nil {
		r.Book.Put(p, last)
	}
	return err
}

func good(report policy.Report) bool {
	return len(report.Problems) == 0 && report.Passed == report.Total
}

// keep stores the revision's text, so that it can be put in force again after a
// restart and read by auditors.
func (r *Reconciler) keep(ctx context.Context, p *v1alpha1.CampaignPolicy) (*v1alpha1.PolicyRevision, error) {
	digest := r.Library.Digest(policy.FromObject(p))
	raw, err := json.Marshal(p.Spec)
	if err != nil {
		return nil, fmt.Errorf("write revision of policy %s: %w", p.Name, err)
	}
	rev := &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: r.Namespace,
			Name:      fmt.Sprintf("%s-%d-%s", p.Name, p.Generation, digest[len("sha256:"):][:8]),
			Labels:    map[string]string{v1alpha1.LabelPolicy: p.Name},
		},
		Revision: p.Generation,
		Data:     runtime.RawExtension{Raw: raw},
	}
	if err := r.Client.Create(ctx, rev); err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("write revision %s: %w", rev.Name, err)
	}
	return &v1alpha1.PolicyRevision{Generation: p.Generation, Digest: digest, ControllerRevision: rev.Name}, nil
}

// last reads the revision that the status says is in force; nil: none.
func (r *Reconciler) last(ctx context.Context, p *v1alpha1.CampaignPolicy) (*policy.InForce, error) {
	in := p.Status.InForce
	if in == nil {
		return nil, nil
	}
	var rev appsv1.ControllerRevision
	key := types.NamespacedName{Namespace: r.Namespace, Name: in.ControllerRevision}
	err := r.Client.Get(ctx, key, &rev)
	if apierrors.IsNotFound(err) && r.Live != nil {
		err = r.Live.Get(ctx, key, &rev) // it may have been written a moment ago
	}
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read revision %s: %w", in.ControllerRevision, err)
	}
	old := &v1alpha1.CampaignPolicy{ObjectMeta: metav1.ObjectMeta{Name: p.Name, Generation: in.Generation}}
	if err := json.Unmarshal(rev.Data.Raw, &old.Spec); err != nil {
		return nil, fmt.Errorf("read revision %s: %w", rev.Name, err)
	}
	// What was good once may not be under a newer library or stricter limits.
	report, err := r.Checker.Check(ctx, policy.FromObject(old))
	if err != nil {
		return nil, err
	}
	if len(report.Problems) > 0 {
		return nil, nil
	}
	return inForce(policy.FromObject(old), &old.Spec, r.Library.Digest(policy.FromObject(old))), nil
}

func inForce(p policy.Policy, spec *v1alpha1.CampaignPolicySpec, digest string) *policy.InForce {
	return &policy.InForce{Policy: p, Match: spec.Match, Thresholds: spec.Thresholds, Digest: digest}
}

func failures(report policy.Report) []string {
	const most, longest = 16, 512
	var out []string
	for _, p := range report.Problems {
		out = append(out, p.String())
	}
	for _, t := range report.Tests {
		if !t.Passed {
			out = append(out, fmt.Sprintf("%s: want %s, got %s", t.Name, t.Want, t.Got))
		}
	}
	out = out[:min(len(out), most)]
	for i, s := range out {
		if len(s) > longest {
			out[i] = strings.ToValidUTF8(s[:longest-3], "") + "..."
		}
	}
	return out
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

func ready(p *v1alpha1.CampaignPolicy, report policy.Report) string {
	rules := len(p.Spec.Rules)
	what := fmt.Sprintf("%d rules", rules)
	if p.Spec.Rego != "" {
		what += " and own Rego"
	}
	return fmt.Sprintf("in force: %s, %d of %d cases pass", what, report.Passed, report.Total)
}

func set(p *v1alpha1.CampaignPolicy, status metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(&p.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionReady, Status: status, Reason: reason, Message: message, ObservedGeneration: p.Generation,
	})
}

func (r *Reconciler) patchStatus(ctx context.Context, before, p *v1alpha1.CampaignPolicy) error {
	if equality.Semantic.DeepEqual(before.Status, p.Status) {
		return nil
	}
	lock := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := client.IgnoreNotFound(r.Client.Status().Patch(ctx, p, lock)); err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	return nil
}

func (r *Reconciler) announce(ctx context.Context, before, p *v1alpha1.CampaignPolicy) {
	was := meta.FindStatusCondition(before.Status.Conditions, v1alpha1.ConditionReady)
	is := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionReady)
	if is == nil || (was != nil && was.Status == is.Status && was.Reason == is.Reason && was.ObservedGeneration == is.ObservedGeneration) {
		return
	}
	kind := "Normal"
	if is.Status != metav1.ConditionTrue {
		kind = "Warning"
	}
	log.FromContext(ctx).Info("Policy changed", "reason", is.Reason, "tests", p.Status.Tests)
	r.Events.Eventf(p, nil, kind, is.Reason, "Compile", "%s", is.Message)
}

// warn of rules that OPA answers otherwise than the native engine, once.
func (r *Reconciler) warn(ctx context.Context, before, p *v1alpha1.CampaignPolicy) {
	for _, e := range p.Status.Engines {
		if e.Why == policy.WhyDoubted && !slices.Contains(before.Status.Engines, e) {
			log.FromContext(ctx).Info("OPA answers a rule otherwise than the native engine", "rule", e.Rule)
			r.Events.Eventf(p, nil, "Warning", v1alpha1.ReasonEnginesDiffer, "Confirm", "rule %s: %s", e.Rule, e.Why)
		}
	}
}

// SetupWithManager registers the reconciler.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("campaignpolicy").
		For(&v1alpha1.CampaignPolicy{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesRawSource(source.Func(r.troubles)).
		Complete(r)
}

// troubles wakes for policies that stalled, or of which OPA answers a rule otherwise
// than the native engine, once for each time.
func (r *Reconciler) troubles(ctx context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	go func() {
		var told map[string]string
		for {
			changed := r.Book.Changed()
			now := r.Book.Troubled()
			for name, what := range now {
				if told[name] != what {
					q.Add(reconcile.Request{NamespacedName: types.NamespacedName{Name: name}})
				}
			}
			told = now
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
		}
	}()
	return nil
}
