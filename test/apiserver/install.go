package apiserver

import (
	"context"
	"errors"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	consentv1 "github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/config"
	"github.com/codb-dev/codb/internal/admission"
)

// Install applies codb's namespaces, roles and admission policies.
func (e *Env) Install(ctx context.Context, o Options) error {
	parts := []config.Part{config.Namespaces, config.RBAC, config.Admission}
	if !o.NoMutation {
		parts = append(parts, config.Mutation, config.Sender)
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

// mutates says whether a Job that wants to run is suspended, and not refused.
func mutates(ctx context.Context, c client.Client) error {
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{
		Namespace: admission.Namespace, Name: "mutates", Labels: map[string]string{consentv1.LabelCampaign: "none"},
	}}
	j.Spec.Template.Spec = corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "c", Image: "example.com/none"}},
	}
	cron := &batchv1.CronJob{ObjectMeta: j.ObjectMeta, Spec: batchv1.CronJobSpec{
		Schedule: "0 0 1 1 *", JobTemplate: batchv1.JobTemplateSpec{Spec: j.Spec},
	}}
	return errors.Join(c.Create(ctx, j, client.DryRunAll), c.Create(ctx, cron, client.DryRunAll))
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
		if err == nil && !o.NoMutation {
			err = mutates(ctx, c)
		}
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
