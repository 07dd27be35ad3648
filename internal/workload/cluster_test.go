package workload_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/config"
	"github.com/codb-dev/codb/internal/workload"
	"github.com/codb-dev/codb/test/apiserver"
)

// These tests run on a real apiserver with codb's admission policies and
// Kubernetes' own Job, CronJob and garbage collection controllers; the keeper
// has the rights of codb's operator and no more. There is no node: what a
// scheduler and a kubelet would do to a pod, the tests do.
var env *apiserver.Env

func TestMain(m *testing.M) {
	os.Exit(apiserver.Run(m, apiserver.Options{
		Controllers: true, Admission: true, Values: config.Values{Kueue: kueueUser},
	}, func(e *apiserver.Env) { env = e }))
}

const (
	scheduler      = "system:kube-scheduler"
	kubelet        = "system:node:nowhere"
	cronController = "system:serviceaccount:kube-system:cronjob-controller"
)

var proof = workload.Evidence{
	Decision: "spring-1", PolicyDigest: "sha256:" + strings.Repeat("0", 64), ConsentRevision: "crd/7",
}

// scene is one campaign in a namespace of its own.
type scene struct {
	*testing.T
	keeper   *workload.Keeper
	campaign *v1alpha1.Campaign
	written  *counting
}

// counting is the keeper's client, and counts what it writes.
type counting struct {
	client.Client
	n int
}

func (c *counting) Create(ctx context.Context, o client.Object, opts ...client.CreateOption) error {
	c.n++
	return c.Client.Create(ctx, o, opts...)
}

func (c *counting) Patch(ctx context.Context, o client.Object, p client.Patch, opts ...client.PatchOption) error {
	c.n++
	return c.Client.Patch(ctx, o, p, opts...)
}

func (c *counting) Delete(ctx context.Context, o client.Object, opts ...client.DeleteOption) error {
	c.n++
	return c.Client.Delete(ctx, o, opts...)
}

// silent checks that a look writes nothing.
func (s *scene) silent(what string, look func()) {
	s.Helper()
	before := s.written.n
	look()
	if n := s.written.n - before; n != 0 {
		s.Errorf("%s wrote %d times, want never", what, n)
	}
}

