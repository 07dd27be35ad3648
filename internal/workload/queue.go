package workload

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// Names of Kueue's. A Job with the queue label is started and stopped by Kueue;
// while a name is among the gates, Kueue does not even consider it.
const (
	labelQueue      = "kueue.x-k8s.io/queue-name"
	annotationGates = "kueue.x-k8s.io/admission-gated-by"
	labelJobUID     = "kueue.x-k8s.io/job-uid"
)

var queuedWorkload = schema.GroupVersionKind{Group: "kueue.x-k8s.io", Version: "v1beta2", Kind: "Workload"}

// queued says that Kueue starts and stops something.
func queued(m *metav1.ObjectMeta) bool { return m.Labels[labelQueue] != "" }

// unsafeQueue says why Kueue can't be kept from starting something, or could
// not start it.
func (k *Keeper) unsafeQueue(m *metav1.ObjectMeta) string {
	switch {
	case !queued(m):
	case !k.Kueue:
		return "it has the label " + labelQueue + ", but codb is not told who Kueue is (--kueue-user), so that nobody could start it: take the label off"
	case !slices.Contains(gates(m), v1alpha1.QueueGate):
		return "it has the label " + labelQueue + ", so that Kueue starts it, without " + v1alpha1.QueueGate + " in the annotation " + annotationGates + ": delete it and make it anew"
	}
	return ""
}

func gates(m *metav1.ObjectMeta) []string {
	names := strings.Split(m.Annotations[annotationGates], ",")
	for i := range names {
		names[i] = strings.TrimSpace(names[i])
	}
	return names
}

// ungate is what a release writes onto a Job that Kueue starts: codb's name is
// taken from the gates, and Kueue may start the Job as it is now, once.
func ungate(j *batchv1.Job) map[string]any {
	rest := slices.DeleteFunc(gates(&j.ObjectMeta), func(name string) bool { return name == "" || name == v1alpha1.QueueGate })
	notes := map[string]any{annotationGates: nil, v1alpha1.AnnotationStart: strconv.FormatInt(j.Generation, 10)}
	if len(rest) > 0 {
		notes[annotationGates] = strings.Join(rest, ",")
	}
	return notes
}

// waits says that a Job was released to Kueue, which has not started it yet. One
// that ran, or was stopped before it could, never waits again.
func waits(j *batchv1.Job) bool {
	_, stopped := j.Annotations[v1alpha1.AnnotationStopped]
	return queued(&j.ObjectMeta) && ptr.Deref(j.Spec.Suspend, false) && !stopped && evidence(j.Annotations) &&
		j.Annotations[v1alpha1.AnnotationStart] == strconv.FormatInt(j.Generation, 10)
}

// stoppedElsewhere is written onto a Job that somebody else stopped.
const stoppedElsewhere = "suspended by somebody else after its release, as Kueue does when it takes the room back"

// Dequeue tells Kueue to give up the Jobs that were released and stopped: else
// it would keep room for them and try to start them, which admission refuses.
// Whoever stopped them: a rerun would contact people twice. It is done once for
// each Job, and tried until there is a Workload to deactivate.
func (k *Keeper) Dequeue(ctx context.Context, c *v1alpha1.Campaign, o Observation) error {
	var errs []error
	for i := range o.Runs {
		run := &o.Runs[i]
		ended := run.State == v1alpha1.WorkloadComplete || run.State == v1alpha1.WorkloadFailed
		if run.start && run.Suspended && !ended {
			errs = append(errs, k.dequeue(ctx, c.Namespace, run))
		}
	}
	return errors.Join(errs...)
}

func (k *Keeper) dequeue(ctx context.Context, namespace string, run *Run) error {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(queuedWorkload)
	err := k.live().List(ctx, list, client.InNamespace(namespace), client.MatchingLabels{labelJobUID: string(run.UID)})
	switch {
	case meta.IsNoMatchError(err), apierrors.IsNotFound(err):
		return nil // there is no Kueue
	case err != nil:
		return fmt.Errorf("list Kueue's Workloads of Job %s/%s: %w", namespace, run.Name, err)
	case len(list.Items) == 0:
		return nil
	}
	for i := range list.Items {
		w := &list.Items[i]
		w.SetGroupVersionKind(queuedWorkload)
		off := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"active":false}}`))
		if err := k.Client.Patch(ctx, w, off, client.FieldOwner(v1alpha1.FieldOwner)); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("deactivate Kueue's Workload %s/%s: %w", namespace, w.Name, err)
		}
	}
	notes := map[string]any{v1alpha1.AnnotationStart: nil}
	if !run.stopped {
		notes[v1alpha1.AnnotationStopped] = stoppedElsewhere
	}
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: run.Name}}
	if err := k.patch(ctx, job, change{uid: run.UID, version: run.version, annotations: notes}); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("note that Job %s/%s left its queue: %w", namespace, run.Name, err)
	}
	return nil
}
