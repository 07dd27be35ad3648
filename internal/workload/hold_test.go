package workload

import (
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// A Job that runs without a release can't be where codb's admission policies
// are in force. Where it is all the same, every hold stops it, for good.
func TestWhatRunsWithoutAReleaseIsStoppedForGood(t *testing.T) {
	for _, mode := range []string{v1alpha1.OnWithdrawalSuspend, v1alpha1.OnWithdrawalFinish, "", "Whatever"} {
		t.Run("Mode"+mode, func(t *testing.T) {
			c := campaign("spring")
			c.Spec.Workload = nil
			meta := metav1.ObjectMeta{Name: "mail", Namespace: c.Namespace, UID: "job-uid", Labels: labels(c)}
			weekly := &batchv1.CronJob{ObjectMeta: meta, Spec: batchv1.CronJobSpec{JobTemplate: batchv1.JobTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels(c)}}}}
			k := &Keeper{Client: fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(&batchv1.Job{ObjectMeta: meta}, weekly).Build()}
			look := func() Observation {
				t.Helper()
				o, err := k.Observe(t.Context(), c)
				if err != nil {
					t.Fatal(err)
				}
				return o
			}
			if o := look(); len(o.Unsafe()) != 1 || o.State != v1alpha1.WorkloadRunning {
				t.Errorf("before: %+v, want one Job that runs unsafely", o)
			}
			if err := k.Hold(t.Context(), c, look(), mode, "NoGrant"); err != nil {
				t.Fatal(err)
			}
			var job batchv1.Job
			var cron batchv1.CronJob
			for _, o := range []client.Object{&job, &cron} {
				if err := k.Client.Get(t.Context(), client.ObjectKey{Namespace: c.Namespace, Name: "mail"}, o); err != nil {
					t.Fatal(err)
				}
				if why := o.GetAnnotations()[v1alpha1.AnnotationStopped]; why != "NoGrant" {
					t.Errorf("%T was stopped because of %q, want NoGrant", o, why)
				}
			}
			if !ptr.Deref(job.Spec.Suspend, false) || !ptr.Deref(cron.Spec.Suspend, false) {
				t.Error("it was not stopped")
			}
			released, err := k.Release(t.Context(), c, look(), Evidence{Decision: "d", PolicyDigest: "p", ConsentRevision: "r"})
			if err != nil || len(released) != 0 {
				t.Errorf("released %v, %v: it may have contacted people before", released, err)
			}
		})
	}
}
