package admission_test

import (
	"context"
	"maps"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	consentv1 "github.com/codb-dev/codb/api/v1alpha1"
)

func TestJobsAreBornWithinBounds(t *testing.T) {
	ns := env.EnforcedNamespace(t)
	with := func(change func(*batchv1.Job)) attempt { return create(job(ns, "new", change)) }
	pod := func(change func(*corev1.PodSpec)) attempt {
		return with(func(j *batchv1.Job) { change(&j.Spec.Template.Spec) })
	}
	container := func(change func(*corev1.Container)) attempt {
		return pod(func(p *corev1.PodSpec) { change(&p.Containers[0]) })
	}
	cron := metav1.OwnerReference{APIVersion: "batch/v1", Kind: "CronJob", Name: "c", UID: "1", Controller: ptr.To(true)}
	volume := func(v corev1.VolumeSource) attempt {
		return pod(func(p *corev1.PodSpec) { p.Volumes = []corev1.Volume{{Name: "v", VolumeSource: v}} })
	}
	security := func(s corev1.SecurityContext) attempt {
		return container(func(c *corev1.Container) { c.SecurityContext = &s })
	}
	runTrials(t, map[string]trial{
		"OfACampaign":                   {root, create(job(ns, "new")), "", ""},
		"WithoutACampaign":              {root, with(func(j *batchv1.Job) { j.Labels = nil }), "workloads", "a Job without a campaign may not run here; set the label consent.codb.dev/campaign"},
		"WithoutACampaignByTheOperator": {operator, with(func(j *batchv1.Job) { j.Labels = nil }), "workloads", "a Job without a campaign"},
		"PodsOfAnotherCampaign": {root, with(func(j *batchv1.Job) {
			j.Spec.Template.Labels = map[string]string{"consent.codb.dev/campaign": "other"}
		}), "", ""}, // the mutation puts it right; see TestWithoutMutation

		"WithEvidence":              {root, with(func(j *batchv1.Job) { j.Annotations = evidence }), "workloads", "not born with evidence"},
		"WithEvidenceByTheOperator": {operator, with(func(j *batchv1.Job) { j.Annotations = evidence }), "workloads", "not born with evidence"},
		"AsIfCodbMadeIt":            {root, with(asMade), "workloads", "only codb sets annotations of consent.codb.dev on a Job"},
		"AsCodbMakesIt":             {operator, with(asMade), "", ""},
		"FromATemplateThatCodbMade": {cronController, with(asMade), "", ""},
		"WithAnnotationsOfOneself":  {root, with(func(j *batchv1.Job) { j.Annotations = map[string]string{"acme.example/note": "x"} }), "", ""},
		"AsIfACronJobMadeIt":        {root, with(func(j *batchv1.Job) { j.OwnerReferences = []metav1.OwnerReference{cron} }), "workloads", "only Kubernetes and codb make a Job that another object controls"},
		"AsTheCronJobMakesIt":       {cronController, with(func(j *batchv1.Job) { j.OwnerReferences = []metav1.OwnerReference{cron} }), "", ""},
		"SevenRetries":              {root, with(func(j *batchv1.Job) { j.Spec.BackoffLimit = ptr.To[int32](7) }), "templates", "spec.backoffLimit: 7: each retry may contact people again; set at most 6"},
		"SixRetries":                {root, with(func(j *batchv1.Job) { j.Spec.BackoffLimit = ptr.To[int32](6) }), "", ""},
		"SevenRetriesOfAnIndex":     {root, with(retriesOfAnIndex(7)), "templates", "spec.backoffLimitPerIndex: 7: each retry of an index"},
		"SixRetriesOfAnIndex":       {root, with(retriesOfAnIndex(6)), "", ""},
		"FailuresIgnored":           {root, with(onFailure(batchv1.PodFailurePolicyActionIgnore)), "templates", "failures that are ignored are retried without end"},
		"FailuresCounted":           {root, with(onFailure(batchv1.PodFailurePolicyActionCount)), "", ""},
		"ManagedBySomebodyElse":     {root, with(func(j *batchv1.Job) { j.Spec.ManagedBy = ptr.To("acme.example/runner") }), "templates", "spec.managedBy: acme.example/runner"},
		"ManagedByKubernetes":       {root, with(func(j *batchv1.Job) { j.Spec.ManagedBy = ptr.To(batchv1.JobControllerName) }), "", ""},
		"WithASelectorOfItsOwn":     {root, with(manualSelector), "templates", "spec.manualSelector"},
		"StoppingForTooLong":        {root, pod(func(p *corev1.PodSpec) { p.TerminationGracePeriodSeconds = ptr.To[int64](31) }), "templates", "terminationGracePeriodSeconds: 31: pods must stop soon"},
		"StoppingInTime":            {root, pod(func(p *corev1.PodSpec) { p.TerminationGracePeriodSeconds = ptr.To[int64](30) }), "", ""},
		"HostPath":                  {root, volume(corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}), "templates", "hostPath reaches into the node; use emptyDir"},
		"EmptyDir":                  {root, volume(corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}), "", ""},
		"HostNetwork":               {root, pod(func(p *corev1.PodSpec) { p.HostNetwork = true }), "templates", "hostNetwork"},
		"HostPID":                   {root, pod(func(p *corev1.PodSpec) { p.HostPID = true }), "templates", "hostPID"},
		"HostIPC":                   {root, pod(func(p *corev1.PodSpec) { p.HostIPC = true }), "templates", "hostIPC"},
		"HostPort":                  {root, container(func(c *corev1.Container) { c.Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: 80}} }), "templates", "hostPort"},
		"Port":                      {root, container(func(c *corev1.Container) { c.Ports = []corev1.ContainerPort{{ContainerPort: 80}} }), "", ""},
		"Privileged":                {root, security(corev1.SecurityContext{Privileged: ptr.To(true)}), "templates", "privileged"},
		"PrivilegedAtInit":          {root, pod(privilegedInit), "templates", "privileged"},
		"Escalating":                {root, security(corev1.SecurityContext{AllowPrivilegeEscalation: ptr.To(true)}), "templates", "allowPrivilegeEscalation"},
		"WithACapability":           {root, security(corev1.SecurityContext{Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"NET_ADMIN"}}}), "templates", "capabilities"},
		"WithFewerRights":           {root, security(corev1.SecurityContext{Privileged: ptr.To(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}), "", ""},
		"WithAForeignAccount":       {root, pod(func(p *corev1.PodSpec) { p.ServiceAccountName = "billing" }), "templates", "serviceAccountName: billing"},
		"WithTheDefaultAccount":     {root, pod(func(p *corev1.PodSpec) { p.ServiceAccountName = "default" }), "", ""},
		"OnANodeOfItsChoice":        {root, pod(func(p *corev1.PodSpec) { p.NodeName = "one" }), "templates", "nodeName: one: pods go through the scheduler; use nodeSelector"},
		"OnNodesOfAKind":            {root, pod(func(p *corev1.PodSpec) { p.NodeSelector = map[string]string{"disk": "fast"} }), "", ""},
		"HostPathByTheOperator":     {operator, volume(corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}), "templates", "hostPath"},
	})
}

