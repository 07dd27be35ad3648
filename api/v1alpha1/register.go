package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Group is the API group of every kind in this package.
const Group = "consent.codb.dev"

// SchemeGroupVersion is the group and version of every kind in this package.
var SchemeGroupVersion = schema.GroupVersion{Group: Group, Version: "v1alpha1"}

// AddToScheme registers every kind of this package.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(SchemeGroupVersion,
		&Brand{}, &BrandList{},
		&CustomerConsent{}, &CustomerConsentList{},
		&CampaignPolicy{}, &CampaignPolicyList{},
		&Campaign{}, &CampaignList{},
		&CampaignDecision{}, &CampaignDecisionList{},
		&ConsentReview{}, &ConsentReviewList{},
	)
	metav1.AddToGroupVersion(s, SchemeGroupVersion)
	return nil
}
