package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
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
const gateConfigMap = "codb-gate"

// publishGate writes the gate's address and CA where its clients look.
func publishGate(ctx context.Context, c client.Client, url string, ca []byte) error {
	cm := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: gateConfigMap},
		Data:       map[string]string{"url": url, "ca.crt": string(ca)},
	}
	err := c.Update(ctx, cm)
	if client.IgnoreNotFound(err) == nil && err != nil {
		err = c.Create(ctx, cm)
	}
	if err != nil {
		return fmt.Errorf("publish the gate's address: %w", err)
	}
	return nil
}

// dialGate makes a client of the gate that has published itself; account is the
// ServiceAccount in codb's namespace whose tokens it sends.
func dialGate(ctx context.Context, cfg *rest.Config, reader client.Reader, account string, o gate.ClientOptions) (*gate.Client, error) {
	cm := &corev1.ConfigMap{}
	key := types.NamespacedName{Namespace: v1alpha1.SystemNamespace, Name: gateConfigMap}
	if err := reader.Get(ctx, key, cm); err != nil {
		return nil, fmt.Errorf("find the gate: %w; start one with codb gate or codb standalone", err)
	}
	token, err := serviceAccountToken(cfg, v1alpha1.SystemNamespace, account)
	if err != nil {
		return nil, err
	}
	o.URL, o.CA, o.Token = cm.Data["url"], []byte(cm.Data["ca.crt"]), token
	return gate.NewClient(o)
}