func newScene(t *testing.T, change func(*v1alpha1.CampaignSpec)) *scene {
	t.Helper()
	t.Parallel()
	c := &v1alpha1.Campaign{
		ObjectMeta: metav1.ObjectMeta{
			Name: "spring",
			Namespace: env.Namespace(t, map[string]string{
				v1alpha1.LabelEnforce: v1alpha1.EnforceTrue, "pod-security.kubernetes.io/enforce": "restricted",
			}),
		},
		Spec: v1alpha1.CampaignSpec{
			Brand: "acme", Purpose: "DirectMarketing", Channel: v1alpha1.ChannelEmail, Owner: "crm-team",
			Audience: v1alpha1.Audience{Everyone: &v1alpha1.Everyone{}},
			Workload: &v1alpha1.Workload{Job: sender()},
		},
	}
	if change != nil {
		change(&c.Spec)
	}
	if err := env.Client.Create(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	written := &counting{Client: env.As(t, v1alpha1.OperatorUsername)}
	return &scene{T: t, keeper: &workload.Keeper{Client: written}, campaign: c, written: written}
}

// as is the client of one of Kubernetes' own: only admission stands in the way.
func (s *scene) as(user string) client.Client { return env.As(s, user, "system:masters") }

func sender() *v1alpha1.JobTemplate {
	return &v1alpha1.JobTemplate{Image: "example.com/mailer:1", Command: []string{"/send"}}
}

func (s *scene) ensure() {
	s.Helper()
	if err := s.keeper.Ensure(s.Context(), s.campaign); err != nil {
		s.Fatal(err)
	}
}

func (s *scene) observe() workload.Observation {
	s.Helper()
	o, err := s.keeper.Observe(s.Context(), s.campaign)
	if err != nil {
		s.Fatal(err)
	}
	return o
}

func (s *scene) hold(mode string) {
	s.Helper()
	if err := s.keeper.Hold(s.Context(), s.campaign, s.observe(), mode, "ConsentWithdrawn"); err != nil {
		s.Fatal(err)
	}
}

// release lets go what may go; the Job controller may write between the look
// and the release, so a conflict is tried again, as a reconciler would.
func (s *scene) release() (names []string) {
	s.Helper()
	s.until("released", func(ctx context.Context) (bool, error) {
		runs, err := s.keeper.Release(ctx, s.campaign, s.observe(), proof)
		for _, r := range runs {
			names = append(names, r.Name)
		}
		return err == nil, ignoreConflict(err)
	})
	return names
}

func ignoreConflict(err error) error {
	if apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// change applies a new spec, as a marketer would.
func (s *scene) change(f func(*v1alpha1.CampaignSpec)) {
	s.Helper()
	f(&s.campaign.Spec)
	if err := env.Client.Update(s.Context(), s.campaign); err != nil {
		s.Fatal(err)
	}
}

// ranOnce records a release, as the campaign's reconciler would.
func (s *scene) ranOnce() {
	s.campaign.Status.Released = &v1alpha1.Release{Generation: s.campaign.Generation, Run: workload.RunHash(&s.campaign.Spec), At: metav1.Now()}
}

func (s *scene) until(what string, f func(context.Context) (bool, error)) {
	s.Helper()
	if err := wait.PollUntilContextTimeout(s.Context(), 20*time.Millisecond, 60*time.Second, true, f); err != nil {
		s.Fatalf("wait until %s: %v; now %+v", what, err, s.observe())
	}
}

func (s *scene) untilState(want v1alpha1.WorkloadState) {
	s.Helper()
	s.until(string(want), func(context.Context) (bool, error) { return s.observe().State == want, nil })
}

func (s *scene) job(name string) *batchv1.Job {
	s.Helper()
	var j batchv1.Job
	if err := env.Client.Get(s.Context(), client.ObjectKey{Namespace: s.campaign.Namespace, Name: name}, &j); err != nil {
		s.Fatal(err)
	}
	return &j
}

func (s *scene) cronJob(name string) *batchv1.CronJob {
	s.Helper()
	var j batchv1.CronJob
	if err := env.Client.Get(s.Context(), client.ObjectKey{Namespace: s.campaign.Namespace, Name: name}, &j); err != nil {
		s.Fatal(err)
	}
	return &j
}

func (s *scene) pods() []corev1.Pod {
	s.Helper()
	var pods corev1.PodList
	if err := env.Client.List(s.Context(), &pods, client.InNamespace(s.campaign.Namespace)); err != nil {
		s.Fatal(err)
	}
	return pods.Items
}

// podStarts waits for the Job's only pod and puts it on a node that is not
// there, so that it has to be asked to end.
func (s *scene) podStarts() *corev1.Pod {
	s.Helper()
	s.until("there is a pod", func(context.Context) (bool, error) { return len(s.pods()) == 1, nil })
	pod := &s.pods()[0]
	binding := &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: "nowhere"}}
	if err := s.as(scheduler).SubResource("binding").Create(s.Context(), pod, binding); err != nil {
		s.Fatal(err)
	}
	s.podSays(pod, corev1.PodRunning)
	return pod
}

func (s *scene) podSays(pod *corev1.Pod, phase corev1.PodPhase) {
	s.Helper()
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"status":{"phase":"`+string(phase)+`"}}`))
	if err := s.as(kubelet).Status().Patch(s.Context(), pod, patch); err != nil {
		s.Fatal(err)
	}
}

// podEnds does what a kubelet does when a pod has ended that was deleted.
func (s *scene) podEnds(pod *corev1.Pod) {
	s.Helper()
	s.podSays(pod, corev1.PodFailed)
	if err := s.as(kubelet).Delete(s.Context(), pod, client.GracePeriodSeconds(0)); client.IgnoreNotFound(err) != nil {
		s.Fatal(err)
	}
}

// settled waits until the Job controller has nothing more to write.
func (s *scene) settled(name string) *batchv1.Job {
	s.Helper()
	s.until("suspended, says the Job controller", func(context.Context) (bool, error) {
		for _, c := range s.job(name).Status.Conditions {
			if c.Type == batchv1.JobSuspended && c.Status == corev1.ConditionTrue {
				return true, nil
			}
		}
		return false, nil
	})
	return s.job(name)
}

// existing makes a Job of the campaign that codb did not make.
func (s *scene) existing(name string) {
	s.Helper()
	s.create(env.Client, s.legacyJob(name))
}

func (s *scene) create(by client.Client, obj client.Object) {
	s.Helper()
	if err := by.Create(s.Context(), obj); err != nil {
		s.Fatal(err)
	}
}

func (s *scene) legacyJob(name string) *batchv1.Job {
	label := map[string]string{v1alpha1.LabelCampaign: s.campaign.Name}
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: s.campaign.Namespace, Labels: label},
		Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: label}, Spec: legacyPod(),
		}},
	}
}

// legacyPod is what somebody else wrote, good enough for the namespace.
func legacyPod() corev1.PodSpec {
	return corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever,
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: ptr.To(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []corev1.Container{{
			Name: "c", Image: "example.com/legacy:1",
			SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: ptr.To(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			},
		}},
	}
}
