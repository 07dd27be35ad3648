package gate

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	authentication "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorization "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"

	"github.com/codb-dev/codb/api/v1alpha1"
)

var (
	// ErrUnauthenticated says that the token is nobody's, or not for the gate.
	ErrUnauthenticated = errors.New("unauthenticated")
	// ErrForbidden says that whoever asks may not.
	ErrForbidden = errors.New("forbidden")
)

// Access is what somebody asks to do.
type Access struct {
	// Verb to do. Empty: nothing, but they must be known.
	Verb string
	// Brand to do it to. Empty: contacts.
	Brand string
}

// Authenticator says whose token it is, and whether they have the access. The
// user is told with ErrForbidden too. Any error but ErrUnauthenticated and
// ErrForbidden means that nobody knows.
type Authenticator interface {
	Admit(ctx context.Context, token string, to Access) (user string, err error)
}

const (
	// believed is how long a yes is taken for granted; a no never is.
	believed     = 10 * time.Second
	mostBelieved = 4096
	reviewTime   = 5 * time.Second
)

// Cluster asks the cluster, with TokenReviews and SubjectAccessReviews.
type Cluster struct {
	tokens    reviewer[*authenticationv1.TokenReview]
	access    reviewer[*authorizationv1.SubjectAccessReview]
	namespace string
	yes       *cache.LRUExpireCache
}

type reviewer[T any] interface {
	Create(ctx context.Context, review T, o metav1.CreateOptions) (T, error)
}

// NewCluster makes an Authenticator that asks with the gate's own identity,
// which may create both reviews. Contacts are in the namespace of
// the customers.
func NewCluster(c *rest.Config, customersNamespace string) (*Cluster, error) {
	tokens, err := authentication.NewForConfig(c)
	if err != nil {
		return nil, fmt.Errorf("gate: %w", err)
	}
	access, err := authorization.NewForConfig(c)
	if err != nil {
		return nil, fmt.Errorf("gate: %w", err)
	}
	return &Cluster{
		tokens: tokens.TokenReviews(), access: access.SubjectAccessReviews(),
		namespace: customersNamespace, yes: cache.NewLRUExpireCache(mostBelieved),
	}, nil
}

type question struct {
	token [sha256.Size]byte
	to    Access
}

// Admit implements Authenticator.
func (c *Cluster) Admit(ctx context.Context, token string, to Access) (string, error) {
	q := question{token: sha256.Sum256([]byte(token)), to: to}
	if user, ok := c.yes.Get(q); ok {
		return user.(string), nil
	}
	ctx, cancel := context.WithTimeout(ctx, reviewTime)
	defer cancel()
	user, err := review(ctx, c.tokens, token)
	if err != nil {
		return "", err
	}
	if err := c.may(ctx, user, to); err != nil {
		return user.Username, err
	}
	c.yes.Add(q, user.Username, believed)
	return user.Username, nil
}

func review(ctx context.Context, tokens reviewer[*authenticationv1.TokenReview], token string) (*authenticationv1.UserInfo, error) {
	r, err := tokens.Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{Audience}},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("review a token: %w", err)
	}
	// A cluster that knows no audiences leaves them empty: then the token was made
	// for the apiserver, and whoever gets it here could use it there.
	if !r.Status.Authenticated || !slices.Contains(r.Status.Audiences, Audience) || r.Status.User.Username == "" {
		return nil, ErrUnauthenticated
	}
	return &r.Status.User, nil
}

func (c *Cluster) may(ctx context.Context, user *authenticationv1.UserInfo, to Access) error {
	if to.Verb == "" {
		return nil
	}
	on := authorizationv1.ResourceAttributes{Group: v1alpha1.Group, Resource: "contacts", Namespace: c.namespace, Verb: to.Verb}
	if to.Brand != "" {
		on.Resource, on.Namespace, on.Name = "brands", "", to.Brand
	}
	extra := make(map[string]authorizationv1.ExtraValue, len(user.Extra))
	for k, v := range user.Extra {
		extra[k] = authorizationv1.ExtraValue(v)
	}
	r, err := c.access.Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: user.Username, UID: user.UID, Groups: user.Groups, Extra: extra,
			ResourceAttributes: &on,
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("review access to %s: %w", on.Resource, err)
	}
	if !r.Status.Allowed || r.Status.Denied {
		return ErrForbidden
	}
	return nil
}
