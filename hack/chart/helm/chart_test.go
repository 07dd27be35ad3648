// Package helm holds a test only: what the chart renders is what kustomize
// builds. It is a module of its own, because Helm is large and nothing that runs
// needs it.
package helm

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

const config = "../../../config"

// mutating is the API without which campaign Jobs are refused instead of
// suspended.
const mutating = "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"

func TestChartRendersWhatKustomizeBuilds(t *testing.T) {
	for overlay, is := range map[string]struct {
		values map[string]any
		apis   []string
	}{
		"default":      {nil, []string{mutating}},
		"before-1.36":  {nil, nil},
		"kueue":        {map[string]any{"kueue": map[string]any{"user": "system:serviceaccount:kueue-system:kueue-controller-manager"}}, []string{mutating}},
		"postgres":     {map[string]any{"postgres": map[string]any{"ledger": "codb-ledger"}}, []string{mutating}},
		"postgres/all": {map[string]any{"postgres": map[string]any{"ledger": "codb-ledger", "consents": "codb-consents"}}, []string{mutating}},
	} {
		t.Run(overlay, func(t *testing.T) {
			chart := rendered(t, is.values, is.apis...)
			for id, o := range chart {
				annotations := o.GetAnnotations()
				delete(annotations, "helm.sh/resource-policy")
				if len(annotations) == 0 {
					annotations = nil
				}
				o.SetAnnotations(annotations)
				chart[id] = o
			}
			if diff := cmp.Diff(built(t, overlay), chart); diff != "" {
				t.Errorf("config/%s and the chart differ (-kustomize +helm):\n%s", overlay, diff)
			}
		})
	}
}

// TestUninstallKeepsWhatPeopleDeclared: helm uninstall must not delete consents,
// nor let go of what holds campaigns.
func TestUninstallKeepsWhatPeopleDeclared(t *testing.T) {
	for id, o := range rendered(t, nil, mutating) {
		keep := false
		switch o.GetKind() {
		case "CustomResourceDefinition", "Namespace", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
			"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding", "PodTemplate":
			keep = true
		}
		if kept := o.GetAnnotations()["helm.sh/resource-policy"] == "keep"; kept != keep {
			t.Errorf("%s is kept: %t, want %t", id, kept, keep)
		}
	}
}

func TestValues(t *testing.T) {
	all := rendered(t, map[string]any{
		"baseline": false, "networkPolicies": false,
		"image":    map[string]any{"reference": "registry.example/codb@sha256:1"},
		"operator": map[string]any{"replicas": 3},
		"gate":     map[string]any{"volume": map[string]any{"storageClassName": "fast"}},
	}, mutating)
	for id := range all {
		if strings.HasPrefix(id, "NetworkPolicy") || strings.Contains(id, "baseline") {
			t.Errorf("%s is there all the same", id)
		}
	}
	field := func(id string, path ...string) any {
		v, _, err := unstructured.NestedFieldNoCopy(all[id].Object, path...)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if n := field("Deployment codb-system/codb-operator", "spec", "replicas"); n != int64(3) {
		t.Errorf("%v replicas, want 3", n)
	}
	containers, _ := field("Deployment codb-system/codb-operator", "spec", "template", "spec", "containers").([]any)
	operator, _ := containers[0].(map[string]any)
	if operator["image"] != "registry.example/codb@sha256:1" {
		t.Errorf("image %v", operator["image"])
	}
	if args, _ := operator["args"].([]any); slices.Contains(args, any("--baseline")) {
		t.Error("the baseline policy is made all the same")
	}
	claims, _ := field("StatefulSet codb-system/codb-gate", "spec", "volumeClaimTemplates").([]any)
	if class, _, _ := unstructured.NestedString(claims[0].(map[string]any), "spec", "storageClassName"); class != "fast" {
		t.Errorf("storage class %q, want fast", class)
	}
}

// TestConsentsAloneInPostgreSQL leaves the ledger on its volume.
func TestConsentsAloneInPostgreSQL(t *testing.T) {
	chart := rendered(t, map[string]any{"postgres": map[string]any{"consents": "people"}}, mutating)
	gate := chart["StatefulSet codb-system/codb-gate"]
	claims, _, _ := unstructured.NestedSlice(gate.Object, "spec", "volumeClaimTemplates")
	replicas, _, _ := unstructured.NestedInt64(gate.Object, "spec", "replicas")
	volumes, _, _ := unstructured.NestedSlice(gate.Object, "spec", "template", "spec", "volumes")
	containers, _, _ := unstructured.NestedSlice(gate.Object, "spec", "template", "spec", "containers")
	mounts, _, _ := unstructured.NestedSlice(containers[0].(map[string]any), "volumeMounts")
	if len(claims) != 1 || replicas != 1 || len(volumes) != 1 || len(mounts) != 2 {
		t.Errorf("%d gates with the claims %v, volumes %v, mounts %v", replicas, claims, volumes, mounts)
	}
}

func TestMisspeltValuesAreRefused(t *testing.T) {
	chart, err := loader.Load(filepath.Join(config, "helm", "codb"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = util.ToRenderValues(chart, map[string]any{"operator": map[string]any{"replica": 3}}, common.ReleaseOptions{Name: "codb"}, nil)
	if err == nil || !strings.Contains(err.Error(), "replica") {
		t.Errorf("got %v, want an error that names replica", err)
	}
}

// rendered is what helm install would apply, by kind, namespace and name.
func rendered(t *testing.T, values map[string]any, apis ...string) map[string]*unstructured.Unstructured {
	t.Helper()
	chart, err := loader.Load(filepath.Join(config, "helm", "codb"))
	if err != nil {
		t.Fatal(err)
	}
	can := common.DefaultCapabilities.Copy()
	can.APIVersions = append(slices.Clone(common.VersionSet{"v1"}), apis...)
	merged, err := util.ToRenderValues(chart, values, common.ReleaseOptions{Name: "codb", Namespace: "codb-system", IsInstall: true}, can)
	if err != nil {
		t.Fatal(err)
	}
	files, err := engine.Render(chart, merged)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*unstructured.Unstructured{}
	for name, text := range files {
		for id, o := range parse(t, name, []byte(text)) {
			all[id] = o
		}
	}
	return all
}

// built is what kubectl apply -k would apply.
func built(t *testing.T, overlay string) map[string]*unstructured.Unstructured {
	t.Helper()
	kubectl := filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl")
	out, err := exec.Command(kubectl, "kustomize", filepath.Join(config, overlay)).Output()
	if err != nil {
		t.Fatalf("kubectl kustomize config/%s: %v; set KUBEBUILDER_ASSETS=$(hack/assets.sh)", overlay, err)
	}
	return parse(t, overlay, out)
}

func parse(t *testing.T, name string, text []byte) map[string]*unstructured.Unstructured {
	t.Helper()
	all := map[string]*unstructured.Unstructured{}
	for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096); ; {
		u := &unstructured.Unstructured{}
		if err := decoder.Decode(u); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(u.Object) == 0 {
			continue
		}
		id := u.GetKind() + " " + u.GetNamespace() + "/" + u.GetName()
		if all[id] != nil {
			t.Fatalf("%s: %s is there twice", name, id)
		}
		all[id] = u
	}
}
