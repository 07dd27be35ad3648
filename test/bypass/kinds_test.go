package bypass_test

// decision says what became of a resource that the apiserver serves.
type decision int

const (
	undecided decision = iota
	// refused: a namespace's administrator can't make it where consent is
	// enforced.
	refused
	// gated: it is made, suspended, and codb alone releases it.
	gated
	// harmless: whatever is written to it, no pod comes of it.
	harmless
	// codbs: it is of codb's own kinds, which have tests of their own.
	codbs
)

// kinds decides about every namespaced resource, by group and name. A resource
// of a new Kubernetes that is missing here fails the suite: decide about it,
// and where pods can come of it, give it a body in bodies.
var kinds = map[string]decision{
	"/bindings":               refused,
	"/configmaps":             harmless,
	"/endpoints":              harmless,
	"/events":                 harmless,
	"/limitranges":            harmless,
	"/persistentvolumeclaims": harmless,
	"/pods":                   refused,
	"/podtemplates":           harmless, // nothing makes pods of them
	"/replicationcontrollers": refused,
	"/resourcequotas":         harmless,
	"/secrets":                harmless,
	"/serviceaccounts":        harmless,
	"/services":               harmless,

	"apps/controllerrevisions": harmless, // a history, for controllers that are refused
	"apps/daemonsets":          refused,
	"apps/deployments":         refused,
	"apps/replicasets":         refused,
	"apps/statefulsets":        refused,
	"batch/cronjobs":           gated,
	"batch/jobs":               gated,

	"authorization.k8s.io/localsubjectaccessreviews": harmless,
	"autoscaling/horizontalpodautoscalers":           harmless, // Jobs have no scale
	"certificates.k8s.io/podcertificaterequests":     harmless, // for a pod that is there
	"coordination.k8s.io/leases":                     harmless,
	"discovery.k8s.io/endpointslices":                harmless,
	"events.k8s.io/events":                           harmless,
	"networking.k8s.io/ingresses":                    harmless,
	"networking.k8s.io/networkpolicies":              harmless,
	"policy/poddisruptionbudgets":                    harmless,
	"rbac.authorization.k8s.io/rolebindings":         harmless, // admission asks who, not what they may
	"rbac.authorization.k8s.io/roles":                harmless,
	"resource.k8s.io/resourceclaims":                 harmless,
	"resource.k8s.io/resourceclaimtemplates":         harmless,
	"storage.k8s.io/csistoragecapacities":            harmless,

	"consent.codb.dev/campaigndecisions": codbs,
	"consent.codb.dev/campaigns":         codbs,
	"consent.codb.dev/consentreviews":    codbs,
	"consent.codb.dev/customerconsents":  codbs,
}

// subresources decides about everything below an object, by name. A name that
// is missing here fails the suite.
var subresources = map[string]decision{
	"approval":            harmless, // of certificates
	"attach":              refused,
	"binding":             refused,
	"ephemeralcontainers": refused,
	"eviction":            harmless, // ends a pod
	"exec":                refused,
	"finalize":            harmless, // of namespaces, which campaign-namespaces guards
	"log":                 harmless,
	"portforward":         refused,
	"proxy":               refused,
	"resize":              refused,
	"scale":               harmless, // tried on what was there before enforcement
	"status":              harmless, // tried on what was there before enforcement
	"token":               harmless, // of accounts that campaign pods don't use
}
