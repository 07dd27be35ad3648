package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// CampaignPolicy is a rule book for campaigns: library rules by name, Rego of
// one's own, and test cases that must pass before it counts. All policies that
// match a campaign apply; Deny beats Hold beats Allow. A campaign that no
// policy matches is blocked.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=campol,categories=codb
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="Tests",type=string,JSONPath=`.status.tests`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=='Ready')].status`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=='Ready')].message`
// +kubebuilder:printcolumn:name="Digest",type=string,priority=1,JSONPath=`.status.inForce.digest`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$')",message="a policy's name has at most 63 of a-z, 0-9 and -"
// +kubebuilder:validation:XValidation:rule="self.metadata.name != 'floor'",message="the name floor is taken by codb's built-in floor; choose another"
type CampaignPolicy struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the rule book.
	// +required
	Spec CampaignPolicySpec `json:"spec"`

	// status is what is in force, and what is wrong with what is not.
	// +optional
	Status CampaignPolicyStatus `json:"status,omitempty"`
}

// CampaignPolicyList is a list of CampaignPolicies.
// +kubebuilder:object:root=true
type CampaignPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []CampaignPolicy `json:"items"`
}

// PolicyMode says whether a policy decides or only watches.
// +kubebuilder:validation:Enum=Enforce;Audit
type PolicyMode string

const (
	// ModeEnforce lets the policy's denials and holds count.
	ModeEnforce PolicyMode = "Enforce"
	// ModeAudit counts them in decisions without any effect.
	ModeAudit PolicyMode = "Audit"
)

// CampaignPolicySpec is a rule book.
// +kubebuilder:validation:XValidation:rule="has(self.rego) || (has(self.rules) && size(self.rules) > 0)",message="a policy needs rules or rego: without either it would allow everything",fieldPath=".rules"
type CampaignPolicySpec struct {
	// mode says whether the policy decides or only watches. Unset: Enforce.
	// +optional
	// +kubebuilder:default=Enforce
	Mode PolicyMode `json:"mode,omitempty"`

	// match says which campaigns the policy is about: each list that is set must
	// contain the campaign's value. Unset: all campaigns.
	// +optional
	Match *PolicyMatch `json:"match,omitempty"`

	// rules are taken from codb's library by name, each with its parameters.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Rules []RuleUse `json:"rules,omitempty"`

	// rego is a Rego v1 module of package codb.policy with rules "deny contains
	// reason", "hold contains reason" and "wake contains instant".
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=65536
	Rego string `json:"rego,omitempty"`

	// tests are cases that must pass before this revision counts.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=128
	Tests []PolicyTest `json:"tests,omitempty"`

	// thresholds that a campaign must meet to run for those who are allowed.
	// +optional
	Thresholds *Thresholds `json:"thresholds,omitempty"`
}

// PolicyMatch selects campaigns; every list that is set must contain the
// campaign's value.
type PolicyMatch struct {
	// brands, by name. Unset: any.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:XValidation:rule=`self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')`,message=`write a Brand's name: lower-case letters, digits and -, for example acme`
	Brands []string `json:"brands,omitempty"`
	// purposes of the campaign, for example Marketing. Unset: any.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Purposes []Purpose `json:"purposes,omitempty"`
	// classes of the purpose, as the Brand declares it. Unset: any.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	Classes []PurposeClass `json:"classes,omitempty"`
	// channels of the campaign. Unset: any.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Channels []Channel `json:"channels,omitempty"`
	// namespaces in which the campaign lives. Unset: any.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:XValidation:rule=`self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')`,message=`write a namespace's name: lower-case letters, digits and -`
	Namespaces []string `json:"namespaces,omitempty"`
}

// RuleUse is one use of a library rule.
type RuleUse struct {
	// name tells this use from the policy's others; reasons carry it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule=`self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')`,message=`write lower-case letters, digits and -, for example quiet-hours`
	Name string `json:"name"`

	// rule is the library rule. Unset: the rule called name.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule=`self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')`,message=`write lower-case letters, digits and -, for example quiet-hours`
	Rule string `json:"rule,omitempty"`

	// with are the rule's parameters, as its schema says. Unset: its defaults.
	// +optional
	// +kubebuilder:validation:Type=object
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:pruning:PreserveUnknownFields
	With *runtime.RawExtension `json:"with,omitempty"`
}

// PolicyTest is one case: a campaign, a customer, and what must come out.
type PolicyTest struct {
	// name says in words what the case shows.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=120
	Name string `json:"name"`

	// now is the instant of the case. Unset: 2026-06-15T10:00:00Z, a Monday.
	// +optional
	Now *metav1.Time `json:"now,omitempty"`

	// campaign holds fields of a Campaign's spec. What is unset is filled in:
	// brand acme, purpose Marketing (class Marketing), channel Email, depth
	// Basic.
	// +optional
	// +kubebuilder:validation:Type=object
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:pruning:PreserveUnknownFields
	Campaign *runtime.RawExtension `json:"campaign,omitempty"`

	// customer holds fields of a CustomerConsent's spec.
	// +required
	// +kubebuilder:validation:Type=object
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:pruning:PreserveUnknownFields
	Customer runtime.RawExtension `json:"customer"`

	// contacts are what the ledger says of the past.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Contacts []TestContact `json:"contacts,omitempty"`

	// expect is what must come out.
	// +required
	Expect TestExpectation `json:"expect"`
}

