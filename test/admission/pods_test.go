package admission_test

import (
	"context"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	consentv1 "github.com/codb-dev/codb/api/v1alpha1"
)

func TestPodsComeFromJobsAlone(t *testing.T) {
	ns := env.EnforcedNamespace(t)
	change := func(f func(*corev1.Pod)) client.Object {
		p := ownedPod(ns, byJob)
		f(p)
		return p
	}
	noOwner := change(func(p *corev1.Pod) { p.OwnerReferences = nil })
	notInControl := change(func(p *corev1.Pod) { p.OwnerReferences[0].Controller = nil })
	ofAnotherKind := change(func(p *corev1.Pod) {
		p.OwnerReferences[0].Kind, p.OwnerReferences[0].APIVersion = "Job", "acme.example/v1"
	})
	noCampaign := change(func(p *corev1.Pod) { p.Labels = nil })
	runTrials(t, map[string]trial{
		"OfAJob":                {jobController, create(ownedPod(ns, byJob)), "", ""},
		"Bare":                  {root, create(noOwner), "pods", "only Jobs make pods here; make a Job"},
		"BareByTheOperator":     {master(consentv1.OperatorUsername), create(noOwner), "pods", "only Jobs make pods here"},
		"WithAForgedOwner":      {root, create(ownedPod(ns, byJob)), "pods", "only Jobs make pods here"},
		"OfAReplicaSet":         {replicas, create(ownedPod(ns, byJob)), "pods", "only Jobs make pods here"},
		"WithoutAnOwner":        {jobController, create(noOwner), "pods", "is controlled by a Job"},
		"OfAnOwnerNotInControl": {jobController, create(notInControl), "pods", "is controlled by a Job"},
		"OfAnotherKindOfJob":    {jobController, create(ofAnotherKind), "pods", "is controlled by a Job"},
		"WithoutACampaign":      {jobController, create(noCampaign), "pods", "carries its label"},
	})
}

