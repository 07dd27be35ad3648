package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Brand is a company towards its customers (the PII controller of ISO 27560):
// which namespaces may act for it, what it wants to contact people for, and
// what it gives in return. The platform team writes it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=brand,categories=codb
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=='Ready')].status`
// +kubebuilder:printcolumn:name="Namespaces",type=string,JSONPath=`.spec.namespaces`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=='Ready')].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$')",message="a brand's name has at most 63 of a-z, 0-9 and -"
type Brand struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the platform team laid down.
	// +required
	Spec BrandSpec `json:"spec"`

	// status is what codb made of it.
	// +optional
	Status BrandStatus `json:"status,omitempty"`
}

// BrandList is a list of Brands.
// +kubebuilder:object:root=true
type BrandList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Brand `json:"items"`
}

// BrandSpec describes a brand.
type BrandSpec struct {
	// displayName is the name that customers know.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	DisplayName string `json:"displayName"`

	// namespaces that may act for the brand. codb puts its admission policies in
	// force there. A namespace may act for several brands. One that is taken off
	// the list stays in force until a person who may exempt it takes the label
	// consent.codb.dev/enforce off it.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:XValidation:rule=`self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')`,message=`write a namespace's name: lower-case letters, digits and -`
	// +kubebuilder:validation:items:XValidation:rule="!self.startsWith('kube-') && !(self in ['codb-system', 'codb-customers'])",message="a brand can't act from the namespaces of Kubernetes or codb: campaigns would stop everything else there; name a namespace of the marketers"
	Namespaces []string `json:"namespaces,omitempty"`

	// jurisdiction is where the brand is established, as an ISO 3166 code such as
	// DE or US-CA.
	// +optional
	Jurisdiction Jurisdiction `json:"jurisdiction,omitempty"`

	// timeZone is the brand's own, such as Europe/Berlin, for its schedules. It
	// never stands in for a customer's.
	// +optional
	TimeZone TimeZone `json:"timeZone,omitempty"`

	// purposes for which the brand contacts people. A campaign for any other
	// purpose is blocked.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Purposes []BrandPurpose `json:"purposes"`

	// agreements that the brand accepts, by depth. Unset: Basic only.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=4
	Agreements []Depth `json:"agreements,omitempty"`

	// reward is what customers get for a relationship.
	// +optional
	Reward *Reward `json:"reward,omitempty"`

	// hold, when set, stops every campaign of the brand at once.
	// +optional
	Hold *HoldRequest `json:"hold,omitempty"`
}

// BrandPurpose is one thing that a brand contacts people for.
type BrandPurpose struct {
	// name is the purpose's term.
	// +required
	Name Purpose `json:"name"`
	// class says whether it promotes or serves.
	// +required
	Class PurposeClass `json:"class"`
	// notice says in plain words what the customer is told.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Notice string `json:"notice"`
	// noticeVersion is the version of that text.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	NoticeVersion string `json:"noticeVersion"`
}

// HoldRequest is a person's order to stop, with a reason that others can read.
type HoldRequest struct {
	// reason says why, for the people who will ask.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Reason string `json:"reason"`
}

// BrandStatus is what codb made of a Brand.
type BrandStatus struct {
	// observedGeneration is the generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions: Ready is True once every namespace that exists is enforced.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}
