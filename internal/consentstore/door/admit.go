package door

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle"
	validatingpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/request/headerrequest"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/authorization/path"
	"k8s.io/apiserver/pkg/authorization/union"
	"k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/apiserver/pkg/server/options"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	admissionlisters "k8s.io/client-go/listers/admissionregistration/v1"
	clientrest "k8s.io/client-go/rest"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// remembered is for how long an answer of the apiserver about somebody's
// identity or rights holds.
const remembered = 2 * time.Second

// believe takes people for who the apiserver says they are, and gives them the
// rights that they have there: those that it sends here by its certificate for
// that purpose, others by their token. Nobody else is anybody.
func believe(ctx context.Context, c *server.Config, cluster kubernetes.Interface) error {
	const namespace, name = metav1.NamespaceSystem, "extension-apiserver-authentication"
	authority, err := dynamiccertificates.NewDynamicCAFromConfigMapController("proxy", namespace, name, "requestheader-client-ca-file", cluster)
	if err != nil {
		return err
	}
	proxy := &options.DynamicRequestHeaderController{
		ConfigMapCAController: authority,
		RequestHeaderAuthRequestController: headerrequest.NewRequestHeaderAuthRequestController(name, namespace, cluster,
			"requestheader-username-headers", "requestheader-uid-headers", "requestheader-group-headers",
			"requestheader-extra-headers-prefix", "requestheader-allowed-names"),
	}
	if err := proxy.RunOnce(ctx); err != nil {
		return err
	}
	headers := &authenticatorfactory.RequestHeaderConfig{
		CAContentProvider:   proxy,
		UsernameHeaders:     headerrequest.StringSliceProviderFunc(proxy.UsernameHeaders),
		UIDHeaders:          headerrequest.StringSliceProviderFunc(proxy.UIDHeaders),
		GroupHeaders:        headerrequest.StringSliceProviderFunc(proxy.GroupHeaders),
		ExtraHeaderPrefixes: headerrequest.StringSliceProviderFunc(proxy.ExtraHeaderPrefixes),
		AllowedClientNames:  headerrequest.StringSliceProviderFunc(proxy.AllowedClientNames),
	}
	c.Authentication.RequestHeaderConfig = headers
	c.Authentication.Authenticator, _, err = authenticatorfactory.DelegatingAuthenticatorConfig{
		Anonymous:               &apiserver.AnonymousAuthConfig{Enabled: true}, // probes; whatever else it may
		TokenAccessReviewClient: cluster.AuthenticationV1(), TokenAccessReviewTimeout: 10 * time.Second,
		WebhookRetryBackoff: options.DefaultAuthWebhookRetryBackoff(),
		CacheTTL:            remembered, RequestHeaderConfig: headers,
	}.New()
	if err == nil {
		err = c.Authentication.ApplyClientCert(proxy, c.SecureServing)
	}
	if err != nil {
		return err
	}
	delegated, err := authorizerfactory.DelegatingAuthorizerConfig{
		SubjectAccessReviewClient: cluster.AuthorizationV1(), WebhookRetryBackoff: options.DefaultAuthWebhookRetryBackoff(),
		AllowCacheTTL: remembered, DenyCacheTTL: remembered,
	}.New()
	if err != nil {
		return err
	}
	open, err := path.NewAuthorizer([]string{"/livez", "/readyz"})
	if err != nil {
		return err
	}
	c.Authorization.Authorizer, err = union.New(
		union.NamedAuthorizer{AuthorizerName: "probes", Authorizer: open},
		union.NamedAuthorizer{AuthorizerName: "cluster", Authorizer: delegated})
	return err
}

// admit puts the apiserver's own admission plugins in the way of what is
// written.
func admit(c *server.Config, cfg *clientrest.Config, cluster kubernetes.Interface, shared informers.SharedInformerFactory) error {
	dynamicClient, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return err
	}
	o := options.NewAdmissionOptions()
	for _, name := range o.RecommendedPluginOrder {
		if name != lifecycle.PluginName && name != validatingpolicy.PluginName {
			o.DisablePlugins = append(o.DisablePlugins, name)
		}
	}
	if err := o.ApplyTo(c, shared, cluster, dynamicClient, utilfeature.DefaultFeatureGate, c.EffectiveVersion); err != nil {
		return err
	}
	registration := shared.Admissionregistration().V1()
	c.AdmissionControl = admission.NewChainHandler(rules{
		admission.NewHandler(admission.Create, admission.Update, admission.Delete),
		registration.ValidatingAdmissionPolicies().Lister(), registration.ValidatingAdmissionPolicyBindings().Lister(),
	}, c.AdmissionControl)
	return nil
}

// rules lets nobody write while codb's own rules for consents are not in force:
// without them a customer could write somebody else's.
type rules struct {
	*admission.Handler
	policies admissionlisters.ValidatingAdmissionPolicyLister
	bindings admissionlisters.ValidatingAdmissionPolicyBindingLister
}

// consentPolicies are in config/admission.
var consentPolicies = []string{"campaign-consents." + v1alpha1.Group, "campaign-dates." + v1alpha1.Group}

// Validate implements admission.ValidationInterface.
func (r rules) Validate(context.Context, admission.Attributes, admission.ObjectInterfaces) error {
	for _, name := range consentPolicies {
		if !r.inForce(name) {
			return apierrors.NewServiceUnavailable("ValidatingAdmissionPolicy " + name + " is not in force for " + resource.Group +
				": install config/admission; until then nobody writes consents")
		}
	}
	return nil
}

func (r rules) inForce(name string) bool {
	policy, err := r.policies.Get(name)
	if err != nil || policy.Spec.MatchConstraints == nil {
		return false
	}
	served := func(rule admissionregistrationv1.NamedRuleWithOperations) bool {
		return slices.Contains(rule.APIGroups, resource.Group) && slices.Contains(rule.Resources, resource.Resource)
	}
	bindings, err := r.bindings.List(labels.Everything())
	return err == nil && slices.ContainsFunc(policy.Spec.MatchConstraints.ResourceRules, served) &&
		slices.ContainsFunc(bindings, func(b *admissionregistrationv1.ValidatingAdmissionPolicyBinding) bool {
			return b.Spec.PolicyName == name && slices.Contains(b.Spec.ValidationActions, admissionregistrationv1.Deny)
		})
}

// certificate serves what a keeper has; the library looks every minute.
type certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)

func (certificate) Name() string { return "codb-consents" }

// AddListener implements dynamiccertificates.Notifier.
func (certificate) AddListener(dynamiccertificates.Listener) {}

// CurrentCertKeyContent is empty while there is no certificate.
func (c certificate) CurrentCertKeyContent() (cert, key []byte) {
	pair, err := c(nil)
	if err != nil {
		return nil, nil
	}
	private, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return nil, nil
	}
	for _, der := range pair.Certificate {
		cert = append(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
}
