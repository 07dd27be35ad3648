package admission_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	consentv1 "github.com/codb-dev/codb/api/v1alpha1"
)

// kueueUser is Kueue's in the manifests of these tests.
const kueueUser = "system:serviceaccount:kueue-system:kueue-controller-manager"

const (
	labelQueue = "kueue.x-k8s.io/queue-name"
	gates      = "kueue.x-k8s.io/admission-gated-by"
	// toKueue is how codb releases a Job that Kueue starts; a merge patch.
	toKueue = "{'metadata':{'annotations':{'" + gates + "':null,'consent.codb.dev/start':'1'," +
		"'consent.codb.dev/decision':'d','consent.codb.dev/policy-digest':'DIGEST','consent.codb.dev/consent-revision':'r'}}}"
	begin  = "{'spec':{'suspend':false}}"
	cease  = "{'spec':{'suspend':true}}"
	placed = "{'spec':{'suspend':false,'template':{'metadata':{'annotations':{'kueue.x-k8s.io/workload':'w'},'labels':{'kueue.x-k8s.io/podset':'main'}}," +
		"'spec':{'nodeSelector':{'disk':'fast'},'tolerations':[{'key':'spot','operator':'Exists'}]}}}}"
)

func inQueue(j *batchv1.Job) { j.Labels[labelQueue] = "mail" }

