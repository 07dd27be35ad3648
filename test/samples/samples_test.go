// Package samples applies config/samples as a newcomer would, with codb's
// admission policies in force and codb itself not running.
package samples

import (
	"fmt"
	"os"
	"slices"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	consentv1 "github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/config"
	"github.com/codb-dev/codb/test/apiserver"
)

var env *apiserver.Env

func TestMain(m *testing.M) {
	os.Exit(apiserver.Run(m, apiserver.Options{Admission: true}, func(e *apiserver.Env) { env = e }))
}

func TestSamplesApplyInTheirOrder(t *testing.T) {
	objects, err := config.Objects(config.Values{}, config.Samples)
	if err != nil {
		t.Fatal(err)
	}
	newcomer := env.As(t, "newcomer", "system:masters")
	for _, u := range objects {
		if err := newcomer.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(u.DeepCopy()), client.FieldOwner("kubectl")); err != nil {
			t.Errorf("apply %s %s: %v", u.GetKind(), u.GetName(), err)
		}
		if u.GetKind() == "Namespace" {
			enforce(t, u.GetName())
		}
	}
	jobs := &batchv1.JobList{}
	if err := env.Client.List(t.Context(), jobs); err != nil {
		t.Fatal(err)
	}
	for _, j := range jobs.Items {
		if j.Spec.Suspend == nil || !*j.Spec.Suspend {
			t.Errorf("job %s runs without codb", j.Name)
		}
	}
}

// enforce does what codb does with the namespaces of a Brand.
func enforce(t *testing.T, namespace string) {
	t.Helper()
	operator := env.As(t, consentv1.OperatorUsername, "system:masters")
	patch := fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, consentv1.LabelEnforce, consentv1.EnforceTrue)
	ns := &corev1.Namespace{}
	ns.Name = namespace
	if err := operator.Patch(t.Context(), ns, client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
		t.Fatal(err)
	}
}

// The samples belong together: a campaign whose brand, purpose or label names
// nothing would be Blocked, and a newcomer would search for the mistake.
func TestSamplesFitTogether(t *testing.T) {
	objects, err := config.Objects(config.Values{}, config.Samples)
	if err != nil {
		t.Fatal(err)
	}
	brands, campaigns := map[string]*consentv1.Brand{}, map[string]*consentv1.Campaign{}
	jobs, reviews := map[string]*batchv1.Job{}, map[string]*consentv1.ConsentReview{}
	for _, u := range objects {
		switch u.GetKind() {
		case "Brand":
			into(t, u.Object, brands, u.GetName())
		case "Campaign":
			into(t, u.Object, campaigns, u.GetName())
		case "Job":
			into(t, u.Object, jobs, u.GetName())
		case "ConsentReview":
			into(t, u.Object, reviews, u.GetName())
		}
	}
	if len(campaigns) == 0 || len(jobs) == 0 || len(reviews) == 0 {
		t.Fatal("no campaign, no job or no review among the samples")
	}
	for name, c := range campaigns {
		b := brands[c.Spec.Brand]
		if b == nil {
			t.Errorf("campaign %s: no Brand %s among the samples", name, c.Spec.Brand)
			continue
		}
		if !slices.Contains(b.Spec.Namespaces, c.Namespace) {
			t.Errorf("campaign %s: brand %s does not list namespace %s", name, b.Name, c.Namespace)
		}
		if !slices.ContainsFunc(b.Spec.Purposes, func(p consentv1.BrandPurpose) bool { return p.Name == c.Spec.Purpose }) {
			t.Errorf("campaign %s: brand %s does not declare purpose %s", name, b.Name, c.Spec.Purpose)
		}
		if d := c.Spec.Depth; d != "" && d != consentv1.DepthBasic && !slices.Contains(b.Spec.Agreements, d) {
			t.Errorf("campaign %s: brand %s accepts no agreement of depth %s", name, b.Name, d)
		}
	}
	for name, j := range jobs {
		if c := campaigns[j.Labels[consentv1.LabelCampaign]]; c == nil || c.Spec.Workload != nil {
			t.Errorf("job %s: no campaign without a workload of its own is called %q", name, j.Labels[consentv1.LabelCampaign])
		}
	}
	for name, r := range reviews {
		if campaigns[r.Spec.Campaign.Name] == nil {
			t.Errorf("review %s: no campaign %s among the samples", name, r.Spec.Campaign.Name)
		}
	}
}

func into[T any](t *testing.T, object map[string]any, all map[string]*T, name string) {
	t.Helper()
	all[name] = new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object, all[name]); err != nil {
		t.Fatal(err)
	}
}
