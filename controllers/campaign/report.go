package campaign

import (
	"errors"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consentstore"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/workload"
)

// report says in the status what the look found and what was done about it.
func (r *Reconciler) report(c *v1alpha1.Campaign, l *look, err error) {
	if apierrors.IsConflict(err) || errors.Is(err, ErrMoved) {
		return // somebody was faster: the next look says it
	}
	s := &c.Status
	if ended := s.Workload == v1alpha1.WorkloadComplete || s.Workload == v1alpha1.WorkloadFailed; l.seen.State != "" && !(l.over && ended) {
		s.Workload = l.seen.State // how a run ended outlives its Job
	}
	if err != nil {
		reportFailure(c, err)
		return
	}
	s.ObservedGeneration = c.Generation
	r.remember(c, l)
	if !l.over {
		s.Verdict, s.Why, s.PolicyDigest, s.StaleAt = l.outcome.Verdict, l.outcome.Why, l.policyDigest, stamp(l.outcome.StaleAt)
		s.Counts = nil
		if l.policyDigest != "" {
			counts := l.outcome.Counts
			s.Counts = &counts
		}
		reportAnswer(c, l)
	} else {
		s.StaleAt = nil
	}
	l.show(s)
	reportFact(c, l)
	set(c, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady, "decided and enforced")
}

// remember says in the status what the campaign's own Job shows: that it was
// let go, and that it was stopped.
func (r *Reconciler) remember(c *v1alpha1.Campaign, l *look) {
	own := l.seen.Own()
	if own == nil || !own.Released || !once(c) {
		return
	}
	if !releasedBefore(c) {
		c.Status.Released = &v1alpha1.Release{
			Generation: c.Generation, Run: workload.RunHash(&c.Spec), At: metav1.Time{Time: l.now},
		}
	}
	switch {
	case own.Suspended && c.Status.Released.StoppedAt == nil:
		c.Status.Released.StoppedAt = &metav1.Time{Time: l.now}
	case !own.Suspended && own.Resumes:
		c.Status.Released.StoppedAt = nil
	}
}

// reportAnswer sets Permitted. Its message names codes, sorted, and no number
// that moves: the numbers are in the counts and in why.
func reportAnswer(c *v1alpha1.Campaign, l *look) {
	switch {
	case l.outcome.Runs() && stopped(c):
		c.Status.Why = "ran and was stopped; change the campaign to run it anew"
		set(c, v1alpha1.ConditionPermitted, metav1.ConditionFalse, v1alpha1.CodeAlreadyReleased, c.Status.Why)
	case l.runs(c) && !l.outcome.Runs():
		set(c, v1alpha1.ConditionPermitted, metav1.ConditionTrue, string(v1alpha1.CampaignPartlyAllowed), "permits are given for those who are allowed")
	case l.outcome.Runs():
		set(c, v1alpha1.ConditionPermitted, metav1.ConditionTrue, string(v1alpha1.CampaignAllowed), "everyone in the audience is allowed")
	default:
		set(c, v1alpha1.ConditionPermitted, metav1.ConditionFalse, l.outcome.Code, codes(&l.outcome))
	}
}

func codes(o *decision.Outcome) string {
	var out []string
	for _, rc := range o.Reasons {
		if rc.Mode != v1alpha1.ModeAudit && rc.Code != o.Code {
			out = append(out, rc.Code)
		}
	}
	slices.Sort(out)
	out = slices.Compact(out)
	head := string(o.Verdict) + ": " + o.Code
	if len(out) == 0 {
		return head
	}
	return head + "; also " + strings.Join(out[:min(8, len(out))], ", ")
}

// reportFact sets Enforced: what the workloads do because of the answer.
func reportFact(c *v1alpha1.Campaign, l *look) {
	status, reason, message := metav1.ConditionTrue, v1alpha1.ReasonSuspended, "no pod runs"
	switch l.seen.State {
	case v1alpha1.WorkloadNone, "":
		reason, message = v1alpha1.ReasonNoWorkload, "there is no Job or CronJob of this campaign"
	case v1alpha1.WorkloadQueued:
		reason, message = v1alpha1.ReasonReleased, "released; Kueue starts it when its queue has room"
	case v1alpha1.WorkloadRunning:
		reason, message = v1alpha1.ReasonReleased, "released"
		switch {
		case l.over || l.runs(c):
		case storeLost(l.outcome.Code):
			message = "released before; " + whatGoesOn(c)
		default:
			reason, message = v1alpha1.ReasonFinishing, "the verdict turned; pods that run may finish"
		}
	case v1alpha1.WorkloadStopping:
		status, message = metav1.ConditionFalse, "pods are being stopped"
	case v1alpha1.WorkloadComplete, v1alpha1.WorkloadFailed:
		reason, message = string(l.seen.State), "the run has ended"
	}
	if unsafe := l.seen.Unsafe(); len(unsafe) > 0 {
		status, reason, message = metav1.ConditionFalse, v1alpha1.CodeWorkloadUnsafe, strings.Join(unsafe, "; ")
	}
	if len(l.seen.Warnings) > 0 {
		message += "; " + strings.Join(l.seen.Warnings, "; ")
	}
	set(c, v1alpha1.ConditionEnforced, status, reason, message)
}

// whatGoesOn says what pods do while nobody can be asked.
func whatGoesOn(c *v1alpha1.Campaign) string {
	if c.Spec.DrawsPermits() {
		return "its pods wait for permits"
	}
	return "its pods go on with the list that was allowed"
}

// reportFailure says that the question could not be asked. What was decided
// before stands as the last word; of a new generation there is none.
func reportFailure(c *v1alpha1.Campaign, err error) {
	reason := v1alpha1.ReasonEngineFailed
	switch {
	case errors.Is(err, errNotYet):
		reason = v1alpha1.ReasonWaiting
	case errors.Is(err, errGate):
		reason = v1alpha1.ReasonGateUnreachable
	case errors.Is(err, consentstore.ErrNotCurrent):
		reason = v1alpha1.ReasonWaiting
	}
	if c.Status.ObservedGeneration != c.Generation || c.Status.Verdict == "" {
		c.Status.Verdict, c.Status.Why = v1alpha1.CampaignPending, "not decided yet"
	}
	set(c, v1alpha1.ConditionPermitted, metav1.ConditionUnknown, reason, err.Error())
	set(c, v1alpha1.ConditionReady, metav1.ConditionFalse, reason, err.Error())
}

func set(c *v1alpha1.Campaign, kind string, status metav1.ConditionStatus, reason, message string) {
	const most = 32768 // metav1.Condition's own bound
	meta.SetStatusCondition(&c.Status.Conditions, metav1.Condition{
		Type: kind, Status: status, Reason: reason, Message: message[:min(len(message), most)], ObservedGeneration: c.Generation,
	})
}
