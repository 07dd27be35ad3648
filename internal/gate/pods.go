package gate

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/cache"
	authentication "k8s.io/client-go/kubernetes/typed/authentication/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/contacts"
)

// Pods says which campaign's pod a token belongs to. The user, and the pod if
// there is one, are told with ErrForbidden too. Any error but ErrUnauthenticated
// and ErrForbidden means that nobody knows.
type Pods interface {
	Holder(ctx context.Context, token string) (Holder, error)
}

// ClusterPods asks the cluster: the token for its pod, the pod for its Job, the
// Job for its campaign. What a caller says of itself counts for nothing.
type ClusterPods struct {
	tokens reviewer[*authenticationv1.TokenReview]
	live   client.Reader
	yes    *cache.LRUExpireCache
}

// NewClusterPods makes Pods that ask with the gate's own identity. The reader
// must not be a cache.
func NewClusterPods(c *rest.Config, live client.Reader) (*ClusterPods, error) {
	tokens, err := authentication.NewForConfig(c)
	if err != nil {
		return nil, fmt.Errorf("gate: %w", err)
	}
	return &ClusterPods{tokens: tokens.TokenReviews(), live: live, yes: cache.NewLRUExpireCache(mostBelieved)}, nil
}

// Where the apiserver puts the pod that a token is bound to.
const (
	extraPodName = "authentication.kubernetes.io/pod-name"
	extraPodUID  = "authentication.kubernetes.io/pod-uid"
)

// Holder implements Pods.
func (p *ClusterPods) Holder(ctx context.Context, token string) (Holder, error) {
	sum := sha256.Sum256([]byte(token))
	if h, ok := p.yes.Get(sum); ok {
		return h.(Holder), nil
	}
	ctx, cancel := context.WithTimeout(ctx, reviewTime)
	defer cancel()
	user, err := review(ctx, p.tokens, token)
	if err != nil {
		return Holder{}, err
	}
	h, err := p.holder(ctx, user)
	if err != nil {
		return h, err
	}
	p.yes.Add(sum, h, believed)
	return h, nil
}

func (p *ClusterPods) holder(ctx context.Context, user *authenticationv1.UserInfo) (Holder, error) {
	h := Holder{User: user.Username, Pod: only(user.Extra[extraPodUID]), PodName: only(user.Extra[extraPodName])}
	namespace, _, ok := strings.Cut(strings.TrimPrefix(user.Username, "system:serviceaccount:"), ":")
	if !ok || !strings.HasPrefix(user.Username, "system:serviceaccount:") || h.PodName == "" || h.Pod == "" {
		return h, fmt.Errorf("%w: the token is not bound to a pod", ErrForbidden)
	}
	var pod corev1.Pod
	if err := p.read(ctx, namespace, h.PodName, &pod); err != nil {
		return h, err
	}
	owner := metav1.GetControllerOf(&pod)
	if string(pod.UID) != h.Pod || owner == nil || owner.Kind != "Job" || owner.APIVersion != batchv1.SchemeGroupVersion.String() {
		return h, fmt.Errorf("%w: the pod belongs to no Job", ErrForbidden)
	}
	var job batchv1.Job
	if err := p.read(ctx, namespace, owner.Name, &job); err != nil {
		return h, err
	}
	named := job.Labels[v1alpha1.LabelCampaign]
	if job.UID != owner.UID || named == "" {
		return h, fmt.Errorf("%w: the pod's Job belongs to no campaign", ErrForbidden)
	}
	var c v1alpha1.Campaign
	if err := p.read(ctx, namespace, named, &c); err != nil {
		return h, err
	}
	h.Job = job.Name
	h.Campaign = contacts.Campaign{
		Namespace: namespace, Name: c.Name, UID: string(c.UID), Generation: c.Generation, Job: string(job.UID),
	}
	return h, nil
}

// Gone implements Attendance. A pod that is being deleted is not gone: it may
// give back what it holds by itself.
func (p *ClusterPods) Gone(ctx context.Context, h Holder) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, reviewTime)
	defer cancel()
	var pod corev1.Pod
	err := p.live.Get(ctx, types.NamespacedName{Namespace: h.Campaign.Namespace, Name: h.PodName}, &pod)
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return string(pod.UID) != h.Pod || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed, nil
}

// read reads past every cache; who is not there may not draw.
func (p *ClusterPods) read(ctx context.Context, namespace, name string, into client.Object) error {
	err := p.live.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, into)
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("%w: there is no %T %s/%s", ErrForbidden, into, namespace, name)
	}
	if err != nil {
		return fmt.Errorf("find out whose pod asks: %w", err)
	}
	return nil
}

func only(list []string) string {
	if len(list) != 1 {
		return ""
	}
	return list[0]
}

// admitPod finds out which pod asks, and leaves a line for auditors where it is
// none of a campaign's.
func (s *Server) admitPod(ctx context.Context, route, token, remote string) (Holder, error) {
	began := time.Now()
	h, err := Holder{}, ErrUnauthenticated
	if token != "" {
		h, err = s.pods.Holder(ctx, token)
	}
	if err == nil {
		return h, nil
	}
	return h, s.refused(err, "route", route, "user", unnamed(h.User), "pod", h.Pod, "remote", remote, "took", time.Since(began).String())
}

// refused counts and logs who was refused, and says so to them.
func (s *Server) refused(err error, facts ...any) error {
	audit := s.log.WithValues(facts...)
	switch {
	case errors.Is(err, ErrUnauthenticated):
		s.metrics.refusals.WithLabelValues("unauthenticated").Inc()
		audit.Info("request refused", "reason", "unauthenticated")
		return unauthenticated()
	case errors.Is(err, ErrForbidden):
		s.metrics.refusals.WithLabelValues("forbidden").Inc()
		audit.Info("request refused", "reason", "forbidden", "why", err.Error())
		return &Problem{Type: ProblemForbidden, Title: "Not allowed", Status: 403, Detail: err.Error(), Remedy: "permits are for the pods of a campaign's Job that codb has released, with spec.recipients: Permits"}
	}
	s.metrics.refusals.WithLabelValues("unknown").Inc()
	audit.Error(err, "request refused", "reason", "unknown")
	return unavailable("the cluster could not be asked who you are", "send the same request again")
}
