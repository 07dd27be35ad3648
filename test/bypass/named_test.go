package bypass_test

import (
	"errors"
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
)

const (
	onlyJobs  = "only Jobs make pods here"
	onlyKinds = "only campaign Jobs and CronJobs run here"
	onlyCodb  = "only codb releases campaign Jobs; see: kubectl get camp"
	immutable = "field is immutable" // says Kubernetes, before admission could
	noReach   = "nobody reaches into a campaign's pod"
	inHand    = "labels, ownerReferences and finalizers keep a campaign's pod in the hands of its Job"
	noRight   = "is forbidden: User"
)

// named tries every way that has a name. None of them changes anything, so
// that they can be tried again.
func (w *world) named(t *testing.T) {
	rows := map[string]row{}
	for _, more := range []map[string]row{w.otherKinds(), w.jobs(), w.queues(), w.cronJobs(), w.pods(), w.labels(), w.identities(), w.records()} {
		for name, r := range more {
			if _, twice := rows[name]; twice {
				t.Fatalf("two rows are named %s", name)
			}
			rows[name] = r
		}
	}
	refused := 0
	for name, r := range rows {
		if r.want != "" {
			refused++
		}
		t.Run(name, r.run)
	}
	if refused < 40 {
		t.Errorf("%d refusals, want at least 40", refused)
	}
	onlyWhatWasReleased(t, marketing, w.running.Name, w.gated.Name)
}

// otherKinds make pods without a Job.
func (w *world) otherKinds() map[string]row {
	pod := &corev1.Pod{ObjectMeta: meta(marketing, "x"), Spec: podSpec()}
	forged := pod.DeepCopy()
	forged.Labels = w.pod.Labels
	forged.OwnerReferences = w.pod.OwnerReferences
	placed := pod.DeepCopy()
	placed.Spec.NodeName = "one"
	return map[string]row{
		"RawPod":                {admin, create(pod), onlyJobs},
		"RawPodElsewhere":       {admin, create(&corev1.Pod{ObjectMeta: meta(elsewhere, "x"), Spec: podSpec()}, client.DryRunAll), ""},
		"RawPodByClusterAdmin":  {root, create(pod), onlyJobs},
		"RawPodByTheOperator":   {who{operator.name, root.groups}, create(pod), onlyJobs},
		"PodWithAForgedOwner":   {admin, create(forged), onlyJobs},
		"PodOnANode":            {admin, create(placed), onlyJobs},
		"KubectlRun":            {admin, kubectl("run", "x", "--image=sender"), onlyJobs},
		"Deployment":            {admin, create(&appsv1.Deployment{ObjectMeta: meta(marketing, "x"), Spec: appsv1.DeploymentSpec{Selector: selects(), Template: always()}}), onlyKinds},
		"StatefulSet":           {admin, create(&appsv1.StatefulSet{ObjectMeta: meta(marketing, "x"), Spec: appsv1.StatefulSetSpec{Selector: selects(), Template: always()}}), onlyKinds},
		"ReplicaSet":            {admin, create(&appsv1.ReplicaSet{ObjectMeta: meta(marketing, "x"), Spec: appsv1.ReplicaSetSpec{Selector: selects(), Template: always()}}), onlyKinds},
		"DaemonSet":             {admin, create(&appsv1.DaemonSet{ObjectMeta: meta(marketing, "x"), Spec: appsv1.DaemonSetSpec{Selector: selects(), Template: always()}}), onlyKinds},
		"ReplicationController": {admin, create(&corev1.ReplicationController{ObjectMeta: meta(marketing, "x"), Spec: corev1.ReplicationControllerSpec{Selector: selects().MatchLabels, Template: ptr.To(always())}}), onlyKinds},
		"KubectlDeployment":     {admin, kubectl("create", "deployment", "x", "--image=sender"), onlyKinds},
		"DeploymentElsewhere":   {admin, create(&appsv1.Deployment{ObjectMeta: meta(elsewhere, "x"), Spec: appsv1.DeploymentSpec{Selector: selects(), Template: always()}}, client.DryRunAll), ""},
	}
}

