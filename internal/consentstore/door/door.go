// Package door serves consents that are in a database as the apiserver serves
// custom resources, behind the apiserver and through its own library: whoever
// comes has the identity, the rights and the admission policies that they have
// there. It does not know what consents are for.
package door

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/apiserver/pkg/util/compatibility"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	clientrest "k8s.io/client-go/rest"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// Options say whom to serve, and what.
type Options struct {
	// Store keeps the consents of Namespace.
	Store     Store
	Namespace string
	// CRD is what a CustomerConsent looks like.
	CRD *apiextensionsv1.CustomResourceDefinition
	// Judge says why an object would be refused, as a change of old, which may be
	// nil, and fills in defaults.
	Judge func(object, old *v1alpha1.CustomerConsent) (field.ErrorList, error)
	// Cluster is the apiserver that sends people here, and knows them.
	Cluster *clientrest.Config
	// Listener is where they come in, with this certificate.
	Listener    net.Listener
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Ready says why the store is not there yet.
	Ready func() error
	// Clock tells what answers amount to now.
	Clock func() time.Time
	Log   logr.Logger
}

// Server is an open door.
type Server struct{ server *server.GenericAPIServer }

// resource is what is served.
var resource = v1alpha1.StoreGroupVersion.WithResource("customerconsents").GroupResource()

// patience is how long a request may take, and go on after the end was
// announced.
const patience = 30 * time.Second

// New makes a server; it asks the apiserver whom to believe.
func New(ctx context.Context, o Options) (*Server, error) {
	s, err := newServer(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("serve consents: %w", err)
	}
	return &Server{s}, nil
}

func newServer(ctx context.Context, o Options) (*server.GenericAPIServer, error) {
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	codecs := serializer.NewCodecFactory(scheme)
	c := server.NewConfig(codecs)
	c.EffectiveVersion = compatibility.DefaultBuildEffectiveVersion()
	c.EnableProfiling = false
	c.RequestTimeout = patience
	c.LoopbackClientConfig = &clientrest.Config{} // nobody comes in by a back door
	c.SecureServing = &server.SecureServingInfo{
		Listener: o.Listener, Cert: certificate(o.Certificate), MinTLSVersion: tls.VersionTLS13,
	}
	definitions, err := newDefinitions(o.CRD)
	if err != nil {
		return nil, err
	}
	namer := definitions.namer(openapi.NewDefinitionNamer(scheme))
	c.OpenAPIConfig = server.DefaultOpenAPIConfig(definitions.get, openapi.NewDefinitionNamer(scheme))
	c.OpenAPIConfig.GetDefinitionName = namer
	c.OpenAPIV3Config = server.DefaultOpenAPIV3Config(definitions.get, openapi.NewDefinitionNamer(scheme))
	c.OpenAPIV3Config.GetDefinitionName = namer
	customers, err := newStorage(o)
	if err != nil {
		return nil, err
	}
	customers.conceal(c, codecs)
	if o.Ready != nil {
		c.AddReadyzChecks(healthz.NamedCheck("consents", func(*http.Request) error { return o.Ready() }))
	}
	cluster, err := kubernetes.NewForConfig(o.Cluster)
	if err != nil {
		return nil, err
	}
	if err := believe(ctx, c, cluster); err != nil {
		return nil, err
	}
	shared := informers.NewSharedInformerFactory(cluster, 10*time.Minute)
	if err := admit(c, o.Cluster, cluster, shared); err != nil {
		return nil, err
	}
	g, err := c.Complete(shared).New("codb-consents", server.NewEmptyDelegate())
	if err != nil {
		return nil, err
	}
	group := server.NewDefaultAPIGroupInfo(resource.Group, scheme, runtime.NewParameterCodec(scheme), codecs)
	group.NegotiatedSerializer = textual{group.NegotiatedSerializer}
	group.VersionedResourcesStorageMap[v1alpha1.StoreGroupVersion.Version] = map[string]rest.Storage{resource.Resource: customers}
	return g, g.InstallAPIGroup(&group)
}

// Start serves until ctx ends.
func (s *Server) Start(ctx context.Context) error {
	if err := s.server.PrepareRun().RunWithContext(ctx); err != nil {
		return fmt.Errorf("serve consents: %w", err)
	}
	return nil
}

// NeedLeaderElection says no: every replica serves.
func (s *Server) NeedLeaderElection() bool { return false }

// newScheme knows consents alone. The library wants a version of its own,
// which is the same Go type here.
func newScheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	v1alpha1.AddConsentsToScheme(s, v1alpha1.StoreGroupVersion)
	s.AddKnownTypes(schema.GroupVersion{Group: resource.Group, Version: runtime.APIVersionInternal},
		&v1alpha1.CustomerConsent{}, &v1alpha1.CustomerConsentList{})
	v1 := schema.GroupVersion{Version: "v1"}
	metav1.AddToGroupVersion(s, v1)
	s.AddUnversionedTypes(v1, &metav1.Status{}, &metav1.APIVersions{}, &metav1.APIGroupList{}, &metav1.APIGroup{}, &metav1.APIResourceList{})
	return s, errors.Join(
		s.SetVersionPriority(v1alpha1.StoreGroupVersion),
		s.AddFieldLabelConversionFunc(v1alpha1.StoreGroupVersion.WithKind("CustomerConsent"), selectable),
	)
}

// summary is the one field of a consent that lists can be narrowed by, besides
// names: as the CRD says.
const summary = "status.summary"

func selectable(label, value string) (string, string, error) {
	switch label {
	case "metadata.name", "metadata.namespace", summary:
		return label, value, nil
	}
	return "", "", fmt.Errorf("%q is not a known field selector: only %q, %q, %q", label, "metadata.name", "metadata.namespace", summary)
}

func selectableFields(c *v1alpha1.CustomerConsent) fields.Set {
	return fields.Set{"metadata.name": c.Name, "metadata.namespace": c.Namespace, summary: c.Status.Summary}
}

// textual is a serializer without protobuf, which CustomerConsents don't speak.
type textual struct{ runtime.NegotiatedSerializer }

func (t textual) SupportedMediaTypes() []runtime.SerializerInfo {
	var out []runtime.SerializerInfo
	for _, info := range t.NegotiatedSerializer.SupportedMediaTypes() {
		if info.MediaType != runtime.ContentTypeProtobuf {
			out = append(out, info)
		}
	}
	return out
}
