// Package door puts consents in PostgreSQL behind a test's apiserver, as codb
// consents does in earnest. It does not know what is tested there.
package door

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/config"
	"github.com/codb-dev/codb/internal/certificate"
	"github.com/codb-dev/codb/internal/consentstore"
	"github.com/codb-dev/codb/internal/consentstore/door"
	"github.com/codb-dev/codb/internal/crd"
	"github.com/codb-dev/codb/test/apiserver"
	"github.com/codb-dev/codb/test/postgres"
)

// Open puts a database behind the apiserver, until end is called.
func Open(env *apiserver.Env) (store *consentstore.Database, end func(), err error) {
	database, err := postgres.New()
	if err != nil {
		return nil, nil, err
	}
	at := database.URL()
	kinds, err := crd.Load(config.CRDFiles())
	if err != nil {
		return nil, nil, err
	}
	kind := kinds["CustomerConsent"]
	ctx, cancel := context.WithCancel(context.Background())
	store, err = consentstore.OpenDatabase(ctx, at, consentstore.DatabaseOptions{
		Namespace: v1alpha1.CustomersNamespace, NobodyAtHand: true,
		Refused: func(o, old *v1alpha1.CustomerConsent) ([]string, error) { return kind.Refused(o, old) },
	})
	if err != nil {
		cancel()
		return nil, nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		cancel()
		return nil, nil, err
	}
	set, _, err := certificate.Set{}.Renewed(time.Now(), []string{"codb-consents.codb-system.svc"}, 24*time.Hour)
	if err != nil {
		cancel()
		return nil, nil, err
	}
	pair, err := tls.X509KeyPair(set.Served.Cert, set.Served.Key)
	if err != nil {
		cancel()
		return nil, nil, err
	}
	s, err := door.New(ctx, door.Options{
		Store: store, Namespace: v1alpha1.CustomersNamespace, CRD: kind.CRD,
		Judge:   func(o, old *v1alpha1.CustomerConsent) (field.ErrorList, error) { return kind.Judge(o, old) },
		Cluster: env.Config, Listener: listener, Clock: time.Now, Log: logr.Discard(),
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &pair, nil },
	})
	if err != nil {
		cancel()
		return nil, nil, err
	}
	go func() { _ = s.Start(ctx) }() // it ends with the process
	end = func() {
		cancel()
		if err := database.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	return store, end, register(env, listener.Addr().(*net.TCPAddr).Port, set.CA)
}

// register tells the apiserver whom to send there, and waits until it does.
func register(env *apiserver.Env, port int, ca []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: "codb-consents"}}
	service.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"}
	if err := env.Client.Create(ctx, service); err != nil {
		return err
	}
	api := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
		"metadata": map[string]any{"name": "v1alpha1.store.consent.codb.dev"},
		"spec": map[string]any{
			"group": v1alpha1.StoreGroupVersion.Group, "version": v1alpha1.StoreGroupVersion.Version,
			"groupPriorityMinimum": int64(2000), "versionPriority": int64(100), "caBundle": base64.StdEncoding.EncodeToString(ca),
			"service": map[string]any{"name": service.Name, "namespace": service.Namespace, "port": int64(port)},
		},
	}}
	if err := env.Client.Create(ctx, api); err != nil {
		return err
	}
	c, err := Client(env.Config)
	if err != nil {
		return err
	}
	for {
		err := c.List(ctx, &v1alpha1.CustomerConsentList{})
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the door: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Client knows consents in a database alone.
func Client(cfg *rest.Config) (client.WithWatch, error) {
	s := runtime.NewScheme()
	v1alpha1.AddConsentsToScheme(s, v1alpha1.StoreGroupVersion)
	return client.NewWithWatch(cfg, client.Options{Scheme: s})
}
