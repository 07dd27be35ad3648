package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/codb-dev/codb/config"
)

func installCommand() *cobra.Command {
	var print bool
	c := &cobra.Command{
		Use:   "install",
		Short: "put codb's kinds, roles and admission policies into the current context's cluster",
		Long: "Install applies everything but the policies, which need codb to run: they are applied\n" +
			"by codb install --policy once it does. It changes nothing that is as it should be.",
		Args: cobra.NoArgs,
	}
	var policy bool
	c.Flags().BoolVar(&print, "print", false, "print the manifests instead of applying them")
	c.Flags().BoolVar(&policy, "policy", false, "apply the baseline policy, which a running codb must admit")
	var static string
	c.Flags().StringVar(&static, "static", "", "write the admission policies to this folder instead, for kube-apiserver --admission-control-config-file (Kubernetes 1.37)")
	var values config.Values
	c.Flags().StringVar(&values.Kueue, kueueFlag, "", kueueUsage)
	c.Flags().BoolVar(&values.Elsewhere, "consents-in-database", false, "customers' consents are in a database, which operator and gates get with --consents: the apiserver takes none")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if static != "" {
			return writeStatic(values, static)
		}
		parts := []config.Part{config.CRDs, config.Namespaces, config.RBAC, config.Admission, config.Mutation, config.Sender, config.Webhook}
		if policy {
			parts = []config.Part{config.Policy}
		}
		objects, err := config.Objects(values, parts...)
		if err != nil {
			return err
		}
		if print {
			return printObjects(cmd.OutOrStdout(), objects)
		}
		return apply(cmd.Context(), cmd.OutOrStdout(), objects)
	}
	return c
}

func printObjects(w io.Writer, objects []*unstructured.Unstructured) error {
	for _, o := range objects {
		raw, err := yaml.Marshal(o.Object)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "---\n%s", raw); err != nil {
			return err
		}
	}
	return nil
}

// apply applies the manifests in order; kinds that were just declared are
// waited for.
func apply(ctx context.Context, w io.Writer, objects []*unstructured.Unstructured) error {
	cfg, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the cluster: %w", err)
	}
	s := runtime.NewScheme()
	if err := apiextensionsv1.AddToScheme(s); err != nil {
		return err
	}
	c, err := client.New(cfg, client.Options{Scheme: s})
	if err != nil {
		return fmt.Errorf("reach the cluster: %w", err)
	}
	for _, o := range objects {
		if err := applyOne(ctx, c, o); err != nil {
			return fmt.Errorf("apply %s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	_, err = fmt.Fprintf(w, "%d objects are in place\n", len(objects))
	return err
}

func applyOne(ctx context.Context, c client.Client, o *unstructured.Unstructured) error {
	if mutating := o.GetKind() == "MutatingAdmissionPolicy" || o.GetKind() == "MutatingAdmissionPolicyBinding"; mutating {
		if _, err := c.RESTMapper().RESTMapping(o.GroupVersionKind().GroupKind(), o.GroupVersionKind().Version); meta.IsNoMatchError(err) {
			return nil // before Kubernetes 1.36: the validating policies alone refuse what isn't born suspended
		}
	}
	if o.GetKind() == "ValidatingWebhookConfiguration" {
		if err := keepAddress(ctx, c, o); err != nil {
			return err
		}
	}
	if err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(o), client.FieldOwner("codb-install"), client.ForceOwnership); err != nil {
		return err
	}
	if o.GetKind() != "CustomResourceDefinition" {
		return nil
	}
	return wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := c.Get(ctx, client.ObjectKeyFromObject(o), crd); err != nil {
			return false, err
		}
		for _, cond := range crd.Status.Conditions {
			if cond.Type == apiextensionsv1.Established && cond.Status == apiextensionsv1.ConditionTrue {
				return true, nil
			}
		}
		return false, nil
	})
}

// keepAddress leaves the webhook's address and CA as the running codb wrote
// them: the manifest's are those of an installation that never ran.
func keepAddress(ctx context.Context, c client.Client, o *unstructured.Unstructured) error {
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(o.GroupVersionKind())
	if err := c.Get(ctx, client.ObjectKeyFromObject(o), live); err != nil {
		return client.IgnoreNotFound(err)
	}
	addresses := map[any]any{}
	known, _, err := unstructured.NestedSlice(live.Object, "webhooks")
	if err != nil {
		return err
	}
	for _, w := range known {
		if m, ok := w.(map[string]any); ok {
			addresses[m["name"]] = m["clientConfig"]
		}
	}
	hooks, _, err := unstructured.NestedSlice(o.Object, "webhooks")
	if err != nil {
		return err
	}
	for _, w := range hooks {
		if m, ok := w.(map[string]any); ok && addresses[m["name"]] != nil {
			m["clientConfig"] = addresses[m["name"]]
		}
	}
	return unstructured.SetNestedSlice(o.Object, hooks, "webhooks")
}
