package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// manager is who wrote a field, in managedFields.
const manager = "kubectl-codb"

// place is where the cluster keeps consents.
type place struct {
	client    client.Client
	namespace string
	resource  schema.GroupResource
}

// find asks the cluster which of the two groups holds consents. One that is
// declared and does not answer is an error: what is written to the other one
// would count for nothing.
func (f *flags) find() (*place, error) {
	cfg, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(&f.loading, &f.overrides).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("find the cluster: %w", err)
	}
	d, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("find the cluster: %w", err)
	}
	gv := v1alpha1.StoreGroupVersion
	switch _, err = d.ServerResourcesForGroupVersion(gv.String()); {
	case apierrors.IsNotFound(err):
		gv = v1alpha1.SchemeGroupVersion
	case err != nil:
		return nil, fmt.Errorf("ask where consents are kept: %w", err)
	}
	s := runtime.NewScheme()
	v1alpha1.AddConsentsToScheme(s, gv)
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{gv})
	mapper.Add(gv.WithKind("CustomerConsent"), meta.RESTScopeNamespace)
	p := &place{namespace: f.overrides.Context.Namespace, resource: gv.WithResource("customerconsents").GroupResource()}
	if p.namespace == "" {
		p.namespace = v1alpha1.CustomersNamespace
	}
	if p.client, err = client.New(cfg, client.Options{Scheme: s, Mapper: mapper}); err != nil {
		return nil, fmt.Errorf("reach the cluster: %w", err)
	}
	return p, nil
}

// name is how kubectl calls the customer's consent.
func (p *place) name(principal string) string {
	return "customerconsent." + p.resource.Group + "/" + principal
}

func (p *place) get(ctx context.Context, principal string) (*v1alpha1.CustomerConsent, error) {
	c := &v1alpha1.CustomerConsent{}
	return c, p.client.Get(ctx, types.NamespacedName{Namespace: p.namespace, Name: principal}, c)
}

// operation is one of a JSON patch: what this program does not know of a record
// stays in it.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// others who write to the same customer at the same time are waited out.
var others = wait.Backoff{Duration: 10 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 8}

// change does to a consent what edit wants, on the very version that edit saw.
// No operations: there is nothing to change, and after is before.
func (p *place) change(ctx context.Context, principal string, dry dryRun, edit func(*v1alpha1.CustomerConsent) ([]operation, error)) (before, after *v1alpha1.CustomerConsent, err error) {
	err = retry.RetryOnConflict(others, func() error {
		if before, err = p.get(ctx, principal); err != nil {
			return err
		}
		ops, err := edit(before)
		if err != nil || len(ops) == 0 {
			after = before
			return err
		}
		after, err = p.patch(ctx, principal, dry, append(ops, operation{"replace", "/metadata/resourceVersion", before.ResourceVersion}))
		return err
	})
	return before, after, err
}

func (p *place) patch(ctx context.Context, principal string, dry dryRun, ops []operation) (*v1alpha1.CustomerConsent, error) {
	raw, err := json.Marshal(ops)
	if err != nil {
		return nil, err
	}
	c := &v1alpha1.CustomerConsent{ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: principal}}
	o := &client.PatchOptions{FieldManager: manager, DryRun: dry.all(), Raw: &metav1.PatchOptions{FieldValidation: metav1.FieldValidationStrict}}
	return c, p.client.Patch(ctx, c, client.RawPatch(types.JSONPatchType, raw), o)
}

func (p *place) create(ctx context.Context, c *v1alpha1.CustomerConsent, dry dryRun) error {
	c.Namespace = p.namespace
	o := &client.CreateOptions{FieldManager: manager, DryRun: dry.all(), Raw: &metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict}}
	return p.client.Create(ctx, c, o)
}

// dryRun is kubectl's --dry-run.
type dryRun string

func (d *dryRun) String() string { return string(*d) }
func (d *dryRun) Type() string   { return "string" }
func (d *dryRun) Set(s string) error {
	if s != "none" && s != "server" {
		return fmt.Errorf("write none or server: only the server knows what it would refuse")
	}
	*d = dryRun(s)
	return nil
}

func (d dryRun) all() []string {
	if d == "server" {
		return []string{metav1.DryRunAll}
	}
	return nil
}

// suffix follows a line that says what was done.
func (d dryRun) suffix() string {
	if d == "server" {
		return " (server dry run)"
	}
	return ""
}
