package api

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/test/crd"
)

// The apiserver gives the same answer, word for word, as the check without one.
func TestSamplesAgainstTheApiserver(t *testing.T) {
	namespaces(t)
	kinds, err := crd.Load("../../config/crd/bases")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../../api/v1alpha1/testdata/*/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	for _, file := range files {
		s, err := crd.ReadSample(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(filepath.Dir(file))+"/"+filepath.Base(file), func(t *testing.T) {
			var old crd.Object
			if s.Old != nil {
				old = runtime.DeepCopyJSON(s.Old)
			}
			want := kinds[s.Kind()].Check(runtime.DeepCopyJSON(s.Object), old)
			slices.Sort(want)
			t.Run("Write", func(t *testing.T) {
				if diff := cmp.Diff(want, causes(t, write(t, s))); diff != "" {
					t.Errorf("-offline +apiserver:\n%s", diff)
				}
			})
			t.Run("Apply", func(t *testing.T) {
				err := apply(t, s)
				if refused := len(s.Refuse) > 0; (err != nil) != refused {
					t.Fatalf("%v; want refused: %v", err, refused)
				}
				// Unknown fields and lists that break their keys never get as far
				// as validation.
				if !apierrors.IsInvalid(err) {
					return
				}
				if diff := cmp.Diff(want, causes(t, err)); diff != "" {
					t.Errorf("-offline +apiserver:\n%s", diff)
				}
			})
		})
	}
}

// write creates the sample, or updates its older form to it.
func write(t *testing.T, s *crd.Sample) error {
	u := object(s.Object)
	if s.Old != nil {
		u.SetResourceVersion(create(t, s.Old).GetResourceVersion())
		return env.Client.Update(t.Context(), u, client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict))
	}
	if err := env.Client.Create(t.Context(), u, client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict)); err != nil {
		return err
	}
	create(t, s.Object)
	return nil
}

// apply does the same by server-side apply.
func apply(t *testing.T, s *crd.Sample) error {
	if s.Old != nil {
		if err := serverSideApply(t, s.Old); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = env.Client.Delete(context.Background(), object(s.Old)) })
	}
	return serverSideApply(t, s.Object, client.DryRunAll)
}

func serverSideApply(t *testing.T, o crd.Object, options ...client.ApplyOption) error {
	u := object(o)
	delete(u.Object, "status")
	return env.Client.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(u), append(options, client.FieldOwner("somebody"))...)
}

// causes are the single refusals in err, sorted.
func causes(t *testing.T, err error) []string {
	t.Helper()
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &status):
		t.Fatalf("not an answer of the apiserver: %v", err)
	}
	var all []string
	if _, unknown, ok := strings.Cut(err.Error(), "strict decoding error: "); ok {
		all = strings.Split(unknown, ", ")
	} else {
		for _, cause := range status.Status().Details.Causes {
			if strings.HasPrefix(cause.Message, "Invalid value: null: some validation rules were not checked") {
				continue
			}
			all = append(all, cause.Field+": "+cause.Message)
		}
	}
	slices.Sort(all)
	return all
}
