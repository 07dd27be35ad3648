package workload

import (
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// inQueue is a Job as it is after codb's release to Kueue; generation 1.
func inQueue(changes ...func(*batchv1.Job)) *batchv1.Job {
	j := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Name: "mail", Namespace: "acme", UID: "job-uid", Generation: 1,
			Labels:      map[string]string{v1alpha1.LabelCampaign: "spring", labelQueue: "mail"},
			Annotations: map[string]string{v1alpha1.AnnotationDecision: "d", v1alpha1.AnnotationStart: "1"},
		},
		Spec: batchv1.JobSpec{Suspend: ptr.To(true)},
	}
	for _, f := range changes {
		f(j)
	}
	return j
}

func kueuesWorkload(uid string) *unstructured.Unstructured {
	w := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"queueName": "mail"}}}
	w.SetGroupVersionKind(queuedWorkload)
	w.SetNamespace("acme")
	w.SetName("job-" + uid)
	w.SetLabels(map[string]string{labelJobUID: uid})
	return w
}

// TestDequeue: Kueue gives up what was released and stopped, that alone, and
// codb asks it once.
func TestDequeue(t *testing.T) {
	stopped := func(j *batchv1.Job) { j.Annotations[v1alpha1.AnnotationStopped] = "OptedOut" }
	tests := map[string]struct {
		job     *batchv1.Job
		givenUp bool
		why     string
	}{
		"WaitingForKueue":     {inQueue(), false, ""},
		"Running":             {inQueue(func(j *batchv1.Job) { j.Spec.Suspend, j.Generation = nil, 2 }), false, ""},
		"StoppedBeforeAStart": {inQueue(stopped), true, "OptedOut"},
		"StoppedAfterAStart":  {inQueue(stopped, func(j *batchv1.Job) { j.Generation = 3 }), true, "OptedOut"},
		"TakenBackByKueue":    {inQueue(func(j *batchv1.Job) { j.Generation = 3 }), true, stoppedElsewhere},
		"Ended": {inQueue(stopped, func(j *batchv1.Job) {
			j.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: "True"}}
		}), false, "OptedOut"},
		"NeverReleased": {inQueue(func(j *batchv1.Job) { j.Annotations = nil }), false, ""},
		"GivenUpBefore": {inQueue(stopped, func(j *batchv1.Job) { delete(j.Annotations, v1alpha1.AnnotationStart) }), false, "OptedOut"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s := runtime.NewScheme()
			if err := scheme.AddToScheme(s); err != nil {
				t.Fatal(err)
			}
			s.AddKnownTypeWithName(queuedWorkload, &unstructured.Unstructured{})
			list := queuedWorkload
			list.Kind += "List"
			s.AddKnownTypeWithName(list, &unstructured.UnstructuredList{})
			mine, others := kueuesWorkload("job-uid"), kueuesWorkload("other-uid")
			k := &Keeper{Client: fake.NewClientBuilder().WithScheme(s).WithObjects(tc.job, mine, others).Build(), Kueue: true}
			c := campaign("spring")
			c.Namespace, c.Spec.Workload = "acme", nil
			for range 2 {
				o, err := k.Observe(t.Context(), c)
				if err != nil {
					t.Fatal(err)
				}
				if err := k.Dequeue(t.Context(), c, o); err != nil {
					t.Fatal(err)
				}
			}
			for _, w := range []*unstructured.Unstructured{mine, others} {
				if err := k.Client.Get(t.Context(), client.ObjectKeyFromObject(w), w); err != nil {
					t.Fatal(err)
				}
			}
			active, found, _ := unstructured.NestedBool(mine.Object, "spec", "active")
			if givenUp := found && !active; givenUp != tc.givenUp {
				t.Errorf("given up: %t, want %t", givenUp, tc.givenUp)
			}
			if _, found, _ := unstructured.NestedBool(others.Object, "spec", "active"); found {
				t.Error("somebody else's Workload was touched")
			}
			var j batchv1.Job
			if err := k.Client.Get(t.Context(), client.ObjectKeyFromObject(tc.job), &j); err != nil {
				t.Fatal(err)
			}
			if _, may := j.Annotations[v1alpha1.AnnotationStart]; tc.givenUp && may {
				t.Error("it would be asked again")
			}
			if why := j.Annotations[v1alpha1.AnnotationStopped]; why != tc.why {
				t.Errorf("stopped because of %q, want %q", why, tc.why)
			}
		})
	}
}
