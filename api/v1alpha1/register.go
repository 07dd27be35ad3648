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

// StoreGroupVersion is where codb serves CustomerConsents itself, in the stead
// of SchemeGroupVersion, where they are kept in a database.
var StoreGroupVersion = schema.GroupVersion{Group: "store." + Group, Version: "v1alpha1"}

// AddConsentsToScheme registers CustomerConsents in one of the two group
// versions that may hold them.
func AddConsentsToScheme(s *runtime.Scheme, gv schema.GroupVersion) {
	s.AddKnownTypes(gv, &CustomerConsent{}, &CustomerConsentList{})
	metav1.AddToGroupVersion(s, gv)
}

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
