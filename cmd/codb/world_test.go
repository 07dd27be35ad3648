package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/config"
	"github.com/codb-dev/codb/test/apiserver"
)

// The stories of this package run codb standalone, whole, on a real apiserver
// with Kubernetes' own controllers, and look at it as its users do.

var env *apiserver.Env

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == workerVerb {
		os.Exit(runWorker())
	}
	os.Exit(tell(m))
}

// tell runs the tests beside a codb that ends before its apiserver does.
func tell(m *testing.M) int {
	var err error
	if env, err = apiserver.Start(apiserver.Options{Admission: true, Controllers: true, Aggregation: true}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, cancel := context.WithCancel(context.Background())
	code, stopped := 1, make(chan error, 1)
	if err = startCodb(ctx, stopped); err == nil {
		code = m.Run()
		cancel()
		err = <-stopped
	}
	cancel()
	if err = errors.Join(err, env.Stop()); err != nil {
		fmt.Fprintln(os.Stderr, "codb:", err)
		return 1
	}
	return code
}

// startCodb runs codb for all tests of the package, with its baseline policy.
func startCodb(ctx context.Context, stopped chan<- error) error {
	objects, err := config.Objects(config.Values{}, config.Webhook)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if err := applyOne(ctx, env.Client, o); err != nil {
			return err
		}
	}
	own, err := asOperator(ctx, env.Config)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "codb-story-")
	if err != nil {
		return err
	}
	served, err := openGate(ctx, own, gateOptions{address: "127.0.0.1:0", ledger: ledgerOptions{dir: dir}})
	if err != nil {
		return err
	}
	go func() {
		o := operatorOptions{
			webhookHost: "127.0.0.1", metrics: "0", probes: "0", workers: 2, sandboxes: 2,
		}
		stopped <- runOperator(ctx, own, o, served)
	}()
	baseline, err := config.Objects(config.Values{}, config.Policy)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(time.Minute)
	for _, o := range baseline {
		for {
			err := env.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(o), client.FieldOwner("test"))
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				return err
			}
			time.Sleep(50 * time.Millisecond) // codb is coming up; there is nothing to watch yet
		}
	}
	return nil
}

// world is one test's brand, namespace and customers.
type world struct {
	*testing.T
	ctx   context.Context
	ns    string
	brand string
	label string // value of the label that its customers carry
}

const labelTest = "test"

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, ctx: t.Context(), ns: env.Namespace(t, nil)}
	w.brand, w.label = "acme-"+w.ns, w.ns
	w.create(&v1alpha1.Brand{
		ObjectMeta: metav1.ObjectMeta{Name: w.brand},
		Spec: v1alpha1.BrandSpec{
			DisplayName: "Acme", Namespaces: []string{w.ns}, Agreements: []v1alpha1.Depth{v1alpha1.DepthProfiling},
			Purposes: []v1alpha1.BrandPurpose{
				{Name: "Marketing", Class: v1alpha1.ClassMarketing, Notice: "Offers.", NoticeVersion: "1"},
				{Name: "Recall", Class: v1alpha1.ClassService, Notice: "Recalls.", NoticeVersion: "1"},
			},
		},
	})
	w.until("the namespace is enforced", func() (bool, string) {
		ns := &corev1.Namespace{}
		w.get(types.NamespacedName{Name: w.ns}, ns)
		return ns.Labels[v1alpha1.LabelEnforce] == v1alpha1.EnforceTrue, fmt.Sprint(ns.Labels)
	})
	return w
}

func (w *world) create(o client.Object) {
	w.Helper()
	if err := env.Client.Create(w.ctx, o); err != nil {
		w.Fatalf("create %T %s: %v", o, o.GetName(), err)
	}
}

func (w *world) get(key types.NamespacedName, o client.Object) {
	w.Helper()
	if err := env.Client.Get(w.ctx, key, o); err != nil {
		w.Fatalf("read %T %s: %v", o, key, err)
	}
}

// change changes an object as an administrator would with kubectl edit.
func change[T client.Object](w *world, o T, f func(T)) {
	w.Helper()
	before := o.DeepCopyObject().(T)
	f(o)
	if err := env.Client.Patch(w.ctx, o, client.MergeFrom(before)); err != nil {
		w.Fatalf("change %T %s: %v", o, o.GetName(), err)
	}
}

