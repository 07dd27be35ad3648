package admission_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/codb-dev/codb/config"
	"github.com/codb-dev/codb/internal/admission"
)

func wanted(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	objects, err := config.Objects(config.Values{}, config.Admission, config.Mutation)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// at finds an object of what is stored.
func at(objects []*unstructured.Unstructured, kind, name string) *unstructured.Unstructured {
	for _, o := range objects {
		if o.GetKind() == kind && strings.HasPrefix(o.GetName(), name+".") {
			return o
		}
	}
	panic(kind + " " + name)
}

func TestCompare(t *testing.T) {
	const policy, binding = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"
	spec := func(kind, name, value string, path ...string) func([]*unstructured.Unstructured) []*unstructured.Unstructured {
		return func(have []*unstructured.Unstructured) []*unstructured.Unstructured {
			if err := unstructured.SetNestedField(at(have, kind, name).Object, value, path...); err != nil {
				panic(err)
			}
			return have
		}
	}
	without := func(drop func(*unstructured.Unstructured) bool) func([]*unstructured.Unstructured) []*unstructured.Unstructured {
		return func(have []*unstructured.Unstructured) []*unstructured.Unstructured {
			return slices.DeleteFunc(have, drop)
		}
	}
	validating := func(o *unstructured.Unstructured) bool { return strings.HasPrefix(o.GetKind(), "Validating") }
	for name, c := range map[string]struct {
		change func([]*unstructured.Unstructured) []*unstructured.Unstructured
		broken bool // the probe fails
		want   []string
	}{
		"Untouched": {change: without(func(*unstructured.Unstructured) bool { return false })},
		"WithTheApiserversDefaults": {change: func(have []*unstructured.Unstructured) []*unstructured.Unstructured {
			m := at(have, policy, "campaign-workloads").Object["spec"].(map[string]any)["matchConstraints"].(map[string]any)
			m["objectSelector"], m["matchPolicy"] = map[string]any{}, "Equivalent"
			m["resourceRules"].([]any)[0].(map[string]any)["scope"] = "*"
			return have
		}},
		"FailsOpen": {
			change: spec(policy, "campaign-pods", "Ignore", "spec", "failurePolicy"),
			want:   []string{"ValidatingAdmissionPolicy campaign-pods.consent.codb.dev was changed at spec.failurePolicy"},
		},
		"OneNamespaceExempted": {
			change: spec(policy, "campaign-pods", "x", "spec", "matchConstraints", "namespaceSelector", "matchLabels", "exempt"),
			want:   []string{"ValidatingAdmissionPolicy campaign-pods.consent.codb.dev was changed at spec.matchConstraints.namespaceSelector.matchLabels.exempt"},
		},
		"BindingNarrowed": {
			change: spec(binding, "campaign-pods", "x", "spec", "matchResources", "namespaceSelector", "matchLabels", "team"),
			want:   []string{"ValidatingAdmissionPolicyBinding campaign-pods.consent.codb.dev was changed at spec.matchResources"},
		},
		"NarrowerMatch": {
			change: spec(policy, "campaign-pods", "Exact", "spec", "matchConstraints", "matchPolicy"),
			want:   []string{"ValidatingAdmissionPolicy campaign-pods.consent.codb.dev was changed at spec.matchConstraints.matchPolicy"},
		},
		"OnlyWarned": {
			change: func(have []*unstructured.Unstructured) []*unstructured.Unstructured {
				at(have, binding, "campaign-kinds").Object["spec"].(map[string]any)["validationActions"] = []any{"Warn"}
				return have
			},
			want: []string{"ValidatingAdmissionPolicyBinding campaign-kinds.consent.codb.dev was changed at spec.validationActions[0]"},
		},
		"OneRuleFewer": {
			change: func(have []*unstructured.Unstructured) []*unstructured.Unstructured {
				s := at(have, policy, "campaign-pods").Object["spec"].(map[string]any)
				s["validations"] = s["validations"].([]any)[1:]
				return have
			},
			want: []string{"ValidatingAdmissionPolicy campaign-pods.consent.codb.dev was changed at spec.validations"},
		},
		"OneGone": {
			change: without(func(o *unstructured.Unstructured) bool {
				return o == nil || o.GetKind() == binding && strings.HasPrefix(o.GetName(), "campaign-kinds.")
			}),
			want: []string{"ValidatingAdmissionPolicyBinding campaign-kinds.consent.codb.dev is gone"},
		},
		"AllFromStaticManifests": {change: without(validating)},
		"AllGone": {
			change: without(func(o *unstructured.Unstructured) bool { return o.GetKind() == binding }), broken: true,
			want: func() (all []string) {
				for _, o := range wanted(t) {
					if o.GetKind() == binding {
						all = append(all, binding+" "+o.GetName()+" is gone")
					}
				}
				return all
			}(),
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, d := range admission.Compare(wanted(t), c.change(wanted(t)), !c.broken) {
				got = append(got, d.String())
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("drift (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDriftIsNotInForce(t *testing.T) {
	err := admission.DriftError{{Object: wanted(t)[0], Gone: true}}
	if !errors.Is(err, admission.ErrNotInForce) {
		t.Error("nothing may be released, and the error does not say so")
	}
}
