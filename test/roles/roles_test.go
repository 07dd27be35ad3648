// Package roles_test asks a real apiserver what each role of codb may do, and
// keeps docs/roles.md, which says it to people, true.
package roles_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/test/apiserver"
)

var (
	env    *apiserver.Env
	update = flag.Bool("update", false, "write docs/roles.md")
)

func TestMain(m *testing.M) {
	os.Exit(apiserver.Run(m, apiserver.Options{Admission: true, Controllers: true}, func(e *apiserver.Env) { env = e }))
}

const (
	own    = "acme-marketing" // the marketer's namespace
	others = "globex-marketing"
)

// role is a column of the table, and somebody who has it.
type role struct {
	name   string
	groups []string
	bound  []client.Object
}

func (r role) client(t *testing.T) client.Client { return env.As(t, r.name, r.groups...) }

var roles = []role{
	{name: "platform-admin", bound: bindings("platform-admin", "", "codb-platform-admin")},
	{name: "marketer", bound: append(bindings("marketer", own, "codb-marketer"), bindings("marketer", "", "codb-reader")...)},
	{name: "auditor", bound: bindings("auditor", "", "codb-auditor")},
	{name: "customer-service", bound: bindings("customer-service", v1alpha1.CustomersNamespace, "codb-customer-service")},
	{name: "eraser", bound: bindings("eraser", v1alpha1.CustomersNamespace, "codb-eraser")},
	{name: "codb:customer:c-1", groups: []string{"codb:customers"}},
	{name: "nobody"},
}

func bindings(user, ns, clusterRole string) []client.Object {
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: clusterRole}
	to := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}}
	name := metav1.ObjectMeta{Namespace: ns, Name: user + "-" + clusterRole}
	if ns == "" {
		return []client.Object{&rbacv1.ClusterRoleBinding{ObjectMeta: name, RoleRef: ref, Subjects: to}}
	}
	return []client.Object{&rbacv1.RoleBinding{ObjectMeta: name, RoleRef: ref, Subjects: to}}
}

// words stand for verbs in the table.
var words = map[string][]string{
	"read":   {"get", "list", "watch"},
	"get":    {"get"},
	"make":   {"create"},
	"change": {"update", "patch"},
	"delete": {"delete"},
	"exempt": {v1alpha1.VerbExempt},
	"erase":  {v1alpha1.VerbErase},
	"-":      {},
}

var verbs = []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", v1alpha1.VerbExempt, v1alpha1.VerbErase, v1alpha1.VerbReport}

// right is a row of the table: what each role may do, in the order of roles.
type right struct {
	group, resource, ns string
	cells               [7]string
}

// table is the whole of it. What is not here, nobody has from codb.
//
//	platform-admin, marketer, auditor, customer-service, eraser, customer, nobody
var table = []right{
	{v1alpha1.Group, "brands", "", [7]string{"read make change delete", "read", "read", "-", "-", "-", "-"}},
	{v1alpha1.Group, "campaignpolicies", "", [7]string{"read make change delete exempt", "read", "read", "-", "-", "-", "-"}},
	{v1alpha1.Group, "campaigns", own, [7]string{"read", "read make change delete", "read", "-", "-", "-", "-"}},
	{v1alpha1.Group, "campaigns", others, [7]string{"read", "-", "read", "-", "-", "-", "-"}},
	{v1alpha1.Group, "campaigns/status", own, [7]string{"-", "-", "-", "-", "-", "-", "-"}},
	{v1alpha1.Group, "campaigndecisions", own, [7]string{"read", "read", "read", "-", "-", "-", "-"}},
	{v1alpha1.Group, "customerconsents", v1alpha1.CustomersNamespace, [7]string{"-", "-", "-", "read make change", "get delete erase", "make change", "-"}},
	{v1alpha1.Group, "consentreviews", v1alpha1.CustomersNamespace, [7]string{"-", "-", "read make delete", "read make delete", "-", "-", "-"}},
	{v1alpha1.Group, "contacts", v1alpha1.CustomersNamespace, [7]string{"-", "-", "-", "-", "-", "-", "-"}},
	{"batch", "jobs", own, [7]string{"read", "read", "read", "-", "-", "-", "-"}},
	{"batch", "cronjobs", own, [7]string{"read", "read", "read", "-", "-", "-", "-"}},
	{"", "pods", own, [7]string{"read", "read", "read", "-", "-", "-", "-"}},
	{"", "pods/log", own, [7]string{"read", "read", "read", "-", "-", "-", "-"}},
	{"", "pods/exec", own, [7]string{"-", "-", "-", "-", "-", "-", "-"}},
	{"", "events", own, [7]string{"read", "read", "read", "-", "-", "-", "-"}},
	{"", "secrets", own, [7]string{"-", "-", "-", "-", "-", "-", "-"}},
	{"", "namespaces", "", [7]string{"-", "-", "read", "-", "-", "-", "-"}},
	{"", "serviceaccounts/token", v1alpha1.SystemNamespace, [7]string{"-", "-", "-", "-", "-", "-", "-"}},
	{"apps", "controllerrevisions", v1alpha1.SystemNamespace, [7]string{"-", "-", "read", "-", "-", "-", "-"}},
	{"admissionregistration.k8s.io", "validatingadmissionpolicies", "", [7]string{"-", "-", "read", "-", "-", "-", "-"}},
	{"rbac.authorization.k8s.io", "rolebindings", own, [7]string{"-", "-", "-", "-", "-", "-", "-"}},
}