// TestContact is a contact of the past in a test case.
type TestContact struct {
	// at is when it happened.
	// +required
	At metav1.Time `json:"at"`
	// event is what happened. Unset: Sent.
	// +optional
	// +kubebuilder:validation:Enum=Sent;HardBounce;Complaint;Unsubscribe;Purchase;Inquiry
	Event string `json:"event,omitempty"`
	// brand that made it. Unset: the campaign's.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Brand string `json:"brand,omitempty"`
	// class of its purpose. Unset: Marketing.
	// +optional
	Class PurposeClass `json:"class,omitempty"`
	// channel of it. Unset: the campaign's.
	// +optional
	Channel Channel `json:"channel,omitempty"`
}

// TestExpectation is what a case must come out as.
// +kubebuilder:validation:XValidation:rule="self.verdict != 'Allow' || !has(self.reasons) || size(self.reasons) == 0",messageExpression="'an Allow has no reasons, but ' + self.reasons[0] + ' is expected: take the reasons away, or expect Hold or Deny'",fieldPath=".reasons"
// +kubebuilder:validation:XValidation:rule="!has(self.until) || self.verdict == 'Hold'",messageExpression="'only a Hold ends, but the verdict expected is ' + self.verdict + ': take until away, or expect Hold'",fieldPath=".until"
type TestExpectation struct {
	// verdict of this policy alone, without the floor.
	// +required
	Verdict Verdict `json:"verdict"`
	// reasons are exactly the codes that come out, in any order. Unset: not
	// looked at.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=63
	Reasons []string `json:"reasons,omitempty"`
	// until is when a Hold ends. Unset: not looked at.
	// +optional
	Until *metav1.Time `json:"until,omitempty"`
}

// Thresholds admit a campaign that not everyone in its audience allows.
type Thresholds struct {
	// minAllowed is the least number of people who must be allowed. Unset: 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000000
	MinAllowed *int64 `json:"minAllowed,omitempty"`
	// maxDeniedPercent is the greatest share of the audience that may be denied.
	// Unset: any.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	MaxDeniedPercent *Percent `json:"maxDeniedPercent,omitempty"`
}

// CampaignPolicyStatus says what is in force.
type CampaignPolicyStatus struct {
	// observedGeneration is the generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// tests is passed/all of the latest revision, for example 35/35.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	Tests string `json:"tests,omitempty"`

	// inForce is the revision that campaigns are judged by. Unset: none, and
	// every campaign that the policy matches is blocked.
	// +optional
	InForce *PolicyRevision `json:"inForce,omitempty"`

	// engines say by what each rule of the revision in force is evaluated. The
	// answers are the same; a native rule takes a thousandth of the time.
	// +optional
	// +listType=map
	// +listMapKey=rule
	// +kubebuilder:validation:MaxItems=65
	Engines []RuleEngine `json:"engines,omitempty"`

	// failures are the cases that did not pass, at most 16.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=512
	Failures []string `json:"failures,omitempty"`

	// conditions: Ready is True while the latest revision is in force.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// RuleEngine says by what a rule is evaluated.
type RuleEngine struct {
	// rule is the name of its use; rego, for the policy's own Rego.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Rule string `json:"rule"`
	// engine is Native, compiled for codb's columns; Plan, OPA's plan of the rule
	// compiled in a worker process; or OPA, its interpreter there.
	// +required
	Engine EngineName `json:"engine"`
	// why it is not Native: where, over which construct, and what to write
	// instead.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Why string `json:"why,omitempty"`
}

// EngineName is what evaluates a rule.
// +kubebuilder:validation:Enum=Native;Plan;OPA
type EngineName string

const (
	EngineNative EngineName = "Native"
	EnginePlan   EngineName = "Plan"
	EngineOPA    EngineName = "OPA"
)

// PolicyRevision names one revision of a policy.
type PolicyRevision struct {
	// generation of the policy.
	// +required
	Generation int64 `json:"generation"`
	// digest of everything that its answers depend on, sha256:<hex>.
	// +required
	// +kubebuilder:validation:MaxLength=71
	Digest string `json:"digest"`
	// controllerRevision keeps its text, in codb's own namespace.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ControllerRevision string `json:"controllerRevision,omitempty"`
}

// Verdict is the answer for one customer.
// +kubebuilder:validation:Enum=Allow;Hold;Deny
type Verdict string

const (
	VerdictDeny  Verdict = "Deny"
	VerdictHold  Verdict = "Hold"
	VerdictAllow Verdict = "Allow"
)
