package workload

import (
	"context"
	"errors"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

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

// A webhook of somebody else's on Jobs that is down keeps codb from suspending
// one. Its pods are stopped all the same, those of other Jobs are not, and the
// error says that the Job still has to be suspended.
func TestPodsAreStoppedWhereTheirJobCantBe(t *testing.T) {
	c := campaign("spring")
	c.Spec.Workload = nil
	pod := func(name, of string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: c.Namespace, Labels: map[string]string{batchv1.ControllerUidLabel: of}}}
	}
	mine, others := pod("mine", "job-uid"), pod("others", "other-uid")
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "mail", Namespace: c.Namespace, UID: "job-uid", Labels: labels(c)}}
	for name, tc := range map[string]struct {
		err  error
		gone bool
	}{
		"TheWebhookIsDown":    {apierrors.NewInternalError(errors.New("failed calling webhook")), true},
		"SomebodyWasFaster":   {apierrors.NewConflict(batchv1.Resource("jobs"), "mail", errors.New("changed")), false},
		"TheJobCouldBe":       {nil, false},
		"TheJobIsGoneAlready": {apierrors.NewNotFound(batchv1.Resource("jobs"), "mail"), false},
	} {
		t.Run(name, func(t *testing.T) {
			k := &Keeper{Client: fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(mine.DeepCopy(), others.DeepCopy(), job.DeepCopy()).
				WithInterceptorFuncs(interceptor.Funcs{Patch: func(context.Context, client.WithWatch, client.Object, client.Patch, ...client.PatchOption) error {
					return tc.err
				}}).Build()}
			o, err := k.Observe(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			err = k.Hold(t.Context(), c, o, v1alpha1.OnWithdrawalSuspend, "OptedOut")
			if wants := tc.err != nil && !apierrors.IsNotFound(tc.err); (err != nil) != wants || (wants && !errors.Is(err, tc.err)) {
				t.Errorf("hold: %v, want %v", err, tc.err)
			}
			err = k.Client.Get(t.Context(), client.ObjectKeyFromObject(mine), &corev1.Pod{})
			if gone := apierrors.IsNotFound(err); gone != tc.gone {
				t.Errorf("the pod is gone: %t (%v), want %t", gone, err, tc.gone)
			}
			if err := k.Client.Get(t.Context(), client.ObjectKeyFromObject(others), &corev1.Pod{}); err != nil {
				t.Errorf("somebody else's pod: %v", err)
			}
		})
	}
}