func (w *world) jobs() map[string]row {
	job := func(changes ...func(*batchv1.Job)) *batchv1.Job {
		return plainJob(marketing, "x", "spring", changes...)
	}
	spec := func(change func(*corev1.PodSpec)) *batchv1.Job {
		return job(func(j *batchv1.Job) { change(&j.Spec.Template.Spec) })
	}
	copied := map[string]string{}
	for key, value := range w.running.Annotations {
		copied[key] = value
	}
	owned := func(j *batchv1.Job) {
		j.OwnerReferences = []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "CronJob", Name: w.weekly.Name, UID: w.weekly.UID, Controller: ptr.To(true)}}
	}
	runs := func(j *batchv1.Job) { j.Spec.Suspend = ptr.To(false) }
	image := "{'spec':{'template':{'spec':{'containers':[{'name':'sender','image':'other'}]}}}}"
	applied := "{'apiVersion':'batch/v1','kind':'Job','metadata':{'name':'%s','namespace':'" + marketing + "'%s},'spec':{'suspend':false%s}}"
	label := ",'labels':{'consent.codb.dev/campaign':'spring'}"
	template := ",'template':{'spec':{'restartPolicy':'Never','containers':[{'name':'sender','image':'sender'}]}}"
	const leaves = "would leave its pods running where no hold reaches them"
	orphan := client.PropagationPolicy(metav1.DeletePropagationOrphan)
	return map[string]row{
		"JobThatSaysRun":             {admin, suspended(job(runs)), ""},
		"JobThatSaysNothing":         {admin, suspended(job()), ""},
		"JobWithAGeneratedName":      {admin, suspended(job(runs, func(j *batchv1.Job) { j.Name, j.GenerateName = "", "x-" })), ""},
		"JobOfNoCampaign":            {admin, create(plainJob(marketing, "x", "")), "a Job without a campaign may not run here"},
		"JobOfNoCampaignGenerated":   {admin, create(plainJob(marketing, "", "", func(j *batchv1.Job) { j.GenerateName = "x-" })), "a Job without a campaign may not run here"},
		"JobThatSaysRunApplied":      {admin, apply(fmt.Sprintf(applied, "x", label, template), client.DryRunAll), ""},
		"ReleaseByPatch":             {admin, patch(w.blocked, "{'spec':{'suspend':false}}"), onlyCodb},
		"ReleaseByLeavingItOut":      {admin, patch(w.blocked, "{'spec':{'suspend':null}}"), onlyCodb},
		"ReleaseByJSONPatch":         {admin, patchAs(types.JSONPatchType, w.blocked, "[{'op':'replace','path':'/spec/suspend','value':false}]"), onlyCodb},
		"ReleaseByStrategicPatch":    {admin, patchAs(types.StrategicMergePatchType, w.blocked, "{'spec':{'suspend':false}}"), onlyCodb},
		"ReleaseByUpdate":            {admin, update(w.blocked, runs), onlyCodb},
		"ReleaseByApply":             {admin, apply(fmt.Sprintf(applied, w.blocked.Name, "", "")), onlyCodb},
		"ReleaseByKubectl":           {admin, kubectl("patch", "job", w.blocked.Name, "-p", `{"spec":{"suspend":false}}`), onlyCodb},
		"ReleaseByClusterAdmin":      {root, patch(w.blocked, "{'spec':{'suspend':false}}"), onlyCodb},
		"ReleaseWithCopiedEvidence":  {admin, update(w.blocked, func(j *batchv1.Job) { j.Spec.Suspend, j.Annotations = ptr.To(false), copied }), onlyCodb},
		"ReleaseInADryRun":           {admin, patch(w.blocked, "{'spec':{'suspend':false}}", client.DryRunAll), onlyCodb},
		"StopWhatRuns":               {admin, patch(w.running, "{'spec':{'suspend':true}}", client.DryRunAll), ""},
		"BornWithEvidence":           {admin, create(job(func(j *batchv1.Job) { j.Annotations = copied })), "not born with evidence"},
		"CopiedEvidence":             {admin, update(w.blocked, func(j *batchv1.Job) { j.Annotations = copied }), "only codb sets annotations of consent.codb.dev"},
		"ForgedOwnerOfAJob":          {admin, create(job(owned)), "only Kubernetes and codb make a Job that another object controls"},
		"KubectlJobFromACronJob":     {admin, kubectl("create", "job", "x", "--from=cronjob/"+w.weekly.Name), "only codb sets annotations of consent.codb.dev on a Job"},
		"ManagedBySomebodyElse":      {admin, create(job(func(j *batchv1.Job) { j.Spec.ManagedBy = ptr.To("acme.example/runner") })), "another controller would not honour a hold"},
		"JobOnANode":                 {admin, create(spec(func(p *corev1.PodSpec) { p.NodeName = "one" })), "pods go through the scheduler"},
		"JobOnTheHost":               {admin, create(spec(func(p *corev1.PodSpec) { p.HostNetwork = true })), "reach into the node"},
		"JobOfAnotherAccount":        {admin, create(spec(func(p *corev1.PodSpec) { p.ServiceAccountName = "billing" })), "a campaign acts for nobody else"},
		"JobThatWontStop":            {admin, create(spec(func(p *corev1.PodSpec) { p.TerminationGracePeriodSeconds = ptr.To[int64](3600) })), "pods must stop soon after a withdrawal"},
		"JobOnNodesOfAKind":          {admin, suspended(spec(func(p *corev1.PodSpec) { p.NodeSelector = map[string]string{"disk": "fast"} })), ""},
		"StatusOfAJob":               {admin, patchSub("status", w.blocked, "{'status':{'active':1}}"), noRight},
		"StatusOfAJobByClusterAdmin": {root, patchSub("status", w.blocked, "{'status':{'active':1}}"), "only Kubernetes itself writes the status"},
		"TemplateSwapAfterRelease":   {root, update(w.running, func(j *batchv1.Job) { j.Spec.Template.Annotations = map[string]string{"list": "other"} }), immutable},
		"ImageSwapWhenHeld":          {admin, patch(w.blocked, image), immutable},
		"ImageSwapAfterRelease":      {admin, patch(w.running, image), immutable},
		"ImageSwapOfOnesOwnJob":      {admin, patch(w.gated, image), immutable},
		"RunMoreOfIt":                {admin, patch(w.running, "{'spec':{'parallelism':50}}"), "codb made this Job"},
		"OrphanThePods":              {admin, remove(w.running, orphan), leaves},
		"OrphanThePodsByKubectl":     {admin, kubectl("delete", "job", w.running.Name, "--cascade=orphan"), leaves},
		"OrphanThePodsByDefault":     {admin, remove(w.running), leaves},
		"OrphanThePodsOfAll":         {admin, removeAll(&batchv1.Job{}, client.InNamespace(marketing), orphan, client.DryRunAll), leaves},
		"DeleteAJobAndItsPods":       {admin, remove(w.running, client.PropagationPolicy(metav1.DeletePropagationBackground), client.DryRunAll), ""},
		"AJobThatLingers":            {admin, patch(w.running, "{'metadata':{'finalizers':['acme.example/keep']}}"), "a deleted Job that lingers"},
	}
}

