package admission_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	consentv1 "github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/admission"
	"github.com/codb-dev/codb/test/apiserver"
)

// TestWithoutMutation has an apiserver of its own, as it is before Kubernetes
// 1.36, and does to it what no other test would survive.
func TestWithoutMutation(t *testing.T) {
	shared := env
	alone, err := apiserver.Start(apiserver.Options{Admission: true, NoMutation: true, Controllers: true})
	if err != nil {
		t.Fatal(err)
	}
	env = alone
	t.Cleanup(func() {
		env = shared
		if err := alone.Stop(); err != nil {
			t.Error(err)
		}
	})
	ns := env.EnforcedNamespace(t)
	labels := map[string]string{consentv1.LabelCampaign: spring}
	runs := func(j *batchv1.Job) { j.Spec.Template.Labels = labels }
	waits := func(j *batchv1.Job) { runs(j); j.Spec.Suspend = ptr.To(true) }
	cron := func(suspended bool, ofJobs map[string]string) client.Object {
		return cronJob(ns, "new", func(j *batchv1.CronJob) {
			j.Spec.Suspend, j.Spec.JobTemplate.Labels, j.Spec.JobTemplate.Spec.Template.Labels = &suspended, ofJobs, labels
		})
	}
	runTrials(t, map[string]trial{
		"JobThatRuns":           {root, create(job(ns, "new", runs)), "workloads", "a campaign Job is born suspended and codb releases it; set spec.suspend: true"},
		"JobThatRunsByOperator": {operator, create(job(ns, "new", runs)), "workloads", "set spec.suspend: true"},
		"JobThatWaits":          {root, create(job(ns, "new", waits)), "", ""},
		"JobForAnUnknownKueue":  {root, create(job(ns, "new", waits, inQueue)), "workloads", "kueue.x-k8s.io/queue-name: mail: nobody could start it, since codb is not told who Kueue is; take the label off"},
		"PodsOfNoCampaign":      {root, create(job(ns, "new", func(j *batchv1.Job) { j.Spec.Suspend = ptr.To(true) })), "templates", "spec.template.metadata.labels: the pods of a campaign carry its label; set consent.codb.dev/campaign: spring-garden"},
		"CronJobThatRuns":       {root, create(cron(false, labels)), "workloads", "a campaign CronJob is born suspended"},
		"CronJobThatWaits":      {root, create(cron(true, labels)), "", ""},
		"JobsOfNoCampaign":      {root, create(cron(true, nil)), "templates", "spec.jobTemplate.metadata.labels: the Jobs of a campaign CronJob carry its label"},
	})
	t.Run("ProbeNoticesWhatIsGone", probeNoticesWhatIsGone)
	t.Run("CustomersNamespaceCanGo", customersNamespaceCanGo)
}

// customersNamespaceCanGo ends the namespace with a consent and a decision in
// it: what guards them lets the namespace controller clean up.
func customersNamespaceCanGo(t *testing.T) {
	store(t, root, consent(customers, "c-1"))
	store(t, operator, &consentv1.CampaignDecision{
		ObjectMeta: metav1.ObjectMeta{Namespace: customers, Name: "d"},
		Spec:       consentv1.CampaignDecisionSpec{Campaign: consentv1.CampaignReference{Name: "c", UID: "1", Generation: 1}, Verdict: consentv1.CampaignBlocked, DecidedAt: metav1.Unix(0, 0)},
	})
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: customers}}
	if err := root.client(t).Delete(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	await(t, func(ctx context.Context) bool {
		return apierrors.IsNotFound(env.Client.Get(ctx, client.ObjectKeyFromObject(ns), ns))
	})
}

func probeNoticesWhatIsGone(t *testing.T) {
	c := operator.client(t)
	if err := admission.Probe(t.Context(), c); err != nil {
		t.Fatalf("with everything in force: %v", err)
	}
	var bindings admissionregistrationv1.ValidatingAdmissionPolicyBindingList
	if err := env.Client.List(t.Context(), &bindings); err != nil {
		t.Fatal(err)
	}
	for _, b := range bindings.Items {
		if b.Spec.ValidationActions[0] != admissionregistrationv1.Deny {
			continue
		}
		if err := env.Client.Delete(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		await(t, func(ctx context.Context) bool {
			err := admission.Probe(ctx, c)
			return errors.Is(err, admission.ErrNotInForce) &&
				(strings.Contains(err.Error(), b.Spec.PolicyName) || strings.Contains(err.Error(), "would run at once"))
		})
		b.ResourceVersion, b.UID = "", ""
		if err := env.Client.Create(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
	}
	await(t, func(ctx context.Context) bool { return admission.Probe(ctx, c) == nil })
}
