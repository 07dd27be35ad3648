package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Campaign is what a marketer wants to do: for which brand and purpose, over
// which channel, to whom, and with which workload. codb holds the workload
// until the customers' consents and the policies allow it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=camp,categories=codb
// +kubebuilder:selectablefield:JSONPath=`.spec.brand`
// +kubebuilder:selectablefield:JSONPath=`.status.verdict`
// +kubebuilder:printcolumn:name="Verdict",type=string,JSONPath=`.status.verdict`
// +kubebuilder:printcolumn:name="Allowed",type=integer,JSONPath=`.status.counts.allowed`
// +kubebuilder:printcolumn:name="Of",type=integer,JSONPath=`.status.counts.targeted`
// +kubebuilder:printcolumn:name="Workload",type=string,JSONPath=`.status.workload`
// +kubebuilder:printcolumn:name="Why",type=string,JSONPath=`.status.why`
// +kubebuilder:printcolumn:name="Priority",type=integer,priority=1,JSONPath=`.spec.priority`
// +kubebuilder:printcolumn:name="Drawn",type=integer,priority=1,JSONPath=`.status.permits.drawn`
// +kubebuilder:printcolumn:name="Sent",type=integer,priority=1,JSONPath=`.status.permits.sent`
// +kubebuilder:printcolumn:name="Failed",type=integer,priority=1,JSONPath=`.status.permits.failed`
// +kubebuilder:printcolumn:name="Per-Minute",type=integer,priority=1,JSONPath=`.status.permits.perMinute`
// +kubebuilder:printcolumn:name="Ends",type=string,priority=1,JSONPath=`.status.permits.endsAt`
// +kubebuilder:printcolumn:name="Brand",type=string,priority=1,JSONPath=`.spec.brand`
// +kubebuilder:printcolumn:name="Channel",type=string,priority=1,JSONPath=`.spec.channel`
// +kubebuilder:printcolumn:name="Owner",type=string,priority=1,JSONPath=`.spec.owner`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?$')",message="a campaign's name has at most 52 of a-z, 0-9 and -: its CronJob needs 11 more for the Jobs"
type Campaign struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the marketer wants.
	// +required
	Spec CampaignSpec `json:"spec"`

	// status is what codb decided.
	// +optional
	Status CampaignStatus `json:"status,omitempty"`
}

// CampaignList is a list of Campaigns.
// +kubebuilder:object:root=true
type CampaignList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Campaign `json:"items"`
}

