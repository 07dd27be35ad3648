package bypass_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// resource is one entry of discovery.
type resource struct {
	metav1.APIResource
	at  schema.GroupVersionResource
	sub string
}

func (r resource) key() string { return r.at.Group + "/" + r.at.Resource }

func served(t *testing.T) []resource {
	t.Helper()
	d, err := discovery.NewDiscoveryClientForConfig(env.Config)
	if err != nil {
		t.Fatal(err)
	}
	_, lists, err := d.ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	var all []resource
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list.APIResources {
			name, sub, _ := strings.Cut(r.Name, "/")
			all = append(all, resource{r, gv.WithResource(name), sub})
		}
	}
	return all
}

// discovered tries every verb on everything that the apiserver serves, as the
// administrator of an enforced namespace, and shows by a twin of that
// namespace, which is not enforced, that the attempts would have made pods.
func (w *world) discovered(t *testing.T, state string) {
	all := served(t)
	t.Run("EveryKindIsDecidedAbout", func(t *testing.T) { everyKindIsDecidedAbout(t, all) })
	t.Run("NoRightInTheCluster", func(t *testing.T) { noRightInTheCluster(t, all) })
	gatedNS, twin := "gated-"+state, "twin-"+state
	for _, ns := range []string{gatedNS, twin} {
		store(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, bind(ns, "admin", admin))
	}
	for _, ns := range []string{gatedNS, twin} {
		before(t, ns)
	}
	label := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: gatedNS}}
	if err := patch(label, "{'metadata':{'labels':{'consent.codb.dev/enforce':'true'}}}")(t, env.Client); err != nil {
		t.Fatal(err)
	}
	await(t, "enforcement", func(ctx context.Context) string {
		if err := env.Client.Create(ctx, &corev1.Pod{ObjectMeta: meta(gatedNS, "x"), Spec: podSpec()}, client.DryRunAll); err != nil {
			return ""
		}
		return "a Pod is accepted"
	})
	cfg := admin.config()
	cfg.WarningHandler = rest.NoWarnings{} // one patch is for all kinds
	c, err := dynamic.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if !r.Namespaced || kinds[r.key()] == codbs {
			continue
		}
		for _, verb := range r.Verbs {
			tryVerb(t, c, r, verb, twin, false)
			if err := tryVerb(t, c, r, verb, gatedNS, true); verb == "create" && r.sub == "" {
				judge(t, r, err)
			}
		}
	}
	await(t, "pods of every kind in the namespace that is not enforced", func(ctx context.Context) string {
		missing := maps.Clone(makers)
		for _, p := range pods(t, twin) {
			delete(missing, maker(p))
		}
		return strings.Join(slices.Sorted(maps.Keys(missing)), " ")
	})
	onlyWhatWasReleased(t, gatedNS)
}

// everyKindIsDecidedAbout compares the decisions with what is served, and with
// what the schemas say can hold a pod's spec.
func everyKindIsDecidedAbout(t *testing.T, all []resource) {
	holds := holdsPods(t)
	there := map[string]bool{}
	for _, r := range all {
		if r.sub != "" {
			if subresources[r.sub] == undecided {
				t.Errorf("decide about it: %s %s in %s", r.Name, r.Kind, r.at.GroupVersion())
			}
			continue
		}
		if !r.Namespaced {
			continue
		}
		there[r.key()] = true
		switch decided := kinds[r.key()]; {
		case decided == undecided:
			t.Errorf("decide about it: %s in %s", r.Kind, r.at.GroupVersion())
		case decided == harmless && r.Kind != "PodTemplate" && holds[r.at.GroupVersion().WithKind(r.Kind)]:
			t.Errorf("%s holds the spec of a pod, and is said to be harmless", r.Kind)
		case (decided == refused || decided == gated) && bodies[r.at.Resource] == nil:
			t.Errorf("%s is %d and has no body to try", r.Kind, decided)
		}
	}
	for key := range kinds {
		if !there[key] {
			t.Errorf("%s is decided about and not served", key)
		}
	}
	if len(holds) < 9 {
		t.Errorf("only %d kinds hold pods: the schemas were misread", len(holds))
	}
}

// holdsPods reads from the OpenAPI documents which kinds reach a PodSpec.
func holdsPods(t *testing.T) map[schema.GroupVersionKind]bool {
	t.Helper()
	clients, err := kubernetes.NewForConfig(env.Config)
	if err != nil {
		t.Fatal(err)
	}
	paths, err := clients.Discovery().OpenAPIV3().Paths()
	if err != nil {
		t.Fatal(err)
	}
	found := map[schema.GroupVersionKind]bool{}
	for path, doc := range paths {
		if !strings.HasPrefix(path, "api") {
			continue
		}
		raw, err := doc.Schema("application/json")
		if err != nil {
			t.Fatal(err)
		}
		var openapi struct {
			Components struct{ Schemas map[string]json.RawMessage }
		}
		if err := json.Unmarshal(raw, &openapi); err != nil {
			t.Fatal(err)
		}
		for _, s := range openapi.Components.Schemas {
			var named struct {
				GVK []schema.GroupVersionKind `json:"x-kubernetes-group-version-kind"`
			}
			if err := json.Unmarshal(s, &named); err != nil {
				t.Fatal(err)
			}
			if len(named.GVK) == 1 && !strings.HasSuffix(named.GVK[0].Kind, "List") && reaches(openapi.Components.Schemas, s, map[string]bool{}) {
				found[named.GVK[0]] = true
			}
		}
	}
	return found
}

