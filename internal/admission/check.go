package admission

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Drift is one stored policy or binding that is not as it must be.
type Drift struct {
	Object *unstructured.Unstructured
	// Gone says that it is not stored at all; else Path differs.
	Gone bool
	Path string
}

func (d Drift) String() string {
	if d.Gone {
		return fmt.Sprintf("%s %s is gone", d.Object.GetKind(), d.Object.GetName())
	}
	return fmt.Sprintf("%s %s was changed at %s", d.Object.GetKind(), d.Object.GetName(), d.Path)
}

// DriftError says what somebody changed; it is an ErrNotInForce.
type DriftError []Drift

func (e DriftError) Error() string {
	said := make([]string, len(e))
	for i, d := range e {
		said[i] = d.String()
	}
	return ErrNotInForce.Error() + ": " + strings.Join(said, "; ") + "; apply config/admission again"
}

// Unwrap makes it an ErrNotInForce.
func (e DriftError) Unwrap() error { return ErrNotInForce }

// Check is Probe, and proves besides that the policies in want, with their
// bindings, are stored unchanged: a probe from one namespace can't see that
// another one was exempted.
func Check(ctx context.Context, c client.Client, live client.Reader, want []*unstructured.Unstructured) error {
	have, err := stored(ctx, live, want)
	if err != nil {
		return err
	}
	probed := Probe(ctx, c)
	if drift := Compare(want, have, probed == nil); len(drift) > 0 {
		return errors.Join(DriftError(drift), probed)
	}
	return probed
}

// stored reads every kind of which something is wanted and that is served.
func stored(ctx context.Context, live client.Reader, want []*unstructured.Unstructured) ([]*unstructured.Unstructured, error) {
	kinds := map[schema.GroupVersionKind]bool{}
	var have []*unstructured.Unstructured
	for _, w := range want {
		kind := w.GroupVersionKind()
		if kinds[kind] {
			continue
		}
		kinds[kind] = true
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind)
		if err := live.List(ctx, list); apimeta.IsNoMatchError(err) {
			continue // before Kubernetes 1.36 nothing mutates
		} else if err != nil {
			return nil, fmt.Errorf("list %s: %w", kind.Kind, err)
		}
		for i := range list.Items {
			have = append(have, &list.Items[i])
		}
	}
	return have, nil
}

// Compare lists what is not stored as wanted. Where nothing of a kind is
// stored and the policies are in force all the same, the apiserver has them
// from static manifests, or has no use for that kind.
func Compare(want, have []*unstructured.Unstructured, inForce bool) []Drift {
	found := map[string]*unstructured.Unstructured{}
	for _, h := range have {
		found[h.GetKind()+"/"+h.GetName()] = h
	}
	some := map[string]bool{}
	for _, w := range want {
		if found[w.GetKind()+"/"+w.GetName()] != nil {
			some[w.GetKind()] = true
		}
	}
	var drift []Drift
	for _, w := range want {
		h := found[w.GetKind()+"/"+w.GetName()]
		switch {
		case h == nil && !some[w.GetKind()] && inForce:
		case h == nil:
			drift = append(drift, Drift{Object: w, Gone: true})
		case h.GetDeletionTimestamp() != nil:
			drift = append(drift, Drift{Object: h, Path: "metadata.deletionTimestamp"})
		default:
			if path := differs("spec", w.Object["spec"], h.Object["spec"]); path != "" {
				drift = append(drift, Drift{Object: h, Path: path})
			}
		}
	}
	return drift
}

// differs is the path of the first difference that is not a default of the
// apiserver's, or empty.
func differs(path string, want, have any) string {
	switch w := want.(type) {
	case map[string]any:
		h, ok := have.(map[string]any)
		if !ok {
			return path
		}
		for key, value := range w {
			if p := differs(path+"."+key, value, h[key]); p != "" {
				return p
			}
		}
		for key, value := range h {
			if _, known := w[key]; !known && !byDefault(key, value) {
				return path + "." + key
			}
		}
		return ""
	case []any:
		h, ok := have.([]any)
		if !ok || len(h) != len(w) {
			return path
		}
		for i := range w {
			if p := differs(fmt.Sprintf("%s[%d]", path, i), w[i], h[i]); p != "" {
				return p
			}
		}
		return ""
	}
	if want != have {
		return path
	}
	return ""
}

// byDefault says whether the apiserver fills the field in so when it is left
// out. Whatever else was added may narrow what a policy covers.
func byDefault(key string, value any) bool {
	switch v := value.(type) {
	case map[string]any:
		return len(v) == 0 && (key == "namespaceSelector" || key == "objectSelector")
	case string:
		return key == "matchPolicy" && v == "Equivalent" || key == "scope" && v == "*"
	}
	return false
}