func retriesOfAnIndex(n int32) func(*batchv1.Job) {
	return func(j *batchv1.Job) {
		j.Spec.CompletionMode, j.Spec.Completions, j.Spec.BackoffLimitPerIndex = ptr.To(batchv1.IndexedCompletion), ptr.To[int32](1), &n
		j.Spec.BackoffLimit = ptr.To[int32](6) // else Kubernetes takes all the retries there are
	}
}

func onFailure(action batchv1.PodFailurePolicyAction) func(*batchv1.Job) {
	return func(j *batchv1.Job) {
		j.Spec.PodFailurePolicy = &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{{
			Action: action, OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}},
		}}}
	}
}

func asMade(j *batchv1.Job) {
	j.Annotations = map[string]string{consentv1.AnnotationGeneration: "1", consentv1.AnnotationRun: "r"}
}

func manualSelector(j *batchv1.Job) {
	j.Spec.ManualSelector = ptr.To(true)
	j.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
	j.Spec.Template.Labels = map[string]string{"a": "b"}
}

func privilegedInit(p *corev1.PodSpec) {
	p.InitContainers = []corev1.Container{{Name: "i", Image: "i", SecurityContext: &corev1.SecurityContext{Privileged: ptr.To(true)}}}
}

func TestJobsAreBornSuspended(t *testing.T) {
	ns := env.EnforcedNamespace(t)
	for _, w := range []who{root, operator, cronController} {
		for kind, obj := range map[string]client.Object{
			"Job":                job(ns, "new"),
			"JobThatSaysRun":     job(ns, "new", func(j *batchv1.Job) { j.Spec.Suspend = ptr.To(false) }),
			"CronJob":            cronJob(ns, "new"),
			"CronJobThatSaysRun": cronJob(ns, "new", func(j *batchv1.CronJob) { j.Spec.Suspend = ptr.To(false) }),
		} {
			if err := w.client(t).Create(t.Context(), obj, client.DryRunAll); err != nil {
				t.Errorf("%s by %s: %v", kind, w.name, err)
				continue
			}
			held, labels := false, map[string]string{}
			switch o := obj.(type) {
			case *batchv1.Job:
				held, labels = *o.Spec.Suspend, o.Spec.Template.Labels
			case *batchv1.CronJob:
				held, labels = *o.Spec.Suspend, o.Spec.JobTemplate.Spec.Template.Labels
				if o.Spec.JobTemplate.Labels[consentv1.LabelCampaign] != spring {
					t.Errorf("%s by %s: its Jobs have the labels %v", kind, w.name, o.Spec.JobTemplate.Labels)
				}
			}
			if !held || labels[consentv1.LabelCampaign] != spring {
				t.Errorf("%s by %s: suspended %t, labels of pods %v", kind, w.name, held, labels)
			}
		}
	}
}

