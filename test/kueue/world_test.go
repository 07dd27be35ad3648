package kueue_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/codb-dev/codb/api/v1alpha1"
)

const (
	labelQueue      = "kueue.x-k8s.io/queue-name"
	labelJobUID     = "kueue.x-k8s.io/job-uid"
	annotationGates = "kueue.x-k8s.io/admission-gated-by"
	customers       = v1alpha1.CustomersNamespace
	elsewhere       = "globex-web" // of another team, with a queue of its own
)

// queues are what the platform team makes: room for one sender at a time.
const queues = `
- apiVersion: kueue.x-k8s.io/v1beta2
  kind: ResourceFlavor
  metadata: {name: spare}
  spec:
    nodeLabels: {pool: spare}
    tolerations: [{key: spare, operator: Exists, effect: NoSchedule}]
- apiVersion: kueue.x-k8s.io/v1beta2
  kind: ClusterQueue
  metadata: {name: senders}
  spec:
    namespaceSelector: {}
    resourceGroups:
    - coveredResources: [cpu, memory]
      flavors: [{name: spare, resources: [{name: cpu, nominalQuota: 100m}, {name: memory, nominalQuota: 1Gi}]}]
- apiVersion: kueue.x-k8s.io/v1beta2
  kind: ClusterQueue
  metadata: {name: others}
  spec:
    namespaceSelector: {}
    resourceGroups:
    - coveredResources: [cpu, memory]
      flavors: [{name: spare, resources: [{name: cpu, nominalQuota: "10"}, {name: memory, nominalQuota: 1Gi}]}]
`

// root has every right that RBAC can give: only admission stands in the way.
var root = []string{"system:masters"}

type world struct {
	*testing.T
	ns string
}

// on is the world in a part of the story.
func (w *world) on(t *testing.T) *world { return &world{T: t, ns: w.ns} }

func newWorld(t *testing.T) *world {
	w := &world{T: t, ns: "acme-marketing"}
	w.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.ns}})
	w.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: elsewhere}})
	w.create(&v1alpha1.Brand{
		ObjectMeta: metav1.ObjectMeta{Name: "acme"},
		Spec: v1alpha1.BrandSpec{
			DisplayName: "Acme", Namespaces: []string{w.ns}, Agreements: []v1alpha1.Depth{v1alpha1.DepthProfiling},
			Purposes: []v1alpha1.BrandPurpose{{Name: "Marketing", Class: v1alpha1.ClassMarketing, Notice: "Offers.", NoticeVersion: "1"}},
		},
	})
	w.until("the namespace to be enforced", func() (bool, string) {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.ns}}
		w.read(ns)
		return ns.Labels[v1alpha1.LabelEnforce] == v1alpha1.EnforceTrue, fmt.Sprint(ns.Labels)
	})
	var made []map[string]any
	if err := yaml.Unmarshal([]byte(queues), &made); err != nil {
		t.Fatal(err)
	}
	for _, o := range made {
		w.create(&unstructured.Unstructured{Object: o})
	}
	w.localQueue(w.ns, "mail", "senders")
	w.localQueue(elsewhere, "mail", "others")
	return w
}

func (w *world) localQueue(ns, name, of string) {
	w.Helper()
	q := kueues("LocalQueue", ns, name)
	q.Object["spec"] = map[string]any{"clusterQueue": of}
	w.create(q)
	w.until("the queue to be in use", func() (bool, string) {
		w.read(q)
		status, _ := conditionOf(q, "Active")
		return status == "True", fmt.Sprint(q.Object["status"])
	})
}

func (w *world) stopQueue(policy string) {
	w.Helper()
	if err := w.patch(root, kueues("ClusterQueue", "", "senders"), `{"spec":{"stopPolicy":"`+policy+`"}}`); err != nil {
		w.Fatal(err)
	}
}

func kueues(kind, namespace, name string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(schema.GroupVersionKind{Group: "kueue.x-k8s.io", Version: "v1beta2", Kind: kind})
	u.SetNamespace(namespace)
	u.SetName(name)
	return u
}