const reference = `"#/components/schemas/`

func reaches(all map[string]json.RawMessage, s json.RawMessage, seen map[string]bool) bool {
	for _, part := range strings.Split(string(s), reference)[1:] {
		name, _, _ := strings.Cut(part, `"`)
		if name == "io.k8s.api.core.v1.PodSpec" {
			return true
		}
		if !seen[name] {
			seen[name] = true
			if reaches(all, all[name], seen) {
				return true
			}
		}
	}
	return false
}

// noRightInTheCluster asks about every verb on everything that has no
// namespace. What can be asked by everybody changes nothing.
func noRightInTheCluster(t *testing.T, all []resource) {
	everybody := []string{"selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"}
	reads := []string{"get", "list", "watch"}
	c := admin.client(t)
	for _, r := range all {
		if r.Namespaced || slices.Contains(everybody, r.at.Resource) {
			continue
		}
		for _, verb := range append(slices.Clone(r.Verbs), "exempt", "impersonate", "escalate", "bind") {
			ask := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
				ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: verb, Group: r.at.Group, Version: r.at.Version, Resource: r.at.Resource, Subresource: r.sub},
			}}
			if err := c.Create(t.Context(), ask); err != nil {
				t.Fatal(err)
			}
			if ask.Status.Allowed && !slices.Contains(reads, verb) {
				t.Errorf("a namespace's administrator may %s %s", verb, r.Name)
			}
		}
	}
}

// judge compares what became of an object with the decision about its kind.
func judge(t *testing.T, r resource, err error) {
	t.Helper()
	said := "accepted"
	if err != nil {
		said = err.Error()
	}
	switch kinds[r.key()] {
	case refused:
		if !strings.Contains(said, "ValidatingAdmissionPolicy") && !strings.Contains(said, noRight) {
			t.Errorf("%s: %s, want a refusal", r.Kind, said)
		}
	case gated:
		if err != nil {
			t.Errorf("%s: %s, want it held", r.Kind, said)
		}
	case harmless:
		if strings.Contains(said, "ValidatingAdmissionPolicy") {
			t.Errorf("%s is refused without need: %s", r.Kind, said)
		}
	}
}

// bodies are what is asked for of the kinds that make pods.
var bodies = map[string]func(name string) map[string]any{
	"bindings": func(string) map[string]any {
		return map[string]any{"target": map[string]any{"kind": "Node", "name": "one"}}
	},
	"pods":                   func(string) map[string]any { return map[string]any{"spec": podBody("Never")} },
	"deployments":            func(name string) map[string]any { return replicas(name, 1) },
	"replicasets":            func(name string) map[string]any { return replicas(name, 1) },
	"statefulsets":           func(name string) map[string]any { return replicas(name, 1) },
	"daemonsets":             func(name string) map[string]any { return replicas(name, -1) },
	"replicationcontrollers": func(name string) map[string]any { return replicas(name, 1) },
	"podtemplates":           func(name string) map[string]any { return map[string]any{"template": template(name, "Always")} },
	"jobs": func(name string) map[string]any {
		return map[string]any{"spec": map[string]any{"suspend": false, "template": template(name, "Never")}}
	},
	"cronjobs": func(name string) map[string]any {
		return map[string]any{"spec": map[string]any{"suspend": false, "schedule": "* * * * *", "concurrencyPolicy": "Forbid",
			"jobTemplate": map[string]any{"spec": map[string]any{"template": template(name, "Never")}}}}
	},
}

func podBody(restart string) map[string]any {
	anywhere := []any{map[string]any{"operator": "Exists"}} // the only node is not ready
	return map[string]any{"restartPolicy": restart, "tolerations": anywhere, "containers": []any{map[string]any{"name": "sender", "image": "sender"}}}
}

func template(name, restart string) map[string]any {
	return map[string]any{"metadata": map[string]any{"labels": map[string]any{"app": name}}, "spec": podBody(restart)}
}

// replicas is the body of a kind with a selector; -1: it counts nodes.
func replicas(name string, n int64) map[string]any {
	spec := map[string]any{"selector": map[string]any{"matchLabels": map[string]any{"app": name}}, "template": template(name, "Always")}
	if n >= 0 {
		spec["replicas"] = n
	}
	return map[string]any{"spec": spec}
}