func may(t *testing.T, r role, verb string, row right) bool {
	t.Helper()
	resource, sub, _ := strings.Cut(row.resource, "/")
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: r.name, Groups: append([]string{"system:authenticated"}, r.groups...),
		ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: verb, Group: row.group, Resource: resource, Subresource: sub, Namespace: row.ns},
	}}
	if err := env.Client.Create(t.Context(), review); err != nil {
		t.Fatal(err)
	}
	return review.Status.Allowed
}

func expected(t *testing.T, cell string) []string {
	t.Helper()
	var out []string
	for _, word := range strings.Fields(cell) {
		v, ok := words[word]
		if !ok {
			t.Fatalf("%q is no word of the table", word)
		}
		out = append(out, v...)
	}
	slices.Sort(out)
	return out
}

func people(t *testing.T) {
	t.Helper()
	for _, ns := range []string{own, others} {
		labels := map[string]string{v1alpha1.LabelEnforce: v1alpha1.EnforceTrue}
		if err := env.Client.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns, Labels: labels}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range roles {
		for _, b := range r.bound {
			if err := env.Client.Create(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// settled waits until roles have what they collect.
func settled(t *testing.T) {
	t.Helper()
	await(t, func() string {
		for i, r := range roles {
			for _, row := range table {
				for _, verb := range expected(t, row.cells[i]) {
					if !may(t, r, verb, row) {
						return fmt.Sprintf("%s may not %s %s in %q", r.name, verb, row.resource, row.ns)
					}
				}
			}
		}
		return ""
	})
}

// await asks until nothing is missing.
func await(t *testing.T, missing func() string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		what := missing()
		if what == "" {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(what)
		}
	}
}

func TestRoles(t *testing.T) {
	people(t)
	settled(t)
	for i, r := range roles {
		t.Run(strings.ReplaceAll(r.name, ":", "-"), func(t *testing.T) {
			for _, row := range table {
				var got []string
				for _, verb := range verbs {
					if may(t, r, verb, row) {
						got = append(got, verb)
					}
				}
				slices.Sort(got)
				if diff := cmp.Diff(expected(t, row.cells[i]), got); diff != "" {
					t.Errorf("%s in %q (-want +got):\n%s", row.resource, row.ns, diff)
				}
			}
		})
	}
	t.Run("CustomVerbs", customVerbs)
}

// customVerbs tries what RBAC alone can't say, and admission asks about.
func customVerbs(t *testing.T) {
	by := func(name string) client.Client {
		i := slices.IndexFunc(roles, func(r role) bool { return r.name == name })
		return roles[i].client(t)
	}
	ctx := t.Context()
	mine := &v1alpha1.CustomerConsent{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.CustomersNamespace, Name: "c-1"}}
	other := &v1alpha1.CustomerConsent{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.CustomersNamespace, Name: "c-2"}}
	if err := by("codb:customer:c-1").Create(ctx, mine); err != nil {
		t.Errorf("a customer's own consent: %v", err)
	}
	if err := by("codb:customer:c-1").Create(ctx, other.DeepCopy()); err == nil || !strings.Contains(err.Error(), "only the consent of their own id") {
		t.Errorf("another customer's consent: %v", err)
	}
	if err := by("customer-service").Create(ctx, other); err != nil {
		t.Errorf("customer service: %v", err)
	}
	if err := by("eraser").Delete(ctx, other); err != nil {
		t.Errorf("an eraser: %v", err)
	}
	// Deleting is a right that others may have from elsewhere; erasing is not.
	plain := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "test-delete"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{v1alpha1.Group}, Resources: []string{"customerconsents"}, Verbs: []string{"delete"}},
		{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: []string{"patch", "get"}},
	}}
	for _, o := range append([]client.Object{plain}, append(bindings("nobody", "", plain.Name), bindings("platform-admin", "", plain.Name)...)...) {
		if err := env.Client.Create(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	row := right{"", "namespaces", "", [7]string{}}
	await(t, func() string {
		if !may(t, roles[6], "patch", row) || !may(t, roles[0], "patch", row) {
			return "the right to patch namespaces did not come into force"
		}
		return ""
	})
	if err := by("nobody").Delete(ctx, mine); err == nil || !strings.Contains(err.Error(), "needs the verb erase") {
		t.Errorf("deleting without erase: %v", err)
	}
	leave := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"`+v1alpha1.LabelEnforce+`":null}}}`))
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: own}}
	if err := by("nobody").Patch(ctx, ns.DeepCopy(), leave, client.DryRunAll); err == nil || !strings.Contains(err.Error(), "needs the verb exempt") {
		t.Errorf("leaving enforcement without exempt: %v", err)
	}
	if err := by("platform-admin").Patch(ctx, ns.DeepCopy(), leave, client.DryRunAll); err != nil {
		t.Errorf("leaving enforcement with exempt: %v", err)
	}
}
