package config_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/codb-dev/codb/config"
)

// TestKustomizeListsEveryManifest keeps kubectl apply -k and codb install to
// the same files.
func TestKustomizeListsEveryManifest(t *testing.T) {
	for _, part := range append(slices.Clone(config.Installation), config.Samples) {
		raw, err := os.ReadFile(filepath.Join(string(part), "kustomization.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var k struct{ Resources []string }
		if err := yaml.Unmarshal(raw, &k); err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, pattern := range []string{"*.yaml", "*/*.yaml"} {
			found, err := filepath.Glob(filepath.Join(string(part), pattern))
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range found {
				if rel, _ := filepath.Rel(string(part), path); filepath.Base(rel) != "kustomization.yaml" {
					want = append(want, rel)
				}
			}
		}
		slices.Sort(k.Resources)
		slices.Sort(want)
		if diff := cmp.Diff(want, k.Resources); diff != "" {
			t.Errorf("config/%s/kustomization.yaml (-files +listed):\n%s", part, diff)
		}
	}
}

// typed decodes strictly: a misspelt field of a manifest is an error.
func typed[T any](t *testing.T, kind string) map[string]*T {
	t.Helper()
	found := map[string]*T{}
	for _, u := range objects(t, config.Values{}, config.Gate, config.Manager, config.Consents) {
		if u.GetKind() != kind {
			continue
		}
		into := new(T)
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(u.Object, into, true); err != nil {
			t.Fatalf("%s %s: %v", kind, u.GetName(), err)
		}
		found[u.GetName()] = into
	}
	return found
}

func podTemplates(t *testing.T) map[string]corev1.PodTemplateSpec {
	t.Helper()
	all := map[string]corev1.PodTemplateSpec{}
	for name, d := range typed[appsv1.Deployment](t, "Deployment") {
		all[name] = d.Spec.Template
	}
	for name, s := range typed[appsv1.StatefulSet](t, "StatefulSet") {
		all[name] = s.Spec.Template
	}
	return all
}

// TestPodsAreConfined goes beyond what the namespace's restricted level demands.
func TestPodsAreConfined(t *testing.T) {
	templates := podTemplates(t)
	if len(templates) != 3 {
		t.Fatalf("got %d workloads, want the operator, the gate and the door", len(templates))
	}
	classes := typed[schedulingv1.PriorityClass](t, "PriorityClass")
	for name, pod := range templates {
		s, c := pod.Spec, pod.Spec.Containers[0]
		faults := map[string]bool{
			"may run as root":            s.SecurityContext.RunAsNonRoot == nil || !*s.SecurityContext.RunAsNonRoot || *s.SecurityContext.RunAsUser != 65532,
			"has no seccomp profile":     s.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault,
			"may gain privileges":        *c.SecurityContext.AllowPrivilegeEscalation,
			"may write to its root":      !*c.SecurityContext.ReadOnlyRootFilesystem,
			"keeps capabilities":         !slices.Equal(c.SecurityContext.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(c.SecurityContext.Capabilities.Add) > 0,
			"shares the host":            s.HostNetwork || s.HostPID || s.HostIPC,
			"has more than one program":  len(s.Containers) != 1 || len(s.InitContainers) != 0,
			"has an account of default":  s.ServiceAccountName != name,
			"has no priority":            classes[s.PriorityClassName] == nil,
			"lacks a probe":              c.StartupProbe == nil || c.ReadinessProbe == nil || c.LivenessProbe == nil,
			"restarts for others' sake":  c.LivenessProbe.HTTPGet.Path != "/livez",
			"has no bound on its memory": c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Memory().IsZero(),
			"may be throttled":           !c.Resources.Limits.Cpu().IsZero(),
			"pulls for nothing":          c.ImagePullPolicy != corev1.PullIfNotPresent,
		}
		for fault, found := range faults {
			if found {
				t.Errorf("%s %s", name, fault)
			}
		}
	}
}

func TestOneOperatorMayGo(t *testing.T) {
	d := typed[appsv1.Deployment](t, "Deployment")["codb-operator"]
	pdb := typed[policyv1.PodDisruptionBudget](t, "PodDisruptionBudget")["codb-operator"]
	if *d.Spec.Replicas != 2 || pdb.Spec.MinAvailable.IntValue() != 1 {
		t.Errorf("%d replicas of which %s stay, want 2 and 1", *d.Spec.Replicas, pdb.Spec.MinAvailable)
	}
	if diff := cmp.Diff(d.Spec.Selector, pdb.Spec.Selector); diff != "" {
		t.Errorf("the budget is about other pods: %s", diff)
	}
	if n := len(d.Spec.Template.Spec.TopologySpreadConstraints); n != 2 {
		t.Errorf("%d topology spread constraints, want zones and nodes", n)
	}
}

// TestLedgerOutlivesItsPod: an emptyDir would forget every cap.
func TestLedgerOutlivesItsPod(t *testing.T) {
	s := typed[appsv1.StatefulSet](t, "StatefulSet")["codb-gate"]
	if len(s.Spec.VolumeClaimTemplates) != 1 || s.Spec.Template.Spec.Containers[0].VolumeMounts[0].Name != s.Spec.VolumeClaimTemplates[0].Name {
		t.Error("the ledger is not on a claimed volume")
	}
	if *s.Spec.Replicas != 1 {
		t.Errorf("%d gates want one file, want 1", *s.Spec.Replicas)
	}
	if r := s.Spec.PersistentVolumeClaimRetentionPolicy; r == nil || r.WhenDeleted != appsv1.RetainPersistentVolumeClaimRetentionPolicyType {
		t.Error("the ledger goes with its StatefulSet")
	}
}

// TestNetworkPolicies is about what they say: it takes a network that enforces
// them to see them at work, and a simple bridge is none.
func TestNetworkPolicies(t *testing.T) {
	policies := typed[networkingv1.NetworkPolicy](t, "NetworkPolicy")
	deny := policies["default-deny"]
	if deny == nil || len(deny.Spec.PodSelector.MatchLabels) != 0 || len(deny.Spec.PolicyTypes) != 2 || len(deny.Spec.Ingress)+len(deny.Spec.Egress) != 0 {
		t.Error("nothing denies what is not allowed")
	}
	for name, pod := range podTemplates(t) {
		p := policies[name]
		if p == nil {
			t.Errorf("%s may speak with nobody", name)
			continue
		}
		if !labels.SelectorFromSet(p.Spec.PodSelector.MatchLabels).Matches(labels.Set(pod.Labels)) {
			t.Errorf("policy %s is about other pods", name)
		}
		listens := map[int32]bool{}
		for _, port := range pod.Spec.Containers[0].Ports {
			listens[port.ContainerPort] = true
		}
		for _, rule := range p.Spec.Ingress {
			for _, port := range rule.Ports {
				if !listens[port.Port.IntVal] {
					t.Errorf("policy %s opens port %s, where nobody listens", name, port.Port)
				}
			}
		}
		for _, rule := range p.Spec.Egress {
			if len(rule.Ports) == 0 {
				t.Errorf("policy %s opens every port outwards", name)
			}
		}
	}
}

// TestSecretsByNameOnly: codb reads and writes the two Secrets that came with
// it, and can't make, list or watch any.
func TestSecretsByNameOnly(t *testing.T) {
	var secrets []string
	for _, u := range objects(t, config.Values{}, config.Gate, config.Manager, config.Consents) {
		if u.GetKind() == "Secret" {
			secrets = append(secrets, u.GetName())
		}
	}
	for _, u := range objects(t, config.Values{}, append(slices.Clone(config.Installation), config.Consents)...) {
		if kind := u.GetKind(); kind != "Role" && kind != "ClusterRole" {
			continue
		}
		var role rbacv1.ClusterRole
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &role); err != nil {
			t.Fatal(err)
		}
		for _, rule := range role.Rules {
			core := slices.Contains(rule.APIGroups, "") || slices.Contains(rule.APIGroups, "*")
			if !core || !slices.Contains(rule.Resources, "secrets") && !slices.Contains(rule.Resources, "*") {
				continue
			}
			if len(rule.ResourceNames) != 1 || !slices.Contains(secrets, rule.ResourceNames[0]) || strings.Join(rule.Verbs, " ") != "get update" || u.GetKind() != "Role" {
				t.Errorf("%s %s may %v %v of Secrets", u.GetKind(), u.GetName(), rule.Verbs, rule.ResourceNames)
			}
		}
	}
}
