package bypass_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
)

const (
	marketing = "acme-marketing" // where brand acme acts
	elsewhere = "acme-web"       // a namespace of other teams, not enforced
	customers = v1alpha1.CustomersNamespace
)

// world is what the attempts of this package are made against.
type world struct {
	running *batchv1.Job     // released, of campaign spring
	gated   *batchv1.Job     // released, of campaign own; its pod has a scheduling gate
	blocked *batchv1.Job     // held, of campaign blocked
	weekly  *batchv1.CronJob // released, of campaign weekly
	late    *batchv1.CronJob // held, of campaign late
	queued  *batchv1.Job     // held, in a queue of Kueue's, of campaign queued
	freed   *batchv1.Job     // released to Kueue, of campaign waiting
	pod     corev1.Pod       // of running
	held    corev1.Pod       // of gated
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{}
	for _, ns := range []string{marketing, elsewhere} {
		store(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}})
	}
	people(t)
	brand(t)
	await(t, "the namespace to be enforced", func(ctx context.Context) string {
		var ns corev1.Namespace
		if err := env.Client.Get(ctx, types.NamespacedName{Name: marketing}, &ns); err != nil {
			return err.Error()
		}
		if ns.Labels[v1alpha1.LabelEnforce] != v1alpha1.EnforceTrue {
			return fmt.Sprint(ns.Labels)
		}
		return ""
	})
	store(t, consent("c-1", "agreed"), consent("c-3", "agreed-too"), consent("c-2", "refused", func(s *v1alpha1.CustomerConsentSpec) {
		s.OptOut = &v1alpha1.OptOut{Since: metav1.Now()}
	}))
	image := &v1alpha1.JobTemplate{Image: "sender", Command: []string{"/sender"}}
	sends := func(s *v1alpha1.CampaignSpec) { s.Workload = &v1alpha1.Workload{Job: image} }
	ticks := func(s *v1alpha1.CampaignSpec) {
		s.Workload, s.Schedule = &v1alpha1.Workload{CronJob: image}, &v1alpha1.Schedule{Cron: "0 9 1 1 *"}
	}
	spring, blocked := campaign("spring", "agreed", sends), campaign("blocked", "refused", sends)
	own, waiting, chosen := campaign("own", "agreed"), campaign("waiting", "agreed-too"), campaign("queued", "refused")
	weekly, late := campaign("weekly", "agreed", ticks), campaign("late", "refused", ticks)
	inQueue := func(j *batchv1.Job) { j.Labels[labelQueue] = "mail" }
	store(t, waiting, chosen, plainJob(marketing, "waiting", "waiting", inQueue), plainJob(marketing, "queued", "queued", inQueue))
	store(t, spring, blocked, own, weekly, late, plainJob(marketing, "own", "own", func(j *batchv1.Job) {
		j.Spec.Template.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "acme.example/wait"}}
	}))
	becomes(t, blocked, v1alpha1.CampaignBlocked, v1alpha1.WorkloadSuspended)
	becomes(t, late, v1alpha1.CampaignBlocked, v1alpha1.WorkloadSuspended)
	becomes(t, chosen, v1alpha1.CampaignBlocked, v1alpha1.WorkloadSuspended)
	becomes(t, waiting, v1alpha1.CampaignAllowed, v1alpha1.WorkloadQueued)
	w.queued, w.freed = get[batchv1.Job](t, "queued"), get[batchv1.Job](t, "waiting")
	for _, c := range []*v1alpha1.Campaign{spring, own, weekly} {
		becomes(t, c, v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
	}
	w.running, w.gated, w.blocked = get[batchv1.Job](t, "spring"), get[batchv1.Job](t, "own"), get[batchv1.Job](t, "blocked")
	w.weekly, w.late = get[batchv1.CronJob](t, "weekly"), get[batchv1.CronJob](t, "late")
	w.pod, w.held = podOf(t, w.running), podOf(t, w.gated)
	scheduler := who{"system:kube-scheduler", root.groups}
	place := &corev1.Binding{ObjectMeta: meta(marketing, w.pod.Name), Target: corev1.ObjectReference{Kind: "Node", Name: "one"}}
	if err := scheduler.client(t).SubResource("binding").Create(t.Context(), w.pod.DeepCopy(), place); err != nil {
		t.Fatal(err)
	}
	w.pod = podOf(t, w.running)
	return w
}

// people have the rights that they would have in a company, and some more.
func people(t *testing.T) {
	t.Helper()
	store(t,
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "test-everything-but"}, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"namespaces", "namespaces/status", "namespaces/finalize"}, Verbs: []string{"*"}},
			{APIGroups: []string{v1alpha1.Group}, Resources: []string{"customerconsents"}, Verbs: []string{"get", "list", "create", "update", "delete", "deletecollection"}},
		}},
		bind(marketing, "admin", admin), bind(marketing, "codb-marketer", admin), bind(elsewhere, "admin", admin),
		bind("", "codb-reader", admin), bind("", "test-everything-but", editor), bind(customers, "codb-customer-service", service))
	await(t, "the roles to come into force", func(ctx context.Context) string {
		var camps v1alpha1.CampaignList
		if err := admin.client(t).List(ctx, &camps, client.InNamespace(marketing)); err != nil {
			return err.Error()
		}
		var pods corev1.PodList
		if err := admin.client(t).List(ctx, &pods, client.InNamespace(marketing)); err != nil {
			return err.Error()
		}
		var consents v1alpha1.CustomerConsentList
		if err := service.client(t).List(ctx, &consents, client.InNamespace(customers)); err != nil {
			return err.Error()
		}
		return ""
	})
}