func TestJobsAreReleasedByCodbAlone(t *testing.T) {
	ns := env.EnforcedNamespace(t)
	held, released := job(ns, "held"), job(ns, "released")
	store(t, root, held, released)
	releaseNow(t, released)
	only := "only codb releases campaign Jobs; see: kubectl get camp spring-garden"
	note := func(key, value string) string {
		return "{'metadata':{'annotations':{'consent.codb.dev/" + key + "':" + value + "}}}"
	}
	withAnnotations := func(change func(map[string]string)) attempt {
		a := maps.Clone(evidence)
		change(a)
		return func(t *testing.T, c client.Client) error {
			j := held.DeepCopy()
			j.ResourceVersion = ""
			j.Spec.Suspend, j.Annotations = ptr.To(false), a
			return c.Update(t.Context(), j, client.DryRunAll)
		}
	}
	runTrials(t, map[string]trial{
		"ReleaseByAUser":             {root, patch(held, "{'spec':{'suspend':false}}"), "workloads", only},
		"ReleaseByLeavingItOut":      {root, patch(held, "{'spec':{'suspend':null}}"), "workloads", only},
		"ReleaseWithEvidenceByAUser": {root, patch(held, release), "workloads", only},
		"ReleaseByTheJobController":  {jobController, patch(held, release), "workloads", only},
		"ReleaseByServerSideApply":   {root, applyRunning(ns, "held"), "workloads", only},
		"ReleaseByCodb":              {operator, patch(held, release), "", ""},
		"WithoutEvidence":            {operator, patch(held, "{'spec':{'suspend':false}}"), "workloads", "a release needs evidence"},
		"WithoutDecision":            {operator, withAnnotations(func(a map[string]string) { delete(a, consentv1.AnnotationDecision) }), "workloads", "a release needs evidence"},
		"WithoutRevision":            {operator, withAnnotations(func(a map[string]string) { a[consentv1.AnnotationConsentRevision] = "" }), "workloads", "a release needs evidence"},
		"WithAShortDigest":           {operator, withAnnotations(func(a map[string]string) { a[consentv1.AnnotationPolicyDigest] = "sha256:0f" }), "workloads", "sha256:<64 hex digits>"},
		"WithAFullDigest":            {operator, withAnnotations(func(map[string]string) {}), "", ""},

		"EvidenceByAUser":              {root, patch(held, note("decision", "'mine'")), "workloads", "only codb sets annotations of consent.codb.dev"},
		"EvidenceTakenOffByAUser":      {root, patch(released, note("decision", "null")), "workloads", "only codb sets annotations"},
		"EvidenceSwappedByTheOperator": {operator, patch(released, note("decision", "'other'")), "workloads", "the evidence of a released Job is not changed"},
		"StopWithAReason":              {operator, patch(released, "{'spec':{'suspend':true},'metadata':{'annotations':{'consent.codb.dev/stopped':'OptedOut'}}}"), "", ""},
		"StopByAUser":                  {root, patch(released, "{'spec':{'suspend':true}}"), "", ""},

		"StatusByAUser":            {root, patchSub("status", held, "{'status':{'conditions':[{'type':'Suspended','status':'True','message':'x'}]}}"), "workloads", "only Kubernetes itself writes the status"},
		"StatusByTheOperator":      {operator, patch(held, "{'status':{'conditions':[{'type':'Suspended','status':'True','message':'x'}]}}"), "", ""}, // of no effect
		"StatusByTheJobController": {jobController, patchSub("status", held, "{'status':{'conditions':[{'type':'Suspended','status':'True','message':'x'}]}}"), "", ""},
		"RelabelledThroughStatus":  {root, patchSub("status", held, "{'metadata':{'labels':{'consent.codb.dev/campaign':'other'}}}"), "workloads", "only Kubernetes itself writes the status"},
	})
}