func (w *world) cronJobs() map[string]row {
	evidence := map[string]string{v1alpha1.AnnotationDecision: "d"}
	image := "{'spec':{%s'jobTemplate':{'spec':{'template':{'spec':{'containers':[{'name':'sender','image':'other'}]}}}}}}"
	return map[string]row{
		"CronJobThatSaysRun":       {admin, suspended(cronJob("x", "spring", func(c *batchv1.CronJob) { c.Spec.Suspend = ptr.To(false) })), ""},
		"CronJobOfNoCampaign":      {admin, create(cronJob("x", "")), "a CronJob without a campaign may not run here"},
		"CronJobReleased":          {admin, patch(w.late, "{'spec':{'suspend':false}}"), "only codb releases campaign CronJobs"},
		"CronJobEveryMinute":       {admin, patch(w.weekly, "{'spec':{'schedule':'* * * * *'}}"), "codb made this CronJob"},
		"CronJobImageSwap":         {admin, patch(w.weekly, fmt.Sprintf(image, "")), "codb made this CronJob"},
		"CronJobSwapWhenHeld":      {admin, patch(w.late, fmt.Sprintf(image, "")), "codb made this CronJob"},
		"CronJobStopAndSwap":       {admin, patch(w.weekly, fmt.Sprintf(image, "'suspend':true,")), "codb made this CronJob"},
		"CronJobRunsOverlap":       {admin, patch(w.weekly, "{'spec':{'concurrencyPolicy':'Allow'}}"), "codb made this CronJob"},
		"CronJobStopped":           {admin, patch(w.weekly, "{'spec':{'suspend':true}}", client.DryRunAll), ""},
		"CronJobRenamedCampaign":   {admin, patch(w.late, "{'metadata':{'labels':{'consent.codb.dev/campaign':'spring'}}}"), "can not be changed"},
		"CronJobWithEvidence":      {admin, create(cronJob("x", "spring", func(c *batchv1.CronJob) { c.Annotations = evidence })), "not born with evidence"},
		"CronJobHandsDownEvidence": {admin, create(cronJob("x", "spring", func(c *batchv1.CronJob) { c.Spec.JobTemplate.Annotations = evidence })), "would pass for evidence on every Job"},
		"StatusOfACronJob":         {root, patchSub("status", w.late, "{'status':{'lastScheduleTime':'2026-01-01T00:00:00Z'}}"), "only Kubernetes itself writes the status"},
	}
}

