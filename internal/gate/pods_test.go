package gate

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/cache"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/contacts"
)

// cluster is one campaign with its Job and pod, and a token for that pod.
type cluster struct {
	token    authenticationv1.TokenReviewStatus
	pod      *corev1.Pod
	job      *batchv1.Job
	campaign *v1alpha1.Campaign
	silent   error // of the apiserver's
}

func newCluster() *cluster {
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "acme-shop", Name: name} }
	c := &cluster{
		token: authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: []string{Audience}, User: authenticationv1.UserInfo{
			Username: "system:serviceaccount:acme-shop:default",
			Extra:    map[string]authenticationv1.ExtraValue{extraPodName: {"spring-x"}, extraPodUID: {"pod-1"}},
		}},
		pod: &corev1.Pod{ObjectMeta: meta("spring-x")}, job: &batchv1.Job{ObjectMeta: meta("spring-1")}, campaign: &v1alpha1.Campaign{ObjectMeta: meta("spring")},
	}
	c.pod.UID, c.job.UID, c.campaign.UID, c.campaign.Generation = "pod-1", "j-1", "u-1", 3
	c.pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: "spring-1", UID: "j-1", Controller: ptr.To(true)}}
	c.job.Labels = map[string]string{v1alpha1.LabelCampaign: "spring"}
	return c
}

func (c *cluster) pods(t *testing.T) *ClusterPods {
	t.Helper()
	s := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(s), v1alpha1.AddToScheme(s)); err != nil {
		t.Fatal(err)
	}
	b := fake.NewClientBuilder().WithScheme(s).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, from client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if c.silent != nil {
				return c.silent
			}
			return from.Get(ctx, key, o, opts...)
		},
	})
	if c.pod != nil {
		b = b.WithObjects(c.pod)
	}
	if c.job != nil {
		b = b.WithObjects(c.job)
	}
	if c.campaign != nil {
		b = b.WithObjects(c.campaign)
	}
	return &ClusterPods{live: b.Build(), yes: cache.NewLRUExpireCache(8), tokens: reviews[*authenticationv1.TokenReview](
		func(r *authenticationv1.TokenReview) (*authenticationv1.TokenReview, error) {
			r.Status = c.token
			return r, nil
		})}
}

func TestWhoseTokenItIs(t *testing.T) {
	silent := errors.New("no route to host")
	for name, tc := range map[string]struct {
		change func(*cluster)
		want   error
	}{
		"APodOfTheCampaign":         {func(*cluster) {}, nil},
		"NobodysToken":              {func(c *cluster) { c.token.Authenticated = false }, ErrUnauthenticated},
		"ForAnotherAudience":        {func(c *cluster) { c.token.Audiences = []string{"vault"} }, ErrUnauthenticated},
		"BoundToNoPod":              {func(c *cluster) { c.token.User.Extra = nil }, ErrForbidden},
		"BoundToTwo":                {func(c *cluster) { c.token.User.Extra[extraPodUID] = []string{"pod-1", "pod-2"} }, ErrForbidden},
		"APersonWhoNamesAPod":       {func(c *cluster) { c.token.User.Username = "acme-clerk" }, ErrForbidden},
		"AnAccountElsewhere":        {func(c *cluster) { c.token.User.Username = "system:serviceaccount:globex-shop:default" }, ErrForbidden},
		"ThePodIsGone":              {func(c *cluster) { c.pod = nil }, ErrForbidden},
		"AnotherPodOfTheName":       {func(c *cluster) { c.pod.UID = "pod-2" }, ErrForbidden},
		"APodOfNobody":              {func(c *cluster) { c.pod.OwnerReferences = nil }, ErrForbidden},
		"APodThatOnlyMentionsAJob":  {func(c *cluster) { c.pod.OwnerReferences[0].Controller = nil }, ErrForbidden},
		"APodOfAReplicaSet":         {func(c *cluster) { c.pod.OwnerReferences[0].Kind = "ReplicaSet" }, ErrForbidden},
		"AJobOfAnotherGroup":        {func(c *cluster) { c.pod.OwnerReferences[0].APIVersion = "batch.example/v1" }, ErrForbidden},
		"TheJobIsGone":              {func(c *cluster) { c.job = nil }, ErrForbidden},
		"AnotherJobOfTheName":       {func(c *cluster) { c.job.UID = "j-2" }, ErrForbidden},
		"AJobOfNoCampaign":          {func(c *cluster) { c.job.Labels = nil }, ErrForbidden},
		"ACampaignThatIsGone":       {func(c *cluster) { c.campaign = nil }, ErrForbidden},
		"TheApiserverDoesNotAnswer": {func(c *cluster) { c.silent = silent }, silent},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster()
			tc.change(c)
			pods := c.pods(t)
			got, err := pods.Holder(t.Context(), "t")
			if !errors.Is(err, tc.want) || got.User != c.token.User.Username && !errors.Is(tc.want, ErrUnauthenticated) {
				t.Fatalf("got %+v, %v; want %v", got, err, tc.want)
			}
			if tc.want != nil {
				if len(pods.yes.Keys()) != 0 || got.Campaign != (contacts.Campaign{}) {
					t.Errorf("a no is remembered, or told with %+v", got.Campaign)
				}
				return
			}
			want := Holder{
				Pod: "pod-1", PodName: "spring-x", Job: "spring-1", User: "system:serviceaccount:acme-shop:default",
				Campaign: contacts.Campaign{Namespace: "acme-shop", Name: "spring", UID: "u-1", Generation: 3, Job: "j-1"},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("holder (-want +got):\n%s", diff)
			}
		})
	}
}
