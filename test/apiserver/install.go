package apiserver

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	consentv1 "github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/config"
)

// Install applies codb's namespaces, roles and admission policies.
func (e *Env) Install(ctx context.Context, o Options) error {
	parts := []config.Part{config.Namespaces, config.RBAC, config.Admission}
	if !o.NoMutation {
		parts = append(parts, config.Mutation)
	}
	objects, err := config.Objects(o.Values, parts...)
	if err != nil {
		return err
	}
	for _, u := range objects {
		err := e.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(consentv1.FieldOwner), client.ForceOwnership)
		if err != nil {
			return fmt.Errorf("apply %s %s: %w", u.GetKind(), u.GetName(), err)
		}
	}
	return nil
}