// applyRunning applies a manifest that wants the Job to run.
func applyRunning(ns, name string) attempt {
	return func(t *testing.T, c client.Client) error {
		u := map[string]any{"apiVersion": "batch/v1", "kind": "Job",
			"metadata": map[string]any{"name": name, "namespace": ns}, "spec": map[string]any{"suspend": false}}
		return c.Apply(t.Context(), applyConfiguration(u), client.FieldOwner("gitops"), client.ForceOwnership, client.DryRunAll)
	}
}

func TestJobsAreFrozen(t *testing.T) {
	ns := env.EnforcedNamespace(t)
	held, released := job(ns, "held"), job(ns, "released")
	teams := job(ns, "teams", func(j *batchv1.Job) { j.Labels["team"] = "garden" })
	store(t, root, held, released, teams)
	releaseNow(t, released)
	frozen := "a campaign Job is frozen, held or released; delete the Job"
	trials := map[string]trial{
		"RunMore":                 {root, patch(held, "{'spec':{'parallelism':9}}"), "workloads", frozen},
		"RunMoreReleased":         {root, patch(released, "{'spec':{'parallelism':9}}"), "workloads", frozen},
		"RunMoreByOperator":       {operator, patch(released, "{'spec':{'parallelism':9}}"), "workloads", frozen},
		"RetryMore":               {root, patch(held, "{'spec':{'backoffLimit':99}}"), "workloads", frozen},
		"RunLonger":               {root, patch(held, "{'spec':{'activeDeadlineSeconds':99}}"), "workloads", frozen},
		"LabelPods":               {root, patch(held, "{'spec':{'template':{'metadata':{'labels':{'a':'b'}}}}}"), "workloads", frozen},
		"AnnotatePods":            {root, patch(held, "{'spec':{'template':{'metadata':{'annotations':{'a':'b'}}}}}"), "workloads", frozen},
		"PlacePods":               {root, patch(held, "{'spec':{'template':{'spec':{'nodeSelector':{'a':'b'}}}}}"), "workloads", frozen},
		"ToleratePods":            {root, patch(held, "{'spec':{'template':{'spec':{'tolerations':[{'key':'a'}]}}}}"), "workloads", frozen},
		"GatePods":                {root, patch(held, "{'spec':{'template':{'spec':{'schedulingGates':[{'name':'a.example/b'}]}}}}"), "workloads", frozen},
		"SizePods":                {root, patch(held, "{'spec':{'template':{'spec':{'containers':[{'name':'sender','image':'registry.acme.example/mailer','resources':{'limits':{'cpu':'9'}}}]}}}}"), "workloads", frozen},
		"SwapWhileReleasing":      {operator, patch(held, "{'spec':{'suspend':false,'parallelism':9},'metadata':{'annotations':{'consent.codb.dev/decision':'d','consent.codb.dev/policy-digest':'"+digest+"','consent.codb.dev/consent-revision':'r'}}}"), "workloads", frozen},
		"KeepFinishedLonger":      {root, patch(held, "{'spec':{'ttlSecondsAfterFinished':99}}"), "", ""},
		"Annotate":                {root, patch(held, "{'metadata':{'annotations':{'a':'b'}}}"), "", ""},
		"Label":                   {root, patch(held, "{'metadata':{'labels':{'a':'b'}}}"), "workloads", "the labels of a campaign Job are frozen"},
		"LabelByOperator":         {operator, patch(held, "{'metadata':{'labels':{'a':'b'}}}"), "", ""},
		"OtherCampaign":           {root, patch(held, "{'metadata':{'labels':{'consent.codb.dev/campaign':'other'}}}"), "workloads", `can not be changed from "spring-garden" to "other"`},
		"OtherCampaignByOperator": {operator, patch(held, "{'metadata':{'labels':{'consent.codb.dev/campaign':'other'}}}"), "workloads", `can not be changed`},
		// A Job left without any label gets those of its template from Kubernetes.
		"NoCampaign":           {root, patch(teams, "{'metadata':{'labels':{'consent.codb.dev/campaign':null}}}"), "workloads", "can not be changed"},
		"NoCampaignByOperator": {operator, patch(teams, "{'metadata':{'labels':{'consent.codb.dev/campaign':null}}}"), "workloads", "can not be changed"},
		"ForgeAnOwner":         {root, patch(held, "{'metadata':{'ownerReferences':[{'apiVersion':'batch/v1','kind':'CronJob','name':'c','uid':'1','controller':true}]}}"), "workloads", "leave ownerReferences out"},
		"CollectByGarbage":     {collector, patch(held, "{'metadata':{'ownerReferences':null,'finalizers':null}}"), "", ""},
	}
	runTrials(t, trials)
}

