package main

import (
	"context"
	"fmt"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/config"
)

// annotationBaseline says on the webhook configuration that the baseline policy
// was seen to, so that one which was deleted on purpose stays deleted: without
// any policy everything is blocked, and that may be what was wanted.
const annotationBaseline = "consent.codb.dev/baseline"

// baseline makes the baseline policy where there is none at all. One kubectl
// apply can't: the policy needs a kind that the same command declares, and a
// webhook that it has only begun to start.
type baseline struct {
	reader client.Reader
	client client.Client
}

// NeedLeaderElection says yes: once is enough.
func (b *baseline) NeedLeaderElection() bool { return true }

// Start tries until it is done.
func (b *baseline) Start(ctx context.Context) error {
	said := ""
	for ctx.Err() == nil {
		err := b.ensure(ctx)
		if err == nil {
			return nil
		}
		if err.Error() != said && ctx.Err() == nil {
			said = err.Error()
			log.FromContext(ctx).Info("the baseline policy is not there yet", "reason", said)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	return nil
}

func (b *baseline) ensure(ctx context.Context) error {
	var cfg admissionregistrationv1.ValidatingWebhookConfiguration
	if err := b.reader.Get(ctx, types.NamespacedName{Name: webhookConfiguration}, &cfg); err != nil {
		return fmt.Errorf("read webhook configuration %s: %w", webhookConfiguration, err)
	}
	if cfg.Annotations[annotationBaseline] != "" {
		return nil
	}
	var there v1alpha1.CampaignPolicyList
	if err := b.reader.List(ctx, &there); err != nil {
		return fmt.Errorf("look for policies: %w", err)
	}
	if len(there.Items) == 0 {
		if err := b.create(ctx); err != nil {
			return err
		}
	}
	before := cfg.DeepCopy()
	if cfg.Annotations == nil {
		cfg.Annotations = map[string]string{}
	}
	cfg.Annotations[annotationBaseline] = "Offered"
	if err := b.client.Patch(ctx, &cfg, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("note that the baseline policy was made: %w", err)
	}
	return nil
}

func (b *baseline) create(ctx context.Context) error {
	objects, err := config.Objects(config.Values{}, config.Policy)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if err := b.client.Create(ctx, o); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("make %s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	return nil
}