// CampaignSpec is what a marketer wants to do.
// +kubebuilder:validation:XValidation:rule="!has(self.audience.selector) || self.depth == 'Profiling'",messageExpression="'depth is ' + self.depth + ', but an audience by selector picks people by what is known of them: it needs depth Profiling; or use audience.everyone'",fieldPath=".depth"
// +kubebuilder:validation:XValidation:rule="!has(self.workload) || !has(self.workload.cronJob) || (has(self.schedule) && has(self.schedule.cron))",message="workload.cronJob needs schedule.cron, for example 0 9 * * 1 for Mondays at nine",fieldPath=".workload.cronJob"
// +kubebuilder:validation:XValidation:rule="!has(self.schedule) || !has(self.schedule.cron) || (has(self.workload) && has(self.workload.cronJob))",messageExpression="'cron ' + self.schedule.cron + ' is for workload.cronJob: set that, or leave cron out; a CronJob of your own keeps its own schedule'",fieldPath=".schedule.cron"
// +kubebuilder:validation:XValidation:rule="!has(self.offer) || !has(self.offer.expires) || !has(self.schedule) || !has(self.schedule.notBefore) || self.offer.expires > self.schedule.notBefore",messageExpression="'the offer is void at %s, before the campaign may begin (schedule.notBefore %s): move one of them'.format([self.offer.expires, self.schedule.notBefore])",fieldPath=".offer.expires"
// +kubebuilder:validation:XValidation:rule="has(self.workload) == has(oldSelf.workload)",message="workload can't be added or taken away later: make a new Campaign",fieldPath=".workload"
// +kubebuilder:validation:XValidation:rule="(has(self.recipients) ? self.recipients : 'OwnList') == (has(oldSelf.recipients) ? oldSelf.recipients : 'OwnList')",message="recipients can't be changed later, for a run that has begun would go on the other way: make a new Campaign",fieldPath=".recipients"
// +kubebuilder:validation:XValidation:rule="!has(self.pace) || (has(self.recipients) && self.recipients == 'Permits')",message="pace is for campaigns that draw permits: set recipients: Permits, or leave pace out; codb can't slow down a workload with a list of its own",fieldPath=".pace"
// +kubebuilder:validation:XValidation:rule="!has(self.priority) || (has(self.recipients) && self.recipients == 'Permits')",message="priority is for campaigns that draw permits: set recipients: Permits, or leave priority out; a workload with a list of its own gets its places when it is released",fieldPath=".priority"
// +kubebuilder:validation:XValidation:rule="self.brand == oldSelf.brand",messageExpression="'brand can\\'t be changed from ' + oldSelf.brand + ' to ' + self.brand + ': make a new Campaign'",fieldPath=".brand"
type CampaignSpec struct {
	// brand is the Brand that the campaign acts for. It must list the campaign's
	// namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule=`self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')`,message=`write a Brand's name: lower-case letters, digits and -, for example acme`
	Brand string `json:"brand"`

	// purpose is what the contact is for, for example Marketing. The Brand must
	// declare it; otherwise the campaign is blocked.
	// +required
	Purpose Purpose `json:"purpose"`

	// channel is the medium of the contact.
	// +required
	Channel Channel `json:"channel"`

	// topic is the subject, for example Garden. Unset: the campaign has none,
	// and grants for certain topics don't cover it.
	// +optional
	Topic Topic `json:"topic,omitempty"`

	// depth is how far the campaign uses the relationship, each step including
	// those before it: Basic (what the customer asked for), Analytics (counts
	// over many people), Tracking (what one person did), Profiling (picking
	// people by what is known of them). Who agreed to less is denied. Unset:
	// Basic.
	// +optional
	// +kubebuilder:default=Basic
	Depth Depth `json:"depth,omitempty"`

	// owner is the person or team who answers for the campaign.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule=`self.matches('^[A-Za-z0-9][A-Za-z0-9._-]*$')`,message=`write a team or a role without spaces: letters, digits, '.', '_' and -, for example garden-team`
	Owner string `json:"owner"`

	// audience is who is meant: everyone who has a record, or a selection.
	// +required
	Audience Audience `json:"audience"`

	// offer is what the campaign offers.
	// +optional
	Offer *Offer `json:"offer,omitempty"`

	// holdout keeps a stable, random share of the audience un-contacted.
	// +optional
	Holdout *Holdout `json:"holdout,omitempty"`

	// schedule bounds the campaign in time. Unset: now, without an end.
	// +optional
	Schedule *Schedule `json:"schedule,omitempty"`

	// workload is what sends. Unset: Jobs and CronJobs of the same namespace
	// that carry the label consent.codb.dev/campaign with this name.
	// +optional
	Workload *Workload `json:"workload,omitempty"`

	// recipients says where the workload has the people from whom it contacts.
	// OwnList: it brings a list of its own, so that it runs only while everyone in
	// the audience is allowed. Permits: it holds no list, but draws a permit for
	// each person from codb's gate, and redeems it just before the contact; then it
	// runs for those who are allowed, while the policies' thresholds are met. Unset:
	// OwnList. It can't be changed later.
	// +optional
	Recipients Recipients `json:"recipients,omitempty"`

	// pace bounds how fast permits are given. Unset: as fast as the senders are.
	// +optional
	Pace *Pace `json:"pace,omitempty"`

	// priority says who goes first where campaigns compete: when another campaign
	// may contact somebody too, and a cap has room for only one of both, the one
	// with the higher number gets the place, and the other is held for that person
	// (YieldsToPriority) while the first one runs and may contact them within a
	// quarter of an hour. It decides when permits are drawn; it may be changed at any
	// time. Of equals, who draws first goes first. Unset: 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	Priority int32 `json:"priority,omitempty"`

	// onWithdrawal says what happens to running pods when the verdict turns:
	// Suspend stops them, Finish lets them end. An opt-out, a withdrawal or an
	// objection stops them in both cases; where permits are drawn it takes away
	// that person's permit instead, and nobody else's. Unset: Suspend.
	// +optional
	// +kubebuilder:default=Suspend
	// +kubebuilder:validation:Enum=Suspend;Finish
	OnWithdrawal string `json:"onWithdrawal,omitempty"`

	// hold, when set, stops the campaign at once.
	// +optional
	Hold *HoldRequest `json:"hold,omitempty"`
}

