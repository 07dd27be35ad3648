package door

import (
	"net/http"
	"slices"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/discovery"
	"k8s.io/apiserver/pkg/endpoints/discovery/aggregated"
	"k8s.io/apiserver/pkg/server"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// Consents can be watched, and discovery does not say so: the garbage collector
// and the quotas of Kubernetes watch whatever it says can be, and would hold a
// million customers in memory. Who watches because they want to does not ask.

// verbs are those that discovery names.
var verbs = metav1.Verbs{"create", "delete", "get", "list", "patch", "update"}

// reticent is discovery of all groups at once.
type reticent struct{ aggregated.ResourceManager }

func (r reticent) AddGroupVersion(group string, v apidiscoveryv2.APIVersionDiscovery) {
	v.Resources = slices.Clone(v.Resources)
	for i := range v.Resources {
		v.Resources[i].Verbs = verbs
	}
	r.ResourceManager.AddGroupVersion(group, v)
}

// conceal keeps watching out of both kinds of discovery.
func (s *storage) conceal(c *server.Config, codecs runtime.NegotiatedSerializer) {
	c.AggregatedDiscoveryGroupManager = reticent{aggregated.NewResourceManager("apis")}
	named := discovery.NewAPIVersionHandler(codecs, v1alpha1.StoreGroupVersion, discovery.APIResourceListerFunc(func() []metav1.APIResource {
		return []metav1.APIResource{{
			Name: resource.Resource, SingularName: s.GetSingularName(), Namespaced: true, Kind: s.CRD.Spec.Names.Kind,
			Verbs: verbs, ShortNames: s.ShortNames(), Categories: s.Categories(),
		}}
	}))
	c.BuildHandlerChainFunc = func(api http.Handler, c *server.Config) http.Handler {
		return server.DefaultBuildHandlerChain(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && r.URL.Path == server.APIGroupPrefix+"/"+v1alpha1.StoreGroupVersion.String() {
				named.ServeHTTP(w, r)
				return
			}
			api.ServeHTTP(w, r)
		}), c)
	}
}
