package bypass_test

import (
	"fmt"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
)

const (
	labelQueue      = "kueue.x-k8s.io/queue-name"
	annotationGates = "kueue.x-k8s.io/admission-gated-by"
)

// queues are ways by Kueue, which starts Jobs that have its queue label.
// test/kueue has it tried with Kueue itself.
func (w *world) queues() map[string]row {
	gates := func(to string) string { return "{'metadata':{'annotations':{'" + annotationGates + "':" + to + "}}}" }
	inQueue := func(j *batchv1.Job) { j.Labels[labelQueue] = "mail" }
	const (
		onlyGate = "only codb takes consent.codb.dev/codb out, with the evidence of a release"
		notYet   = "codb has not released this Job, or it was started once already"
		starts   = "{'spec':{'suspend':false}}"
		label    = "{'metadata':{'labels':{'" + labelQueue + "':'mail'}}}"
		both     = "{'spec':{'suspend':false},'metadata':{'annotations':{'" + annotationGates + "':null,'consent.codb.dev/start':'1'}}}"
	)
	namesake := who{name: "system:serviceaccount:" + marketing + ":kueue-controller-manager", groups: root.groups}
	return map[string]row{
		"JobInAQueue":               {admin, behindTheGate(plainJob(marketing, "x", "queued", inQueue)), ""},
		"JobInAQueueSaysUngated":    {admin, behindTheGate(plainJob(marketing, "x", "queued", inQueue, func(j *batchv1.Job) { j.Annotations = map[string]string{annotationGates: ""} })), ""},
		"JobInAQueueWithLeave":      {admin, create(plainJob(marketing, "x", "queued", inQueue, func(j *batchv1.Job) { j.Annotations = map[string]string{v1alpha1.AnnotationStart: "1"} })), "not born with evidence"},
		"GateTakenOff":              {admin, patch(w.queued, gates("null")), onlyGate},
		"GateTakenOffByKubectl":     {admin, kubectl("annotate", "job", w.queued.Name, annotationGates+"-"), onlyGate},
		"GateTakenOffByKueue":       {kueue, patch(w.queued, gates("null")), onlyGate},
		"GateTakenOffByRoot":        {root, patch(w.queued, gates("''")), onlyGate},
		"GateRenamed":               {admin, patch(w.queued, gates("'acme.example/codb'")), onlyGate},
		"GateMadeLookAlike":         {admin, patch(w.queued, gates("'consent.codb.dev/codbs'")), onlyGate},
		"GateOfAnother":             {admin, patch(w.queued, gates("'acme.example/budget,consent.codb.dev/codb'"), client.DryRunAll), ""},
		"QueueStartedByHand":        {admin, patch(w.queued, starts), onlyCodb},
		"QueueStartedByKueue":       {kueue, patch(w.queued, starts), notYet},
		"QueueUngatedAndStarted":    {kueue, patch(w.queued, both), notYet},
		"NoQueueStartedByKueue":     {kueue, patch(w.blocked, starts), notYet},
		"FreedStartedByKueue":       {kueue, patch(w.freed, starts, client.DryRunAll), ""},
		"FreedStartedByHand":        {admin, patch(w.freed, starts), onlyCodb},
		"FreedStartedByNamesake":    {namesake, patch(w.freed, starts), onlyCodb},
		"FreedStartedByPretence":    {admin, pretends(who{name: kueue.name}, patch(w.freed, starts)), "cannot impersonate"},
		"FreedSwappedByKueue":       {kueue, patch(w.freed, "{'spec':{'suspend':false,'parallelism':50}}"), "a campaign Job is frozen"},
		"FreedAnnotatedByKueue":     {kueue, patch(w.freed, "{'spec':{'template':{'metadata':{'annotations':{'acme.example/inject':'true'}}}}}"), "a campaign Job is frozen"},
		"LeaveByOneself":            {admin, patch(w.queued, "{'metadata':{'annotations':{'consent.codb.dev/start':'1'}}}"), "only codb sets annotations of consent.codb.dev"},
		"QueueLabelLater":           {admin, patch(w.blocked, label), "the labels of a campaign Job are frozen"},
		"QueueLabelLaterReleased":   {admin, patch(w.running, label), "the labels of a campaign Job are frozen"},
		"QueueLabelGone":            {admin, patch(w.queued, "{'metadata':{'labels':{'"+labelQueue+"':null}}}"), "the labels of a campaign Job are frozen"},
		"CronJobIntoAQueue":         {admin, patch(w.late, "{'spec':{'jobTemplate':"+label+"}}"), "metadata.annotations: "}, // two policies refuse; either may be heard
		"StatusOfAQueueByKueue":     {kueue, patchSub("status", w.queued, "{'status':{'active':1}}"), "only Kubernetes itself writes the status"},
		"GateTakenOffThroughStatus": {kueue, patchSub("status", w.queued, gates("null")), "only Kubernetes itself writes the status"},
	}
}

// behindTheGate makes a Job in a dry run; it is an error if Kueue could start it.
func behindTheGate(o *batchv1.Job) attempt {
	return func(t *testing.T, c client.Client) error {
		made := o.DeepCopy()
		if err := c.Create(t.Context(), made, client.DryRunAll); err != nil {
			return err
		}
		if got := made.Annotations[annotationGates]; got != v1alpha1.QueueGate {
			return fmt.Errorf("its gates are %q", got)
		}
		return nil
	}
}
