package apiserver

import (
	"context"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	consentv1 "github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/config"
	"github.com/codb-dev/codb/internal/admission"
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
	return e.awaitAdmission(ctx, o)
}

// awaitAdmission asks until the policies are in force: the apiserver takes
// them up some hundred milliseconds after they are stored.
func (e *Env) awaitAdmission(ctx context.Context, o Options) error {
	operator := o.Values.Operator
	if operator == "" {
		operator = consentv1.OperatorUsername
	}
	c, err := e.clientAs(operator)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var last error
	for {
		err := admission.Probe(ctx, c)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the admission policies: %w", last)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
