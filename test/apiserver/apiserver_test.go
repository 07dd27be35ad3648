package apiserver_test

import (
	"context"
	"os"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	consentv1 "github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/test/apiserver"
)

var env *apiserver.Env

func TestMain(m *testing.M) {
	os.Exit(apiserver.Run(m, apiserver.Options{Controllers: true}, func(e *apiserver.Env) { env = e }))
}

func TestServesTheKindsOfCodb(t *testing.T) {
	if err := env.Client.List(t.Context(), &consentv1.CampaignList{}); err != nil {
		t.Fatal(err)
	}
}

func TestUsersHaveTheirOwnRights(t *testing.T) {
	err := env.As(t, "nobody").List(t.Context(), &consentv1.CampaignList{})
	if !apierrors.IsForbidden(err) {
		t.Fatalf("list as nobody: %v, want Forbidden", err)
	}
	if err := env.As(t, "root", "system:masters").List(t.Context(), &consentv1.CampaignList{}); err != nil {
		t.Fatal(err)
	}
}

func TestControllersMakePodsOfJobs(t *testing.T) {
	ns := env.Namespace(t, nil)
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "one", Namespace: ns}}
	job.Spec.Template.Spec = corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever,
		Containers:    []corev1.Container{{Name: "c", Image: "example.com/none"}},
	}
	if err := env.Client.Create(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		var pods corev1.PodList
		err := env.Client.List(ctx, &pods, client.InNamespace(ns))
		return len(pods.Items) == 1, err
	})
	if err != nil {
		t.Fatal(err)
	}
}