func (w *world) pods() map[string]row {
	binding := &corev1.Binding{ObjectMeta: meta(marketing, w.pod.Name), Target: corev1.ObjectReference{Kind: "Node", Name: "one"}}
	bindPod := func(t *testing.T, c client.Client) error {
		return c.SubResource("binding").Create(t.Context(), w.pod.DeepCopy(), binding.DeepCopy())
	}
	ephemeral := "{'spec':{'ephemeralContainers':[{'name':'e','image':'e'}]}}"
	ungate := func(p *corev1.Pod) { p.Spec.SchedulingGates = nil }
	return map[string]row{
		"Exec":               {admin, connect("pods", w.pod.Name, "exec"), "pods/exec: " + noReach},
		"ExecByKubectl":      {admin, kubectl("exec", w.pod.Name, "--", "sh"), noReach},
		"Attach":             {admin, connect("pods", w.pod.Name, "attach"), "pods/attach: " + noReach},
		"PortForward":        {admin, connect("pods", w.pod.Name, "portforward"), "pods/portforward: " + noReach},
		"Proxy":              {admin, connect("pods", w.pod.Name, "proxy"), "pods/proxy: " + noReach},
		"ProxyByAService":    {admin, connect("services", "x", "proxy"), "services/proxy: " + noReach},
		"ProxyByTheNode":     {admin, raw(admin, "/api/v1/nodes/one/proxy/pods"), noRight},
		"EphemeralContainer": {root, patchSub("ephemeralcontainers", &w.pod, ephemeral), "pods/ephemeralcontainers: " + noReach},
		"KubectlDebug": {root, func(t *testing.T, _ client.Client) error {
			out, err := env.Kubectl(t, "debug", "--namespace="+marketing, w.pod.Name, "--image=e", "--attach=false")
			return wrap(err, out)
		}, noReach},
		"Resize":                {root, patchSub("resize", &w.held, "{}"), "pods/resize: " + noReach},
		"BindByHand":            {root, bindPod, "only the scheduler places a campaign's pod"},
		"BindTheOldWay":         {root, create(binding), "only the scheduler places a campaign's pod"},
		"RemoveASchedulingGate": {admin, update(&w.held, ungate), "spec: a campaign's pod is not changed while it runs"},
		"ImageSwapOfAPod":       {admin, update(&w.pod, func(p *corev1.Pod) { p.Spec.Containers[0].Image = "other" }), "spec: a campaign's pod is not changed while it runs"},
		"StatusOfAPod":          {root, patchSub("status", &w.pod, "{'status':{'phase':'Failed'}}"), "only Kubernetes itself writes the status"},
		"PodLeavesItsJob":       {admin, patch(&w.pod, "{'metadata':{'ownerReferences':null}}"), inHand},
		"PodLeavesItsCampaign":  {admin, patch(&w.pod, "{'metadata':{'labels':{'consent.codb.dev/campaign':null}}}"), inHand},
		"PodLeavesTheCount":     {admin, patch(&w.pod, "{'metadata':{'finalizers':null}}"), inHand},
		"ReadTheLog":            {admin, raw(admin, "/api/v1/namespaces/"+marketing+"/pods/"+w.pod.Name+"/status"), ""},
		"DeleteAPodSlowly":      {admin, kubectl("delete", "pod", w.pod.Name, "--grace-period=86400", "--wait=false"), "a pod that stops slowly goes on contacting people"},
		"DeleteAPod":            {admin, remove(&w.pod, client.DryRunAll), ""},
	}
}