// object is what is asked for. The name says of what it is, since pods carry
// it on.
func object(r resource, prefix, ns string, labelled bool) *unstructured.Unstructured {
	name := prefix + "-" + r.at.Resource
	o := map[string]any{}
	if body := bodies[r.at.Resource]; body != nil && (r.at.Group == "" || r.at.Group == "apps" || r.at.Group == "batch") {
		o = body(name)
	}
	if r.at.Resource == "replicationcontrollers" {
		o["spec"].(map[string]any)["selector"] = map[string]any{"app": name}
	}
	u := &unstructured.Unstructured{Object: o}
	u.SetGroupVersionKind(r.at.GroupVersion().WithKind(r.Kind))
	u.SetNamespace(ns)
	u.SetName(name)
	if labelled {
		u.SetLabels(map[string]string{v1alpha1.LabelCampaign: "nobodys"})
	}
	return u
}

// makers are the kinds of which pods come in a namespace that is not enforced:
// made anew, and, where pods of "old" are meant, by a change of what was there.
var makers = map[string]string{
	"new-pods": "", "new-deployments": "", "new-replicasets": "", "new-statefulsets": "", "new-daemonsets": "", "new-replicationcontrollers": "", "new-jobs": "",
	"old-deployments": "", "old-replicasets": "", "old-statefulsets": "", "old-replicationcontrollers": "", "old-jobs": "",
}

func maker(p corev1.Pod) string {
	if app := p.Labels["app"]; app != "" {
		return app
	}
	return p.Name
}

// before makes what is there before its namespace is enforced: asleep.
func before(t *testing.T, ns string) {
	t.Helper()
	if err := env.Client.Get(t.Context(), types.NamespacedName{Name: "one"}, &corev1.Node{}); err != nil {
		store(t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "one"}}) // for DaemonSets
	}
	for _, r := range served(t) {
		if !r.Namespaced || r.sub != "" || bodies[r.at.Resource] == nil || slices.Contains([]string{"bindings", "pods", "daemonsets"}, r.at.Resource) {
			continue
		}
		o := object(r, "old", ns, false)
		if spec, ok := o.Object["spec"].(map[string]any); ok {
			if _, counts := spec["replicas"]; counts {
				spec["replicas"] = int64(0)
			} else {
				spec["suspend"] = true
			}
		}
		if err := env.Client.Create(t.Context(), o); err != nil {
			t.Fatalf("make a %s: %v", r.Kind, err)
		}
	}
}

// wake is what would make an object that sleeps make pods.
const wake = "{'spec':{'replicas':1,'suspend':false}}"

// tryVerb tries one verb, on something new and on what was there. Deleting is
// tried in dry runs, since the rest needs what is there.
func tryVerb(t *testing.T, c dynamic.Interface, r resource, verb, ns string, labelled bool) error {
	api, ctx := c.Resource(r.at).Namespace(ns), t.Context()
	var subs []string
	if r.sub != "" {
		subs = []string{r.sub}
	}
	fresh, old := object(r, "new", ns, labelled), object(r, "old", ns, labelled)
	dry := []string{metav1.DryRunAll}
	switch verb {
	case "create":
		made, err := api.Create(ctx, fresh, metav1.CreateOptions{}, subs...)
		if err == nil && labelled && len(subs) == 0 {
			if held, said, _ := unstructured.NestedBool(made.Object, "spec", "suspend"); said && !held {
				t.Errorf("a %s was made that runs at once", r.Kind)
			}
		}
		return err
	case "update":
		_, err := api.Update(ctx, old, metav1.UpdateOptions{}, subs...)
		return err
	case "patch":
		var errs []error
		for _, kind := range []types.PatchType{types.MergePatchType, types.StrategicMergePatchType} {
			for _, o := range []*unstructured.Unstructured{fresh, old} {
				_, err := api.Patch(ctx, o.GetName(), kind, quoted(wake), metav1.PatchOptions{}, subs...)
				errs = append(errs, err)
			}
		}
		_, err := api.Apply(ctx, old.GetName(), old, metav1.ApplyOptions{FieldManager: "gitops", Force: true}, subs...)
		return errors.Join(append(errs, err)...)
	case "delete":
		return api.Delete(ctx, old.GetName(), metav1.DeleteOptions{DryRun: dry}, subs...)
	case "deletecollection":
		return api.DeleteCollection(ctx, metav1.DeleteOptions{DryRun: dry}, metav1.ListOptions{})
	case "get", "list", "watch":
		return nil // nothing comes of reading
	}
	t.Errorf("decide about it: verb %s of %s", verb, r.Name)
	return fmt.Errorf("unknown verb %s", verb)
}

func pods(t *testing.T, ns string) []corev1.Pod {
	t.Helper()
	var list corev1.PodList
	if err := env.Client.List(t.Context(), &list, client.InNamespace(ns)); err != nil {
		t.Fatal(err)
	}
	return list.Items
}
