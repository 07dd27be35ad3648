package v1alpha1

// Condition types. All are positive: True is good.
const (
	// ConditionReady is the sum: codb has seen the latest generation, decided,
	// and the cluster is as it decided. kubectl wait and kstatus read it.
	ConditionReady = "Ready"
	// ConditionPermitted on a Campaign is the answer: True while its workload
	// may run. Unknown means that the question could not be asked; nothing is
	// released meanwhile.
	ConditionPermitted = "Permitted"
	// ConditionEnforced on a Campaign is the fact: True while every workload of
	// it is as the answer demands.
	ConditionEnforced = "Enforced"
)

// Reasons of conditions that are no reason codes of a verdict. A person reads
// them in kubectl describe.
const (
	// ReasonReady: nothing to do.
	ReasonReady = "Ready"
	// ReasonWaiting: codb is starting or waits for something; look again.
	ReasonWaiting = "Waiting"
	// ReasonTestsFailed: cases of the policy fail; status.failures names them.
	// The last good revision stays in force.
	ReasonTestsFailed = "TestsFailed"
	// ReasonNotCompiled: the Rego does not compile or breaks a limit; the message
	// has line, column and remedy.
	ReasonNotCompiled = "NotCompiled"
	// ReasonStalled: codb failed several times in the same way; the message says
	// how. It tries again when the object changes.
	ReasonStalled = "Stalled"
	// ReasonEnginesDiffer: OPA answers a rule otherwise than codb's own engine and
	// alone from now on; report it.
	ReasonEnginesDiffer = "EnginesDiffer"
	// ReasonNamespaceMissing: a namespace of the Brand does not exist; create it
	// or take it off the list.
	ReasonNamespaceMissing = "NamespaceMissing"
	// ReasonNamespaceReserved: a Brand lists a namespace that codb or its
	// customers live in; take it off the list.
	ReasonNamespaceReserved = "NamespaceReserved"
	// ReasonReleased: the workload may run.
	ReasonReleased = "Released"
	// ReasonSuspended: the workload is kept from running.
	ReasonSuspended = "Suspended"
	// ReasonFinishing: the verdict turned, and pods that already run may finish.
	ReasonFinishing = "Finishing"
	// ReasonNoWorkload: there is no workload to hold or release yet.
	ReasonNoWorkload = "NoWorkload"
	// ReasonEngineFailed: the policies could not be evaluated; the message says
	// why. Nothing is released.
	ReasonEngineFailed = "EngineFailed"
	// ReasonGateUnreachable: the contact ledger can't be read; caps are unknown,
	// so nothing is released.
	ReasonGateUnreachable = "GateUnreachable"
	// ReasonConsentsUnreachable: the database that keeps customers' consents can't
	// be read; nobody knows who withdrew, so nothing is released.
	ReasonConsentsUnreachable = "ConsentsUnreachable"
	// ReasonConsentsRestored: contacts were decided on later consents than there
	// are: etcd or the database was restored from a backup, without raising its
	// revision. Who withdrew since is not known, so nothing is released.
	ReasonConsentsRestored = "ConsentsRestored"
	// ReasonNotAdmitted: codb's admission policies are not in force yet; nothing
	// is released.
	ReasonNotAdmitted = "NotAdmitted"
)

// Codes that codb itself gives, besides those of the policy library. They are
// part of the API; policies/README.md lists the library's.
const (
	// CodeNoPolicy: no policy matches the campaign. Ask the platform team.
	CodeNoPolicy = "NoPolicy"
	// CodePolicyNotReady: a policy that matches has no revision in force.
	CodePolicyNotReady = "PolicyNotReady"
	// CodeBrandUnknown: there is no such Brand.
	CodeBrandUnknown = "BrandUnknown"
	// CodeBrandNotBound: the Brand does not list the campaign's namespace.
	CodeBrandNotBound = "BrandNotBound"
	// CodePurposeNotDeclared: the Brand does not declare the purpose.
	CodePurposeNotDeclared = "PurposeNotDeclared"
	// CodeDepthNotAgreed: the Brand accepts no agreement of that depth.
	CodeDepthNotAgreed = "DepthNotAgreed"
	// CodeEmptyAudience: nobody is in the audience.
	CodeEmptyAudience = "EmptyAudience"
	// CodeThresholdMissed: too few are allowed or too many denied.
	CodeThresholdMissed = "ThresholdMissed"
	// CodeHoldRequested: a person stopped the campaign or the brand.
	CodeHoldRequested = "HoldRequested"
	// CodeNotBefore: the schedule has not begun.
	CodeNotBefore = "NotBefore"
	// CodeNotAfter: the schedule is over.
	CodeNotAfter = "NotAfter"
	// CodeOfferExpired: the offer is void.
	CodeOfferExpired = "OfferExpired"
	// CodeNeedsPermits: some are not allowed, so a workload with its own list
	// may not run; one that draws permits would run for the others.
	CodeNeedsPermits = "NeedsPermits"
	// CodeAlreadyReleased: this generation ran and was stopped; running it again
	// would contact people twice. Change the Campaign to run it anew.
	CodeAlreadyReleased = "AlreadyReleased"
	// CodeWorkloadUnsafe: a labelled workload is not one that codb can hold.
	CodeWorkloadUnsafe = "WorkloadUnsafe"
	// CodeCampaignUnknown: a review asked about a campaign that does not exist.
	CodeCampaignUnknown = "CampaignUnknown"
	// CodeNoConsent: a review asked about a customer who has no record.
	CodeNoConsent = "NoConsent"
	// CodeNotTargeted: a review asked about a customer outside the audience.
	CodeNotTargeted = "NotTargeted"
	// CodeHeldOut: the campaign's holdout keeps the customer un-contacted.
	CodeHeldOut = "HeldOut"
	// CodeEvaluationFailed: the policy gave no complete answer for the customer;
	// that denies.
	CodeEvaluationFailed = "EvaluationFailed"
	// CodeYieldsToPriority: a campaign of higher priority gets the place that a
	// cap leaves.
	CodeYieldsToPriority = "YieldsToPriority"
	// CodePodGone: a permit was taken back, for the pod that held it has ended.
	CodePodGone = "PodGone"
	// CodeOther sums up reasons beyond the 64 most frequent ones.
	CodeOther = "Other"
)
