package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ConsentReview is a question: may this campaign contact this customer, and
// why not? It lives in the customers' namespace, codb answers it in its
// status, and it is deleted an hour after it was asked.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=crev,categories=codb
// +kubebuilder:printcolumn:name="Campaign",type=string,JSONPath=`.spec.campaign.name`
// +kubebuilder:printcolumn:name="Customer",type=string,JSONPath=`.spec.customer`
// +kubebuilder:printcolumn:name="Verdict",type=string,JSONPath=`.status.verdict`
// +kubebuilder:printcolumn:name="Why",type=string,JSONPath=`.status.why`
// +kubebuilder:printcolumn:name="Until",type=string,priority=1,JSONPath=`.status.until`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ConsentReview struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the question.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a question can't be changed: ask another"
	Spec ConsentReviewSpec `json:"spec"`

	// status is the answer.
	// +optional
	Status ConsentReviewStatus `json:"status,omitempty"`
}

// ConsentReviewList is a list of ConsentReviews.
// +kubebuilder:object:root=true
type ConsentReviewList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ConsentReview `json:"items"`
}

// ConsentReviewSpec is a question about one customer and one campaign.
type ConsentReviewSpec struct {
	// campaign that wants to contact the customer.
	// +required
	Campaign NamespacedReference `json:"campaign"`

	// customer is the principal id, the name of a CustomerConsent.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule=`self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')`,message=`write the customer's principal id, the name of a CustomerConsent: lower-case letters, digits and -`
	Customer string `json:"customer"`

	// at is the instant to answer for. Unset: when the question is read.
	// +optional
	At *metav1.Time `json:"at,omitempty"`
}

// NamespacedReference names an object of some namespace.
type NamespacedReference struct {
	// namespace of the object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule=`self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')`,message=`write a namespace's name: lower-case letters, digits and -`
	Namespace string `json:"namespace"`
	// name of the object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule=`self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')`,message=`write a Campaign's name: lower-case letters, digits and -`
	Name string `json:"name"`
}

// ConsentReviewStatus is an answer.
type ConsentReviewStatus struct {
	// verdict for this customer: Allow, Hold (not now, but later without
	// anyone's doing) or Deny. Unset: not answered yet.
	// +optional
	Verdict Verdict `json:"verdict,omitempty"`
	// why is the answer in one line: the codes of the reasons that count,
	// sorted, with commas between. Unset for an Allow.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Why string `json:"why,omitempty"`
	// reasons for it, sorted; none for an Allow.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Reasons []ReviewReason `json:"reasons,omitempty"`
	// until is when a Hold ends. Unset: the verdict is no Hold, or unknown.
	// +optional
	Until *metav1.Time `json:"until,omitempty"`
	// evaluatedAt is the instant that the policies were given as now.
	// +optional
	EvaluatedAt *metav1.Time `json:"evaluatedAt,omitempty"`
	// policyDigest is the digest over the policies that were asked.
	// +optional
	// +kubebuilder:validation:MaxLength=71
	PolicyDigest string `json:"policyDigest,omitempty"`
	// conditions: Ready is True once the question is answered.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ReviewReason is one reason for one customer's verdict.
type ReviewReason struct {
	// code of the reason.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Code string `json:"code"`
	// verdict that the reason leads to.
	// +required
	Verdict Verdict `json:"verdict"`
	// message says it in words.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
	// policy that gave it.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Policy string `json:"policy,omitempty"`
	// rule of that policy.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Rule string `json:"rule,omitempty"`
	// mode of that policy; reasons of Audit have no effect.
	// +optional
	Mode PolicyMode `json:"mode,omitempty"`
	// until is when a Hold of this reason ends.
	// +optional
	Until *metav1.Time `json:"until,omitempty"`
}
