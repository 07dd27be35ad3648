package admission_test

import (
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	consentv1 "github.com/codb-dev/codb/api/v1alpha1"
)

const spring = "spring-garden"

var (
	digest   = "sha256:" + strings.Repeat("0f", 32)
	evidence = map[string]string{
		consentv1.AnnotationDecision:        "spring-garden-1",
		consentv1.AnnotationPolicyDigest:    digest,
		consentv1.AnnotationConsentRevision: "cr/1/184220",
	}
	// release is a merge patch.
	release = "{'spec':{'suspend':false},'metadata':{'annotations':{" +
		"'consent.codb.dev/decision':'spring-garden-1','consent.codb.dev/policy-digest':'" + digest + "','consent.codb.dev/consent-revision':'cr/1/184220'}}}"
)

func meta(ns, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: ns, Name: name, Labels: map[string]string{consentv1.LabelCampaign: spring}}
}

func podSpec() corev1.PodSpec {
	return corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever,
		Containers: []corev1.Container{{
			Name: "sender", Image: "registry.acme.example/mailer",
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}},
		}},
	}
}

// job is a campaign's Job that asks to run at once.
func job(ns, name string, change ...func(*batchv1.Job)) *batchv1.Job {
	j := &batchv1.Job{ObjectMeta: meta(ns, name), Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: podSpec()}}}
	for _, c := range change {
		c(j)
	}
	return j
}

func cronJob(ns, name string, change ...func(*batchv1.CronJob)) *batchv1.CronJob {
	j := &batchv1.CronJob{ObjectMeta: meta(ns, name), Spec: batchv1.CronJobSpec{
		Schedule:          "* * * * *",
		ConcurrencyPolicy: batchv1.ForbidConcurrent,
		JobTemplate:       batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: podSpec()}}},
	}}
	for _, c := range change {
		c(j)
	}
	return j
}

// ownedPod is a pod as the Job controller makes it.
func ownedPod(ns string, owner metav1.OwnerReference) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: meta(ns, "spring-garden-x"), Spec: podSpec()}
	p.OwnerReferences = []metav1.OwnerReference{owner}
	return p
}

var byJob = metav1.OwnerReference{APIVersion: "batch/v1", Kind: "Job", Name: "held", UID: "1", Controller: ptr.To(true)}

// store keeps objects for the trials, as the user given.
func store(t testing.TB, w who, objs ...client.Object) {
	t.Helper()
	for _, obj := range objs {
		if err := w.client(t).Create(t.Context(), obj); err != nil {
			t.Fatalf("make %T %s: %v", obj, obj.GetName(), err)
		}
	}
}

func releaseNow(t testing.TB, obj client.Object) {
	t.Helper()
	body := []byte(strings.ReplaceAll(release, "'", `"`))
	if err := operator.client(t).Patch(t.Context(), obj, client.RawPatch("application/merge-patch+json", body)); err != nil {
		t.Fatalf("release %s: %v", obj.GetName(), err)
	}
}
