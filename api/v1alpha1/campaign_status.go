package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// CampaignVerdict is the answer for a whole campaign.
// +kubebuilder:validation:Enum=Pending;Allowed;PartlyAllowed;Held;Blocked
type CampaignVerdict string

const (
	// CampaignPending: not decided yet, or the question can't be asked now.
	CampaignPending CampaignVerdict = "Pending"
	// CampaignAllowed: everyone who is meant is allowed.
	CampaignAllowed CampaignVerdict = "Allowed"
	// CampaignPartlyAllowed: some are allowed; a workload that draws permits
	// would run for them.
	CampaignPartlyAllowed CampaignVerdict = "PartlyAllowed"
	// CampaignHeld: nobody now, some later; or a person's order.
	CampaignHeld CampaignVerdict = "Held"
	// CampaignBlocked: nobody, or a threshold is missed.
	CampaignBlocked CampaignVerdict = "Blocked"
)

// WorkloadState says what the campaign's workloads do.
// +kubebuilder:validation:Enum=None;Suspended;Queued;Running;Stopping;Complete;Failed
type WorkloadState string

const (
	WorkloadNone      WorkloadState = "None"
	WorkloadSuspended WorkloadState = "Suspended"
	WorkloadQueued    WorkloadState = "Queued"
	WorkloadRunning   WorkloadState = "Running"
	WorkloadStopping  WorkloadState = "Stopping"
	WorkloadComplete  WorkloadState = "Complete"
	WorkloadFailed    WorkloadState = "Failed"
)

// CampaignStatus is what codb decided.
type CampaignStatus struct {
	// observedGeneration is the generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// verdict is the answer for the whole campaign: Allowed (everyone who is
	// meant), PartlyAllowed (some; a workload that draws permits would run for
	// them), Held (nobody now, some later, or a person's order), Blocked (nobody,
	// or a threshold is missed), Pending (not decided, or the question can't be
	// asked now). Unset: Pending.
	// +optional
	Verdict CampaignVerdict `json:"verdict,omitempty"`

	// why is the answer in one line: the code that decides, then the most
	// frequent reasons with their numbers of people.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Why string `json:"why,omitempty"`

	// workload is what the campaign's Jobs and CronJobs do: None (there is none
	// yet), Suspended, Queued (released, and waiting for Kueue to start it),
	// Running, Stopping (pods are on their way out), Complete or Failed.
	// +optional
	Workload WorkloadState `json:"workload,omitempty"`

	// counts of people, at the latest look.
	// +optional
	Counts *Counts `json:"counts,omitempty"`

	// decision names the latest CampaignDecision.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Decision string `json:"decision,omitempty"`

	// policyDigest is the digest of the policies of the latest look.
	// +optional
	// +kubebuilder:validation:MaxLength=71
	PolicyDigest string `json:"policyDigest,omitempty"`

	// staleAt is the first instant at which any answer can change by itself.
	// Unset: never.
	// +optional
	StaleAt *metav1.Time `json:"staleAt,omitempty"`

	// released is the generation that was released, if any. A generation that
	// was released and then stopped is not released again.
	// +optional
	Released *Release `json:"released,omitempty"`

	// permits is how far the present or latest run has come that draws permits.
	// Unset: none has drawn yet.
	// +optional
	Permits *PermitCounts `json:"permits,omitempty"`

	// conditions: Permitted is the answer, Enforced the fact, Ready the sum.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// PermitCounts are numbers of permits of one run, and what became of them.
type PermitCounts struct {
	// drawn: all that were given.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Drawn int64 `json:"drawn"`
	// outstanding: given, and neither redeemed nor over.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Outstanding int64 `json:"outstanding"`
	// redeemed: people whose message was about to be handed over. Each counts as
	// contacted.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Redeemed int64 `json:"redeemed"`
	// sent: of those, reported as sent.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Sent int64 `json:"sent"`
	// failed: of those, reported as not sent.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Failed int64 `json:"failed"`
	// bounced: reported as come back.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Bounced int64 `json:"bounced"`
	// unreported: of those redeemed, the ones of which the sender has said nothing
	// yet. Nobody knows what became of their messages.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Unreported int64 `json:"unreported"`
	// refused counts customers by the reasons that they were refused for, the most
	// frequent first; whoever was refused for two reasons counts under both, and
	// once under each.
	// +optional
	// +listType=map
	// +listMapKey=code
	// +kubebuilder:validation:MaxItems=16
	Refused []RefusalCount `json:"refused,omitempty"`
	// perMinute is how many were redeemed in each of the last minutes.
	// +optional
	// +kubebuilder:validation:Minimum=0
	PerMinute int64 `json:"perMinute"`
	// endsAt is when all who are allowed now will have been contacted at this
	// pace. Unset: unknown, or nobody is left.
	// +optional
	EndsAt *metav1.Time `json:"endsAt,omitempty"`
}

// RefusalCount counts refusals for one reason.
type RefusalCount struct {
	// code of the reason.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Code string `json:"code"`
	// customers who were refused for it.
	// +required
	// +kubebuilder:validation:Minimum=0
	Customers int64 `json:"customers"`
}

// Release records that a generation was let run.
type Release struct {
	// generation of the Campaign that was released.
	// +required
	Generation int64 `json:"generation"`
	// run is the digest of what was released: of the spec without hold and
	// onWithdrawal. A spec with the same run is not released a second time.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=71
	Run string `json:"run"`
	// at is when.
	// +required
	At metav1.Time `json:"at"`
	// stoppedAt is when it was stopped again. Unset: it was not.
	// +optional
	StoppedAt *metav1.Time `json:"stoppedAt,omitempty"`
}

// Counts are numbers of people.
type Counts struct {
	// targeted: in the audience.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Targeted int64 `json:"targeted"`
	// allowed: may be contacted now.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Allowed int64 `json:"allowed"`
	// held: not now, but later without anyone's doing.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Held int64 `json:"held"`
	// denied: may not be contacted.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Denied int64 `json:"denied"`
	// heldOut: kept un-contacted by the campaign's own holdout; not in denied.
	// +optional
	// +kubebuilder:validation:Minimum=0
	HeldOut int64 `json:"heldOut"`
}
