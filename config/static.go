package config

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// staticSuffix ends the name of every static admission manifest.
const staticSuffix = ".static.k8s.io"

// Static returns a part of admission as static manifests, which the apiserver
// reads from its disk before it serves and which nobody can change through it
// (Kubernetes 1.37: ManifestBasedAdmissionControlConfig). The apiserver wants
// Admission and Mutation in folders of their own.
func Static(v Values, part Part) ([]*unstructured.Unstructured, error) {
	objects, err := Objects(v, part)
	if err != nil {
		return nil, err
	}
	for _, u := range objects {
		u.SetName(u.GetName() + staticSuffix)
		if !strings.HasSuffix(u.GetKind(), "Binding") {
			continue
		}
		policy, _, err := unstructured.NestedString(u.Object, "spec", "policyName")
		if err != nil {
			return nil, fmt.Errorf("read binding %s: %w", u.GetName(), err)
		}
		if err := unstructured.SetNestedField(u.Object, policy+staticSuffix, "spec", "policyName"); err != nil {
			return nil, fmt.Errorf("rename in binding %s: %w", u.GetName(), err)
		}
	}
	return objects, nil
}