// TestKueueStartsWhatCodbReleased has Kueue's own steps on a campaign's Job, as
// its controller takes them, and everybody else's.
func TestKueueStartsWhatCodbReleased(t *testing.T) {
	ns := env.EnforcedNamespace(t)
	kueue := master(kueueUser)
	jobs := map[string]*batchv1.Job{}
	for _, name := range []string{"held", "shared", "freed", "running", "preempted", "withdrawn"} {
		jobs[name] = job(ns, name, inQueue)
	}
	jobs["shared"].Annotations = map[string]string{gates: "acme.example/budget"}
	plain := job(ns, "plain")
	for _, j := range jobs {
		store(t, root, j)
	}
	store(t, root, plain)
	free := strings.ReplaceAll(toKueue, "DIGEST", digest)
	for _, name := range []string{"freed", "running", "preempted", "withdrawn"} {
		now(t, operator, jobs[name], free)
	}
	now(t, operator, jobs["withdrawn"], "{'spec':{'suspend':true},'metadata':{'annotations':{'consent.codb.dev/stopped':'OptedOut'}}}")
	for _, name := range []string{"running", "preempted"} {
		now(t, kueue, jobs[name], placed)
	}
	now(t, kueue, jobs["preempted"], cease)
	if got := jobs["shared"].Annotations[gates]; got != "acme.example/budget,consent.codb.dev/codb" {
		t.Errorf("the gates are %q, want codb's behind the other", got)
	}

	ungate := "{'metadata':{'annotations':{'" + gates + "':null}}}"
	only := "only codb takes consent.codb.dev/codb out, with the evidence of a release; see: kubectl get camp spring-garden"
	notYet := "codb has not released this Job, or it was started once already; see: kubectl get camp spring-garden"
	frozen := "a campaign Job is frozen, held or released"
	with := func(change string) string {
		return strings.Replace(placed, "'spec':{'suspend':false", "'spec':{'suspend':false,"+change, 1)
	}
	runTrials(t, map[string]trial{
		"GateTakenOffByAUser":          {root, patch(jobs["held"], ungate), "workloads", only},
		"GateTakenOffByKueue":          {kueue, patch(jobs["held"], ungate), "workloads", only},
		"GateTakenOffWithEvidence":     {root, patch(jobs["held"], free), "workloads", only},
		"GateRenamedByAUser":           {root, patch(jobs["held"], "{'metadata':{'annotations':{'"+gates+"':'acme.example/mine'}}}"), "workloads", only},
		"GateTakenOffWithoutEvidence":  {operator, patch(jobs["held"], ungate), "workloads", only},
		"GateTakenOffByCodb":           {operator, patch(jobs["held"], free), "", ""},
		"OnlyAnothersGateTakenOff":     {root, patch(jobs["shared"], "{'metadata':{'annotations':{'"+gates+"':' consent.codb.dev/codb'}}}"), "", ""},
		"CodbsGateTakenOffAnothers":    {root, patch(jobs["shared"], "{'metadata':{'annotations':{'"+gates+"':'acme.example/budget'}}}"), "workloads", only},
		"LeaveToStartByAUser":          {root, patch(jobs["held"], "{'metadata':{'annotations':{'consent.codb.dev/start':'1'}}}"), "workloads", "only codb sets annotations of consent.codb.dev"},
		"LeaveToStartByKueue":          {kueue, patch(jobs["preempted"], "{'metadata':{'annotations':{'consent.codb.dev/start':'3'}}}"), "workloads", "only codb sets annotations of consent.codb.dev"},
		"StartedWhileGated":            {kueue, patch(jobs["held"], begin), "workloads", notYet},
		"StartedAndUngatedAtOnce":      {kueue, patch(jobs["held"], strings.Replace(free, "{'metadata'", "{'spec':{'suspend':false},'metadata'", 1)), "workloads", notYet},
		"StartedByKueue":               {kueue, patch(jobs["freed"], begin), "", ""},
		"StartedAndPlacedByKueue":      {kueue, patch(jobs["freed"], placed), "", ""},
		"StartedByAUser":               {root, patch(jobs["freed"], begin), "workloads", "only codb releases campaign Jobs"},
		"StartedByTheJobController":    {jobController, patch(jobs["freed"], begin), "workloads", "only codb releases campaign Jobs"},
		"StartedByANamesake":           {master("system:serviceaccount:" + ns + ":kueue-controller-manager"), patch(jobs["freed"], begin), "workloads", "only codb releases campaign Jobs"},
		"StartedByCodbItself":          {operator, patch(jobs["freed"], begin), "workloads", "only codb releases campaign Jobs"},
		"StartedAgainAfterAPreemption": {kueue, patch(jobs["preempted"], begin), "workloads", notYet},
		"StartedAfterAWithdrawal":      {kueue, patch(jobs["withdrawn"], begin), "workloads", notYet},
		"StartedWithoutAQueue":         {kueue, patch(plain, begin), "workloads", notYet},
		"StoppedByKueue":               {kueue, patch(jobs["running"], "{'spec':{'suspend':true},'metadata':{'annotations':{'kueue.x-k8s.io/stopping':'true'}}}"), "", ""},
		"RestoredByKueue":              {kueue, patch(jobs["preempted"], "{'spec':{'template':{'metadata':{'annotations':null,'labels':{'kueue.x-k8s.io/podset':null}},'spec':{'nodeSelector':null,'tolerations':null}}}}"), "", ""},

		"PlacedByAUser":            {root, patch(jobs["freed"], "{'spec':{'template':{'spec':{'nodeSelector':{'a':'b'}}}}}"), "workloads", frozen},
		"PlacedWithoutAQueue":      {kueue, patch(plain, "{'spec':{'template':{'spec':{'nodeSelector':{'a':'b'}}}}}"), "workloads", frozen},
		"MoreAtOnce":               {kueue, patch(jobs["freed"], with("'parallelism':9")), "workloads", frozen},
		"GatedPods":                {kueue, patch(jobs["freed"], "{'spec':{'suspend':false,'template':{'spec':{'schedulingGates':[{'name':'kueue.x-k8s.io/topology'}]}}}}"), "workloads", frozen},
		"BiggerPods":               {kueue, patch(jobs["freed"], "{'spec':{'template':{'spec':{'containers':[{'name':'sender','image':'registry.acme.example/mailer','resources':{'limits':{'cpu':'9'}}}]}}}}"), "workloads", frozen},
		"AnnotatedByOthersNames":   {kueue, patch(jobs["freed"], "{'spec':{'template':{'metadata':{'annotations':{'acme.example/inject':'true'}}}}}"), "workloads", frozen},
		"PodsOfAnotherCampaign":    {kueue, patch(jobs["freed"], "{'spec':{'template':{'metadata':{'labels':{'consent.codb.dev/campaign':'other'}}}}}"), "workloads", frozen},
		"PodsOfNoCampaign":         {kueue, patch(jobs["freed"], "{'spec':{'template':{'metadata':{'labels':{'consent.codb.dev/campaign':null,'a':'b'}}}}}"), "workloads", frozen},
		"LabelledByKueue":          {kueue, patch(jobs["freed"], "{'metadata':{'labels':{'a':'b'}}}"), "workloads", "the labels of a campaign Job are frozen"},
		"PutIntoAQueueLater":       {root, patch(plain, "{'metadata':{'labels':{'"+labelQueue+"':'mail'}}}"), "workloads", "the labels of a campaign Job are frozen"},
		"PutIntoAQueueLaterByCodb": {operator, patch(plain, "{'metadata':{'labels':{'"+labelQueue+"':'mail'}}}"), "workloads", "Kueue would start what codb has not released; add consent.codb.dev/codb"},
		"BornWithLeaveToStart": {root, create(job(ns, "new", inQueue, func(j *batchv1.Job) {
			j.Annotations = map[string]string{consentv1.AnnotationStart: "1"}
		})), "workloads", "not born with evidence"},
		"BornInAQueue": {root, create(job(ns, "new", inQueue)), "", ""},
	})
	t.Run("Status", func(t *testing.T) { kueueClearsTheStart(t, jobs["preempted"]) })
}

