package admission_test

import (
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"

	consentv1 "github.com/codb-dev/codb/api/v1alpha1"
)

// allowed asks the apiserver whether somebody has a right. A resource is
// written group/resource, or resource alone for codb's group.
func allowed(t *testing.T, w who, verb, resource, ns string) bool {
	t.Helper()
	group := consentv1.Group
	if g, r, ok := strings.Cut(resource, ":"); ok {
		group, resource = g, r
	}
	resource, sub, _ := strings.Cut(resource, "/")
	groups := env.ConfigAs(w.name, w.groups...).Impersonate.Groups
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: w.name, Groups: groups,
		ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: verb, Group: group, Resource: resource, Subresource: sub, Namespace: ns},
	}}
	if err := env.Client.Create(t.Context(), review); err != nil {
		t.Fatal(err)
	}
	return review.Status.Allowed
}

func TestRoles(t *testing.T) {
	bindPeople(t)
	gate := who{name: "system:serviceaccount:codb-system:codb-gate"}
	const customers, system = consentv1.CustomersNamespace, consentv1.SystemNamespace
	for _, c := range []struct {
		as       who
		verb     string
		resource string // of codb's group, or group:resource
		ns       string
		want     bool
	}{
		{operator, "watch", "campaigns", "", true},
		{operator, "patch", "campaigns/status", marketing, true},
		{operator, "patch", "campaigns", marketing, false},
		{operator, "update", "brands", "", false},
		{operator, "update", "campaignpolicies", "", false},
		{operator, "list", "customerconsents", customers, true},
		{operator, "delete", "customerconsents", customers, false},
		{operator, "erase", "customerconsents", customers, false},
		{operator, "exempt", "campaignpolicies", "", false},
		{operator, "create", "campaigndecisions", marketing, true},
		{operator, "update", "campaigndecisions", marketing, false},
		{operator, "patch", "batch:jobs", marketing, true},
		{operator, "patch", "kueue.x-k8s.io:workloads", marketing, true},
		{operator, "create", "kueue.x-k8s.io:workloads", marketing, false},
		{operator, "create", ":pods", marketing, false},
		{operator, "create", ":pods/exec", marketing, false},
		{operator, "get", ":secrets", system, false},
		{operator, "create", "apps:controllerrevisions", system, true},
		{operator, "create", "apps:controllerrevisions", marketing, false},
		{operator, "update", "coordination.k8s.io:leases", system, true},
		{operator, "create", ":serviceaccounts/token", "kube-system", false},
		{operator, "list", "contacts", customers, true},
		{gate, "create", "authentication.k8s.io:tokenreviews", "", true},
		{gate, "create", "authorization.k8s.io:subjectaccessreviews", "", true},
		{gate, "create", ":configmaps", system, true},
		{gate, "create", ":configmaps", marketing, false},
		{gate, "list", "customerconsents", customers, true},
		{gate, "patch", "customerconsents", customers, false}, // but the fence
		{gate, "update", "customerconsents/status", customers, false},
		{gate, "delete", "customerconsents", customers, false},
		{gate, "get", "campaigns", marketing, true},
		{gate, "list", "campaigns", marketing, true}, // who goes first
		{gate, "patch", "campaigns/status", marketing, false},
		{gate, "watch", "campaignpolicies", "", true},
		{gate, "get", ":pods", marketing, true},
		{gate, "delete", ":pods", marketing, false},
		{gate, "get", "batch:jobs", marketing, true},
		{gate, "get", ":secrets", marketing, false},
		{gate, "patch", "batch:jobs", marketing, false},

		{platform, "update", "brands", "", true},
		{platform, "create", "campaignpolicies", "", true},
		{platform, "list", "campaigndecisions", "", true},
		{platform, "get", "customerconsents", customers, false},
		{platform, "create", "campaigndecisions", marketing, false},

		{marketer, "create", "campaigns", marketing, true},
		{marketer, "create", "campaigns", "globex-marketing", false},
		{marketer, "patch", "campaigns/status", marketing, false},
		{marketer, "list", "campaigndecisions", marketing, true},
		{marketer, "create", "campaigndecisions", marketing, false},
		{marketer, "get", "brands", "", true},
		{marketer, "update", "brands", "", false},
		{marketer, "update", "campaignpolicies", "", false},
		{marketer, "patch", "batch:jobs", marketing, false},
		{marketer, "get", "batch:jobs", marketing, true},
		{marketer, "list", "customerconsents", customers, false},
		{marketer, "create", "consentreviews", customers, false},

		{auditor, "list", "campaigndecisions", "", true},
		{auditor, "create", "consentreviews", customers, true},
		{auditor, "list", "admissionregistration.k8s.io:validatingadmissionpolicies", "", true},
		{auditor, "update", "campaigns", marketing, false},
		{auditor, "list", "customerconsents", customers, false},

		{service, "patch", "customerconsents", customers, true},
		{service, "patch", "customerconsents/status", customers, false},
		{service, "delete", "customerconsents", customers, false},
		{service, "list", "campaigns", marketing, false},

		{importer, "create", "contacts", customers, true},
		{importer, "patch", "customerconsents", customers, true},
		{importer, "delete", "customerconsents", customers, false},
		{marketer, "list", "contacts", customers, false},

		{customer, "patch", "customerconsents", customers, true},
		{customer, "get", "customerconsents", customers, false},
		{customer, "create", "consentreviews", customers, false},
	} {
		if got := allowed(t, c.as, c.verb, c.resource, c.ns); got != c.want {
			t.Errorf("%s may %s %s in %q: %t, want %t", c.as.name, c.verb, c.resource, c.ns, got, c.want)
		}
	}
}
