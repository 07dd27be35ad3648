package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// CampaignDecision is one evaluation of one campaign: what was decided, by
// which policies, on which consents, and until when it holds. codb alone
// writes it and nobody changes it. It never holds a person.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=cdec,categories=codb
// +kubebuilder:selectablefield:JSONPath=`.spec.campaign.name`
// +kubebuilder:selectablefield:JSONPath=`.spec.verdict`
// +kubebuilder:printcolumn:name="Verdict",type=string,JSONPath=`.spec.verdict`
// +kubebuilder:printcolumn:name="Allowed",type=integer,JSONPath=`.spec.counts.allowed`
// +kubebuilder:printcolumn:name="Held",type=integer,JSONPath=`.spec.counts.held`
// +kubebuilder:printcolumn:name="Denied",type=integer,JSONPath=`.spec.counts.denied`
// +kubebuilder:printcolumn:name="Top-Reason",type=string,JSONPath=`.spec.reasons[0].code`
// +kubebuilder:printcolumn:name="Policy",type=string,priority=1,JSONPath=`.spec.policyDigest`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type CampaignDecision struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the decision.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a decision is never changed"
	Spec CampaignDecisionSpec `json:"spec"`
}

// CampaignDecisionList is a list of CampaignDecisions.
// +kubebuilder:object:root=true
type CampaignDecisionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []CampaignDecision `json:"items"`
}

// CampaignDecisionSpec is one decision.
type CampaignDecisionSpec struct {
	// campaign that was judged.
	// +required
	Campaign CampaignReference `json:"campaign"`
	// verdict for the whole campaign: Allowed (everyone who is meant),
	// PartlyAllowed (some), Held (nobody now, some later, or a person's order),
	// Blocked (nobody, or a threshold is missed) or Pending (the question could
	// not be asked).
	// +required
	Verdict CampaignVerdict `json:"verdict"`
	// decidedAt is the instant that the policies were given as now.
	// +required
	DecidedAt metav1.Time `json:"decidedAt"`
	// staleAt is the first instant at which any answer can change by itself.
	// Unset: never.
	// +optional
	StaleAt *metav1.Time `json:"staleAt,omitempty"`
	// counts of people.
	// +optional
	Counts *Counts `json:"counts,omitempty"`
	// reasons, denials first, then holds, each the most frequent first; one person may have several. At most 64,
	// the rest are summed up as Other.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=65
	Reasons []ReasonCount `json:"reasons,omitempty"`
	// policies that were asked.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=128
	Policies []PolicyReference `json:"policies,omitempty"`
	// policyDigest is the digest over all of them, sha256:<hex>.
	// +optional
	// +kubebuilder:validation:MaxLength=71
	PolicyDigest string `json:"policyDigest,omitempty"`
	// consents that were read.
	// +optional
	Consents *ConsentSet `json:"consents,omitempty"`
	// ledgerSequence is the last record of the contact ledger that was counted.
	// +optional
	// +kubebuilder:validation:Minimum=0
	LedgerSequence *int64 `json:"ledgerSequence,omitempty"`
}

// CampaignReference names the campaign that a decision is about.
type CampaignReference struct {
	// name of the Campaign, in the decision's namespace.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
	// uid of the Campaign.
	// +required
	// +kubebuilder:validation:MaxLength=36
	UID string `json:"uid"`
	// generation of the Campaign.
	// +required
	Generation int64 `json:"generation"`
}

// ReasonCount is a reason and how many people have it.
type ReasonCount struct {
	// code of the reason.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Code string `json:"code"`
	// verdict that the reason leads to, Hold or Deny.
	// +required
	Verdict Verdict `json:"verdict"`
	// policy that gave it; floor for codb's built-in floor; empty where codb
	// itself decided.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Policy string `json:"policy,omitempty"`
	// rule of that policy; rego for its own Rego.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Rule string `json:"rule,omitempty"`
	// mode of that policy; reasons of Audit have no effect.
	// +optional
	Mode PolicyMode `json:"mode,omitempty"`
	// customers that have it. 0: the reason is about the campaign as a whole.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Customers int64 `json:"customers"`
	// until is when the last Hold of this reason ends. Unset: unknown or a Deny.
	// +optional
	Until *metav1.Time `json:"until,omitempty"`
}

// PolicyReference names a revision of a policy that was asked.
type PolicyReference struct {
	// name of the CampaignPolicy; floor for codb's built-in floor.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
	// generation of it; 0 for the floor.
	// +optional
	Generation int64 `json:"generation,omitempty"`
	// digest of it, sha256:<hex>.
	// +required
	// +kubebuilder:validation:MaxLength=71
	Digest string `json:"digest"`
}

// ConsentSet identifies the consents that a decision read.
type ConsentSet struct {
	// revision is an opaque mark of the consent store up to which every change
	// was read.
	// +required
	// +kubebuilder:validation:MaxLength=128
	Revision string `json:"revision"`
	// count of consents in the audience.
	// +required
	Count int64 `json:"count"`
	// digest over the ids and generations of them, sha256:<hex>.
	// +optional
	// +kubebuilder:validation:MaxLength=71
	Digest string `json:"digest,omitempty"`
}
