package bypass_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// row is one way round codb: who tries, what, and what the refusal says. An
// empty refusal means that it is accepted, and does no harm or is a twin that
// shows what is allowed instead.
type row struct {
	as   who
	try  attempt
	want string
}

type attempt func(t *testing.T, c client.Client) error

func (r row) run(t *testing.T) {
	err := r.try(t, r.as.client(t))
	switch {
	case r.want == "" && err != nil:
		t.Errorf("refused to %s: %v", r.as.name, err)
	case r.want != "" && err == nil:
		t.Errorf("accepted from %s, want a refusal that says %q", r.as.name, r.want)
	case r.want != "" && !strings.Contains(err.Error(), r.want):
		t.Errorf("refused with\n  %v\nwant %q", err, r.want)
	}
}

func create(o client.Object, opts ...client.CreateOption) attempt {
	return func(t *testing.T, c client.Client) error {
		return c.Create(t.Context(), o.DeepCopyObject().(client.Object), opts...)
	}
}

// suspended makes something that asks to run; it is an error if it would.
func suspended(o client.Object) attempt {
	return func(t *testing.T, c client.Client) error {
		made := o.DeepCopyObject().(client.Object)
		if err := c.Create(t.Context(), made, client.DryRunAll); err != nil {
			return err
		}
		held := false
		switch m := made.(type) {
		case *batchv1.Job:
			held = ptr.Deref(m.Spec.Suspend, false)
		case *batchv1.CronJob:
			held = ptr.Deref(m.Spec.Suspend, false)
		}
		if !held {
			return errors.New("it would run at once")
		}
		return nil
	}
}

// patch merges JSON, in which ' stands for ".
func patch(o client.Object, json string, opts ...client.PatchOption) attempt {
	return patchAs(types.MergePatchType, o, json, opts...)
}

func patchAs(kind types.PatchType, o client.Object, json string, opts ...client.PatchOption) attempt {
	return func(t *testing.T, c client.Client) error {
		return c.Patch(t.Context(), o.DeepCopyObject().(client.Object), client.RawPatch(kind, quoted(json)), opts...)
	}
}

func patchSub(sub string, o client.Object, json string) attempt {
	return func(t *testing.T, c client.Client) error {
		return c.SubResource(sub).Patch(t.Context(), o.DeepCopyObject().(client.Object), client.RawPatch(types.MergePatchType, quoted(json)))
	}
}

func update[T client.Object](o T, change func(T)) attempt {
	return func(t *testing.T, c client.Client) error {
		changed := o.DeepCopyObject().(T)
		change(changed)
		changed.SetResourceVersion("")
		return c.Update(t.Context(), changed)
	}
}

func remove(o client.Object, opts ...client.DeleteOption) attempt {
	return func(t *testing.T, c client.Client) error {
		return c.Delete(t.Context(), o.DeepCopyObject().(client.Object), opts...)
	}
}

func removeAll(o client.Object, opts ...client.DeleteAllOfOption) attempt {
	return func(t *testing.T, c client.Client) error { return c.DeleteAllOf(t.Context(), o, opts...) }
}

// apply applies a manifest by server-side apply, by force.
func apply(json string, opts ...client.ApplyOption) attempt {
	return func(t *testing.T, c client.Client) error {
		u := &unstructured.Unstructured{}
		if err := u.UnmarshalJSON(quoted(json)); err != nil {
			return err
		}
		return c.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(u), append(opts, client.FieldOwner("gitops"), client.ForceOwnership)...)
	}
}

// kubectl runs the real one as the namespace's administrator.
func kubectl(args ...string) attempt {
	return func(t *testing.T, _ client.Client) error {
		args := append([]string{"--as=" + admin.name, "--as-group=system:authenticated", "--namespace=" + marketing}, args...)
		out, err := env.Kubectl(t, args...)
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
}

// connect opens a connection as kubectl exec and its kin do.
func connect(resource, name, sub string) attempt {
	return func(t *testing.T, _ client.Client) error {
		clients, err := kubernetes.NewForConfig(admin.config())
		if err != nil {
			return err
		}
		return clients.CoreV1().RESTClient().Post().Namespace(marketing).Resource(resource).Name(name).SubResource(sub).
			Param("command", "sh").Param("container", "sender").Param("stdout", "true").Do(t.Context()).Error()
	}
}

// pretends acts as somebody else, with the certificate of one who may not.
func pretends(as who, try attempt) attempt {
	return func(t *testing.T, _ client.Client) error {
		cfg := admin.certified(t)
		cfg.Impersonate = rest.ImpersonationConfig{UserName: as.name, Groups: as.groups}
		c, err := client.New(cfg, client.Options{Scheme: env.Scheme, Mapper: env.Client.RESTMapper()})
		if err != nil {
			return err
		}
		return try(t, c)
	}
}

// raw asks for a raw path.
func raw(as who, path string) attempt {
	return func(t *testing.T, _ client.Client) error {
		clients, err := kubernetes.NewForConfig(as.config())
		if err != nil {
			return err
		}
		return clients.CoreV1().RESTClient().Get().AbsPath(path).Do(t.Context()).Error()
	}
}

func meta(ns, name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: ns, Name: name} }

func podSpec() corev1.PodSpec { return plainJob("", "", "").Spec.Template.Spec }

// always is a template for kinds whose pods never end.
func always() corev1.PodTemplateSpec {
	spec := podSpec()
	spec.RestartPolicy = corev1.RestartPolicyAlways
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "sender"}}, Spec: spec}
}

func selects() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": "sender"}}
}

func cronJob(name, campaign string, changes ...func(*batchv1.CronJob)) *batchv1.CronJob {
	c := &batchv1.CronJob{ObjectMeta: meta(marketing, name), Spec: batchv1.CronJobSpec{
		Schedule: "* * * * *", ConcurrencyPolicy: batchv1.ForbidConcurrent,
		JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: podSpec()}}},
	}}
	if campaign != "" {
		c.Labels = map[string]string{v1alpha1.LabelCampaign: campaign}
	}
	for _, f := range changes {
		f(c)
	}
	return c
}
