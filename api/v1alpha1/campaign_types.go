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
// +kubebuilder:printcolumn:name="Held",type=integer,priority=1,JSONPath=`.status.counts.held`
// +kubebuilder:printcolumn:name="Denied",type=integer,priority=1,JSONPath=`.status.counts.denied`
// +kubebuilder:printcolumn:name="Drawn",type=integer,priority=1,JSONPath=`.status.permits.drawn`
// +kubebuilder:printcolumn:name="Contacted",type=integer,priority=1,JSONPath=`.status.permits.redeemed`
// +kubebuilder:printcolumn:name="Sent",type=integer,priority=1,JSONPath=`.status.permits.sent`
// +kubebuilder:printcolumn:name="Failed",type=integer,priority=1,JSONPath=`.status.permits.failed`
// +kubebuilder:printcolumn:name="Top-Refusal",type=string,priority=1,JSONPath=`.status.permits.refused[0].code`
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
