package gate

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/cache"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/test/apiserver"
)

// reviews answers reviews with a function.
type reviews[T any] func(T) (T, error)

func (f reviews[T]) Create(_ context.Context, review T, _ metav1.CreateOptions) (T, error) {
	return f(review)
}

func TestWhatTheClusterSays(t *testing.T) {
	operator := authenticationv1.UserInfo{
		Username: "system:serviceaccount:codb-system:codb-operator", UID: "u-1", Groups: []string{"g"},
		Extra: map[string]authenticationv1.ExtraValue{"pod": {"p"}},
	}
	known := authenticationv1.TokenReviewStatus{Authenticated: true, User: operator, Audiences: []string{Audience}}
	silent := errors.New("no route to host")
	for name, tc := range map[string]struct {
		tokens    authenticationv1.TokenReviewStatus
		tokensErr error
		access    authorizationv1.SubjectAccessReviewStatus
		accessErr error
		want      error
		wantUser  string
	}{
		"Allowed":                {tokens: known, access: authorizationv1.SubjectAccessReviewStatus{Allowed: true}, wantUser: operator.Username},
		"NotAllowed":             {tokens: known, want: ErrForbidden, wantUser: operator.Username},
		"AllowedAndDenied":       {tokens: known, access: authorizationv1.SubjectAccessReviewStatus{Allowed: true, Denied: true}, want: ErrForbidden, wantUser: operator.Username},
		"NotAuthenticated":       {tokens: authenticationv1.TokenReviewStatus{User: operator, Audiences: []string{Audience}}, want: ErrUnauthenticated},
		"NoAudience":             {tokens: authenticationv1.TokenReviewStatus{Authenticated: true, User: operator}, want: ErrUnauthenticated},
		"AnotherAudience":        {tokens: authenticationv1.TokenReviewStatus{Authenticated: true, User: operator, Audiences: []string{"https://kubernetes.default.svc"}}, want: ErrUnauthenticated},
		"NoName":                 {tokens: authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: []string{Audience}}, want: ErrUnauthenticated},
		"TokensCannotBeReviewed": {tokensErr: silent, want: silent},
		"AccessCannotBeReviewed": {tokens: known, accessErr: silent, want: silent, wantUser: operator.Username},
	} {
		t.Run(name, func(t *testing.T) {
			var asked *authorizationv1.SubjectAccessReview
			c := &Cluster{
				tokens: reviews[*authenticationv1.TokenReview](func(r *authenticationv1.TokenReview) (*authenticationv1.TokenReview, error) {
					if diff := cmp.Diff(authenticationv1.TokenReviewSpec{Token: "t", Audiences: []string{Audience}}, r.Spec); diff != "" {
						t.Errorf("token review (-want +got):\n%s", diff)
					}
					return &authenticationv1.TokenReview{Status: tc.tokens}, tc.tokensErr
				}),
				access: reviews[*authorizationv1.SubjectAccessReview](func(r *authorizationv1.SubjectAccessReview) (*authorizationv1.SubjectAccessReview, error) {
					asked = r
					return &authorizationv1.SubjectAccessReview{Status: tc.access}, tc.accessErr
				}),
				namespace: "codb-customers", yes: cache.NewLRUExpireCache(8),
			}
			user, err := c.Admit(t.Context(), "t", Access{Verb: "list"})
			if !errors.Is(err, tc.want) || user != tc.wantUser {
				t.Errorf("got %q, %v; want %q, %v", user, err, tc.wantUser, tc.want)
			}
			if asked == nil {
				return
			}
			want := authorizationv1.SubjectAccessReviewSpec{
				User: operator.Username, UID: "u-1", Groups: []string{"g"}, Extra: map[string]authorizationv1.ExtraValue{"pod": {"p"}},
				ResourceAttributes: &authorizationv1.ResourceAttributes{Group: "consent.codb.dev", Resource: "contacts", Namespace: "codb-customers", Verb: "list"},
			}
			if diff := cmp.Diff(want, asked.Spec); diff != "" {
				t.Errorf("access review (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAYesIsBelievedForAWhileAndANoNever(t *testing.T) {
	clock := &hand{now: noon}
	asked, allowed := 0, true
	c := &Cluster{
		tokens: reviews[*authenticationv1.TokenReview](func(r *authenticationv1.TokenReview) (*authenticationv1.TokenReview, error) {
			asked++
			r.Status = authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: []string{Audience}, User: authenticationv1.UserInfo{Username: "u"}}
			return r, nil
		}),
		access: reviews[*authorizationv1.SubjectAccessReview](func(r *authorizationv1.SubjectAccessReview) (*authorizationv1.SubjectAccessReview, error) {
			r.Status.Allowed = allowed
			return r, nil
		}),
		yes: cache.NewLRUExpireCacheWithClock(8, clock),
	}
	admit := func(token, verb string, wantAsked int, want error) {
		t.Helper()
		if _, err := c.Admit(t.Context(), token, Access{Verb: verb}); !errors.Is(err, want) || asked != wantAsked {
			t.Errorf("%s may %s: %v after %d reviews, want %v after %d", token, verb, err, asked, want, wantAsked)
		}
	}
	admit("t", "list", 1, nil)
	admit("t", "list", 1, nil)
	admit("t", "create", 2, nil) // a yes to one verb is none to another
	admit("s", "list", 3, nil)
	allowed = false
	clock.turn(believed - time.Nanosecond)
	admit("t", "list", 3, nil)
	clock.turn(2 * time.Nanosecond)
	admit("t", "list", 4, ErrForbidden)
	allowed = true
	admit("t", "list", 5, nil)
}

// TestOnARealCluster lets a real apiserver make the tokens and judge them, by
// the roles that codb is installed with.
func TestOnARealCluster(t *testing.T) {
	env, err := apiserver.Start(apiserver.Options{Admission: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Error(err)
		}
	})
	h := newHouse(t)
	gate := "system:serviceaccount:" + v1alpha1.SystemNamespace + ":codb-gate"
	if h.server.auth, err = NewCluster(env.ConfigAs(gate), v1alpha1.CustomersNamespace); err != nil {
		t.Fatal(err)
	}
	account := func(namespace, name string) *corev1.ServiceAccount {
		return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	}
	marketer := account(env.Namespace(t, nil), "marketer")
	if err := env.Client.Create(t.Context(), marketer); err != nil {
		t.Fatal(err)
	}
	operator := account(v1alpha1.SystemNamespace, v1alpha1.OperatorServiceAccount)
	for name, tc := range map[string]struct {
		account   *corev1.ServiceAccount
		audiences []string
		want      int // 0: success
	}{
		"TheOperator":              {account: operator, audiences: []string{Audience}},
		"ATokenForTheApiserver":    {account: operator, want: http.StatusUnauthorized},
		"ATokenForSomebodyElse":    {account: operator, audiences: []string{"vault"}, want: http.StatusUnauthorized},
		"WhoHasNothingToDoWithIt":  {account: marketer, audiences: []string{Audience}, want: http.StatusForbidden},
		"TheGateReadsNotThroughIt": {account: account(v1alpha1.SystemNamespace, "codb-gate"), audiences: []string{Audience}, want: http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: tc.audiences}}
			if err := env.Client.SubResource("token").Create(t.Context(), tc.account, request); err != nil {
				t.Fatal(err)
			}
			c := h.client(func(o *ClientOptions) {
				o.Token = func(context.Context) (string, error) { return request.Status.Token, nil }
			})
			_, appended := c.Append(t.Context(), []contacts.Record{sent(1, "c-1")})
			_, read := c.page(t.Context(), 0, 1, 0)
			for what, err := range map[string]error{"append": appended, "read": read} {
				var p *Problem
				errors.As(err, &p)
				if (tc.want == 0) != (err == nil) || (p != nil && p.Status != tc.want) {
					t.Errorf("%s: got %v, want status %d", what, err, tc.want)
				}
			}
		})
	}
}
