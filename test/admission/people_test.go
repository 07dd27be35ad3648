package admission_test

import (
	"context"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	consentv1 "github.com/codb-dev/codb/api/v1alpha1"
)

// marketing is the namespace of the marketer.
const marketing = "acme-marketing"

var people sync.Once

// bindPeople gives the people of the trials their roles, once.
func bindPeople(t *testing.T) {
	t.Helper()
	people.Do(func() {
		namespaces := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "test-namespaces"}, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"namespaces", "namespaces/status", "namespaces/finalize"}, Verbs: []string{"*"}},
		}}
		consents := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "test-consents"}, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{consentv1.Group}, Resources: []string{"customerconsents"}, Verbs: []string{"get", "list", "delete", "deletecollection"}},
		}}
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: marketing, Labels: map[string]string{consentv1.LabelEnforce: consentv1.EnforceTrue}}}
		store(t, root, namespaces, consents, ns,
			bind("", "test-namespaces", editor), bind("", "test-consents", editor), bind("", "test-namespaces", platform), bind("", "codb-platform-admin", platform),
			bind("", "codb-auditor", auditor), bind("", "codb-reader", marketer), bind(marketing, "codb-marketer", marketer),
			bind(consentv1.CustomersNamespace, "codb-customer-service", service), bind(consentv1.CustomersNamespace, "codb-eraser", eraser),
			bind(consentv1.CustomersNamespace, "codb-importer", importer))
		// Roles and the rules that they collect come into force a moment later.
		await(t, func(context.Context) bool {
			return allowed(t, platform, "exempt", "campaignpolicies", "") && allowed(t, eraser, "erase", "customerconsents", consentv1.CustomersNamespace) &&
				allowed(t, marketer, "create", "campaigns", marketing) && allowed(t, auditor, "list", "campaigndecisions", "") &&
				allowed(t, service, "update", "customerconsents", consentv1.CustomersNamespace) && allowed(t, editor, "delete", "customerconsents", "")
		})
	})
}

func bind(ns, role string, w who) client.Object {
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}
	to := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: w.name}}
	name := metav1.ObjectMeta{Namespace: ns, Name: w.name + "-" + role}
	if ns == "" {
		return &rbacv1.ClusterRoleBinding{ObjectMeta: name, RoleRef: ref, Subjects: to}
	}
	return &rbacv1.RoleBinding{ObjectMeta: name, RoleRef: ref, Subjects: to}
}
