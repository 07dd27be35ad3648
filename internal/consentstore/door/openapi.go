package door

import (
	"encoding/json"
	"fmt"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	generated "k8s.io/apiextensions-apiserver/pkg/generated/openapi"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/util"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// definitions say what is served in the words of OpenAPI: for kubectl explain,
// and for server-side apply to know which lists have keys.
type definitions struct{ consent spec.Schema }

// newDefinitions reads the CRD's schema, whose words are OpenAPI's.
func newDefinitions(crd *apiextensionsv1.CustomResourceDefinition) (*definitions, error) {
	raw, err := json.Marshal(crd.Spec.Versions[0].Schema.OpenAPIV3Schema)
	if err != nil {
		return nil, fmt.Errorf("describe consents: %w", err)
	}
	d := &definitions{}
	if err := json.Unmarshal(raw, &d.consent); err != nil {
		return nil, fmt.Errorf("describe consents: %w", err)
	}
	return d, nil
}

var (
	consentName = util.GetCanonicalTypeName(&v1alpha1.CustomerConsent{})
	listName    = util.GetCanonicalTypeName(&v1alpha1.CustomerConsentList{})
)

// get is all that is defined.
func (d *definitions) get(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	all := generated.GetOpenAPIDefinitions(ref)
	object, list := metav1.ObjectMeta{}.OpenAPIModelName(), metav1.ListMeta{}.OpenAPIModelName()
	consent := d.consent
	consent.Properties = map[string]spec.Schema{}
	for name, property := range d.consent.Properties {
		consent.Properties[name] = property
	}
	consent.Properties["metadata"] = spec.Schema{SchemaProps: spec.SchemaProps{Ref: ref(object)}}
	all[consentName] = common.OpenAPIDefinition{Schema: consent, Dependencies: []string{object}}

	items := spec.ArrayProperty(&spec.Schema{SchemaProps: spec.SchemaProps{Ref: ref(consentName)}})
	all[listName] = common.OpenAPIDefinition{
		Schema: spec.Schema{SchemaProps: spec.SchemaProps{
			Type: spec.StringOrArray{"object"}, Required: []string{"items"},
			Properties: map[string]spec.Schema{
				"apiVersion": *spec.StringProperty(), "kind": *spec.StringProperty(),
				"metadata": {SchemaProps: spec.SchemaProps{Ref: ref(list)}}, "items": *items,
			},
		}},
		Dependencies: []string{list, consentName},
	}
	return all
}

// namer names what is served after its group, for the CRD's own names are
// taken, and everything else as the library does.
func (d *definitions) namer(rest *openapi.DefinitionNamer) func(string) (string, spec.Extensions) {
	return func(name string) (string, spec.Extensions) {
		kind, ours := map[string]string{consentName: "CustomerConsent", listName: "CustomerConsentList"}[name]
		if !ours {
			return rest.GetDefinitionName(name)
		}
		gv := v1alpha1.StoreGroupVersion
		return "dev.codb.consent.store." + gv.Version + "." + kind, spec.Extensions{
			"x-kubernetes-group-version-kind": []any{map[string]any{"group": gv.Group, "version": gv.Version, "kind": kind}},
		}
	}
}
