package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/cert"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// webhookConfiguration is the object in config/webhook.
const webhookConfiguration = "codb-policies"

// certificate is the webhook's, made anew at each start and valid for a year.
type certificate struct {
	pair tls.Certificate
	ca   []byte
}

// newCertificate makes a certificate for the host, or for the Service where
// the host is empty.
func newCertificate(host string) (*certificate, error) {
	service := v1alpha1.OperatorServiceAccount + "." + v1alpha1.SystemNamespace + ".svc"
	if host == "" {
		host = service
	}
	var ips []net.IP
	if ip := net.ParseIP(host); ip != nil {
		ips = []net.IP{ip}
	}
	chain, key, err := cert.GenerateSelfSignedCertKey(host, ips, []string{service})
	if err != nil {
		return nil, fmt.Errorf("make the webhook's certificate: %w", err)
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("make the webhook's certificate: %w", err)
	}
	return &certificate{pair: pair, ca: chain}, nil
}

// register tells the apiserver where the webhook is and whom to trust.
func (c *certificate) register(ctx context.Context, w client.Client, o *operatorOptions) error {
	var cfg admissionregistrationv1.ValidatingWebhookConfiguration
	if err := w.Get(ctx, types.NamespacedName{Name: webhookConfiguration}, &cfg); err != nil {
		return fmt.Errorf("read webhook configuration %s: %w; codb install puts it there", webhookConfiguration, err)
	}
	before := cfg.DeepCopy()
	for i := range cfg.Webhooks {
		cc := &cfg.Webhooks[i].ClientConfig
		cc.CABundle = c.ca
		if o.webhookHost == "" {
			continue
		}
		path := webhookPath
		if cc.Service != nil && cc.Service.Path != nil {
			path = *cc.Service.Path
		}
		url := "https://" + net.JoinHostPort(o.webhookHost, strconv.Itoa(o.webhookPort)) + path
		cc.URL, cc.Service = &url, nil
	}
	if err := w.Patch(ctx, &cfg, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("register the webhook: %w", err)
	}
	return nil
}

const webhookPath = "/validate-consent-codb-dev-v1alpha1-campaignpolicy"
