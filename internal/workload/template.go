package workload

import (
	"fmt"
	"strconv"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
)

const (
	// containerName is the sender's.
	containerName = "sender"
	// anonymous is the user that senders run as: what distroless images call
	// nonroot. It lets images that name no user, or root, run without root.
	anonymous = 65532
	// gracePeriod is what a pod gets to end when it must stop. Short, because
	// it may still contact people meanwhile.
	gracePeriod = 10
	// keepFinished is how long a finished Job stays for people to look at.
	keepFinished = 24 * 60 * 60
	// keepHistory is how many finished Jobs of a CronJob stay.
	keepHistory = 3
	// lateBy is how many seconds after its time a tick still counts. A tick
	// that fell into a hold is not made up for when the hold ends.
	lateBy = 300
	// maxLabel is how long the name of a pod with an index may be, and
	// cronSuffix what a CronJob appends to its name for a Job.
	maxLabel, cronSuffix = 63, 11
)

// workloadOf is the Job or CronJob that the campaign asks for, suspended, with
// the helper in front of the sender where there is one.
func workloadOf(c *v1alpha1.Campaign, helper *corev1.PodSpec) (client.Object, error) {
	if t := c.Spec.Workload.CronJob; t != nil {
		return cronJob(c, t, helper)
	}
	if t := c.Spec.Workload.Job; t != nil {
		spec, err := jobSpec(c, t, helper)
		if err != nil {
			return nil, err
		}
		spec.TTLSecondsAfterFinished = ptr.To[int32](keepFinished)
		return &batchv1.Job{ObjectMeta: ownMeta(c), Spec: *spec}, nil
	}
	return nil, fmt.Errorf("%w: spec.workload is empty: set job or cronJob", ErrRefused)
}

func cronJob(c *v1alpha1.Campaign, t *v1alpha1.JobTemplate, helper *corev1.PodSpec) (client.Object, error) {
	if c.Spec.Schedule == nil || c.Spec.Schedule.Cron == "" {
		return nil, fmt.Errorf("%w: spec.workload.cronJob needs spec.schedule.cron, for example 0 9 * * 1 for Mondays at nine", ErrRefused)
	}
	spec, err := jobSpec(c, t, helper)
	if err != nil {
		return nil, err
	}
	if last := fmt.Sprintf("-%d", ptr.Deref(spec.Completions, 1)-1); spec.CompletionMode != nil && len(c.Name)+cronSuffix+len(last) > maxLabel {
		return nil, fmt.Errorf("%w: the name %s is too long for a CronJob whose pods are numbered: use at most %d characters, or one completion",
			ErrRefused, c.Name, maxLabel-cronSuffix-len(last))
	}
	zone := string(c.Spec.Schedule.TimeZone)
	if zone == "" {
		zone = "Etc/UTC" // else the controller manager's own zone would count
	}
	return &batchv1.CronJob{
		ObjectMeta: ownMeta(c),
		Spec: batchv1.CronJobSpec{
			Schedule:                   c.Spec.Schedule.Cron,
			TimeZone:                   &zone,
			Suspend:                    ptr.To(true),
			ConcurrencyPolicy:          batchv1.ForbidConcurrent, // held Jobs must not pile up, nor two runs overlap
			StartingDeadlineSeconds:    ptr.To[int64](lateBy),
			SuccessfulJobsHistoryLimit: ptr.To[int32](keepHistory),
			FailedJobsHistoryLimit:     ptr.To[int32](keepHistory),
			JobTemplate: batchv1.JobTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels(c), Annotations: origin(c)},
				Spec:       *spec,
			},
		},
	}, nil
}