// kueueClearsTheStart: Kubernetes lets nobody place a Job anew that says when it
// started, so Kueue clears that, and may write nothing else of the status.
func kueueClearsTheStart(t *testing.T, j *batchv1.Job) {
	kueue := master(kueueUser)
	await(t, func(context.Context) bool {
		return env.Client.Get(t.Context(), client.ObjectKeyFromObject(j), j) == nil && says(j, batchv1.JobSuspended)
	})
	before, began := j.DeepCopy(), metav1.Now()
	j.Status.StartTime = &began
	if err := jobController.client(t).Status().Patch(t.Context(), j, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	status := "only Kubernetes itself writes the status"
	runTrials(t, map[string]trial{
		"Cleared":          {kueue, patchSub("status", j, "{'status':{'startTime':null}}"), "", ""},
		"ClearedByAUser":   {root, patchSub("status", j, "{'status':{'startTime':null}}"), "workloads", status},
		"AndMore":          {kueue, patchSub("status", j, "{'status':{'startTime':null,'conditions':null}}"), "workloads", status},
		"SomethingElse":    {kueue, patchSub("status", j, "{'status':{'active':1}}"), "workloads", status},
		"LeaveOnTheWay":    {kueue, patchSub("status", j, "{'metadata':{'annotations':{'consent.codb.dev/start':'3'}},'status':{'startTime':null}}"), "workloads", status},
		"GateOnTheWay":     {kueue, patchSub("status", j, "{'metadata':{'annotations':{'"+gates+"':'x.example/y'}},'status':{'startTime':null}}"), "workloads", status},
		"WithoutAnyChange": {kueue, patchSub("status", j, "{'status':{}}"), "", ""},
	})
}

func says(j *batchv1.Job, condition batchv1.JobConditionType) bool {
	return slices.ContainsFunc(j.Status.Conditions, func(c batchv1.JobCondition) bool {
		return c.Type == condition && c.Status == corev1.ConditionTrue
	})
}

func TestCronJobsInAQueue(t *testing.T) {
	ns := env.EnforcedNamespace(t)
	quiet := func(j *batchv1.CronJob) { j.Spec.Schedule = "0 0 1 1 *" }
	waits := cronJob(ns, "waits", quiet, func(j *batchv1.CronJob) { j.Spec.JobTemplate.Labels = map[string]string{labelQueue: "mail"} })
	plain, released := cronJob(ns, "plain", quiet), cronJob(ns, "released", quiet, func(j *batchv1.CronJob) {
		j.Spec.JobTemplate.Labels = map[string]string{labelQueue: "mail"}
	})
	store(t, root, waits, plain, released)
	releaseNow(t, released)
	if got := waits.Spec.JobTemplate.Annotations[gates]; got != consentv1.QueueGate {
		t.Errorf("the gates of its Jobs are %q, want codb's", got)
	}
	template := func(meta string) string { return "{'spec':{'jobTemplate':{'metadata':" + meta + "}}}" }
	missing := "Kueue would start what codb has not released; add consent.codb.dev/codb"
	runTrials(t, map[string]trial{
		"ReleasedByCodb":        {operator, patch(waits, release), "", ""},
		"ReleasedByKueue":       {master(kueueUser), patch(waits, release), "workloads", "codb has not released this Job"},
		"GateTakenOff":          {root, patch(waits, template("{'annotations':null}")), "workloads", "only codb takes consent.codb.dev/codb out"},
		"GateTakenOffByCodb":    {operator, patch(waits, template("{'annotations':null}")), "workloads", "only codb takes consent.codb.dev/codb out"},
		"PutIntoAQueue":         {root, patch(plain, template("{'labels':{'"+labelQueue+"':'mail'}}")), "workloads", missing},
		"PutIntoAQueueAndGated": {root, patch(plain, template("{'labels':{'"+labelQueue+"':'mail'},'annotations':{'"+gates+"':'consent.codb.dev/codb'}}")), "", ""},
		"TakenOutOfItsQueue":    {root, patch(waits, template("{'labels':{'"+labelQueue+"':null},'annotations':null}")), "", ""},
		"GateTakenOffReleased":  {root, patch(released, template("{'annotations':null}")), "workloads", "only codb takes"},
	})
}

// now patches for good.
func now(t *testing.T, as who, obj client.Object, json string) {
	t.Helper()
	body := []byte(strings.ReplaceAll(json, "'", `"`))
	if err := as.client(t).Patch(t.Context(), obj, client.RawPatch("application/merge-patch+json", body)); err != nil {
		t.Fatalf("patch %s as %s: %v", obj.GetName(), as.name, err)
	}
}
