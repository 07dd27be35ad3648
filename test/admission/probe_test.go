package admission_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	batchv1 "k8s.io/api/batch/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/internal/admission"
)

func TestProbe(t *testing.T) {
	if err := admission.Probe(t.Context(), operator.client(t)); err != nil {
		t.Errorf("by the operator: %v", err)
	}
	err := admission.Probe(t.Context(), root.client(t))
	if !errors.Is(err, admission.ErrNotInForce) || !strings.Contains(err.Error(), "another user") {
		t.Errorf("by somebody else: %v, want ErrNotInForce", err)
	}
	err = admission.Probe(t.Context(), who{name: "nobody"}.client(t))
	if err == nil || errors.Is(err, admission.ErrNotInForce) {
		t.Errorf("by one who may not even ask: %v, want an error that is not ErrNotInForce", err)
	}
	var jobs batchv1.JobList
	if err := env.Client.List(t.Context(), &jobs, client.InNamespace(admission.Namespace)); err != nil || len(jobs.Items) > 0 {
		t.Errorf("the probe left %d Jobs behind (%v)", len(jobs.Items), err)
	}
}

// TestPoliciesFitTheTypes reads what Kubernetes' own type checker says.
func TestPoliciesFitTheTypes(t *testing.T) {
	var policies admissionregistrationv1.ValidatingAdmissionPolicyList
	await(t, func(ctx context.Context) bool {
		if env.Client.List(ctx, &policies) != nil || len(policies.Items) == 0 {
			return false
		}
		for _, p := range policies.Items {
			if p.Status.ObservedGeneration != p.Generation {
				return false
			}
		}
		return true
	})
	for _, p := range policies.Items {
		if p.Status.TypeChecking == nil {
			continue
		}
		for _, w := range p.Status.TypeChecking.ExpressionWarnings {
			t.Errorf("%s: %s: %s", p.Name, w.FieldRef, w.Warning)
		}
	}
}
