package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/oauth2"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/codb-dev/codb/api/v1alpha1"
)

func standaloneCommand() *cobra.Command {
	var (
		o operatorOptions
		g gateOptions
	)
	c := &cobra.Command{
		Use:   "standalone",
		Short: "run the operator and the gate in one process, for a laptop",
		Long: "Standalone runs outside the cluster, as the ServiceAccount " + v1alpha1.OperatorServiceAccount + ": the kubeconfig\n" +
			"is used once, to get that account's first token, and for nothing else.",
		Args: cobra.NoArgs,
	}
	o.register(c)
	g.register(c, "gate-")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := ctrl.GetConfig()
		if err != nil {
			return fmt.Errorf("find the cluster: %w", err)
		}
		if o.webhookHost == "" {
			o.webhookHost = "127.0.0.1"
		}
		own, err := asOperator(cmd.Context(), cfg)
		if err != nil {
			return err
		}
		served, err := openGate(cmd.Context(), own, g)
		if err != nil {
			return err
		}
		return runOperator(cmd.Context(), own, o, served)
	}
	return c
}

// asOperator returns a config that acts as the operator's ServiceAccount and
// renews its own tokens; the identity of cfg asks for the first one only.
func asOperator(ctx context.Context, cfg *rest.Config) (*rest.Config, error) {
	own := rest.AnonymousClientConfig(cfg)
	tokens := &ownTokens{ctx: ctx, cfg: rest.CopyConfig(cfg)}
	first, err := tokens.Token()
	if err != nil {
		return nil, err
	}
	own.WrapTransport = transport.TokenSourceWrapTransport(transport.NewCachedTokenSource(oauth2.ReuseTokenSource(first, tokens)))
	return own, nil
}

// ownTokens gets each token with the one before it.
type ownTokens struct {
	ctx context.Context
	cfg *rest.Config
}

// Token asks for an hour's token, of which a fifth is left when the next one is
// asked for.
func (o *ownTokens) Token() (*oauth2.Token, error) {
	clients, err := kubernetes.NewForConfig(o.cfg)
	if err != nil {
		return nil, err
	}
	seconds := int64(3600)
	req, err := clients.CoreV1().ServiceAccounts(v1alpha1.SystemNamespace).CreateToken(o.ctx, v1alpha1.OperatorServiceAccount,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("get a token of %s/%s: %w; codb install makes the account", v1alpha1.SystemNamespace, v1alpha1.OperatorServiceAccount, err)
	}
	next := rest.AnonymousClientConfig(o.cfg)
	next.BearerToken = req.Status.Token
	o.cfg = next
	until := req.Status.ExpirationTimestamp.Time
	return &oauth2.Token{AccessToken: req.Status.Token, TokenType: "Bearer", Expiry: until.Add(-time.Until(until) / 5)}, nil
}
