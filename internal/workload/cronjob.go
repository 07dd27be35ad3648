package workload

import (
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// cronOf says what one CronJob of the campaign does.
func (k *Keeper) cronOf(c *v1alpha1.Campaign, j *batchv1.CronJob) Cron {
	owned := owns(c, j)
	cron := Cron{
		Name:      j.Name,
		UID:       j.UID,
		Suspended: ptr.Deref(j.Spec.Suspend, false),
		Released:  evidence(j.Annotations),
		Unsafe:    k.unsafeCron(c, j, owned),
		Outdated:  outdated(c, owned, j.Annotations),
		version:   j.ResourceVersion,
		owned:     owned,
	}
	if p := j.Spec.ConcurrencyPolicy; p == "" || p == batchv1.AllowConcurrent {
		cron.Warning = fmt.Sprintf("concurrencyPolicy Allow makes a Job at every tick while earlier ones are held; the newest %d are kept: use Forbid", MaxHeld)
	}
	return cron
}

// unsafeCron says why the Jobs that a CronJob makes would escape codb.
func (k *Keeper) unsafeCron(c *v1alpha1.Campaign, j *batchv1.CronJob, owned bool) string {
	template := &j.Spec.JobTemplate
	owner := metav1.GetControllerOf(j)
	switch {
	case owner != nil && !owned:
		return fmt.Sprintf("it belongs to %s %s, which may start it", owner.Kind, owner.Name)
	case !owned && c.Spec.Workload != nil:
		return makesItsOwn
	case template.Labels[v1alpha1.LabelCampaign] != c.Name:
		return fmt.Sprintf("its Jobs would not be the campaign's: set %s=%s in spec.jobTemplate.metadata.labels", v1alpha1.LabelCampaign, c.Name)
	case evidence(template.Annotations):
		return "its Jobs would look released: take codb's annotations out of spec.jobTemplate.metadata.annotations"
	case ptr.Deref(template.Spec.ManagedBy, batchv1.JobControllerName) != batchv1.JobControllerName:
		return "spec.jobTemplate.spec.managedBy is set, so that its Jobs need not heed suspend: take it off"
	case c.Spec.DrawsPermits() && !getsToken(&template.Spec.Template.Spec):
		return noToken
	}
	return k.unsafeQueue(&template.ObjectMeta)
}
