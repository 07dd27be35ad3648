package admission_test

import (
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	consentv1 "github.com/codb-dev/codb/api/v1alpha1"
)

func TestCronJobs(t *testing.T) {
	ns := env.EnforcedNamespace(t)
	quiet := func(j *batchv1.CronJob) { j.Spec.Schedule = "0 0 1 1 *" }
	held, released := cronJob(ns, "held", quiet), cronJob(ns, "released", quiet)
	made := cronJob(ns, "made", quiet, madeByCodb)
	store(t, root, held, released)
	store(t, operator, made)
	releaseNow(t, released)
	only := "only codb releases campaign CronJobs; see: kubectl get camp spring-garden"
	frozen := "a released campaign CronJob is frozen; set spec.suspend: true first"
	template := func(inner string) string { return "{'spec':{'jobTemplate':{'spec':{'template':" + inner + "}}}}" }
	image := template("{'spec':{'containers':[{'name':'sender','image':'other'}]}}")
	evidenced := func(j *batchv1.CronJob) {
		j.Spec.JobTemplate.Annotations = map[string]string{consentv1.AnnotationDecision: "d"}
	}
	runTrials(t, map[string]trial{
		"OfACampaign":                {root, create(cronJob(ns, "new")), "", ""},
		"WithoutACampaign":           {root, create(cronJob(ns, "new", func(j *batchv1.CronJob) { j.Labels = nil })), "workloads", "a CronJob without a campaign"},
		"WithEvidence":               {root, create(cronJob(ns, "new", func(j *batchv1.CronJob) { j.Annotations = evidence })), "workloads", "not born with evidence"},
		"AsIfCodbMadeIt":             {root, create(cronJob(ns, "new", func(j *batchv1.CronJob) { j.Annotations = map[string]string{consentv1.AnnotationRun: "r"} })), "workloads", "only codb sets annotations"},
		"AsCodbMakesIt":              {operator, create(cronJob(ns, "new", madeByCodb)), "", ""},
		"JobsWithEvidence":           {root, create(cronJob(ns, "new", evidenced)), "templates", "spec.jobTemplate.metadata.annotations"},
		"JobsWithEvidenceByOperator": {operator, create(cronJob(ns, "new", evidenced)), "templates", "spec.jobTemplate.metadata.annotations"},
		"HostPath": {root, create(cronJob(ns, "new", func(j *batchv1.CronJob) {
			j.Spec.JobTemplate.Spec.Template.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}}
		})), "templates", "spec.jobTemplate.spec.template.spec.volumes: hostPath"},

		"ReleaseByAUser":     {root, patch(held, "{'spec':{'suspend':false}}"), "workloads", only},
		"WithoutEvidence":    {operator, patch(held, "{'spec':{'suspend':false}}"), "workloads", "a release needs evidence"},
		"ReleaseByCodb":      {operator, patch(held, release), "", ""},
		"SwapWhileReleasing": {operator, patch(held, strings.Replace(release, "'suspend':false", "'suspend':false,'schedule':'* * * * *'", 1)), "workloads", frozen},
		"Stop":               {root, patch(released, "{'spec':{'suspend':true}}"), "", ""},

		"SwapTheImageWhenReleased":           {root, patch(released, image), "workloads", frozen},
		"SwapTheImageWhenReleasedByOperator": {operator, patch(released, image), "workloads", frozen},
		"SwapTheImageAndStop":                {root, patch(released, strings.Replace(image, "{'spec':{", "{'spec':{'suspend':true,", 1)), "workloads", frozen},
		"SwapTheScheduleWhenReleased":        {root, patch(released, "{'spec':{'schedule':'* * * * *'}}"), "workloads", frozen},
		"LetRunsOverlapWhenReleased":         {root, patch(released, "{'spec':{'concurrencyPolicy':'Allow'}}"), "workloads", frozen},
		"SwapTheImageWhenHeld":               {root, patch(held, image), "", ""},
		"SwapTheImageOfCodbs":                {root, patch(made, image), "workloads", "codb made this CronJob; change spec.workload of campaign spring-garden instead"},
		"SwapTheImageOfCodbsByCodb":          {operator, patch(made, image), "", ""},
		"UnsafeWhenHeld":                     {root, patch(held, template("{'spec':{'hostNetwork':true}}")), "templates", "hostNetwork"},
		"JobsOfAnotherCampaign":              {root, patch(held, "{'spec':{'jobTemplate':{'metadata':{'labels':{'consent.codb.dev/campaign':'other'}}}}}"), "templates", "spec.jobTemplate.metadata.labels"},
		"PodsOfNoCampaign":                   {root, patch(held, template("{'metadata':{'labels':{'consent.codb.dev/campaign':null}}}")), "templates", "spec.jobTemplate.spec.template.metadata.labels"},
		"OtherCampaign":                      {root, patch(held, "{'metadata':{'labels':{'consent.codb.dev/campaign':'other'}}}"), "workloads", "can not be changed"},
		"StatusByAUser":                      {root, patchSub("status", held, "{'status':{'lastScheduleTime':'2026-01-01T00:00:00Z'}}"), "workloads", "only Kubernetes itself"},
		"StatusByItsController":              {cronController, patchSub("status", held, "{'status':{'lastScheduleTime':'2026-01-01T00:00:00Z'}}"), "", ""},
	})
}

func madeByCodb(j *batchv1.CronJob) {
	notes := map[string]string{consentv1.AnnotationGeneration: "1", consentv1.AnnotationRun: "r"}
	j.Annotations, j.Spec.JobTemplate.Annotations = notes, notes
}

// warnings collects what the apiserver warns of.
type warnings []string

func (w *warnings) HandleWarningHeader(_ int, _, text string) { *w = append(*w, text) }

func TestOverlappingRunsAreWarnedOf(t *testing.T) {
	ns := env.EnforcedNamespace(t)
	for policy, want := range map[batchv1.ConcurrencyPolicy]int{
		"": 1, batchv1.AllowConcurrent: 1, batchv1.ForbidConcurrent: 0, batchv1.ReplaceConcurrent: 0,
	} {
		var heard warnings
		cfg := rest.CopyConfig(env.Config)
		cfg.WarningHandler = &heard
		c, err := client.New(cfg, client.Options{Scheme: env.Scheme})
		if err != nil {
			t.Fatal(err)
		}
		j := cronJob(ns, "new", func(j *batchv1.CronJob) { j.Spec.ConcurrencyPolicy, j.Spec.Suspend = policy, ptr.To(true) })
		if err := c.Create(t.Context(), j, client.DryRunAll); err != nil {
			t.Fatal(err)
		}
		n := 0
		refusals = append(refusals, heard...) // a warning counts as said
		for _, text := range heard {
			if strings.Contains(text, "one more Job waits at every tick; set Forbid") {
				n++
			}
		}
		if n != want {
			t.Errorf("concurrencyPolicy %q: %d warnings, want %d: %q", policy, n, want, heard)
		}
	}
}
