package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/certificate"
)

// webhookConfiguration is the object in config/webhook.
const webhookConfiguration = "codb-policies"

// certificateLife is long enough for a cluster that is switched off over the
// summer, and short enough that renewal is nothing special.
const certificateLife = 90 * 24 * time.Hour

// newKeeper keeps a certificate in the Secret, or in this process where secret
// is empty. reader must not answer from a cache.
func newKeeper(reader client.Reader, writer client.Writer, secret string, life time.Duration) *certificate.Keeper {
	k := &certificate.Keeper{
		Store: &certificate.Memory{}, Life: life, Clock: clock.RealClock{},
		Failed: func(err error) {
			ctrl.Log.WithName("certificate").Error(err, "the certificate can't be renewed; trying again")
		},
	}
	if k.Life == 0 {
		k.Life = certificateLife
	}
	if secret != "" {
		k.Store = &secretStore{reader: reader, writer: writer, name: secret}
	}
	return k
}

// secretStore keeps the set where all replicas find it. The Secret comes with
// the manifests, empty, so that codb needs no right to make any.
type secretStore struct {
	reader client.Reader
	writer client.Writer
	name   string
	last   *corev1.Secret
}

// The keys in the Secret; the first three are those of every TLS Secret.
const (
	keyCert, keyKey, keyCA   = "tls.crt", "tls.key", "ca.crt"
	keyNextCert, keyNextPriv = "next.crt", "next.key"
)

// Load reads the Secret.
func (s *secretStore) Load(ctx context.Context) (certificate.Set, error) {
	secret := &corev1.Secret{}
	if err := s.reader.Get(ctx, types.NamespacedName{Namespace: v1alpha1.SystemNamespace, Name: s.name}, secret); err != nil {
		return certificate.Set{}, fmt.Errorf("read Secret %s/%s: %w; kubectl apply -k config/default puts it there", v1alpha1.SystemNamespace, s.name, err)
	}
	s.last = secret
	return certificate.Set{
		Served: certificate.Pair{Cert: secret.Data[keyCert], Key: secret.Data[keyKey]},
		Next:   certificate.Pair{Cert: secret.Data[keyNextCert], Key: secret.Data[keyNextPriv]},
		CA:     secret.Data[keyCA],
	}, nil
}

// Save writes the Secret if it is still the one that was loaded.
func (s *secretStore) Save(ctx context.Context, set certificate.Set) error {
	secret := s.last.DeepCopy()
	secret.Data = map[string][]byte{
		keyCert: set.Served.Cert, keyKey: set.Served.Key, keyCA: set.CA,
		keyNextCert: set.Next.Cert, keyNextPriv: set.Next.Key,
	}
	err := s.writer.Update(ctx, secret)
	if apierrors.IsConflict(err) {
		return certificate.ErrConflict
	}
	return err
}

// webhookNames are what the apiserver calls the webhook.
func webhookNames(host string) func(context.Context) ([]string, error) {
	service := v1alpha1.OperatorServiceAccount + "." + v1alpha1.SystemNamespace + ".svc"
	names := []string{service}
	if host != "" {
		names = append(names, host)
	}
	return func(context.Context) ([]string, error) { return names, nil }
}

// registerWebhook tells the apiserver where the webhook is and whom to trust.
func registerWebhook(c client.Client, o *operatorOptions) func(context.Context, []byte) error {
	return func(ctx context.Context, ca []byte) error {
		var cfg admissionregistrationv1.ValidatingWebhookConfiguration
		if err := c.Get(ctx, types.NamespacedName{Name: webhookConfiguration}, &cfg); err != nil {
			return fmt.Errorf("read webhook configuration %s: %w; codb install puts it there", webhookConfiguration, err)
		}
		before := cfg.DeepCopy()
		for i := range cfg.Webhooks {
			cfg.Webhooks[i].ClientConfig = webhookAddress(o, ca)
		}
		if equality.Semantic.DeepEqual(before.Webhooks, cfg.Webhooks) {
			return nil
		}
		if err := c.Patch(ctx, &cfg, client.MergeFrom(before)); err != nil {
			return fmt.Errorf("register the webhook: %w", err)
		}
		return nil
	}
}

// webhookAddress is the Service in a cluster, and an URL where codb runs
// outside.
func webhookAddress(o *operatorOptions, ca []byte) admissionregistrationv1.WebhookClientConfig {
	path, port := webhookPath, int32(443)
	if o.webhookHost != "" {
		url := "https://" + net.JoinHostPort(o.webhookHost, strconv.Itoa(o.webhookPort)) + path
		return admissionregistrationv1.WebhookClientConfig{URL: &url, CABundle: ca}
	}
	return admissionregistrationv1.WebhookClientConfig{CABundle: ca, Service: &admissionregistrationv1.ServiceReference{
		Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.OperatorServiceAccount, Path: &path, Port: &port,
	}}
}

const webhookPath = "/validate-consent-codb-dev-v1alpha1-campaignpolicy"
