package main

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/certificate"
)

// TestReplicasDoNotOverwriteEachOther: the second of two that renew at once is
// told, and finds what the first has written.
func TestReplicasDoNotOverwriteEachOther(t *testing.T) {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: "codb-webhook-tls"}}
	c := fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(secret).Build()
	one, two := &secretStore{reader: c, writer: c, name: secret.Name}, &secretStore{reader: c, writer: c, name: secret.Name}
	for _, s := range []*secretStore{one, two} {
		if set, err := s.Load(t.Context()); err != nil || len(set.CA) != 0 {
			t.Fatalf("got %v, %v, want an empty set", set, err)
		}
	}
	want := certificate.Set{
		Served: certificate.Pair{Cert: []byte("cert"), Key: []byte("key")},
		Next:   certificate.Pair{Cert: []byte("next"), Key: []byte("nextkey")},
		CA:     []byte("both"),
	}
	if err := one.Save(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if err := two.Save(t.Context(), certificate.Set{CA: []byte("other")}); !errors.Is(err, certificate.ErrConflict) {
		t.Fatalf("got %v, want a conflict", err)
	}
	got, err := two.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-saved +loaded):\n%s", diff)
	}
	absent := &secretStore{reader: c, writer: c, name: "none"}
	if _, err := absent.Load(t.Context()); err == nil {
		t.Error("a Secret that isn't there is taken for one without a certificate")
	}
}

func TestTheApiserverLearnsWhereTheWebhookIs(t *testing.T) {
	bundle := []byte("authority")
	service := &admissionregistrationv1.ServiceReference{
		Namespace: "codb-system", Name: "codb-operator", Path: ptr.To(webhookPath), Port: ptr.To[int32](443),
	}
	cases := map[string]struct {
		options operatorOptions
		before  admissionregistrationv1.WebhookClientConfig
		want    admissionregistrationv1.WebhookClientConfig
	}{
		"in the cluster, as it was applied": {
			operatorOptions{}, admissionregistrationv1.WebhookClientConfig{Service: service},
			admissionregistrationv1.WebhookClientConfig{Service: service, CABundle: bundle},
		},
		"in the cluster, after one outside": {
			operatorOptions{}, admissionregistrationv1.WebhookClientConfig{URL: ptr.To("https://127.0.0.1:9443/")},
			admissionregistrationv1.WebhookClientConfig{Service: service, CABundle: bundle},
		},
		"outside": {
			operatorOptions{webhookHost: "10.0.0.1", webhookPort: 9443}, admissionregistrationv1.WebhookClientConfig{Service: service},
			admissionregistrationv1.WebhookClientConfig{URL: ptr.To("https://10.0.0.1:9443" + webhookPath), CABundle: bundle},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			cfg := &admissionregistrationv1.ValidatingWebhookConfiguration{
				ObjectMeta: metav1.ObjectMeta{Name: webhookConfiguration},
				Webhooks:   []admissionregistrationv1.ValidatingWebhook{{Name: "policies.consent.codb.dev", ClientConfig: c.before}},
			}
			cluster := fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(cfg).Build()
			register := registerWebhook(cluster, &c.options)
			versions := map[string]bool{}
			for range 2 {
				if err := register(t.Context(), bundle); err != nil {
					t.Fatal(err)
				}
				got := &admissionregistrationv1.ValidatingWebhookConfiguration{}
				if err := cluster.Get(t.Context(), types.NamespacedName{Name: webhookConfiguration}, got); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(c.want, got.Webhooks[0].ClientConfig); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				versions[got.ResourceVersion] = true
			}
			if len(versions) != 1 {
				t.Error("it is written again though nothing has changed")
			}
		})
	}
}

// TestGateNames: who imports from a node finds the gate by its address, who
// forwards a port by this machine's.
func TestGateNames(t *testing.T) {
	service := func(ip string) *corev1.Service {
		return &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: "codb-gate"}, Spec: corev1.ServiceSpec{ClusterIP: ip},
		}
	}
	cases := map[string]struct {
		options gateOptions
		ip      string
		url     string
		name    string
		fails   bool
	}{
		"a Service":               {gateOptions{service: "codb-gate"}, "10.0.0.7", "https://10.0.0.7:443", "10.0.0.7", false},
		"a Service of IPv6":       {gateOptions{service: "codb-gate"}, "fd00::7", "https://[fd00::7]:443", "fd00::7", false},
		"a headless Service":      {gateOptions{service: "codb-gate"}, "None", "", "", true},
		"an address of one's own": {gateOptions{service: "codb-gate", url: "https://gate.example", hosts: []string{"gate.example"}}, "10.0.0.7", "https://gate.example", "gate.example", false},
		"no Service":              {gateOptions{}, "10.0.0.7", "https://127.0.0.1:8443", "127.0.0.1", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			place := gatePlace{
				client: fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(service(c.ip)).Build(),
				o:      c.options, listens: "https://127.0.0.1:8443",
			}
			url, err := place.url(t.Context())
			names, namesErr := place.names(t.Context())
			if failed := errors.Join(err, namesErr) != nil; failed != c.fails || url != c.url {
				t.Fatalf("got %q, %v, %v, want %q, an error: %t", url, err, namesErr, c.url, c.fails)
			}
			if !c.fails && !slices.Contains(names, c.name) {
				t.Errorf("the certificate is not for %s: %v", c.name, names)
			}
		})
	}
}
