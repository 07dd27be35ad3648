package v1alpha1

// Names that codb reserves in the cluster. Every label, annotation and field
// owner is listed here and nowhere else.
const (
	// LabelEnforce on a Namespace says that codb's admission policies apply
	// inside. codb sets it on the namespaces that a Brand lists; taking it off
	// needs the custom verb "exempt" on campaignpolicies.
	LabelEnforce = Group + "/enforce"
	// EnforceTrue is the only value of LabelEnforce.
	EnforceTrue = "true"

	// LabelCampaign on a Job, CronJob or Pod names the Campaign of the same
	// namespace that it works for. It can't be changed once set.
	LabelCampaign = Group + "/campaign"

	// LabelRecipients on a Job or CronJob that people made repeats its Campaign's
	// spec.recipients. With Permits, codb puts codb-run in front of its sender.
	LabelRecipients = Group + "/recipients"

	// LabelPolicy on a ControllerRevision names the CampaignPolicy whose text it
	// keeps.
	LabelPolicy = Group + "/policy"

	// LabelClass tells a reserved object from a person's or team's own one.
	LabelClass = Group + "/class"
	// ClassFence marks the object whose writes show that a cache is current.
	ClassFence = "Fence"
	// FenceName is the name of the fence among the CustomerConsents.
	FenceName = "codb-fence"
	// AnnotationFence holds the fence's latest token.
	AnnotationFence = Group + "/fence"

	// AnnotationDecision on a released workload names the CampaignDecision that
	// released it.
	AnnotationDecision = Group + "/decision"
	// AnnotationPolicyDigest on a released workload is the digest of the
	// policies that released it.
	AnnotationPolicyDigest = Group + "/policy-digest"
	// AnnotationConsentRevision on a released workload is the revision of the
	// consents that the release was decided on.
	AnnotationConsentRevision = Group + "/consent-revision"
	// AnnotationGeneration on a workload that codb made is the generation of the
	// Campaign it was made from.
	AnnotationGeneration = Group + "/campaign-generation"
	// AnnotationRun on a workload that codb made is the digest of the spec it
	// was made from; one of an older spec is replaced.
	AnnotationRun = Group + "/run"
	// AnnotationStopped on a workload that codb stopped says why. A Job that
	// carries it may have contacted people, so it is never released again.
	AnnotationStopped = Group + "/stopped"

	// QueueGate is codb's name among those in Kueue's annotation
	// kueue.x-k8s.io/admission-gated-by: while it is there, Kueue does not start
	// the Job.
	QueueGate = Group + "/codb"
	// AnnotationStart on a released Job of a Kueue queue is the Job's own
	// metadata.generation, at which alone Kueue may start it. Each start and
	// each stop changes the generation, so that one release is one start.
	AnnotationStart = Group + "/start"

	// FieldOwner is codb's name in managedFields.
	FieldOwner = "codb-operator"

	// CustomersNamespace is where CustomerConsents and ConsentReviews live
	// unless the installation says otherwise.
	CustomersNamespace = "codb-customers"
	// SystemNamespace is where codb itself runs.
	SystemNamespace = "codb-system"
	// OperatorServiceAccount is the only identity that may release workloads.
	OperatorServiceAccount = "codb-operator"
	// OperatorUsername is OperatorServiceAccount as the apiserver sees it.
	OperatorUsername = "system:serviceaccount:" + SystemNamespace + ":" + OperatorServiceAccount
	// CustomerUsernamePrefix precedes the principal id in the username of a
	// customer's own identity.
	CustomerUsernamePrefix = "codb:customer:"

	// VerbExempt on campaignpolicies allows taking a namespace out of scope.
	VerbExempt = "exempt"
	// VerbReport on brands allows telling the gate what customers did elsewhere.
	VerbReport = "report"
	// VerbErase on customerconsents allows deleting a consent.
	VerbErase = "erase"
)
