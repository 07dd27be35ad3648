// Package webhook refuses what CEL in the apiserver can't check: a policy whose
// Rego does not compile. It does not know Rego itself: the check is handed in.
package webhook

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// Check finds everything that keeps a policy from being compiled: each error
// names the field, the value's place in it, and the remedy. failing lists the
// policy's own cases that do not pass, which is no ground for a refusal. An
// error means that the check could not be made; the policy is refused then.
type Check func(ctx context.Context, p *v1alpha1.CampaignPolicy) (wrong field.ErrorList, failing []string, err error)

// Policies validates CampaignPolicies.
type Policies struct{ Check Check }

// SetupWithManager serves the validation at the path that config/webhook names.
func (v Policies) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewWebhookManagedBy(mgr, &v1alpha1.CampaignPolicy{}).WithValidator(v).Complete()
}

// ValidateCreate refuses a policy that does not compile.
func (v Policies) ValidateCreate(ctx context.Context, p *v1alpha1.CampaignPolicy) (admission.Warnings, error) {
	wrong, failing, err := v.Check(ctx, p)
	if err != nil {
		return nil, apierrors.NewInternalError(fmt.Errorf("check policy %s: %w", p.Name, err))
	}
	if len(wrong) > 0 {
		return nil, apierrors.NewInvalid(v1alpha1.SchemeGroupVersion.WithKind("CampaignPolicy").GroupKind(), p.Name, wrong)
	}
	var warnings admission.Warnings
	for _, f := range failing {
		warnings = append(warnings, "a case fails, so this revision does not take effect: "+f)
	}
	return warnings, nil
}

// ValidateUpdate refuses a new revision that does not compile. What leaves the
// rule book as it is passes: labels and status must stay writable.
func (v Policies) ValidateUpdate(ctx context.Context, old, p *v1alpha1.CampaignPolicy) (admission.Warnings, error) {
	if equality.Semantic.DeepEqual(old.Spec, p.Spec) {
		return nil, nil
	}
	return v.ValidateCreate(ctx, p)
}

// ValidateDelete lets a policy go: what it matched is then judged by the others.
func (v Policies) ValidateDelete(context.Context, *v1alpha1.CampaignPolicy) (admission.Warnings, error) {
	return nil, nil
}
