package v1alpha1

// Audience says who is meant, never by id. It is evaluated anew at every
// decision.
// +kubebuilder:validation:XValidation:rule="has(self.everyone) != has(self.selector)",message="set exactly one of everyone (write: everyone: {}) and selector"
type Audience struct {
	// everyone means all customers on record.
	// +optional
	Everyone *Everyone `json:"everyone,omitempty"`
	// selector picks customers by declared attributes; all that is set must
	// match.
	// +optional
	Selector *AudienceSelector `json:"selector,omitempty"`
}

// Everyone has no fields: it means all customers on record.
type Everyone struct{}

// AudienceSelector picks customers by attributes that they declared. A
// customer without the attribute is not picked.
// +kubebuilder:validation:MinProperties=1
type AudienceSelector struct {
	// lifeEvents of which the customer declared at least one that still counts.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=10
	LifeEvents []LifeEventType `json:"lifeEvents,omitempty"`
	// lifeStages of which the customer is in one.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=6
	LifeStages []LifeStage `json:"lifeStages,omitempty"`
	// jurisdictions of which the customer is in one; DE covers DE-BY.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Jurisdictions []Jurisdiction `json:"jurisdictions,omitempty"`
	// languages of which the customer was asked in one; fr covers fr-CA.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Languages []Language `json:"languages,omitempty"`
	// labels of the CustomerConsent that must have these values.
	// +optional
	// +listType=map
	// +listMapKey=key
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Labels []LabelMatch `json:"labels,omitempty"`
}

// LabelMatch demands one of some values of a label.
type LabelMatch struct {
	// key of the label.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:XValidation:rule=`self.matches('^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$')`,message=`write a label's key, for example tier or acme.example/tier`
	Key string `json:"key"`
	// values of which the label has one.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:XValidation:rule=`self.matches('^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$')`,message=`write a label's value: letters, digits, '.', '_' and -, for example gold`
	Values []string `json:"values"`
}