// until looks again and again until the world is as told, which it is in the
// end or never.
func (w *world) until(what string, look func() (bool, string)) {
	w.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for {
		ok, seen := look()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			w.Fatalf("waited in vain until %s; seen last: %s", what, seen)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// customer has said yes to the brand's e-mail, confirmed it, and wants nothing
// else.
func (w *world) customer(n int, changes ...func(*v1alpha1.CustomerConsentSpec)) *v1alpha1.CustomerConsent {
	w.Helper()
	c := w.says(n, changes...)
	w.create(c)
	return c
}

// says is what the customer has said.
func (w *world) says(n int, changes ...func(*v1alpha1.CustomerConsentSpec)) *v1alpha1.CustomerConsent {
	asked := metav1.NewTime(time.Now().Add(-30 * 24 * time.Hour).Truncate(time.Second))
	confirmed := metav1.NewTime(asked.Add(time.Hour))
	born := int32(1980)
	c := &v1alpha1.CustomerConsent{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: v1alpha1.CustomersNamespace, Name: fmt.Sprintf("c-%s-%d", w.ns, n), Labels: map[string]string{labelTest: w.label},
		},
		Spec: v1alpha1.CustomerConsentSpec{
			TimeZone: "Europe/Berlin", TimeZoneSource: "Declared", Jurisdiction: "DE", BirthYear: &born,
			Relationships: []v1alpha1.Relationship{{
				Brand: w.brand, Depth: v1alpha1.DepthProfiling,
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

func optedOut(s *v1alpha1.CustomerConsentSpec) { s.OptOut = &v1alpha1.OptOut{Since: metav1.Now()} }

func atMostOneAWeek(s *v1alpha1.CustomerConsentSpec) {
	s.Caps = []v1alpha1.FrequencyCap{{
		Name: "mine", Max: 1, Window: v1alpha1.WindowRolling, Length: "168h", Counts: []v1alpha1.PurposeClass{v1alpha1.ClassMarketing},
	}}
}

func paused(s *v1alpha1.CustomerConsentSpec) {
	s.Pause = &v1alpha1.Pause{From: metav1.NewTime(time.Now().Add(-time.Hour)), Until: metav1.NewTime(time.Now().Add(time.Hour))}
}

// campaign is to the test's customers, by e-mail, with a Job of its own.
func (w *world) campaign(name string, changes ...func(*v1alpha1.CampaignSpec)) *v1alpha1.Campaign {
	w.Helper()
	c := &v1alpha1.Campaign{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name},
		Spec: v1alpha1.CampaignSpec{
			Brand: w.brand, Purpose: "Marketing", Channel: v1alpha1.ChannelEmail, Depth: v1alpha1.DepthProfiling, Owner: "garden-team",
			Audience: v1alpha1.Audience{Selector: &v1alpha1.AudienceSelector{
				Labels: []v1alpha1.LabelMatch{{Key: labelTest, Values: []string{w.label}}},
			}},
			Workload: &v1alpha1.Workload{Job: &v1alpha1.JobTemplate{Image: "sender", Command: []string{"/sender"}}},
		},
	}
	for _, f := range changes {
		f(&c.Spec)
	}
	w.create(c)
	return c
}

// becomes waits for a verdict and what the workloads do, as kubectl get shows.
func (w *world) becomes(c *v1alpha1.Campaign, verdict v1alpha1.CampaignVerdict, state v1alpha1.WorkloadState) {
	w.Helper()
	w.until(fmt.Sprintf("campaign %s is %s and %s", c.Name, verdict, state), func() (bool, string) {
		w.get(client.ObjectKeyFromObject(c), c)
		s := c.Status
		seen := fmt.Sprintf("%s %s: %s; %v", s.Verdict, s.Workload, s.Why, s.Conditions)
		return s.ObservedGeneration == c.Generation && s.Verdict == verdict && s.Workload == state, seen
	})
}

func (w *world) condition(c *v1alpha1.Campaign, kind, reason string) {
	w.Helper()
	w.until(fmt.Sprintf("%s has reason %s", kind, reason), func() (bool, string) {
		w.get(client.ObjectKeyFromObject(c), c)
		for _, cond := range c.Status.Conditions {
			if cond.Type == kind && cond.Reason == reason {
				return true, ""
			}
		}
		return false, fmt.Sprint(c.Status.Conditions)
	})
}

func (w *world) job(name string) *batchv1.Job {
	w.Helper()
	j := &batchv1.Job{}
	w.get(types.NamespacedName{Namespace: w.ns, Name: name}, j)
	return j
}

func (w *world) pods(campaign string) int {
	w.Helper()
	var pods corev1.PodList
	if err := env.Client.List(w.ctx, &pods, client.InNamespace(w.ns), client.MatchingLabels{v1alpha1.LabelCampaign: campaign}); err != nil {
		w.Fatal(err)
	}
	return len(pods.Items)
}

func (w *world) decisions(campaign string) []v1alpha1.CampaignDecision {
	w.Helper()
	var list v1alpha1.CampaignDecisionList
	if err := env.Client.List(w.ctx, &list, client.InNamespace(w.ns), client.MatchingLabels{v1alpha1.LabelCampaign: campaign}); err != nil {
		w.Fatal(err)
	}
	return list.Items
}

// refused wants an error whose text has every part.
func (w *world) refused(err error, parts ...string) {
	w.Helper()
	if err == nil {
		w.Fatalf("accepted; want a refusal with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			w.Errorf("the refusal does not say %q: %v", part, err)
		}
	}
}
