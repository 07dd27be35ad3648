package admission_test

import (
	"context"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	consentv1 "github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/config"
)

// Nobody would hear of a consent that is kept here while all others are in
// PostgreSQL. The rules of such an installation stand beside those of this one
// and are about objects with a label only.
func TestConsentsAreElsewhere(t *testing.T) {
	bindPeople(t)
	labelled := func(c *consentv1.CustomerConsent) {
		if c.Labels == nil {
			c.Labels = map[string]string{}
		}
		c.Labels["trial"] = "elsewhere"
	}
	kept := consent(customers, "c-kept", labelled)
	store(t, root, kept)
	installElsewhere(t, map[string]string{"trial": "elsewhere"})
	stray := create(consent(customers, "c-stray", labelled))
	await(t, func(context.Context) bool { return stray(t, service.client(t)) != nil })
	message := "this installation keeps consents in PostgreSQL"
	runTrials(t, map[string]trial{
		"New":         {service, stray, "elsewhere", message},
		"ByAnAdmin":   {root, stray, "elsewhere", message},
		"OfOldenDays": {service, patch(kept, "{'spec':{'optOut':{'since':'2026-03-01T09:00:00Z'}}}"), "elsewhere", message},
		"TakenAway":   {root, remove(kept), "", ""},
		"Fence": {operator, create(consent(customers, "codb-fence", labelled, func(c *consentv1.CustomerConsent) {
			c.Labels[consentv1.LabelClass] = consentv1.ClassFence
		})), "", ""},
	})
}

func installElsewhere(t *testing.T, about map[string]string) {
	t.Helper()
	const from, to = "campaign-consents.", "campaign-elsewhere."
	objects, err := config.Objects(config.Values{Elsewhere: true}, config.Admission)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range objects {
		if !strings.HasPrefix(u.GetName(), from) {
			continue
		}
		u.SetName(strings.Replace(u.GetName(), from, to, 1))
		if name, bound, _ := unstructured.NestedString(u.Object, "spec", "policyName"); bound {
			u.Object["spec"].(map[string]any)["policyName"] = strings.Replace(name, from, to, 1)
		} else {
			if err := unstructured.SetNestedStringMap(u.Object, about, "spec", "matchConstraints", "objectSelector", "matchLabels"); err != nil {
				t.Fatal(err)
			}
		}
		if err := env.Client.Create(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = env.Client.Delete(context.WithoutCancel(t.Context()), u, client.GracePeriodSeconds(0)) })
	}
}
