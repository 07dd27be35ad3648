package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/config"
)

func uninstallCommand() *cobra.Command {
	var everything bool
	c := &cobra.Command{
		Use:   "uninstall",
		Short: "take codb out of the current context's cluster",
		Long: `Uninstall stops codb and suspends every campaign that runs, since nobody would
hear a withdrawal any more. Consents, decisions, the ledger's volume and the
admission policies stay: what is held stays held, and an installation that comes
later finds everything in its place.

With --delete-consents it removes those too: first the Jobs and CronJobs of
campaigns, and only when they are gone the policies that hold them, then the
kinds with all consents, and codb's namespaces.`,
		Args: cobra.NoArgs,
	}
	c.Flags().BoolVar(&everything, "delete-consents", false, "leave nothing: delete campaigns' workloads, admission policies, all consents and decisions, and the ledger")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := ctrl.GetConfig()
		if err != nil {
			return fmt.Errorf("find the cluster: %w", err)
		}
		s, err := newScheme()
		if err != nil {
			return err
		}
		cluster, err := client.New(cfg, client.Options{Scheme: s})
		if err != nil {
			return fmt.Errorf("reach the cluster: %w", err)
		}
		u := uninstaller{client: cluster, out: cmd.OutOrStdout(), patience: 2 * time.Minute}
		return u.run(cmd.Context(), everything)
	}
	return c
}

// uninstaller takes codb apart in the order in which nothing can get away.
type uninstaller struct {
	client   client.Client
	out      io.Writer
	patience time.Duration
}

func (u uninstaller) run(ctx context.Context, everything bool) error {
	if err := u.remove(ctx, config.Webhook, config.Consents, config.Gate, config.Manager); err != nil {
		return err
	}
	if err := u.gone(ctx, "codb's pods", &corev1.PodList{}, client.InNamespace(v1alpha1.SystemNamespace),
		client.MatchingLabels{"app.kubernetes.io/part-of": "codb"}); err != nil {
		return err
	}
	suspended, err := u.suspend(ctx)
	if err != nil {
		return err
	}
	u.say("codb is stopped; %d running campaign workloads were suspended", suspended)
	if !everything {
		u.say("consents, decisions, the ledger and the admission policies stay; codb uninstall --delete-consents removes them")
		return nil
	}
	return u.removeEverything(ctx)
}

// removeEverything lets go of the locks last: a Job that is held is deleted
// before the policy that holds it.
func (u uninstaller) removeEverything(ctx context.Context) error {
	campaigns := client.HasLabels{v1alpha1.LabelCampaign}
	for _, list := range []client.ObjectList{&batchv1.CronJobList{}, &batchv1.JobList{}, &corev1.PodList{}} {
		if err := u.deleteAll(ctx, "every campaign's workload", list, campaigns); err != nil {
			return err
		}
	}
	ours := client.MatchingLabels{"app.kubernetes.io/part-of": "codb"}
	if err := u.deleteAll(ctx, "the gate's address in the brands' namespaces", &corev1.ConfigMapList{}, ours); err != nil {
		return err
	}
	if err := u.remove(ctx, config.Policy, config.CRDs); err != nil { // with all that is declared
		return err
	}
	if err := u.remove(ctx, config.Sender, config.Mutation, config.Admission); err != nil {
		return err
	}
	if err := u.unlabel(ctx); err != nil {
		return err
	}
	if err := u.remove(ctx, config.RBAC, config.Namespaces); err != nil {
		return err
	}
	u.say("nothing of codb is left")
	return nil
}

func (u uninstaller) say(format string, args ...any) { _, _ = fmt.Fprintf(u.out, format+"\n", args...) }

