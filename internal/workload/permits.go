package workload

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/codb-dev/codb/api/v1alpha1"
)

const (
	// helperTemplate is the PodTemplate in codb's namespace that says what a pod
	// gets that draws permits (config/sender).
	helperTemplate = "codb-run"
	// gateAudience is what a token is made for that draws permits.
	gateAudience = "codb-gate"
	// permitRetries is how often a Job that draws permits begins again after a
	// failure. It goes on where it ended: nobody is drawn twice.
	permitRetries = 6
	// mustChange is the exit code by which the helper says that trying again is
	// of no use.
	mustChange = 2
)

// noToken is about a Job of a campaign that is released for those who are
// allowed alone, and that could not know who they are.
const noToken = "its pods get no token for codb's gate, so that they can draw no permits: make it anew with the label " +
	v1alpha1.LabelRecipients + "=" + string(v1alpha1.RecipientsPermits)

// helper is what the campaign's pods get, or nil where they draw no permits.
func (k *Keeper) helper(ctx context.Context, c *v1alpha1.Campaign) (*corev1.PodSpec, error) {
	if !c.Spec.DrawsPermits() {
		return nil, nil
	}
	var t corev1.PodTemplate
	if err := k.live().Get(ctx, types.NamespacedName{Namespace: v1alpha1.SystemNamespace, Name: helperTemplate}, &t); err != nil {
		return nil, fmt.Errorf("read what pods get that draw permits: %w; codb install puts PodTemplate %s/%s there", err, v1alpha1.SystemNamespace, helperTemplate)
	}
	if len(t.Template.Spec.Containers) != 1 || len(t.Template.Spec.Containers[0].Command) == 0 {
		return nil, fmt.Errorf("read what pods get that draw permits: PodTemplate %s/%s has no command for the sender; codb install puts it right", v1alpha1.SystemNamespace, helperTemplate)
	}
	return &t.Template.Spec, nil
}

// putInFront lets the sender draw permits: the helper runs it.
func putInFront(helper *corev1.PodSpec, spec *batchv1.JobSpec) {
	spec.BackoffLimit = ptr.To[int32](permitRetries)
	spec.PodFailurePolicy = &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{{
		Action: batchv1.PodFailurePolicyActionFailJob,
		OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{
			ContainerName: ptr.To(containerName), Operator: batchv1.PodFailurePolicyOnExitCodesOpIn, Values: []int32{mustChange},
		},
	}}}
	pod, with := &spec.Template.Spec, &helper.Containers[0]
	pod.InitContainers = append(pod.InitContainers, helper.InitContainers...)
	pod.Volumes = append(pod.Volumes, helper.Volumes...)
	sender := &pod.Containers[0]
	sender.Command = append(append([]string{}, with.Command...), sender.Command...)
	sender.Env = append(sender.Env, with.Env...)
	sender.VolumeMounts = append(sender.VolumeMounts, with.VolumeMounts...)
}

// getsToken says whether a pod could draw permits.
func getsToken(pod *corev1.PodSpec) bool {
	for i := range pod.Volumes {
		if pod.Volumes[i].Projected == nil {
			continue
		}
		for _, s := range pod.Volumes[i].Projected.Sources {
			if s.ServiceAccountToken != nil && s.ServiceAccountToken.Audience == gateAudience {
				return true
			}
		}
	}
	return false
}