func TestPodsGoWithTheirJob(t *testing.T) {
	ns := env.EnforcedNamespace(t)
	held, released, stopped, finished := job(ns, "held"), job(ns, "released"), job(ns, "stopped"), job(ns, "finished", func(j *batchv1.Job) {
		j.Spec.ActiveDeadlineSeconds = ptr.To[int64](1)
	})
	store(t, root, held, released, stopped, finished)
	for _, j := range []*batchv1.Job{released, stopped, finished} {
		releaseNow(t, j)
	}
	mergeNow(t, stopped, `{"spec":{"suspend":true}}`)
	await(t, func(ctx context.Context) bool {
		return env.Client.Get(ctx, client.ObjectKeyFromObject(finished), finished) == nil && says(finished, batchv1.JobFailed)
	})
	with := func(j *batchv1.Job, o ...client.DeleteOption) attempt {
		return func(t *testing.T, c client.Client) error {
			return c.Delete(t.Context(), j.DeepCopy(), append(o, client.DryRunAll)...)
		}
	}
	var orphan, background, foreground = client.PropagationPolicy(metav1.DeletePropagationOrphan),
		client.PropagationPolicy(metav1.DeletePropagationBackground), client.PropagationPolicy(metav1.DeletePropagationForeground)
	alone := "would leave its pods running where no hold reaches them; delete it with propagationPolicy Background"
	lingers := "a deleted Job that lingers is never stopped"
	keep := "{'metadata':{'finalizers':['acme.example/keep']}}"
	runTrials(t, map[string]trial{
		"Orphan":              {root, with(released, orphan), "removal", alone},
		"OrphanByTheOperator": {operator, with(released, orphan), "removal", alone},
		"TheOldDefault":       {root, remove(released), "removal", alone},
		"TheOldWayToOrphan":   {root, with(released, &client.DeleteOptions{Raw: &metav1.DeleteOptions{OrphanDependents: ptr.To(true)}}), "removal", alone}, //nolint:staticcheck // the apiserver still takes it
		"OrphanAfterAStop":    {root, with(stopped, orphan), "removal", alone},
		"OrphanAll": {root, func(t *testing.T, c client.Client) error {
			return c.DeleteAllOf(t.Context(), &batchv1.Job{}, client.InNamespace(ns), orphan, client.DryRunAll)
		}, "removal", alone},
		"Background":         {root, with(released, background), "", ""},
		"Foreground":         {root, with(released, foreground), "", ""},
		"OrphanWhatNeverRan": {root, with(held, orphan), "", ""},
		"OrphanWhatHasEnded": {root, with(finished, orphan), "", ""},
		"BornToLinger":       {root, create(job(ns, "new", func(j *batchv1.Job) { j.Finalizers = []string{"acme.example/keep"} })), "removal", lingers},
		"MadeToLinger":       {root, patch(released, keep), "removal", lingers},
		"MadeToOrphan":       {root, patch(released, "{'metadata':{'finalizers':['orphan']}}"), "removal", lingers},
		"LingerThroughCodb":  {operator, patch(released, keep), "removal", lingers},
	})
	t.Run("KubernetesCleansUp", func(t *testing.T) { kubernetesCleansUp(t, ns, released) })
}

// kubernetesCleansUp ends the namespace with a Job in it that runs: what keeps
// Jobs from being orphaned lets the namespace and garbage controllers work.
func kubernetesCleansUp(t *testing.T, ns string, running *batchv1.Job) {
	podsOf(t, running, 1)
	gone := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}
	if err := root.client(t).Delete(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	await(t, func(ctx context.Context) bool {
		return apierrors.IsNotFound(env.Client.Get(ctx, client.ObjectKeyFromObject(gone), gone))
	})
}