// remove deletes the objects of the parts, the last first, and waits until they
// are gone.
func (u uninstaller) remove(ctx context.Context, parts ...config.Part) error {
	objects, err := config.Objects(config.Values{}, parts...)
	if err != nil {
		return err
	}
	slices.Reverse(objects)
	for _, o := range objects {
		if err := u.client.Delete(ctx, o, client.PropagationPolicy("Background")); ignoreAbsent(err) != nil {
			return fmt.Errorf("delete %s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	for _, o := range objects {
		what := o.GetKind() + " " + o.GetName()
		if err := u.wait(ctx, what, func(ctx context.Context) (bool, error) {
			live := &unstructured.Unstructured{}
			live.SetGroupVersionKind(o.GroupVersionKind())
			err := u.client.Get(ctx, client.ObjectKeyFromObject(o), live)
			return err != nil && ignoreAbsent(err) == nil, ignoreAbsent(err)
		}); err != nil {
			return err
		}
	}
	return nil
}

// ignoreAbsent takes an object, or its kind, that isn't there for success.
func ignoreAbsent(err error) error {
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return nil
	}
	return err
}

func (u uninstaller) wait(ctx context.Context, what string, done wait.ConditionWithContextFunc) error {
	if err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, u.patience, true, done); err != nil {
		return fmt.Errorf("wait until %s is gone: %w", what, err)
	}
	return nil
}

func (u uninstaller) gone(ctx context.Context, what string, list client.ObjectList, o ...client.ListOption) error {
	return u.wait(ctx, what, func(ctx context.Context) (bool, error) {
		err := u.client.List(ctx, list, o...)
		return meta.LenList(list) == 0, err
	})
}

func (u uninstaller) deleteAll(ctx context.Context, what string, list client.ObjectList, o ...client.ListOption) error {
	if err := u.client.List(ctx, list, o...); err != nil {
		return err
	}
	err := meta.EachListItem(list, func(item runtime.Object) error {
		obj, ok := item.(client.Object)
		if !ok {
			return nil
		}
		if err := u.client.Delete(ctx, obj, client.PropagationPolicy("Background")); ignoreAbsent(err) != nil {
			return fmt.Errorf("delete %s: %s/%s: %w", what, obj.GetNamespace(), obj.GetName(), err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return u.gone(ctx, what, list, o...)
}

// suspend holds what runs. Suspending is always admitted.
func (u uninstaller) suspend(ctx context.Context) (int, error) {
	campaigns := client.HasLabels{v1alpha1.LabelCampaign}
	var (
		crons batchv1.CronJobList
		jobs  batchv1.JobList
		held  []client.Object
	)
	if err := u.client.List(ctx, &crons, campaigns); err != nil {
		return 0, err
	}
	if err := u.client.List(ctx, &jobs, campaigns); err != nil {
		return 0, err
	}
	for i, c := range crons.Items {
		if c.Spec.Suspend == nil || !*c.Spec.Suspend {
			held = append(held, &crons.Items[i])
		}
	}
	for i, j := range jobs.Items {
		if (j.Spec.Suspend == nil || !*j.Spec.Suspend) && j.Status.CompletionTime == nil && !failed(j) {
			held = append(held, &jobs.Items[i])
		}
	}
	for _, o := range held {
		if err := u.client.Patch(ctx, o, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"suspend":true}}`))); ignoreAbsent(err) != nil {
			return 0, fmt.Errorf("suspend %s/%s: %w", o.GetNamespace(), o.GetName(), err)
		}
	}
	return len(held), nil
}

func failed(j batchv1.Job) bool {
	return slices.ContainsFunc(j.Status.Conditions, func(c batchv1.JobCondition) bool {
		return c.Type == batchv1.JobFailed && c.Status == corev1.ConditionTrue
	})
}

// unlabel takes the scope's label off the namespaces that stay.
func (u uninstaller) unlabel(ctx context.Context) error {
	var all corev1.NamespaceList
	if err := u.client.List(ctx, &all, client.HasLabels{v1alpha1.LabelEnforce}); err != nil {
		return err
	}
	for i := range all.Items {
		patch := []byte(`{"metadata":{"labels":{"` + v1alpha1.LabelEnforce + `":null}}}`)
		if err := u.client.Patch(ctx, &all.Items[i], client.RawPatch("application/merge-patch+json", patch)); ignoreAbsent(err) != nil {
			return fmt.Errorf("take %s off namespace %s: %w", v1alpha1.LabelEnforce, all.Items[i].Name, err)
		}
	}
	return nil
}
