package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/controllers/gateaddress"
	"github.com/codb-dev/codb/internal/gate"
)

func newContext() context.Context { return context.Background() }

// newScheme knows Kubernetes' kinds and codb's.
func newScheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	if err := scheme.AddToScheme(s); err != nil {
		return nil, err
	}
	return s, v1alpha1.AddToScheme(s)
}

// neverCached keeps consents out of caches, where each is an object many times as
// large as what is kept of it: a consentstore has all of them.
var neverCached = client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&v1alpha1.CustomerConsent{}}}}

// serviceAccountToken returns tokens of a ServiceAccount for the gate alone,
// each used until a fifth of its time is left.
func serviceAccountToken(cfg *rest.Config, namespace, name string) (func(context.Context) (string, error), error) {
	clients, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	var (
		mu    sync.Mutex
		token string
		until time.Time
	)
	const seconds = int64(3600)
	return func(ctx context.Context) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		if time.Now().Before(until) {
			return token, nil
		}
		lifetime := seconds
		req, err := clients.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, &authenticationv1.TokenRequest{
			Spec: authenticationv1.TokenRequestSpec{Audiences: []string{gate.Audience}, ExpirationSeconds: &lifetime},
		}, metav1.CreateOptions{})
		if err != nil {
			return "", fmt.Errorf("get a token of %s/%s for the gate: %w", namespace, name, err)
		}
		token = req.Status.Token
		until = time.Now().Add(time.Until(req.Status.ExpirationTimestamp.Time) * 4 / 5)
		return token, nil
	}, nil
}

// gateConfigMap is where a gate says how to reach it.
const gateConfigMap = gateaddress.Name

// address is where a gate answers, and whose word for it is taken.
type address struct{ url, ca string }

// gateAddress knows where gates publish theirs.
type gateAddress struct{ reader client.Reader }

func (g gateAddress) find(ctx context.Context) (address, error) {
	cm := &corev1.ConfigMap{}
	if err := g.reader.Get(ctx, types.NamespacedName{Namespace: v1alpha1.SystemNamespace, Name: gateConfigMap}, cm); err != nil {
		return address{}, fmt.Errorf("find the gate: %w; start one with codb gate or codb standalone", err)
	}
	return address{url: cm.Data["url"], ca: cm.Data["ca.crt"]}, nil
}

// publish writes the address where it differs; c must not answer from a cache.
func (a address) publish(ctx context.Context, c client.Client) error {
	if now, err := (gateAddress{c}).find(ctx); err == nil && now == a {
		return nil
	}
	cm := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: gateConfigMap},
		Data:       map[string]string{"url": a.url, "ca.crt": a.ca},
	}
	err := c.Update(ctx, cm)
	if apierrors.IsNotFound(err) {
		err = c.Create(ctx, cm)
	}
	if err != nil {
		return fmt.Errorf("publish the gate's address: %w", err)
	}
	return nil
}

// dial makes a client of the gate at the address; token says who calls.
func (a address) dial(token func(context.Context) (string, error), o gate.ClientOptions) (*gate.Client, error) {
	o.URL, o.CA, o.Token = a.url, []byte(a.ca), token
	return gate.NewClient(o)
}

// operatorToken reads the token that the kubelet renews, or asks for one where
// there is no file.
func operatorToken(cfg *rest.Config, file string) (func(context.Context) (string, error), error) {
	if file != "" {
		return gate.FileToken(file), nil
	}
	return serviceAccountToken(cfg, v1alpha1.SystemNamespace, v1alpha1.OperatorServiceAccount)
}
