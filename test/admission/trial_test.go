package admission_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	consentv1 "github.com/codb-dev/codb/api/v1alpha1"
)

// who tries something. Users with the group system:masters have every right
// that RBAC can give, so that only admission can refuse them.
type who struct {
	name   string
	groups []string
}

func master(name string) who { return who{name, []string{"system:masters"}} }

var (
	root           = master("root")
	operator       = who{name: consentv1.OperatorUsername} // has to do with its own rights
	jobController  = master("system:serviceaccount:kube-system:job-controller")
	cronController = master("system:serviceaccount:kube-system:cronjob-controller")
	collector      = master("system:serviceaccount:kube-system:generic-garbage-collector")
	cleaner        = master("system:serviceaccount:kube-system:namespace-controller")
	replicas       = master("system:serviceaccount:kube-system:replicaset-controller")
	scheduler      = master("system:kube-scheduler")
	customer       = who{"codb:customer:c-1", []string{"codb:customers"}}
	platform       = who{name: "pat"}  // bound to codb-platform-admin, and may edit namespaces
	editor         = who{name: "ed"}   // may edit namespaces and delete consents, by rights that codb did not give
	eraser         = who{name: "erin"} // bound to codb-eraser in codb-customers
	importer       = who{name: "ivo"}  // bound to codb-importer in codb-customers
	service        = who{name: "sam"}  // bound to codb-customer-service
	marketer       = who{name: "mo"}   // bound to codb-marketer in one namespace
	auditor        = who{name: "ada"}  // bound to codb-auditor
)

func (w who) client(t testing.TB) client.Client { return env.As(t, w.name, w.groups...) }

// trial is one attempt. Everything is tried in dry runs, so that trials don't
// disturb each other.
type trial struct {
	as   who
	try  attempt
	by   string // the policy that refuses, without campaign- and .consent.codb.dev; "": accepted
	want string // what it says
}

// attempt does something in a dry run.
type attempt func(t *testing.T, c client.Client) error

func create(obj client.Object) attempt {
	return func(t *testing.T, c client.Client) error {
		return c.Create(t.Context(), obj.DeepCopyObject().(client.Object), client.DryRunAll)
	}
}

// patch merges JSON, in which ' stands for ".
func patch(obj client.Object, json string) attempt {
	body := []byte(strings.ReplaceAll(json, "'", `"`))
	return func(t *testing.T, c client.Client) error {
		return c.Patch(t.Context(), obj.DeepCopyObject().(client.Object), client.RawPatch(types.MergePatchType, body), client.DryRunAll)
	}
}

func patchSub(sub string, obj client.Object, json string) attempt {
	body := []byte(strings.ReplaceAll(json, "'", `"`))
	return func(t *testing.T, c client.Client) error {
		return c.SubResource(sub).Patch(t.Context(), obj.DeepCopyObject().(client.Object), client.RawPatch(types.MergePatchType, body), client.DryRunAll)
	}
}

func remove(obj client.Object) attempt {
	return func(t *testing.T, c client.Client) error {
		return c.Delete(t.Context(), obj.DeepCopyObject().(client.Object), client.DryRunAll)
	}
}

func (tr trial) run(t *testing.T) {
	err := tr.try(t, tr.as.client(t))
	if tr.by == "" {
		if err != nil {
			t.Errorf("refused to %s: %v", tr.as.name, err)
		}
		return
	}
	if err == nil {
		t.Fatalf("accepted from %s, want campaign-%s to say %q", tr.as.name, tr.by, tr.want)
	}
	refusals = append(refusals, err.Error())
	policy := "ValidatingAdmissionPolicy 'campaign-" + tr.by + ".consent.codb.dev'"
	if !strings.Contains(err.Error(), policy) || !strings.Contains(err.Error(), tr.want) {
		t.Errorf("refused with\n  %v\nwant %s to say %q", err, policy, tr.want)
	}
}

// refusals are what the policies said.
var refusals []string

func runTrials(t *testing.T, trials map[string]trial) {
	for name, tr := range trials {
		t.Run(name, tr.run)
	}
}

func applyConfiguration(object map[string]any) runtime.ApplyConfiguration {
	return client.ApplyConfigurationFromUnstructured(&unstructured.Unstructured{Object: object})
}
