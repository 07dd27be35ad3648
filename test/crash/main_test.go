// Package crash lets withdrawals race releases, and kills codb, the apiserver
// and etcd while campaigns come and verdicts flip. Set CODB_CRASH=full for the
// full numbers; docs/benchmarks.md has them.
package crash

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/test/apiserver"
)

var env *apiserver.Env

// fresh starts the test's own apiserver: another test may have killed its.
func fresh(t *testing.T) {
	t.Helper()
	e, err := apiserver.Start(apiserver.Options{Admission: true, Controllers: true})
	if err != nil {
		t.Fatal(err)
	}
	env = e
	t.Cleanup(func() {
		if err := e.Stop(); err != nil {
			t.Log(err) // processes that the test killed can't be stopped
		}
	})
}

// scale is small where nobody asks for more.
func scale(small, full int) int {
	if os.Getenv("CODB_CRASH") == "full" {
		return full
	}
	return small
}

const label = "crash"

// customer has said yes to acme's e-mail and confirmed it.
func customer(name, value string) *v1alpha1.CustomerConsent {
	asked := metav1.NewTime(time.Now().Add(-30 * 24 * time.Hour).Truncate(time.Second))
	confirmed := metav1.NewTime(asked.Add(time.Hour))
	born := int32(1980)
	return &v1alpha1.CustomerConsent{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.CustomersNamespace, Name: name, Labels: map[string]string{label: value}},
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
}

// campaign is to the customers with the value.
func campaign(ns, name, value string, workload *v1alpha1.Workload) *v1alpha1.Campaign {
	return &v1alpha1.Campaign{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
		Spec: v1alpha1.CampaignSpec{
			Brand: "acme", Purpose: "Marketing", Channel: v1alpha1.ChannelEmail, Depth: v1alpha1.DepthProfiling, Owner: "garden-team", Workload: workload,
			Audience: v1alpha1.Audience{Selector: &v1alpha1.AudienceSelector{Labels: []v1alpha1.LabelMatch{{Key: label, Values: []string{value}}}}},
		},
	}
}

// acme acts for the namespace; it ends with the test.
func acme(t *testing.T) string {
	t.Helper()
	ns := env.EnforcedNamespace(t)
	b := &v1alpha1.Brand{
		ObjectMeta: metav1.ObjectMeta{Name: "acme"},
		Spec: v1alpha1.BrandSpec{
			DisplayName: "Acme", Namespaces: []string{ns}, Agreements: []v1alpha1.Depth{v1alpha1.DepthProfiling},
			Purposes: []v1alpha1.BrandPurpose{{Name: "Marketing", Class: v1alpha1.ClassMarketing, Notice: "Offers.", NoticeVersion: "1"}},
		},
	}
	create(t, b)
	t.Cleanup(func() { remove(t, b) })
	return ns
}

func create(t *testing.T, o client.Object) {
	t.Helper()
	if err := env.Client.Create(t.Context(), o); err != nil {
		t.Fatal(fmt.Errorf("create %T %s: %w", o, o.GetName(), err))
	}
}

func remove(t *testing.T, o client.Object) {
	if err := env.Client.Delete(context.Background(), o); client.IgnoreNotFound(err) != nil {
		t.Log(err)
	}
}
