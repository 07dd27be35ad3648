package main

import (
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/codb-dev/codb/api/v1alpha1"
)

func TestBaselineIsMadeOnce(t *testing.T) {
	configuration := func(annotations map[string]string) client.Object {
		return &admissionregistrationv1.ValidatingWebhookConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: webhookConfiguration, Annotations: annotations},
		}
	}
	own := &v1alpha1.CampaignPolicy{ObjectMeta: metav1.ObjectMeta{Name: "own"}}
	cases := map[string]struct {
		there []client.Object
		want  string // the policies afterwards
		fails bool
	}{
		"a new installation gets it":             {[]client.Object{configuration(nil)}, "baseline", false},
		"one with a policy of its own does not":  {[]client.Object{configuration(nil), own}, "own", false},
		"one that was deleted stays deleted":     {[]client.Object{configuration(map[string]string{annotationBaseline: "Offered"})}, "", false},
		"not before the webhook is known at all": {nil, "", true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s, err := newScheme()
			if err != nil {
				t.Fatal(err)
			}
			cluster := fake.NewClientBuilder().WithScheme(s).WithObjects(c.there...).Build()
			b := &baseline{reader: cluster, client: cluster}
			for range 2 { // as after a restart
				if err := b.ensure(t.Context()); (err != nil) != c.fails {
					t.Fatalf("got %v, want an error: %t", err, c.fails)
				}
			}
			var got v1alpha1.CampaignPolicyList
			if err := cluster.List(t.Context(), &got); err != nil {
				t.Fatal(err)
			}
			names := ""
			for _, p := range got.Items {
				names += p.Name
			}
			if names != c.want {
				t.Errorf("policies %q, want %q", names, c.want)
			}
		})
	}
}
