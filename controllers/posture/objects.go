package posture

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
)

func enforced(ns *corev1.Namespace) bool {
	return ns != nil && ns.Labels[v1alpha1.LabelEnforce] == v1alpha1.EnforceTrue
}

// namespaces finds those that a brand lists and that are not enforced.
func (d *Detector) namespaces(ctx context.Context, here map[string]*corev1.Namespace) ([]violation, error) {
	var brands v1alpha1.BrandList
	if err := d.Client.List(ctx, &brands); err != nil {
		return nil, fmt.Errorf("list brands: %w", err)
	}
	var found []violation
	for i := range brands.Items {
		b := &brands.Items[i]
		for _, name := range b.Spec.Namespaces {
			ns := here[name]
			if ns == nil || enforced(ns) || !ns.DeletionTimestamp.IsZero() || !b.DeletionTimestamp.IsZero() {
				continue // a brand says itself which of its namespaces is missing
			}
			found = append(found, violation{NamespaceUngated, ns, "brand " + b.Name + " lists this namespace, and its campaigns are not gated: the label " + v1alpha1.LabelEnforce + " is missing"})
		}
	}
	return found, nil
}

// workloads finds those of campaigns that can run and that no release
// accounts for.
func (d *Detector) workloads(ctx context.Context, here map[string]*corev1.Namespace) ([]violation, error) {
	var jobs batchv1.JobList
	var crons batchv1.CronJobList
	of := client.HasLabels{v1alpha1.LabelCampaign}
	if err := d.Client.List(ctx, &jobs, of); err != nil {
		return nil, fmt.Errorf("list Jobs: %w", err)
	}
	if err := d.Client.List(ctx, &crons, of); err != nil {
		return nil, fmt.Errorf("list CronJobs: %w", err)
	}
	var found []violation
	judge := func(o client.Object, kind string, runs bool) {
		switch ns := here[o.GetNamespace()]; {
		case ns == nil || !o.GetDeletionTimestamp().IsZero():
		case !enforced(ns):
			found = append(found, violation{WorkloadOutside, o, kind + " of campaign " + o.GetLabels()[v1alpha1.LabelCampaign] + " is in a namespace where consent is not enforced"})
		case runs && o.GetAnnotations()[v1alpha1.AnnotationDecision] == "":
			found = append(found, violation{WorkloadUnproven, o, kind + " of campaign " + o.GetLabels()[v1alpha1.LabelCampaign] + " is not suspended, and no decision released it"})
		}
	}
	for i := range jobs.Items {
		if j := &jobs.Items[i]; !ended(j) {
			judge(j, "Job", j.Spec.Suspend == nil || !*j.Spec.Suspend)
		}
	}
	for i := range crons.Items {
		c := &crons.Items[i]
		judge(c, "CronJob", c.Spec.Suspend == nil || !*c.Spec.Suspend)
	}
	return found, nil
}

func ended(j *batchv1.Job) bool {
	for _, c := range j.Status.Conditions {
		if (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}

// alive leaves out pods that have ended.
var alive = fields.ParseSelectorOrDie("status.phase!=Succeeded,status.phase!=Failed")

// pods finds those in enforced namespaces that no campaign's Job controls:
// holding a Job does not stop them. One look is not enough: the pods of a Job
// that was deleted just now go a moment after it.
func (d *Detector) pods(ctx context.Context, here map[string]*corev1.Namespace) ([]violation, error) {
	var jobs batchv1.JobList
	if err := d.Client.List(ctx, &jobs, client.HasLabels{v1alpha1.LabelCampaign}); err != nil {
		return nil, fmt.Errorf("list Jobs: %w", err)
	}
	known := map[types.UID]bool{}
	for i := range jobs.Items {
		known[jobs.Items[i].UID] = true
	}
	var found []violation
	strays := map[types.UID]bool{}
	for name, ns := range here {
		if !enforced(ns) {
			continue
		}
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PodList"))
		if err := d.Live.List(ctx, list, client.InNamespace(name), client.MatchingFieldsSelector{Selector: alive}); err != nil {
			return nil, fmt.Errorf("list pods of namespace %s: %w", name, err)
		}
		n := 0
		for i := range list.Items {
			p := &list.Items[i]
			if owner := metav1.GetControllerOf(p); !p.DeletionTimestamp.IsZero() || (owner != nil && known[owner.UID]) {
				continue
			}
			strays[p.UID] = true
			if d.strays[p.UID] {
				n++
			}
		}
		if n > 0 {
			found = append(found, violation{PodsOutOfHand, ns, fmt.Sprintf("%d pods here belong to no campaign's Job, so that no hold stops them; delete them: kubectl -n %s get pods", n, name)})
		}
	}
	d.strays = strays
	return found, nil
}
