package admission_test

import (
	"context"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	consentv1 "github.com/codb-dev/codb/api/v1alpha1"
)

func TestCampaignsStayInEnforcedNamespaces(t *testing.T) {
	ns := env.Namespace(t, nil)
	plain := job(ns, "plain", func(j *batchv1.Job) { j.Labels = nil })
	cron := cronJob(ns, "plain", func(j *batchv1.CronJob) { j.Labels = nil })
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "plain"}, Spec: podSpec()}
	store(t, root, plain, cron, pod)

	// One whose namespace has left enforcement since.
	left := env.EnforcedNamespace(t)
	stale := job(left, "stale")
	store(t, root, stale)
	mergeNow(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: left}}, `{"metadata":{"labels":{"consent.codb.dev/enforce":null}}}`)

	label := "{'metadata':{'labels':{'consent.codb.dev/campaign':'spring-garden'}}}"
	refused := "consent.codb.dev/campaign: spring-garden: consent is not enforced in namespace " + ns
	await(t, func(ctx context.Context) bool { // until the label's removal is seen
		return root.client(t).Create(ctx, job(left, "new"), client.DryRunAll) != nil
	})
	runTrials(t, map[string]trial{
		"Job":                 {root, create(job(ns, "new")), "outside", refused},
		"JobByTheOperator":    {operator, create(job(ns, "new")), "outside", refused},
		"JobOfNoCampaign":     {root, create(job(ns, "new", func(j *batchv1.Job) { j.Labels = nil })), "", ""},
		"CronJob":             {root, create(cronJob(ns, "new")), "outside", refused},
		"CronJobOfNone":       {root, create(cronJob(ns, "new", func(j *batchv1.CronJob) { j.Labels = nil })), "", ""},
		"Pod":                 {jobController, create(ownedPod(ns, byJob)), "outside", refused},
		"JobLabelled":         {root, patch(plain, label), "outside", refused},
		"JobLabelledByStatus": {root, patchSub("status", plain, label), "outside", refused},
		"CronJobLabelled":     {root, patch(cron, label), "outside", refused},
		"PodLabelled":         {root, patch(pod, label), "outside", refused},
		"PodLabelledByStatus": {root, patchSub("status", pod, label), "outside", refused},
		"PodAnnotated":        {root, patch(pod, "{'metadata':{'annotations':{'a':'b'}}}"), "", ""},
		"StaleJobSuspended":   {root, patch(stale, "{'spec':{'suspend':true}}"), "", ""},
		"StaleJobCleanedUp":   {collector, patch(stale, "{'metadata':{'finalizers':null}}"), "", ""},
		"StaleJobRelabelled":  {root, patch(stale, "{'metadata':{'labels':{'consent.codb.dev/campaign':'other','x':'y'}}}"), "outside", "consent is not enforced"},
	})
}

func mergeNow(t *testing.T, obj client.Object, json string) {
	t.Helper()
	if err := root.client(t).Patch(t.Context(), obj, client.RawPatch(types.MergePatchType, []byte(json))); err != nil {
		t.Fatal(err)
	}
}

func TestNamespacesStayEnforced(t *testing.T) {
	bindPeople(t)
	named := func(name string) *corev1.Namespace {
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	}
	enforced, free := named(env.EnforcedNamespace(t)), named(env.Namespace(t, nil))
	set := func(value string) string { return "{'metadata':{'labels':{'consent.codb.dev/enforce':" + value + "}}}" }
	labelled := named("new")
	labelled.Labels = map[string]string{consentv1.LabelEnforce: consentv1.EnforceTrue}
	mislabelled := named("new")
	mislabelled.Labels = map[string]string{consentv1.LabelEnforce: "yes"}
	verb := "needs the verb exempt on campaignpolicies.consent.codb.dev"
	runTrials(t, map[string]trial{
		"TakeOff":                  {editor, patch(enforced, set("null")), "namespaces", "taking a namespace out of enforcement " + verb},
		"TakeOffByTheOperator":     {operator, patch(enforced, set("null")), "namespaces", verb},
		"TakeOffByThePlatformTeam": {platform, patch(enforced, set("null")), "", ""},
		"TakeOffByRoot":            {root, patch(enforced, set("null")), "", ""},
		"Alter":                    {editor, patch(enforced, set("'false'")), "namespaces", `the only value is "true"`},
		"AlterByThePlatformTeam":   {platform, patch(enforced, set("'false'")), "namespaces", `the only value is "true"`},
		"TakeOffThroughStatus":     {editor, patchSub("status", enforced, set("null")), "namespaces", verb},
		"TakeOffThroughFinalize":   {editor, finalize(enforced.Name), "namespaces", verb},
		"OtherLabels":              {editor, patch(enforced, "{'metadata':{'labels':{'team':'garden'}}}"), "", ""},
		"Add":                      {editor, patch(free, set("'true'")), "", ""},
		"AddSomethingElse":         {editor, patch(free, set("'yes'")), "namespaces", `consent.codb.dev/enforce: yes: the only value is "true"`},
		"AddToKubernetesOwn":       {root, patch(named("kube-system"), set("'true'")), "namespaces", "namespace kube-system runs more than campaigns"},
		"AddToCodbsOwn":            {root, patch(named(consentv1.SystemNamespace), set("'true'")), "namespaces", "runs more than campaigns"},
		"BornEnforced":             {editor, create(labelled), "", ""},
		"BornOtherwise":            {editor, create(mislabelled), "namespaces", `the only value is "true"`},
		"Delete":                   {editor, remove(enforced), "namespaces", "deleting what codb protects " + verb},
		"DeleteByThePlatformTeam":  {platform, remove(enforced), "", ""},
		"DeleteTheCustomers":       {editor, remove(named(consentv1.CustomersNamespace)), "namespaces", "namespace codb-customers: deleting what codb protects"},
		"DeleteCodb":               {editor, remove(named(consentv1.SystemNamespace)), "namespaces", "namespace codb-system: deleting"},
		"DeleteAnother":            {editor, remove(free), "", ""},
	})
}

// finalize writes a namespace without its labels through the endpoint of the
// namespace controller.
func finalize(name string) attempt {
	return func(t *testing.T, _ client.Client) error {
		clients, err := kubernetes.NewForConfig(env.ConfigAs(editor.name))
		if err != nil {
			return err
		}
		ns, err := clients.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		ns.Labels = nil
		_, err = clients.CoreV1().Namespaces().Finalize(t.Context(), ns, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}
}
