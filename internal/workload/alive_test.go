package workload

import (
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// A Job that is stopped right after its release has pods which its status does
// not count yet. The moment is too short to be caught on a real cluster.
func TestSuspendedIsOnlyWhatHasNoPods(t *testing.T) {
	tests := map[string]struct {
		annotation string
		uid        string
		phase      corev1.PodPhase
		want       v1alpha1.WorkloadState
	}{
		"APodThatRuns":                          {annotation: v1alpha1.AnnotationDecision, uid: "job-uid", phase: corev1.PodRunning, want: v1alpha1.WorkloadStopping},
		"APodThatIsPending":                     {annotation: v1alpha1.AnnotationDecision, uid: "job-uid", phase: corev1.PodPending, want: v1alpha1.WorkloadStopping},
		"APodOfAJobThatRanWithoutARelease":      {annotation: v1alpha1.AnnotationStopped, uid: "job-uid", phase: corev1.PodRunning, want: v1alpha1.WorkloadStopping},
		"APodThatHasEnded":                      {annotation: v1alpha1.AnnotationDecision, uid: "job-uid", phase: corev1.PodFailed, want: v1alpha1.WorkloadSuspended},
		"APodOfAnotherJob":                      {annotation: v1alpha1.AnnotationDecision, uid: "other-uid", phase: corev1.PodRunning, want: v1alpha1.WorkloadSuspended},
		"NobodyAsksAboutPodsOfAJobThatNeverRan": {annotation: "example.com/note", uid: "job-uid", phase: corev1.PodRunning, want: v1alpha1.WorkloadSuspended},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := campaign("spring")
			c.Spec.Workload = nil
			job := &batchv1.Job{
				ObjectMeta: metav1.ObjectMeta{
					Name: "mail", Namespace: c.Namespace, UID: "job-uid",
					Labels: labels(c), Annotations: map[string]string{tc.annotation: "x"},
				},
				Spec:   batchv1.JobSpec{Suspend: ptr.To(true)},
				Status: batchv1.JobStatus{Conditions: []batchv1.JobCondition{{Type: batchv1.JobSuspended, Status: corev1.ConditionTrue}}},
			}
			pod := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: "mail-x", Namespace: c.Namespace, Labels: map[string]string{batchv1.ControllerUidLabel: tc.uid}},
				Status:     corev1.PodStatus{Phase: tc.phase},
			}
			cached := fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(job).Build()
			live := fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(pod).Build()
			o, err := (&Keeper{Client: cached, Live: live}).Observe(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if o.State != tc.want {
				t.Errorf("state: %s, want %s", o.State, tc.want)
			}
		})
	}
}