func (w *world) labels() map[string]row {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: marketing}}
	set := func(value string) string { return "{'metadata':{'labels':{'consent.codb.dev/enforce':" + value + "}}}" }
	const exempt = "needs the verb exempt on campaignpolicies.consent.codb.dev"
	return map[string]row{
		"LabelRemoved":              {admin, patch(w.blocked, "{'metadata':{'labels':{'consent.codb.dev/campaign':null,'x':'y'}}}"), "can not be changed"},
		"LabelOfAnother":            {admin, patch(w.blocked, "{'metadata':{'labels':{'consent.codb.dev/campaign':'spring'}}}"), `can not be changed from "blocked" to "spring"`},
		"LabelAdded":                {admin, patch(w.blocked, "{'metadata':{'labels':{'app':'x'}}}"), "the labels of a campaign Job are frozen"},
		"LabelElsewhere":            {admin, create(plainJob(elsewhere, "x", "spring")), "consent is not enforced in namespace " + elsewhere},
		"NoLabelElsewhere":          {admin, create(plainJob(elsewhere, "x", ""), client.DryRunAll), ""},
		"NamespaceLabelOff":         {editor, patch(ns, set("null")), exempt},
		"NamespaceLabelFalse":       {editor, patch(ns, set("'false'")), `the only value is "true"`},
		"NamespaceLabelOffByStatus": {editor, patchSub("status", ns, set("null")), exempt},
		"NamespaceLabelOffByFinalize": {editor, func(t *testing.T, _ client.Client) error {
			clients, err := kubernetes.NewForConfig(editor.config())
			if err != nil {
				return err
			}
			_, err = clients.CoreV1().Namespaces().Finalize(t.Context(), ns.DeepCopy(), metav1.UpdateOptions{})
			return err
		}, exempt},
		"NamespaceReCreated":       {editor, remove(ns), exempt},
		"NamespaceLabelOffByAdmin": {admin, patch(ns, set("null")), noRight},
		"NamespaceOtherLabel":      {editor, patch(ns, "{'metadata':{'labels':{'team':'garden'}}}", client.DryRunAll), ""},
		"CustomersNamespaceGone":   {editor, remove(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: customers}}), exempt},
		"CodbsNamespaceGone":       {editor, remove(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.SystemNamespace}}), exempt},
	}
}

func (w *world) identities() map[string]row {
	release := patch(w.blocked, "{'spec':{'suspend':false}}")
	pod := &corev1.Pod{ObjectMeta: meta(v1alpha1.SystemNamespace, "x"), Spec: podSpec()}
	pod.Spec.ServiceAccountName = v1alpha1.OperatorServiceAccount
	token := func(ns string) attempt {
		return func(t *testing.T, c client.Client) error {
			account := &corev1.ServiceAccount{ObjectMeta: meta(ns, v1alpha1.OperatorServiceAccount)}
			return c.SubResource("token").Create(t.Context(), account, &authenticationv1.TokenRequest{})
		}
	}
	namesake := who{name: "system:serviceaccount:" + marketing + ":" + v1alpha1.OperatorServiceAccount, groups: root.groups}
	return map[string]row{
		"ImpersonateTheOperator":      {admin, pretends(operator, release), "cannot impersonate"},
		"ImpersonateTheJobController": {admin, pretends(who{name: "system:serviceaccount:kube-system:job-controller"}, create(&corev1.Pod{ObjectMeta: meta(marketing, "x"), Spec: podSpec()})), "cannot impersonate"},
		"ImpersonateAMaster":          {admin, pretends(root, release), "cannot impersonate"},
		"TokenOfTheOperator":          {admin, token(v1alpha1.SystemNamespace), noRight},
		"PodAsTheOperator":            {admin, create(pod), noRight},
		"NamesakeOfTheOperator":       {namesake, release, onlyCodb},
		"TokenOfOnesOwnAccount": {admin, func(t *testing.T, c client.Client) error {
			account := &corev1.ServiceAccount{ObjectMeta: meta(marketing, "default")}
			return c.SubResource("token").Create(t.Context(), account, &authenticationv1.TokenRequest{}, &client.SubResourceCreateOptions{CreateOptions: client.CreateOptions{DryRun: []string{metav1.DryRunAll}}})
		}, ""},
		"DeleteAnAdmissionPolicy": {admin, kubectl("delete", "validatingadmissionpolicybinding", "campaign-pods.consent.codb.dev"), "cannot delete resource"},
		"DeleteTheWebhook":        {admin, kubectl("delete", "validatingwebhookconfiguration", "codb-policies"), "cannot delete resource"},
		"GiveOneselfARole":        {admin, create(bind(customers, "codb-importer", admin)), noRight},
		"BeTheOperatorsRole":      {admin, create(bind(marketing, "codb-operator", admin)), "attempting to grant RBAC permissions not currently held"},
	}
}

