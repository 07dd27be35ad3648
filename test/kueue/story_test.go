package kueue_test

import (
	"fmt"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/utils/ptr"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// TestCampaignsInAQueue is one story: its parts go on from each other, and the
// last one has codb killed.
func TestCampaignsInAQueue(t *testing.T) {
	w := newWorld(t)
	w.customer("c-asked", "spring", true)
	w.campaign("spring", "spring")
	w.send("spring")
	ok := t.Run("ItStaysGatedWhileSomebodySaysNo", func(t *testing.T) { w.on(t).staysGated("spring") }) &&
		t.Run("NobodyTakesTheGateOff", func(t *testing.T) { w.on(t).nobodyTakesTheGateOff("spring") }) &&
		t.Run("KueueStartsItOnceCodbAllows", func(t *testing.T) { w.on(t).startsOnceAllowed("spring") }) &&
		t.Run("ANoStopsIt", func(t *testing.T) { w.on(t).aNoStopsIt("spring") })
	if !ok {
		return
	}
	t.Run("ItWaitsForRoom", func(t *testing.T) { w.on(t).waitsForRoom() })
	t.Run("WhatKueueTakesBackIsOver", func(t *testing.T) { w.on(t).takenBack() })
	t.Run("AQueueThatKueueChooses", func(t *testing.T) { w.on(t).defaultQueue() })
	t.Run("KueueIsDead", func(t *testing.T) { w.on(t).kueueIsDead() })
	t.Run("CodbIsDead", func(t *testing.T) { w.on(t).codbIsDead() })
}

func (w *world) staysGated(name string) {
	w.becomes(name, v1alpha1.CampaignBlocked, v1alpha1.WorkloadSuspended)
	w.until("Kueue to say that it is gated", func() (bool, string) {
		reason, message := w.condition(name, "QuotaReserved")
		return reason == "AdmissionGated" && message == "Admission is gated by: "+v1alpha1.QueueGate, reason + ": " + message
	})
	w.neverStarted(name)
}

func (w *world) nobodyTakesTheGateOff(name string) {
	w.refused("only codb takes consent.codb.dev/codb out", w.patch(root, w.job(name), `{"metadata":{"annotations":{"`+annotationGates+`":null}}}`))
	w.refused("only codb releases campaign Jobs", w.patch(root, w.job(name), `{"spec":{"suspend":false}}`))
	// The Workload is Kueue's. Without its gate Kueue makes room, and starts nothing.
	w.until("the Workload to be ungated by hand", func() (bool, string) {
		err := w.patch(root, w.workload(name), `{"metadata":{"annotations":{"`+annotationGates+`":null}}}`)
		return err == nil, fmt.Sprint(err)
	})
	w.until("Kueue to make room", func() (bool, string) { _, admitted := w.active(name); return admitted, "" })
	w.never("a Job was started by way of its Workload", func() bool { return !ptr.Deref(w.job(name).Spec.Suspend, false) })
	w.neverStarted(name)
}

func (w *world) startsOnceAllowed(name string) {
	w.says("c-asked", false)
	w.becomes(name, v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
	j := w.job(name)
	if ptr.Deref(j.Spec.Suspend, false) || j.Spec.Template.Spec.NodeSelector["pool"] != "spare" || len(j.Spec.Template.Spec.Tolerations) != 1 {
		w.Errorf("suspend %v, placed %v %v: want Kueue to have started and placed it", j.Spec.Suspend, j.Spec.Template.Spec.NodeSelector, j.Spec.Template.Spec.Tolerations)
	}
	if j.Annotations[v1alpha1.AnnotationDecision] == "" || j.Annotations[annotationGates] != "" {
		w.Errorf("annotations %v: want evidence and no gate", j.Annotations)
	}
	w.until("a pod", func() (bool, string) { n := w.pods(name); return n == 1, fmt.Sprint(n) })
}

func (w *world) aNoStopsIt(name string) {
	w.says("c-asked", true)
	w.until("the Job to be suspended", func() (bool, string) { return ptr.Deref(w.job(name).Spec.Suspend, false), "" })
	w.until("its pod to go", func() (bool, string) { n := w.pods(name); return n == 0, fmt.Sprint(n) })
	w.givenUp(name)
	w.until("Kueue to have put its template back", func() (bool, string) {
		placed := w.job(name).Spec.Template.Spec.NodeSelector
		return len(placed) == 0, fmt.Sprint(placed)
	})
	w.says("c-asked", false)
	w.becomes(name, v1alpha1.CampaignAllowed, v1alpha1.WorkloadSuspended)
	w.never("a run that was stopped starts again", func() bool { return !ptr.Deref(w.job(name).Spec.Suspend, false) || w.pods(name) > 0 })
}

// waitsForRoom has two campaigns where one has room, and a no to the one that
// waits.
func (w *world) waitsForRoom() {
	w.customer("c-first", "first", false)
	w.customer("c-second", "second", false)
	w.campaign("first", "first")
	w.send("first")
	w.becomes("first", v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
	w.campaign("second", "second")
	w.send("second")
	w.becomes("second", v1alpha1.CampaignAllowed, v1alpha1.WorkloadQueued)
	w.says("c-second", true)
	w.becomes("second", v1alpha1.CampaignBlocked, v1alpha1.WorkloadSuspended)
	w.givenUp("second")
	w.delete(w.job("first"))
	w.never("a run to which somebody said no starts when there is room", func() bool {
		return !ptr.Deref(w.job("second").Spec.Suspend, false) || w.pods("second") > 0
	})
}

// takenBack has Kueue stop a campaign that runs, and give the room back.
func (w *world) takenBack() {
	w.customer("c-third", "third", false)
	w.campaign("third", "third")
	w.send("third")
	w.becomes("third", v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
	w.stopQueue("HoldAndDrain")
	w.until("Kueue to stop the Job", func() (bool, string) { return ptr.Deref(w.job("third").Spec.Suspend, false), "" })
	w.stopQueue("None")
	w.givenUp("third")
	w.never("a run that Kueue stopped starts again, and contacts people twice", func() bool {
		return !ptr.Deref(w.job("third").Spec.Suspend, false) || w.pods("third") > 0
	})
}

// defaultQueue has Kueue put codb's own Job into a queue, after codb's mutation
// has looked at it.
func (w *world) defaultQueue() {
	w.localQueue(w.ns, "default", "senders")
	w.customer("c-fourth", "fourth", true)
	w.campaign("fourth", "fourth", func(s *v1alpha1.CampaignSpec) {
		s.Workload = &v1alpha1.Workload{Job: &v1alpha1.JobTemplate{Image: "sender", Command: []string{"/sender"}}}
	})
	w.becomes("fourth", v1alpha1.CampaignBlocked, v1alpha1.WorkloadSuspended)
	j := w.job("fourth")
	if j.Labels[labelQueue] != "default" || j.Annotations[annotationGates] != v1alpha1.QueueGate {
		w.Errorf("queue %q, gates %q: want Kueue's default queue, gated", j.Labels[labelQueue], j.Annotations[annotationGates])
	}
	w.says("c-fourth", false)
	w.becomes("fourth", v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
	w.delete(j)
	w.delete(kueues("LocalQueue", w.ns, "default"))
}

// kueueIsDead: its webhooks refuse every change of a Job, a hold among them; the
// pods are stopped all the same.
func (w *world) kueueIsDead() {
	w.customer("c-sixth", "sixth", false)
	w.campaign("sixth", "sixth")
	w.send("sixth")
	w.becomes("sixth", v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
	w.until("a pod", func() (bool, string) { n := w.pods("sixth"); return n == 1, fmt.Sprint(n) })
	kueue.kill()
	w.says("c-sixth", true)
	w.until("its pod to be stopped", func() (bool, string) { n := w.running("sixth"); return n == 0, fmt.Sprint(n) })
	if ptr.Deref(w.job("sixth").Spec.Suspend, false) {
		w.Error("the Job could be suspended: nothing was in the way")
	}
	if err := kueue.launch(w.Context()); err != nil {
		w.Fatal(err)
	}
	w.until("the Job to be suspended", func() (bool, string) { return ptr.Deref(w.job("sixth").Spec.Suspend, false), "" })
	w.givenUp("sixth")
}

// codbIsDead: nobody is there to allow anything, and nothing starts.
func (w *world) codbIsDead() {
	w.customer("c-fifth", "fifth", false)
	if err := codb.Kill(); err != nil {
		w.Fatal(err)
	}
	w.campaign("fifth", "fifth")
	w.send("fifth")
	w.until("Kueue to say that it is gated", func() (bool, string) {
		reason, message := w.condition("fifth", "QuotaReserved")
		return reason == "AdmissionGated", reason + ": " + message
	})
	w.refused("only codb takes consent.codb.dev/codb out", w.patch(root, w.job("fifth"), `{"metadata":{"annotations":{"`+annotationGates+`":null}}}`))
	w.never("something starts without codb", func() bool { return !ptr.Deref(w.job("fifth").Spec.Suspend, false) })
}

// givenUp waits until Kueue has no room for the Job any more, nor wants any.
func (w *world) givenUp(name string) {
	w.Helper()
	w.until("Kueue to give it up", func() (bool, string) {
		active, admitted := w.active(name)
		return !active && !admitted, fmt.Sprintf("active %t, admitted %t", active, admitted)
	})
	w.until("codb to note it", func() (bool, string) {
		a := w.job(name).Annotations
		_, may := a[v1alpha1.AnnotationStart]
		return !may && a[v1alpha1.AnnotationStopped] != "", fmt.Sprint(a)
	})
}

func (w *world) neverStarted(name string) {
	w.Helper()
	if j := w.job(name); !ptr.Deref(j.Spec.Suspend, false) || j.Generation != 1 || w.pods(name) != 0 {
		w.Errorf("suspend %v, generation %d: it was started", j.Spec.Suspend, j.Generation)
	}
}

// send makes a Job of the campaign's in the queue, as a marketer's pipeline does.
func (w *world) send(campaign string) {
	w.Helper()
	w.create(sender(w.ns, campaign))
	if got := w.job(campaign).Annotations[annotationGates]; got != v1alpha1.QueueGate {
		w.Fatalf("Job %s was born with the gates %q", campaign, got)
	}
}

func (w *world) job(name string) *batchv1.Job {
	w.Helper()
	j := &batchv1.Job{}
	j.Namespace, j.Name = w.ns, name
	w.read(j)
	return j
}