func brand(t *testing.T) {
	t.Helper()
	store(t, &v1alpha1.Brand{
		ObjectMeta: metav1.ObjectMeta{Name: "acme"},
		Spec: v1alpha1.BrandSpec{
			DisplayName: "Acme", Namespaces: []string{marketing}, Agreements: []v1alpha1.Depth{v1alpha1.DepthProfiling},
			Purposes: []v1alpha1.BrandPurpose{{Name: "Marketing", Class: v1alpha1.ClassMarketing, Notice: "Offers.", NoticeVersion: "1"}},
		},
	})
}

// consent says yes to acme's e-mail, confirmed.
func consent(name, group string, changes ...func(*v1alpha1.CustomerConsentSpec)) *v1alpha1.CustomerConsent {
	asked := metav1.NewTime(time.Now().Add(-30 * 24 * time.Hour).Truncate(time.Second))
	confirmed := metav1.NewTime(asked.Add(time.Hour))
	born := int32(1980)
	c := &v1alpha1.CustomerConsent{
		ObjectMeta: metav1.ObjectMeta{Namespace: customers, Name: name, Labels: map[string]string{"group": group}},
		Spec: v1alpha1.CustomerConsentSpec{
			TimeZone: "Europe/Berlin", TimeZoneSource: "Declared", Jurisdiction: "DE", BirthYear: &born,
			Relationships: []v1alpha1.Relationship{{
				Brand: "acme", Depth: v1alpha1.DepthProfiling,
				Grants: []v1alpha1.Grant{{
					Purpose: "Marketing", Channel: v1alpha1.ChannelEmail, Status: v1alpha1.ConsentGiven,
					ConsentType: v1alpha1.ExplicitlyExpressedConsent, CaptureDate: asked, DoubleConsentCaptureDate: &confirmed,
				}},
			}},
		},
	}
	for _, f := range changes {
		f(&c.Spec)
	}
	return c
}

// campaign is to a group of customers, by e-mail.
func campaign(name, group string, changes ...func(*v1alpha1.CampaignSpec)) *v1alpha1.Campaign {
	c := &v1alpha1.Campaign{
		ObjectMeta: metav1.ObjectMeta{Namespace: marketing, Name: name},
		Spec: v1alpha1.CampaignSpec{
			Brand: "acme", Purpose: "Marketing", Channel: v1alpha1.ChannelEmail, Depth: v1alpha1.DepthProfiling, Owner: "garden-team",
			Audience: v1alpha1.Audience{Selector: &v1alpha1.AudienceSelector{Labels: []v1alpha1.LabelMatch{{Key: "group", Values: []string{group}}}}},
		},
	}
	for _, f := range changes {
		f(&c.Spec)
	}
	return c
}

// plainJob asks to run at once; campaign may be empty.
func plainJob(ns, name, campaign string, changes ...func(*batchv1.Job)) *batchv1.Job {
	j := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
		Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever,
			Containers:    []corev1.Container{{Name: "sender", Image: "sender", Command: []string{"/sender"}}},
		}}},
	}
	if campaign != "" {
		j.Labels = map[string]string{v1alpha1.LabelCampaign: campaign}
	}
	for _, f := range changes {
		f(j)
	}
	return j
}

func becomes(t testing.TB, c *v1alpha1.Campaign, verdict v1alpha1.CampaignVerdict, state v1alpha1.WorkloadState) {
	t.Helper()
	await(t, fmt.Sprintf("campaign %s to be %s and %s", c.Name, verdict, state), func(ctx context.Context) string {
		if err := env.Client.Get(ctx, client.ObjectKeyFromObject(c), c); err != nil {
			return err.Error()
		}
		if s := c.Status; s.ObservedGeneration != c.Generation || s.Verdict != verdict || s.Workload != state {
			return fmt.Sprintf("%s %s: %s; %v", s.Verdict, s.Workload, s.Why, s.Conditions)
		}
		return ""
	})
}

// get reads an object of the marketers' namespace.
func get[T any, P interface {
	*T
	client.Object
}](t testing.TB, name string) P {
	t.Helper()
	o := P(new(T))
	if err := env.Client.Get(t.Context(), types.NamespacedName{Namespace: marketing, Name: name}, o); err != nil {
		t.Fatal(err)
	}
	return o
}

func podOf(t testing.TB, j *batchv1.Job) corev1.Pod {
	t.Helper()
	var pods corev1.PodList
	await(t, "a pod of Job "+j.Name, func(ctx context.Context) string {
		if err := env.Client.List(ctx, &pods, client.InNamespace(j.Namespace), client.MatchingLabels{batchv1.JobNameLabel: j.Name}); err != nil {
			return err.Error()
		}
		if len(pods.Items) != 1 {
			return fmt.Sprint(len(pods.Items), " pods")
		}
		return ""
	})
	return pods.Items[0]
}

// onlyWhatWasReleased fails when the namespace has a pod that no release
// accounts for.
func onlyWhatWasReleased(t *testing.T, ns string, released ...string) {
	t.Helper()
	var pods corev1.PodList
	if err := env.Client.List(t.Context(), &pods, client.InNamespace(ns)); err != nil {
		t.Fatal(err)
	}
	for _, p := range pods.Items {
		if !slices.Contains(released, p.Labels[batchv1.JobNameLabel]) {
			t.Errorf("pod %s of %v got round codb", p.Name, p.OwnerReferences)
		}
	}
}
