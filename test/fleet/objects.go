package fleet

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// label tells customers of one campaign from those of another.
const label = "fleet"

// Customer has said yes to acme's e-mail and confirmed it.
func Customer(name, value string) *v1alpha1.CustomerConsent {
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

// Campaign is to the customers with the value, by e-mail.
func Campaign(namespace, name, value string, workload *v1alpha1.Workload) *v1alpha1.Campaign {
	return &v1alpha1.Campaign{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.CampaignSpec{
			Brand: "acme", Purpose: "Marketing", Channel: v1alpha1.ChannelEmail, Depth: v1alpha1.DepthProfiling, Owner: "garden-team", Workload: workload,
			Audience: v1alpha1.Audience{Selector: &v1alpha1.AudienceSelector{Labels: []v1alpha1.LabelMatch{{Key: label, Values: []string{value}}}}},
		},
	}
}