func (w *world) records() map[string]row {
	refusal := consent("c-2", "")
	decision := &v1alpha1.CampaignDecision{ObjectMeta: meta(marketing, "x"), Spec: v1alpha1.CampaignDecisionSpec{
		Campaign: v1alpha1.CampaignReference{Name: "blocked", UID: "1", Generation: 1}, Verdict: v1alpha1.CampaignAllowed, DecidedAt: metav1.Unix(0, 0),
	}}
	review := &v1alpha1.ConsentReview{ObjectMeta: meta(customers, "x"), Spec: v1alpha1.ConsentReviewSpec{
		Campaign: v1alpha1.NamespacedReference{Namespace: marketing, Name: "spring"}, Customer: "c-2",
	}}
	const erase = "needs the verb erase on customerconsents.consent.codb.dev"
	return map[string]row{
		"DeleteARefusal":          {editor, remove(refusal), erase},
		"DeleteAllRefusals":       {editor, removeAll(&v1alpha1.CustomerConsent{}, client.InNamespace(customers)), erase},
		"DeleteARefusalByService": {service, remove(refusal), noRight},
		"DeleteARefusalByAdmin":   {admin, remove(refusal), noRight},
		"ReadConsentsByAdmin":     {admin, raw(admin, "/apis/consent.codb.dev/v1alpha1/namespaces/"+customers+"/customerconsents"), noRight},
		"ReCreateARefusal": {editor, func(t *testing.T, c client.Client) error {
			if err := c.Delete(t.Context(), refusal.DeepCopy()); err != nil {
				return err
			}
			return c.Create(t.Context(), refusal.DeepCopy())
		}, erase},
		"ConsentOfSomebodyElse":   {customer, patch(refusal, "{'spec':{'optOut':null}}"), "a customer writes only the consent of their own id"},
		"ConsentOfOnesOwn":        {customer, patch(consent("c-1", ""), "{'spec':{'language':'en'}}", client.DryRunAll), ""},
		"ConsentElsewhere":        {root, create(&v1alpha1.CustomerConsent{ObjectMeta: meta(marketing, "c-2")}), "make it in codb-customers"},
		"RefusalOwnedBySomething": {root, patch(refusal, "{'metadata':{'ownerReferences':[{'apiVersion':'v1','kind':'ConfigMap','name':'x','uid':'1'}]}}"), "a consent outlives everything else"},
		"RefusalHidden":           {root, patch(refusal, "{'metadata':{'labels':{'consent.codb.dev/class':'Fence'}}}"), "would hide a customer's answers"},
		"DecisionOfOnesOwn":       {root, create(decision), "only codb writes and retires decisions"},
		"DecisionByAdmin":         {admin, create(decision), noRight},
		"VerdictOfOnesOwn":        {admin, patchSub("status", campaign("blocked", ""), "{'status':{'verdict':'Allowed'}}"), noRight},
		"DeletePolicies":          {admin, kubectl("delete", "campaignpolicies", "baseline"), "cannot delete resource"},
		"DeleteBrands":            {admin, kubectl("delete", "brands", "acme"), "cannot delete resource"},
		"BrandListsMore":          {admin, patch(&v1alpha1.Brand{ObjectMeta: metav1.ObjectMeta{Name: "acme"}}, "{'spec':{'namespaces':['"+elsewhere+"']}}"), noRight},
		"CampaignChangesItsBrand": {admin, patch(campaign("blocked", ""), "{'spec':{'brand':'globex'}}"), "spec.brand"},
		"CampaignWithAHostPath":   {admin, apply("{'apiVersion':'consent.codb.dev/v1alpha1','kind':'Campaign','metadata':{'name':'x','namespace':'" + marketing + "'},'spec':{'brand':'acme','purpose':'Marketing','channel':'Email','owner':'o','audience':{'everyone':{}},'workload':{'job':{'image':'i','command':['c'],'volumes':[{'name':'h','hostPath':{'path':'/'}}]}}}}"), "volumes"},
		"ReviewInADryRunSaysNothing": {service, func(t *testing.T, c client.Client) error {
			r := review.DeepCopy()
			if err := c.Create(t.Context(), r, client.DryRunAll); err != nil {
				return err
			}
			if r.Status.Verdict != "" || len(r.Status.Reasons) > 0 {
				return errors.New("a dry run revealed what a customer said")
			}
			return nil
		}, ""},
		"ReviewByAdmin": {admin, create(review), noRight},
	}
}

func wrap(err error, out string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %s", err, out)
}