// customer agreed to acme's e-mail, and may have said no to everything since.
func (w *world) customer(name, group string, no bool) {
	w.Helper()
	asked := metav1.NewTime(time.Now().Add(-30 * 24 * time.Hour).Truncate(time.Second))
	confirmed := metav1.NewTime(asked.Add(time.Hour))
	born := int32(1980)
	c := &v1alpha1.CustomerConsent{
		ObjectMeta: metav1.ObjectMeta{Namespace: customers, Name: name, Labels: map[string]string{"group": group}},
		Spec: v1alpha1.CustomerConsentSpec{
			TimeZone: "Europe/Berlin", TimeZoneSource: "Declared", Jurisdiction: "DE", BirthYear: &born,
			Relationships: []v1alpha1.Relationship{{
				Brand: "acme", Depth: v1alpha1.DepthProfiling,
				Grants: []v1alpha1.Grant{{
					Purpose: "Marketing", Channel: v1alpha1.ChannelEmail, Status: v1alpha1.ConsentGiven,
					ConsentType: v1alpha1.ExplicitlyExpressedConsent, CaptureDate: asked, DoubleConsentCaptureDate: &confirmed,
				}},
			}},
		},
	}
	if no {
		c.Spec.OptOut = &v1alpha1.OptOut{Since: metav1.Now()}
	}
	w.create(c)
}

// says is a customer's opt-out, or its end.
func (w *world) says(name string, no bool) {
	w.Helper()
	to := "null"
	if no {
		to = `{"since":"` + time.Now().UTC().Format(time.RFC3339) + `"}`
	}
	c := &v1alpha1.CustomerConsent{ObjectMeta: metav1.ObjectMeta{Namespace: customers, Name: name}}
	if err := w.patch(root, c, `{"spec":{"optOut":`+to+`}}`); err != nil {
		w.Fatal(err)
	}
}

func (w *world) campaign(name, group string, changes ...func(*v1alpha1.CampaignSpec)) {
	w.Helper()
	c := &v1alpha1.Campaign{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name},
		Spec: v1alpha1.CampaignSpec{
			Brand: "acme", Purpose: "Marketing", Channel: v1alpha1.ChannelEmail, Depth: v1alpha1.DepthProfiling, Owner: "garden-team",
			Audience: v1alpha1.Audience{Selector: &v1alpha1.AudienceSelector{Labels: []v1alpha1.LabelMatch{{Key: "group", Values: []string{group}}}}},
		},
	}
	for _, f := range changes {
		f(&c.Spec)
	}
	w.create(c)
}

// sender asks to run at once, in the queue.
func sender(ns, campaign string) *batchv1.Job {
	cpu := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: campaign, Labels: map[string]string{v1alpha1.LabelCampaign: campaign, labelQueue: "mail"}},
		Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever,
			Containers:    []corev1.Container{{Name: "sender", Image: "sender", Command: []string{"/sender"}, Resources: corev1.ResourceRequirements{Requests: cpu}}},
		}}},
	}
}

func (w *world) becomes(name string, verdict v1alpha1.CampaignVerdict, state v1alpha1.WorkloadState) {
	w.Helper()
	c := &v1alpha1.Campaign{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name}}
	w.until(fmt.Sprintf("campaign %s to be %s and %s", name, verdict, state), func() (bool, string) {
		w.read(c)
		s := c.Status
		return s.ObservedGeneration == c.Generation && s.Verdict == verdict && s.Workload == state,
			fmt.Sprintf("%s %s: %s; %v", s.Verdict, s.Workload, s.Why, s.Conditions)
	})
}