// Recipients says where a workload has its people from.
// +kubebuilder:validation:Enum=OwnList;Permits
type Recipients string

const (
	// RecipientsOwnList: the workload brings a list of its own.
	RecipientsOwnList Recipients = "OwnList"
	// RecipientsPermits: it draws a permit for each person.
	RecipientsPermits Recipients = "Permits"
)

// DrawsPermits says whether the campaign's workload holds no list of its own.
func (s *CampaignSpec) DrawsPermits() bool { return s.Recipients == RecipientsPermits }

// Pace bounds how fast a campaign contacts people.
type Pace struct {
	// perMinute is how many people are contacted in a minute at most; permits that
	// are out count.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	PerMinute int32 `json:"perMinute"`
}

const (
	OnWithdrawalSuspend = "Suspend"
	OnWithdrawalFinish  = "Finish"
)

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

// Offer is what a campaign offers.
type Offer struct {
	// title in the words that the customer will read.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Title string `json:"title"`
	// expires is the first instant at which the offer is void. Unset: never.
	// +optional
	Expires *metav1.Time `json:"expires,omitempty"`
}

// Holdout keeps people un-contacted, to measure what a campaign does.
type Holdout struct {
	// percent of the audience that is not contacted, 1 to 90. Who is in it is
	// fixed for the life of the campaign.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=90
	Percent Percent `json:"percent"`
}

// Schedule bounds a campaign in time: [notBefore, notAfter).
// +kubebuilder:validation:XValidation:rule="!has(self.notBefore) || !has(self.notAfter) || self.notAfter > self.notBefore",messageExpression="'%s is not later than notBefore, %s: the campaign could never run'.format([self.notAfter, self.notBefore])",fieldPath=".notAfter"
// +kubebuilder:validation:XValidation:rule="!has(self.timeZone) || has(self.cron)",messageExpression="'timeZone ' + self.timeZone + ' is for cron alone: set cron too, or leave timeZone out; notBefore and notAfter carry their own offset'",fieldPath=".timeZone"
type Schedule struct {
	// notBefore is the first instant at which the campaign may run. Unset: now.
	// +optional
	NotBefore *metav1.Time `json:"notBefore,omitempty"`
	// notAfter is the first instant at which it may no longer run. Unset: never.
	// +optional
	NotAfter *metav1.Time `json:"notAfter,omitempty"`
	// cron is when workload.cronJob runs, in the five fields of cron.
	// +optional
	// +kubebuilder:validation:MinLength=9
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule=`self.matches('^[0-9A-Za-z*/,?-]+( [0-9A-Za-z*/,?-]+){4}$')`,message=`write five fields with single spaces: minute, hour, day of month, month, day of week, for example 0 9 * * 1`
	Cron string `json:"cron,omitempty"`
	// timeZone of cron. Unset: UTC.
	// +optional
	TimeZone TimeZone `json:"timeZone,omitempty"`
}

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
	// refused counts refusals by their reasons, the most frequent first; whoever
	// was refused for two reasons counts under both.
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