// jobSpec fills in what a marketer can't choose. Nothing restarts by itself
// (backoffLimit 0, restartPolicy Never): a sender with a list of its own would
// begin at the top again and contact people twice. A failure is for a person
// to look at. A sender that draws permits has no list, and may be tried again.
func jobSpec(c *v1alpha1.Campaign, t *v1alpha1.JobTemplate, helper *corev1.PodSpec) (*batchv1.JobSpec, error) {
	pod, err := podSpec(t)
	if err != nil {
		return nil, err
	}
	spec := &batchv1.JobSpec{
		Suspend:              ptr.To(true),
		Parallelism:          ptr.To(ptr.Deref(t.Parallelism, 1)),
		Completions:          ptr.To(ptr.Deref(t.Completions, 1)),
		BackoffLimit:         ptr.To[int32](0),
		PodReplacementPolicy: ptr.To(batchv1.Failed), // never two pods for the same part of the work
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels(c)},
			Spec:       *pod,
		},
	}
	if *spec.Completions > 1 {
		// Numbered, so that each pod can take its own share: JOB_COMPLETION_INDEX.
		spec.CompletionMode = ptr.To(batchv1.IndexedCompletion)
	}
	if helper != nil {
		putInFront(helper, spec)
	}
	return spec, nil
}

// podSpec meets the Pod Security Standard "restricted".
func podSpec(t *v1alpha1.JobTemplate) (*corev1.PodSpec, error) {
	resources, err := resourcesOf(t.Resources)
	if err != nil {
		return nil, err
	}
	env := make([]corev1.EnvVar, len(t.Env))
	for i, e := range t.Env {
		env[i] = corev1.EnvVar{Name: e.Name, Value: e.Value}
	}
	return &corev1.PodSpec{
		RestartPolicy:                 corev1.RestartPolicyNever,
		ServiceAccountName:            "default",
		AutomountServiceAccountToken:  ptr.To(false),
		EnableServiceLinks:            ptr.To(false),
		TerminationGracePeriodSeconds: ptr.To(ptr.Deref(t.TerminationGracePeriodSeconds, gracePeriod)),
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot:   ptr.To(true),
			RunAsUser:      ptr.To[int64](anonymous),
			RunAsGroup:     ptr.To[int64](anonymous),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []corev1.Container{{
			Name:            containerName,
			Image:           t.Image,
			ImagePullPolicy: corev1.PullPolicy(t.ImagePullPolicy),
			Command:         t.Command,
			Args:            t.Args,
			Env:             env,
			Resources:       resources,
			SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: ptr.To(false),
				Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			},
		}},
	}, nil
}

// resourcesOf are the defaults that the API states, where nothing else is said.
func resourcesOf(r *v1alpha1.Resources) (corev1.ResourceRequirements, error) {
	cpu, request, limit := "100m", "64Mi", "256Mi"
	if r != nil && r.CPU != "" {
		cpu = r.CPU
	}
	if r != nil && r.Memory != "" {
		request, limit = r.Memory, r.Memory
	}
	parsed := make([]resource.Quantity, 3)
	for i, s := range []string{cpu, request, limit} {
		q, err := resource.ParseQuantity(s)
		if err != nil {
			return corev1.ResourceRequirements{}, fmt.Errorf("%w: read %q of the workload's resources: %w; write for example 100m or 256Mi", ErrRefused, s, err)
		}
		parsed[i] = q
	}
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: parsed[0], corev1.ResourceMemory: parsed[1]},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: parsed[2]},
	}, nil
}

// ownMeta makes the campaign the owner, so that the garbage collector cleans
// up behind it. It blocks no deletion and needs no finalizer.
func ownMeta(c *v1alpha1.Campaign) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name:        c.Name,
		Namespace:   c.Namespace,
		Labels:      labels(c),
		Annotations: origin(c),
		OwnerReferences: []metav1.OwnerReference{{
			APIVersion:         v1alpha1.SchemeGroupVersion.String(),
			Kind:               "Campaign",
			Name:               c.Name,
			UID:                c.UID,
			Controller:         ptr.To(true),
			BlockOwnerDeletion: ptr.To(false),
		}},
	}
}

func labels(c *v1alpha1.Campaign) map[string]string {
	return map[string]string{v1alpha1.LabelCampaign: c.Name}
}

// origin says which spec a workload was made from.
func origin(c *v1alpha1.Campaign) map[string]string {
	return map[string]string{
		v1alpha1.AnnotationRun:        RunHash(&c.Spec),
		v1alpha1.AnnotationGeneration: strconv.FormatInt(c.Generation, 10),
	}
}
