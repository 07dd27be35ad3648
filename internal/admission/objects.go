package admission

import (
	"fmt"
	"maps"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
)

const (
	mergePatch = types.MergePatchType
	workloads  = "campaign-workloads.consent.codb.dev"
	name       = "selftest"
)

// campaign is the label of a campaign that need not exist.
var campaign = map[string]string{v1alpha1.LabelCampaign: name}

var withoutCampaign = refusal{policy: workloads, what: "a Job without a campaign", object: func() client.Object {
	return job(nil)
}}

// refusals has one line for each validating policy that denies.
var refusals = []refusal{
	withoutCampaign,
	{policy: "campaign-templates.consent.codb.dev", what: "a Job with a hostPath", object: func() client.Object {
		j := job(campaign)
		j.Spec.Template.Spec.Volumes = []corev1.Volume{{Name: "host", VolumeSource: corev1.VolumeSource{
			HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}}
		return j
	}},
	{policy: "campaign-removal.consent.codb.dev", what: "a Job with a finalizer", object: func() client.Object {
		j := job(campaign)
		j.Finalizers = []string{v1alpha1.Group + "/" + name}
		return j
	}},
	{policy: "campaign-pods.consent.codb.dev", what: "a bare Pod", object: func() client.Object {
		return &corev1.Pod{ObjectMeta: meta(campaign), Spec: pod()}
	}},
	{policy: "campaign-kinds.consent.codb.dev", what: "a Deployment", object: func() client.Object {
		return &appsv1.Deployment{ObjectMeta: meta(campaign), Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: campaign},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: campaign}, Spec: always(pod())},
		}}
	}},
	{policy: "campaign-outside.consent.codb.dev", what: "a campaign Job outside enforced namespaces", object: func() client.Object {
		j := job(campaign)
		j.Namespace = v1alpha1.SystemNamespace
		return j
	}},
	{
		policy: "campaign-namespaces.consent.codb.dev", what: "taking a namespace out of enforcement",
		object: func() client.Object { return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: Namespace}} },
		patch:  fmt.Sprintf(`{"metadata":{"labels":{%q:null}}}`, v1alpha1.LabelEnforce),
	},
	{policy: "campaign-consents.consent.codb.dev", what: "a consent outside the customers' namespace", object: func() client.Object {
		return &v1alpha1.CustomerConsent{ObjectMeta: meta(nil)}
	}},
	{policy: "campaign-dates.consent.codb.dev", what: "a yes that has not come yet", object: func() client.Object {
		c := &v1alpha1.CustomerConsent{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.CustomersNamespace, Name: v1alpha1.FenceName}}
		c.Spec.Relationships = []v1alpha1.Relationship{{Brand: name, Grants: []v1alpha1.Grant{{
			Purpose: "Marketing", Channel: v1alpha1.ChannelEmail, Status: v1alpha1.ConsentGiven,
			CaptureDate: metav1.Date(2999, time.January, 1, 0, 0, 0, 0, time.UTC),
		}}}}
		return c
	}},
	{policy: "campaign-decisions.consent.codb.dev", what: "a decision with an owner", object: func() client.Object {
		d := decision()
		d.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Namespace", Name: Namespace, UID: "0"}}
		return d
	}},
	{policy: "campaign-revisions.consent.codb.dev", what: "a policy's revision outside " + v1alpha1.SystemNamespace, object: func() client.Object {
		return &appsv1.ControllerRevision{ObjectMeta: meta(map[string]string{v1alpha1.LabelPolicy: name}), Revision: 1,
			Data: runtime.RawExtension{Raw: []byte("{}")}}
	}},
}

func meta(labels map[string]string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: Namespace, Name: name, Labels: maps.Clone(labels)}
}

// job is suspended and harmless; without labels it belongs to no campaign.
func job(labels map[string]string) *batchv1.Job {
	return &batchv1.Job{ObjectMeta: meta(labels), Spec: batchv1.JobSpec{
		Suspend:  ptr.To(true),
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: maps.Clone(labels)}, Spec: pod()},
	}}
}

// operatorsJob would run at once, and has an annotation that is codb's own.
func operatorsJob() *batchv1.Job {
	j := job(campaign)
	j.Spec.Suspend = ptr.To(false)
	j.Annotations = map[string]string{v1alpha1.AnnotationGeneration: "1"}
	return j
}

func operatorsCronJob() *batchv1.CronJob {
	j := operatorsJob()
	return &batchv1.CronJob{ObjectMeta: j.ObjectMeta, Spec: batchv1.CronJobSpec{
		Schedule:          "0 0 1 1 *",
		Suspend:           ptr.To(false),
		ConcurrencyPolicy: batchv1.ForbidConcurrent,
		JobTemplate: batchv1.JobTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: maps.Clone(campaign)},
			Spec:       batchv1.JobSpec{Template: j.Spec.Template},
		},
	}}
}

func decision() *v1alpha1.CampaignDecision {
	return &v1alpha1.CampaignDecision{ObjectMeta: meta(nil), Spec: v1alpha1.CampaignDecisionSpec{
		Campaign:  v1alpha1.CampaignReference{Name: name, UID: "0", Generation: 1},
		Verdict:   v1alpha1.CampaignBlocked,
		DecidedAt: metav1.Unix(0, 0),
	}}
}

// pod meets every Pod Security Standard, so that nothing else objects.
func pod() corev1.PodSpec {
	return corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever,
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot:   ptr.To(true),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []corev1.Container{{
			Name: name, Image: "codb.invalid/selftest",
			SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: ptr.To(false),
				Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			},
		}},
	}
}

func always(p corev1.PodSpec) corev1.PodSpec {
	p.RestartPolicy = corev1.RestartPolicyAlways
	return p
}