func TestPodsStayInTheHandsOfTheirJob(t *testing.T) {
	ns := env.EnforcedNamespace(t)
	j := job(ns, "running")
	store(t, root, j)
	releaseNow(t, j)
	pod := podsOf(t, j, 1)[0]
	binding := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: ns}, Target: corev1.ObjectReference{Kind: "Node", Name: "one"}}
	bind := func(t *testing.T, c client.Client) error {
		return c.SubResource("binding").Create(t.Context(), pod.DeepCopy(), binding.DeepCopy(), client.DryRunAll)
	}
	// One that is on a node: what is on none goes at once, whatever is asked.
	other := job(ns, "placed")
	store(t, root, other)
	releaseNow(t, other)
	placed := podsOf(t, other, 1)[0]
	place := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: placed.Name, Namespace: ns}, Target: corev1.ObjectReference{Kind: "Node", Name: "one"}}
	if err := scheduler.client(t).SubResource("binding").Create(t.Context(), placed.DeepCopy(), place); err != nil {
		t.Fatal(err)
	}
	ephemeral := "{'spec':{'ephemeralContainers':[{'name':'e','image':'e'}]}}"
	runTrials(t, map[string]trial{
		"SwapTheImage":                {root, patch(&pod, "{'spec':{'containers':[{'name':'sender','image':'other','resources':{'requests':{'cpu':'100m'}}}]}}"), "pods", "spec: a campaign's pod is not changed while it runs"},
		"RunLonger":                   {root, patch(&pod, "{'spec':{'activeDeadlineSeconds':99}}"), "pods", "spec: a campaign's pod is not changed"},
		"ChangeByTheJobController":    {jobController, patch(&pod, "{'spec':{'activeDeadlineSeconds':99}}"), "pods", "spec: a campaign's pod is not changed"},
		"TakeOffTheCampaign":          {root, patch(&pod, "{'metadata':{'labels':{'consent.codb.dev/campaign':null}}}"), "pods", "labels, ownerReferences and finalizers"},
		"TakeOffTheJobsLabel":         {root, patch(&pod, "{'metadata':{'labels':{'batch.kubernetes.io/controller-uid':null}}}"), "pods", "labels, ownerReferences and finalizers"},
		"TakeOffTheOwner":             {root, patch(&pod, "{'metadata':{'ownerReferences':null}}"), "pods", "labels, ownerReferences and finalizers"},
		"TakeOffTheFinalizer":         {root, patch(&pod, "{'metadata':{'finalizers':null}}"), "pods", "labels, ownerReferences and finalizers"},
		"FinalizerByItsController":    {jobController, patch(&pod, "{'metadata':{'finalizers':null}}"), "", ""},
		"Annotate":                    {root, patch(&pod, "{'metadata':{'annotations':{'a':'b'}}}"), "", ""},
		"StatusByAUser":               {root, patchSub("status", &pod, "{'status':{'phase':'Failed'}}"), "pods", "only Kubernetes itself writes the status"},
		"RelabelThroughStatus":        {root, patchSub("status", &pod, "{'metadata':{'labels':{'consent.codb.dev/campaign':null}}}"), "pods", "only Kubernetes itself"},
		"StatusByTheScheduler":        {scheduler, patchSub("status", &pod, "{'status':{'nominatedNodeName':'one'}}"), "", ""},
		"BindByAUser":                 {root, bind, "pods", "only the scheduler places a campaign's pod"},
		"BindByTheScheduler":          {scheduler, bind, "", ""},
		"BindTheOldWay":               {root, create(binding), "pods", "only the scheduler places a campaign's pod"},
		"BindTheOldWayByTheScheduler": {scheduler, create(binding), "", ""},
		"AddAContainer":               {root, patchSub("ephemeralcontainers", &pod, ephemeral), "pods", "pods/ephemeralcontainers: nobody reaches into a campaign's pod"},
		"Resize":                      {root, patchSub("resize", &pod, "{'spec':{'containers':[{'name':'sender','image':'registry.acme.example/mailer','resources':{'requests':{'cpu':'9'}}}]}}"), "pods", "pods/resize"},
		"Evict": {root, func(t *testing.T, c client.Client) error {
			return c.SubResource("eviction").Create(t.Context(), pod.DeepCopy(), &policyv1.Eviction{}, client.DryRunAll)
		}, "", ""},
		"EvictSlowly": {root, func(t *testing.T, c client.Client) error {
			slow := &policyv1.Eviction{DeleteOptions: &metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](31)}}
			return c.SubResource("eviction").Create(t.Context(), pod.DeepCopy(), slow, client.DryRunAll)
		}, "removal", "gracePeriodSeconds: 31: a pod that stops slowly"},
		"Delete":       {root, remove(&pod), "", ""},
		"DeleteInTime": {root, removeWithin(&placed, 30), "", ""},
		"DeleteSlowly": {root, removeWithin(&placed, 86400), "removal", "gracePeriodSeconds: 86400: a pod that stops slowly goes on contacting people"},
		"DeleteAllSlowly": {root, func(t *testing.T, c client.Client) error {
			return c.DeleteAllOf(t.Context(), &corev1.Pod{}, client.InNamespace(ns), client.GracePeriodSeconds(31), client.DryRunAll)
		}, "removal", "a pod that stops slowly"},
		"Exec":        {root, connect(pod, "exec"), "pods", "pods/exec: nobody reaches into a campaign's pod"},
		"Attach":      {root, connect(pod, "attach"), "pods", "pods/attach"},
		"PortForward": {root, connect(pod, "portforward"), "pods", "pods/portforward"},
		"Proxy":       {root, connect(pod, "proxy"), "pods", "pods/proxy"},
		"ProxyThroughAService": {root, func(t *testing.T, _ client.Client) error {
			clients, err := kubernetes.NewForConfig(env.Config)
			if err != nil {
				return err
			}
			return clients.CoreV1().RESTClient().Get().Namespace(ns).Resource("services").Name("any").SubResource("proxy").Do(t.Context()).Error()
		}, "pods", "services/proxy: nobody reaches into a campaign's pod"},
	})
}

func removeWithin(obj client.Object, seconds int64) attempt {
	return func(t *testing.T, c client.Client) error {
		return c.Delete(t.Context(), obj.DeepCopyObject().(client.Object), client.GracePeriodSeconds(seconds), client.DryRunAll)
	}
}

// connect opens a connection into a pod, as kubectl exec and its kin do.
func connect(pod corev1.Pod, how string) attempt {
	return func(t *testing.T, _ client.Client) error {
		clients, err := kubernetes.NewForConfig(env.Config)
		if err != nil {
			return err
		}
		return clients.CoreV1().RESTClient().Post().Namespace(pod.Namespace).Resource("pods").Name(pod.Name).SubResource(how).
			Param("command", "sh").Param("container", "sender").Param("stdout", "true").Do(t.Context()).Error()
	}
}

func TestConnectionsElsewhereAreNotRefused(t *testing.T) {
	ns := env.Namespace(t, nil)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "other"}, Spec: podSpec()}
	store(t, root, pod)
	err := connect(*pod, "exec")(t, nil)
	if err == nil || strings.Contains(err.Error(), "ValidatingAdmissionPolicy") {
		t.Errorf("exec into an unscheduled pod: %v, want an error that is not ours", err)
	}
}