// workload is Kueue's of a Job.
func (w *world) workload(job string) *unstructured.Unstructured {
	w.Helper()
	uid := w.job(job).UID
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(kueues("WorkloadList", "", "").GroupVersionKind())
	if err := env.Client.List(w.Context(), list, client.InNamespace(w.ns), client.MatchingLabels{labelJobUID: string(uid)}); err != nil {
		w.Fatal(err)
	}
	if len(list.Items) == 0 {
		return kueues("Workload", w.ns, "none")
	}
	return &list.Items[0]
}

func (w *world) condition(job, kind string) (reason, message string) {
	w.Helper()
	return reasonOf(w.workload(job), kind)
}

// active says whether Kueue wants to run the Job, and whether it has room for it.
func (w *world) active(job string) (active, admitted bool) {
	w.Helper()
	wl := w.workload(job)
	active, found, err := unstructured.NestedBool(wl.Object, "spec", "active")
	if err != nil {
		w.Fatal(err)
	}
	_, admitted, err = unstructured.NestedMap(wl.Object, "status", "admission")
	if err != nil {
		w.Fatal(err)
	}
	return active || !found, admitted
}

func conditionOf(u *unstructured.Unstructured, kind string) (status string, c map[string]any) {
	all, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	for _, one := range all {
		if c, ok := one.(map[string]any); ok && c["type"] == kind {
			return fmt.Sprint(c["status"]), c
		}
	}
	return "", nil
}

func reasonOf(u *unstructured.Unstructured, kind string) (reason, message string) {
	_, c := conditionOf(u, kind)
	return fmt.Sprint(c["reason"]), fmt.Sprint(c["message"])
}

func (w *world) pods(job string) int {
	w.Helper()
	var pods corev1.PodList
	if err := env.Client.List(w.Context(), &pods, client.InNamespace(w.ns), client.MatchingLabels{batchv1.JobNameLabel: job}); err != nil {
		w.Fatal(err)
	}
	return len(pods.Items)
}

// running counts the pods that were not told to stop.
func (w *world) running(job string) (n int) {
	w.Helper()
	var pods corev1.PodList
	if err := env.Client.List(w.Context(), &pods, client.InNamespace(w.ns), client.MatchingLabels{batchv1.JobNameLabel: job}); err != nil {
		w.Fatal(err)
	}
	for i := range pods.Items {
		if pods.Items[i].DeletionTimestamp.IsZero() {
			n++
		}
	}
	return n
}

func (w *world) create(o client.Object) {
	w.Helper()
	if err := env.Client.Create(w.Context(), o); err != nil {
		w.Fatalf("make %T %s: %v", o, o.GetName(), err)
	}
}

func (w *world) read(o client.Object) {
	w.Helper()
	if err := env.Client.Get(w.Context(), client.ObjectKeyFromObject(o), o); err != nil {
		w.Fatal(err)
	}
}

func (w *world) delete(o client.Object) {
	w.Helper()
	if err := env.Client.Delete(w.Context(), o, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
		w.Fatal(err)
	}
}

// patch is by somebody with these groups.
func (w *world) patch(groups []string, o client.Object, json string) error {
	w.Helper()
	return env.As(w, "somebody", groups...).Patch(w.Context(), o, client.RawPatch(types.MergePatchType, []byte(json)))
}

func (w *world) refused(want string, err error) {
	w.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		w.Errorf("got %v, want a refusal that says %q", err, want)
	}
}

func (w *world) until(what string, done func() (bool, string)) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 60*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, seen := done()
		if ok {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.Fatalf("waited in vain for %s; seen last: %s", what, seen)
		}
	}
}

// never checks what must not be, after Kueue has started a Job of somebody else
// that came later.
func (w *world) never(what string, is func() bool) {
	w.Helper()
	j := sender(elsewhere, "")
	j.Name, j.GenerateName, j.Labels = "", "other-", map[string]string{labelQueue: "mail"}
	w.create(j)
	w.until("Kueue to start somebody else's Job", func() (bool, string) {
		w.read(j)
		return !ptr.Deref(j.Spec.Suspend, false), fmt.Sprint(j.Status)
	})
	w.delete(j)
	if is() {
		w.Fatal(what)
	}
}