func TestOtherKindsThatMakePods(t *testing.T) {
	enforced, free := env.EnforcedNamespace(t), env.Namespace(t, nil)
	trials := map[string]trial{}
	for kind, in := range map[string]func(ns string) client.Object{
		"Deployment": func(ns string) client.Object {
			return &appsv1.Deployment{ObjectMeta: meta(ns, "x"), Spec: appsv1.DeploymentSpec{Selector: selects(), Template: always()}}
		},
		"StatefulSet": func(ns string) client.Object {
			return &appsv1.StatefulSet{ObjectMeta: meta(ns, "x"), Spec: appsv1.StatefulSetSpec{Selector: selects(), Template: always()}}
		},
		"DaemonSet": func(ns string) client.Object {
			return &appsv1.DaemonSet{ObjectMeta: meta(ns, "x"), Spec: appsv1.DaemonSetSpec{Selector: selects(), Template: always()}}
		},
		"ReplicaSet": func(ns string) client.Object {
			return &appsv1.ReplicaSet{ObjectMeta: meta(ns, "x"), Spec: appsv1.ReplicaSetSpec{Selector: selects(), Template: always()}}
		},
		"ReplicationController": func(ns string) client.Object {
			return &corev1.ReplicationController{ObjectMeta: meta(ns, "x"), Spec: corev1.ReplicationControllerSpec{Selector: selects().MatchLabels, Template: ptr.To(always())}}
		},
	} {
		trials[kind] = trial{root, create(in(enforced)), "kinds", kind + ": only campaign Jobs and CronJobs run here"}
		trials[kind+"Elsewhere"] = trial{root, create(in(free)), "", ""}
	}
	runTrials(t, trials)
}

func selects() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
}

func always() corev1.PodTemplateSpec {
	spec := podSpec()
	spec.RestartPolicy = corev1.RestartPolicyAlways
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: selects().MatchLabels}, Spec: spec}
}

// podsOf waits until the Job controller has made as many pods for the Job.
func podsOf(t *testing.T, j *batchv1.Job, want int) []corev1.Pod {
	t.Helper()
	var pods corev1.PodList
	await(t, func(ctx context.Context) bool {
		err := env.Client.List(ctx, &pods, client.InNamespace(j.Namespace), client.MatchingLabels{batchv1.JobNameLabel: j.Name})
		return err == nil && len(pods.Items) == want
	})
	return pods.Items
}

// await asks until the answer is yes.
func await(t *testing.T, done func(context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done(ctx) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("it did not come about")
		}
	}
}

func TestKubernetesHoldsAndRuns(t *testing.T) {
	ns := env.EnforcedNamespace(t)
	j := job(ns, "one")
	store(t, root, j)
	await(t, func(ctx context.Context) bool {
		return env.Client.Get(ctx, client.ObjectKeyFromObject(j), j) == nil && says(j, batchv1.JobSuspended)
	})
	podsOf(t, j, 0)
	releaseNow(t, j)
	podsOf(t, j, 1)
	stop := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"suspend":true}}`))
	if err := root.client(t).Patch(t.Context(), j, stop); err != nil {
		t.Fatal(err)
	}
	podsOf(t, j, 0)
}

func TestJobsOfAReleasedCronJobAreHeldOneByOne(t *testing.T) {
	ns := env.EnforcedNamespace(t)
	cron := cronJob(ns, "nightly", func(j *batchv1.CronJob) { j.Spec.Schedule = "0 * * * *" })
	madeByCodb(cron)
	store(t, operator, cron)
	// Two hours without a run: the controller makes one Job as soon as it may.
	before := cron.DeepCopy()
	cron.Status.LastScheduleTime = ptr.To(metav1.NewTime(time.Now().Add(-2 * time.Hour)))
	if err := cronController.client(t).Status().Patch(t.Context(), cron, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	releaseNow(t, cron)
	var jobs batchv1.JobList
	await(t, func(ctx context.Context) bool {
		return env.Client.List(ctx, &jobs, client.InNamespace(ns)) == nil && len(jobs.Items) == 1
	})
	child := &jobs.Items[0]
	if !*child.Spec.Suspend || child.Labels[consentv1.LabelCampaign] != spring {
		t.Fatalf("the CronJob's Job is suspended %t with labels %v", *child.Spec.Suspend, child.Labels)
	}
	podsOf(t, child, 0)
	releaseNow(t, child)
	podsOf(t, child, 1)
}
